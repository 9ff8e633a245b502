// Whether there is a compiler, and what the launcher needs of the system.
#include <ucontext.h>
#include <vector>
int tallow_device_probe() {
    ucontext_t context;
    return std::vector<int>(3).size() == 3 ? getcontext(&context) : 1;
}
