// The words of kernels/words.h as C++ for the CPU, where every access is checked.
//
// Reported, each with the place: an index beyond an array, a read of a shared element that nobody wrote, accesses of one element by
// two threads of a block of which one writes and between which no barrier stands, any such accesses by two blocks, a barrier or
// shuffle that some threads do not reach.
#pragma once
#include "machine.h"
#include <cmath>
#include <cstring>

#define TALLOW_CPU
using u8 = uint8_t;
using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using f32 = float;

namespace tl {

// Reads an element, or writes it: what `x[i]` is.
template <class A, class T> struct Element {
    const A &of;
    u64 at;
    operator T() const { return of.read(at); }
    T operator=(T v) const {
        of.write(at, v);
        return v;
    }
    T operator=(const Element &other) const { return *this = T(other); }
    T operator+=(T v) const { return *this = T(*this) + v; }
    T operator-=(T v) const { return *this = T(*this) - v; }
    T operator*=(T v) const { return *this = T(*this) * v; }
};

} // namespace tl

// An array that is only read.
template <class T> struct In {
    const T *data;
    u64 length;
    const char *name;
    T operator[](u64 i) const {
        if (i >= length) tl::beyond(name, i, length);
        return data[i];
    }
};

// An array in global memory that is written.
template <class T> struct Out {
    T *data;
    u64 length;
    const char *name;
    tl::Trace *traces;
    tl::Element<Out, T> operator[](u64 i) const { return {*this, i}; }
    T read(u64 i) const {
        if (i >= length) tl::beyond(name, i, length);
        tl::note_read(traces[i], name, i, false);
        return data[i];
    }
    void write(u64 i, T v) const {
        if (i >= length) tl::beyond(name, i, length);
        tl::note_write(traces[i], name, i);
        data[i] = v;
    }
};

// An array that the threads of a block share.
template <class T> struct Shared {
    tl::SharedArray *array;
    tl::Element<Shared, T> operator[](u64 i) const { return {*this, i}; }
    T read(u64 i) const {
        if (i >= array->length) tl::beyond(array->name, i, array->length);
        tl::note_read(array->traces[i], array->name, i, true);
        T v;
        std::memcpy(&v, array->bytes.data() + i * sizeof(T), sizeof(T));
        return v;
    }
    void write(u64 i, T v) const {
        if (i >= array->length) tl::beyond(array->name, i, array->length);
        tl::note_write(array->traces[i], array->name, i);
        std::memcpy(array->bytes.data() + i * sizeof(T), &v, sizeof(T));
    }
};

namespace tl {

// An argument as a kernel's parameter.
template <class P> struct Parameter {
    static P of(const Argument &a) {
        P v;
        std::memcpy(&v, a.data, sizeof v);
        return v;
    }
};
template <class T> struct Parameter<In<T>> {
    static In<T> of(const Argument &a) { return {static_cast<const T *>(a.data), a.length, a.name}; }
};
template <class T> struct Parameter<Out<T>> {
    static Out<T> of(const Argument &a) { return {static_cast<T *>(a.data), a.length, a.name, a.traces}; }
};

template <class... P, size_t... I>
void call(void (*kernel)(Here, P...), Here here, const Argument *a, std::index_sequence<I...>) {
    kernel(here, Parameter<P>::of(a[I])...);
}
template <class... P> void call(void (*kernel)(Here, P...), Here here, const Argument *a) {
    call(kernel, here, a, std::index_sequence_for<P...>());
}
template <class... P> constexpr size_t count(void (*)(Here, P...)) { return sizeof...(P); }

template <class T> Shared<T> shared(const char *name, u64 count) { return {declare(name, count, sizeof(T))}; }

template <class T> T exchange(T v, u32 lane, const char *file, int line) {
    static_assert(sizeof(T) == 4, "shuffles move 32 bits");
    u32 word;
    std::memcpy(&word, &v, 4);
    word = trade(word, lane, file, line);
    std::memcpy(&v, &word, 4);
    return v;
}

} // namespace tl

#define IN(T, name) In<T> name
#define OUT(T, name) Out<T> name
#define VALUE(T, name) const T name
#define KERNEL(name, ...)                                                                                                      \
    static void name(const tl::Here tl_here, __VA_ARGS__);                                                                     \
    static const tl::Registered registered_##name(                                                                             \
        #name, tl::count(name), [](tl::Here here, const tl::Argument *a) { tl::call(name, here, a); });                        \
    static void name([[maybe_unused]] const tl::Here tl_here, __VA_ARGS__)
#define FUNCTION [[maybe_unused]] static inline
#define THREAD tl_here.thread
#define THREADS tl_here.threads
#define BLOCK tl_here.block
#define BLOCKS tl_here.blocks
#define SHARED(T, name, count) const Shared<T> name = tl::shared<T>(#name, count)
#define BARRIER() tl::barrier(__FILE__, __LINE__)
#define shuffle_xor(v, mask) tl::exchange(v, tl::lane() ^ (mask), __FILE__, __LINE__)
#define shuffle(v, lane_) tl::exchange(v, lane_, __FILE__, __LINE__)

FUNCTION f32 fused(f32 a, f32 b, f32 c) { return std::fma(a, b, c); }
FUNCTION f32 root(f32 x) { return std::sqrt(x); }
FUNCTION u32 bits_of(f32 x) {
    u32 v;
    std::memcpy(&v, &x, 4);
    return v;
}
FUNCTION f32 float_of(u32 x) {
    f32 v;
    std::memcpy(&v, &x, 4);
    return v;
}
