// The launcher: fibers, barriers, shuffles, and what is checked at each access.
#include "machine.h"
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <ucontext.h>

namespace tl {
namespace {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kMany = 0xffffffffu;
constexpr size_t kStack = 256 * 1024;
constexpr uint64_t kCanary = 0x7461'6c6c'6f77'2121ull;

const Registered *first = nullptr;

enum class State { Ready, AtBarrier, AtShuffle, Done };

struct Fiber {
    ucontext_t context;
    jmp_buf place;
    bool begun = false;
    State state = State::Done;
    const char *file = "";
    int line = 0;
    // How many shared arrays it has declared in this block, and shuffles it has made: slots are taken in turns, so that a lane that
    // is ahead by one does not overwrite what others still read.
    size_t declared = 0;
    uint32_t shuffles = 0;
    uint32_t slots[2] = {0, 0};
    std::unique_ptr<unsigned char[]> stack;
};

struct Machine {
    Kernel kernel = nullptr;
    const Argument *arguments = nullptr;
    uint32_t block = 0, blocks = 0;
    // Grows at each barrier and each block.
    uint32_t epoch = 0;
    uint32_t now = 0;
    uint64_t barriers = 0;
    size_t shared_bytes = 0;
    std::vector<Fiber> fibers;
    std::vector<std::unique_ptr<SharedArray>> shared;
    std::string fault;
    jmp_buf scheduler;
    ucontext_t back;
};

thread_local Machine *machine = nullptr;

std::string place(const char *file, int line) {
    const char *slash = std::strrchr(file, '/');
    return std::string(slash ? slash + 1 : file) + ":" + std::to_string(line);
}

std::string who() { return "thread " + std::to_string(machine->now) + " of block " + std::to_string(machine->block); }

// Back to the scheduler; returns when it resumes this fiber.
void wait() {
    Fiber &fiber = machine->fibers[machine->now];
    if (_setjmp(fiber.place) == 0) _longjmp(machine->scheduler, 1);
}

[[noreturn]] void fail(std::string what) {
    machine->fault = std::move(what);
    _longjmp(machine->scheduler, 1);
}

std::string element(const char *name, uint64_t at) { return std::string(name) + "[" + std::to_string(at) + "]"; }

// The first function on a fiber's stack: runs the kernel once for each block.
void main_of_fiber() {
    for (;;) {
        Machine &m = *machine;
        Fiber &fiber = m.fibers[m.now];
        m.kernel({m.now, uint32_t(m.fibers.size()), m.block, m.blocks}, m.arguments);
        fiber.state = State::Done;
        wait();
    }
}

[[gnu::noinline]] void resume(uint32_t thread) {
    Fiber &fiber = machine->fibers[thread];
    machine->now = thread;
    if (_setjmp(machine->scheduler) != 0) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    // Once a fiber: later switches are jumps, which cost no call of the system.
    setcontext(&fiber.context);
}

// Lets go on who can when nobody is ready; false when the block has ended.
bool release() {
    Machine &m = *machine;
    const size_t n = m.fibers.size();
    bool shuffled = false;
    for (size_t w = 0; w < n; w += kWarp) {
        const auto at = [&](size_t i) -> Fiber & { return m.fibers[w + i]; };
        size_t waiting = 0, first_waiting = 0;
        for (size_t i = 0; i < kWarp; i++)
            if (at(i).state == State::AtShuffle && waiting++ == 0) first_waiting = i;
        if (waiting == 0) continue;
        const Fiber &one = at(first_waiting);
        for (size_t i = 0; i < kWarp; i++)
            if (at(i).state != State::AtShuffle || at(i).file != one.file || at(i).line != one.line) {
                m.fault = "lane " + std::to_string(i) + " of warp " + std::to_string(w / kWarp) + " of block " +
                          std::to_string(m.block) + " does not reach the shuffle at " + place(one.file, one.line);
                return false;
            }
        for (size_t i = 0; i < kWarp; i++) at(i).state = State::Ready;
        shuffled = true;
    }
    if (shuffled) return true;
    const Fiber *one = nullptr;
    for (const Fiber &fiber : m.fibers)
        if (fiber.state == State::AtBarrier && !one) one = &fiber;
    if (!one) return false;
    for (size_t i = 0; i < n; i++) {
        const Fiber &fiber = m.fibers[i];
        if (fiber.state != State::AtBarrier || fiber.file != one->file || fiber.line != one->line) {
            m.fault = "thread " + std::to_string(i) + " of block " + std::to_string(m.block) +
                      " does not reach the barrier at " + place(one->file, one->line);
            return false;
        }
    }
    for (Fiber &fiber : m.fibers) fiber.state = State::Ready;
    m.epoch++;
    m.barriers++;
    return true;
}

void run_block(const std::vector<uint32_t> &order) {
    Machine &m = *machine;
    m.epoch++;
    m.shared.clear();
    for (Fiber &fiber : m.fibers) {
        fiber.state = State::Ready;
        fiber.declared = 0;
    }
    do {
        for (uint32_t thread : order) {
            if (m.fibers[thread].state == State::Ready) resume(thread);
            if (!m.fault.empty()) return;
        }
    } while (release());
    if (!m.fault.empty()) return;
    size_t bytes = 0;
    for (const auto &array : m.shared) bytes += array->bytes.size();
    m.shared_bytes = std::max(m.shared_bytes, bytes);
    for (const Fiber &fiber : m.fibers) {
        uint64_t bottom;
        std::memcpy(&bottom, fiber.stack.get(), sizeof bottom);
        if (bottom != kCanary) m.fault = "a thread's own arrays are larger than its stack here";
    }
}

// 0 … n-1: as they are, backwards, or mixed by `order`.
std::vector<uint32_t> ordered(uint32_t n, uint32_t order) {
    std::vector<uint32_t> places(n);
    for (uint32_t i = 0; i < n; i++) places[i] = i;
    if (order == 1) std::reverse(places.begin(), places.end());
    uint32_t state = order;
    for (uint32_t i = n; order > 1 && i > 1; i--) {
        state = state * 1664525u + 1013904223u;
        std::swap(places[i - 1], places[(state >> 8) % i]);
    }
    return places;
}

} // namespace

Registered::Registered(const char *name, size_t parameters, Kernel kernel)
    : name(name), parameters(parameters), kernel(kernel), next(first) {
    first = this;
}

void beyond(const char *name, uint64_t at, uint64_t length) {
    fail(who() + " reaches " + element(name, at) + ", the array has " + std::to_string(length));
}

void note_read(Trace &t, const char *name, uint64_t at, bool must_be_written) {
    const Machine &m = *machine;
    const uint32_t block = m.block + 1;
    if (t.writer_block == 0) {
        if (must_be_written) fail(who() + " reads " + element(name, at) + ", which no thread has written");
    } else if (t.writer_block != block) {
        fail(who() + " reads " + element(name, at) + ", which block " + std::to_string(t.writer_block - 1) + " writes");
    } else if (t.writer != m.now && t.written_at == m.epoch) {
        fail(who() + " reads " + element(name, at) + ", which thread " + std::to_string(t.writer) +
             " writes, without a barrier between");
    }
    const bool others = t.reader_block == block && t.read_at == m.epoch && t.reader != m.now;
    t.reader = others ? kMany : m.now;
    t.reader_block = t.reader_block != 0 && t.reader_block != block ? kMany : block;
    t.read_at = m.epoch;
}

void note_write(Trace &t, const char *name, uint64_t at) {
    const Machine &m = *machine;
    const uint32_t block = m.block + 1;
    if (t.writer_block != 0 && t.writer_block != block)
        fail(who() + " writes " + element(name, at) + ", which block " + std::to_string(t.writer_block - 1) + " writes, too");
    if (t.writer_block == block && t.writer != m.now && t.written_at == m.epoch)
        fail(who() + " writes " + element(name, at) + ", which thread " + std::to_string(t.writer) +
             " writes, too, without a barrier between");
    if (t.reader_block != 0 && t.reader_block != block)
        fail(who() + " writes " + element(name, at) + ", which another block reads");
    if (t.reader_block == block && t.reader != m.now && t.read_at == m.epoch)
        fail(who() + " writes " + element(name, at) + ", which another thread reads, without a barrier between");
    t.writer_block = block;
    t.writer = m.now;
    t.written_at = m.epoch;
}

SharedArray *declare(const char *name, uint64_t count, size_t size) {
    Machine &m = *machine;
    const size_t i = m.fibers[m.now].declared++;
    if (i == m.shared.size()) {
        m.shared.push_back(std::make_unique<SharedArray>(
            SharedArray{name, count, std::vector<unsigned char>(count * size), std::vector<Trace>(count)}));
    }
    SharedArray &array = *m.shared[i];
    if (std::strcmp(array.name, name) != 0 || array.length != count)
        fail(who() + " declares the shared array " + name + " where another declares " + array.name);
    return &array;
}

void barrier(const char *file, int line) {
    Fiber &fiber = machine->fibers[machine->now];
    fiber.state = State::AtBarrier;
    fiber.file = file;
    fiber.line = line;
    wait();
}

uint32_t lane() { return machine->now % kWarp; }

void spoil_stack() { machine->fibers[machine->now].stack[0] ^= 1; }

uint32_t trade(uint32_t word, uint32_t lane, const char *file, int line) {
    const uint32_t now = machine->now;
    if (lane >= kWarp) fail(who() + " shuffles with lane " + std::to_string(lane));
    Fiber &fiber = machine->fibers[now];
    const uint32_t slot = fiber.shuffles++ % 2;
    fiber.slots[slot] = word;
    fiber.state = State::AtShuffle;
    fiber.file = file;
    fiber.line = line;
    wait();
    return machine->fibers[now / kWarp * kWarp + lane].slots[slot];
}

} // namespace tl

