// The words that kernels are written in, for CUDA C, for MSL and for C++ on the CPU.
//
// A kernel is KERNEL(name, parameters...) { ... }. Its parameters are IN(type, name), an array it only reads, OUT(type, name), an
// array it writes and may read what it wrote itself, and VALUE(type, name). Within it stand THREAD (its place in the block), THREADS
// (how many a block has, a multiple of WARP), BLOCK, BLOCKS, LANE (its place in the warp), SHARED(type, name, count) and BARRIER().
// Functions begin with FUNCTION, take arrays as In<type>, Out<type>, Shared<type>, and are told where they run by parameters.
//
// What all three languages share is a small part of C++14. Kernels use: the types below, structs of them, templates, loops, calls that
// do not recurse. They do not use: atomics, pointers and their arithmetic, `double`, functions of a mathematics library (math.h has
// ours), names that are words of MSL (`half`, `thread`, ...), `auto` for elements of arrays, and infinities or NaN as constants (words for them are below). All threads of a block reach
// every BARRIER and all threads of a warp every shuffle; a shuffle orders no accesses of shared arrays.
//
// Each build of the tests reads all kernels as C++ for the CPU, and as MSL with a stand-in for its library (cpu/metal), in which address
// spaces vanish: Metal's own compiler has not seen them. With an nvcc at hand, a test compiles them to PTX.
//
// Products and sums are never fused unless `fused` says so: nvcc is told -fmad=false, MSL by the pragma, the CPU by -ffp-contract=off.
#pragma once

#if defined(TALLOW_CPU)
// The CPU's words come from cpu/words.h, which checks all that is promised above.

#elif defined(__METAL_VERSION__)
#include <metal_stdlib>
#pragma clang fp contract(off)
typedef uint u32;
typedef int i32;
typedef ulong u64;
typedef float f32;
typedef uchar u8;
template <class T> using In = device const T *;
template <class T> using Out = device T *;
template <class T> using Shared = threadgroup T *;
#define IN(T, name) device const T *name
#define OUT(T, name) device T *name
#define VALUE(T, name) constant T &name
#define KERNEL(name, ...)                                                                                                      \
    kernel void name(__VA_ARGS__, uint tl_thread [[thread_position_in_threadgroup]],                                           \
                     uint tl_block [[threadgroup_position_in_grid]], uint tl_threads [[threads_per_threadgroup]],              \
                     uint tl_blocks [[threadgroups_per_grid]])
#define FUNCTION static inline
#define THREAD tl_thread
#define THREADS tl_threads
#define BLOCK tl_block
#define BLOCKS tl_blocks
#define SHARED(T, name, count) threadgroup T name[count]
#define BARRIER() metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup | metal::mem_flags::mem_device)
template <class T> FUNCTION T shuffle_xor(T v, u32 mask) { return metal::simd_shuffle_xor(v, ushort(mask)); }
template <class T> FUNCTION T shuffle(T v, u32 lane) { return metal::simd_shuffle(v, ushort(lane)); }
FUNCTION f32 fused(f32 a, f32 b, f32 c) { return metal::fma(a, b, c); }
FUNCTION f32 root(f32 x) { return metal::precise::sqrt(x); }
FUNCTION u32 bits_of(f32 x) { return as_type<u32>(x); }
FUNCTION f32 float_of(u32 x) { return as_type<f32>(x); }

#else
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef float f32;
typedef unsigned char u8;
template <class T> using In = const T *__restrict__;
template <class T> using Out = T *__restrict__;
template <class T> using Shared = T *;
#define IN(T, name) const T *__restrict__ name
#define OUT(T, name) T *__restrict__ name
#define VALUE(T, name) const T name
#define KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define FUNCTION static __device__ __forceinline__
#define THREAD threadIdx.x
#define THREADS blockDim.x
#define BLOCK blockIdx.x
#define BLOCKS gridDim.x
#define SHARED(T, name, count) __shared__ T name[count]
#define BARRIER() __syncthreads()
template <class T> FUNCTION T shuffle_xor(T v, u32 mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
template <class T> FUNCTION T shuffle(T v, u32 lane) { return __shfl_sync(0xffffffffu, v, lane); }
FUNCTION f32 fused(f32 a, f32 b, f32 c) { return __fmaf_rn(a, b, c); }
FUNCTION f32 root(f32 x) { return __fsqrt_rn(x); }
FUNCTION u32 bits_of(f32 x) { return __float_as_uint(x); }
FUNCTION f32 float_of(u32 x) { return __uint_as_float(x); }
#endif

// Threads that run in step and shuffle: a warp of CUDA, a simdgroup of Metal.
#define WARP 32u
#define LANE (THREAD % WARP)
#define INFINITE float_of(0x7f800000u)
#define LOWEST float_of(0xff800000u)
#define NOT_A_NUMBER float_of(0x7fc00000u)

FUNCTION bool is_nan(f32 x) { return (bits_of(x) & 0x7fffffffu) > 0x7f800000u; }
FUNCTION u32 rotated(u32 x, u32 by) { return (x << by) | (x >> (32u - by)); }
FUNCTION u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

// The sum over so many neighbouring lanes of a warp, a power of two, in every one of them: those furthest apart first.
FUNCTION f32 lanes_sum(f32 v, u32 lanes) {
    for (u32 mask = lanes / 2u; mask > 0u; mask /= 2u) v += shuffle_xor(v, mask);
    return v;
}
// The largest over so many lanes, in every one of them; NaN are passed over.
FUNCTION f32 lanes_max(f32 v, u32 lanes) {
    for (u32 mask = lanes / 2u; mask > 0u; mask /= 2u) {
        f32 other = shuffle_xor(v, mask);
        v = other > v ? other : v;
    }
    return v;
}
// The sum over a warp: lanes 16 apart first, then 8, 4, 2, 1. The order that tensor's kernels fold their 32 lanes in.
FUNCTION f32 warp_sum(f32 v) { return lanes_sum(v, WARP); }
FUNCTION f32 warp_max(f32 v) { return lanes_max(v, WARP); }
