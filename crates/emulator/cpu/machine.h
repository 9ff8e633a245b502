// Runs the blocks of a kernel one after another, and the threads of a block as fibers of one thread of the system.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tl {

// Where a thread runs.
struct Here {
    uint32_t thread, threads, block, blocks;
};

// Who last wrote and who read an element: block + 1 and thread, and between which barriers. No thread is 0.
struct Trace {
    uint32_t writer_block = 0, writer = 0, written_at = 0;
    uint32_t reader_block = 0, reader = 0, read_at = 0;
};

// One argument of a launch. `traces` are made by the launcher, for what is written.
struct Argument {
    void *data;
    uint64_t length;
    const char *name;
    uint32_t written;
    Trace *traces;
};

struct SharedArray {
    const char *name;
    uint64_t length;
    std::vector<unsigned char> bytes;
    std::vector<Trace> traces;
};

using Kernel = void (*)(Here, const Argument *);

// Makes a kernel known by its name.
struct Registered {
    Registered(const char *name, size_t parameters, Kernel kernel);
    const char *name;
    size_t parameters;
    Kernel kernel;
    const Registered *next;
};

// Called by kernels, on their fibers. Each ends the launch with a sentence where it finds a fault.
[[noreturn]] void beyond(const char *name, uint64_t at, uint64_t length);
void note_read(Trace &trace, const char *name, uint64_t at, bool must_be_written);
void note_write(Trace &trace, const char *name, uint64_t at);
SharedArray *declare(const char *name, uint64_t count, size_t size);
void barrier(const char *file, int line);
// Gives `word` to the warp and returns what `lane` gave.
uint32_t trade(uint32_t word, uint32_t lane, const char *file, int line);
uint32_t lane();
// As a thread whose own arrays are too large does, for the test of what finds that.
void spoil_stack();

} // namespace tl