// What a launch tells: how often a block waited at a barrier in all, and the most bytes that a block shared.
struct Told {
    uint64_t barriers, shared_bytes;
};

// How many parameters a kernel has, or -1 when there is none of that name.
extern "C" int64_t tallow_device_parameters(const char *name) {
    for (const tl::Registered *k = tl::first; k; k = k->next)
        if (std::strcmp(k->name, name) == 0) return int64_t(k->parameters);
    return -1;
}

// Runs a kernel that exists, with as many arguments as it has parameters, on `blocks` blocks of `threads` (a multiple of 32) threads.
// Writes a sentence of at most `room` bytes with its end to `fault`; an empty one when all went well.
extern "C" void tallow_device_launch(const char *name, tl::Argument *arguments, uint64_t count, uint32_t blocks, uint32_t threads,
                                     uint32_t order, Told *told, char *fault, uint64_t room) {
    const tl::Registered *kernel = tl::first;
    while (std::strcmp(kernel->name, name) != 0) kernel = kernel->next;
    std::vector<std::vector<tl::Trace>> traces(count);
    for (uint64_t i = 0; i < count; i++) {
        if (arguments[i].written) traces[i].resize(arguments[i].length);
        arguments[i].traces = traces[i].data();
    }
    tl::Machine m;
    m.kernel = kernel->kernel;
    m.arguments = arguments;
    m.blocks = blocks;
    m.fibers = std::vector<tl::Fiber>(blocks > 0 ? threads : 0);
    tl::machine = &m;
    for (tl::Fiber &fiber : m.fibers) {
        fiber.stack.reset(new unsigned char[tl::kStack]);
        std::memcpy(fiber.stack.get(), &tl::kCanary, sizeof tl::kCanary);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = tl::kStack;
        fiber.context.uc_link = &m.back;
        makecontext(&fiber.context, tl::main_of_fiber, 0);
    }
    const std::vector<uint32_t> places = tl::ordered(m.fibers.size(), order);
    for (uint32_t block : tl::ordered(blocks, order)) {
        m.block = block;
        tl::run_block(places);
        if (!m.fault.empty()) break;
    }
    tl::machine = nullptr;
    *told = {m.barriers, m.shared_bytes};
    std::snprintf(fault, room, "%s", m.fault.c_str());
}
