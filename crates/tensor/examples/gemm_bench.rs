//! GFLOP/s of matrix products beside the processor's own peak: `cargo run --release -p tallow-tensor --example gemm_bench`.
//! With `-- --peak 1 2` it prints the peak alone, for each number of threads.
//! The three figures of a shape: both operands in row-major order, the left one transposed in memory, the right one.
#![allow(clippy::print_stdout)]
mod timing;

#[cfg(target_arch = "x86_64")]
use std::time::Instant;
use tallow_tensor::{testing::random, threads, DType, Tensor};
use timing::least;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch, rows, inner size and columns.
const SHAPES: [(usize, usize, usize, usize); 10] = [
    (1, 256, 256, 256),
    (1, 512, 512, 512),
    (1, 1024, 1024, 1024),
    (1, 2048, 2048, 2048),
    (1, 512, 512, 2048),
    (1, 8, 512, 512),
    (64, 128, 64, 128),
    (1, 1, 256, 1024),
    (1, 16, 256, 1024),
    (1, 2048, 256, 1024),
];

/// GFLOP/s of twelve independent chains of fused multiplications and additions on one thread.
///
/// # Safety
/// The processor must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn fma256() -> f64 {
    let n: u64 = 50_000;
    let t = Instant::now();
    // SAFETY: the code touches no memory, and every register it changes is an operand.
    unsafe {
        std::arch::asm!("2:",
    "vfmadd231ps ymm0,ymm14,ymm15","vfmadd231ps ymm1,ymm14,ymm15","vfmadd231ps ymm2,ymm14,ymm15","vfmadd231ps ymm3,ymm14,ymm15",
    "vfmadd231ps ymm4,ymm14,ymm15","vfmadd231ps ymm5,ymm14,ymm15","vfmadd231ps ymm6,ymm14,ymm15","vfmadd231ps ymm7,ymm14,ymm15",
    "vfmadd231ps ymm8,ymm14,ymm15","vfmadd231ps ymm9,ymm14,ymm15","vfmadd231ps ymm10,ymm14,ymm15","vfmadd231ps ymm11,ymm14,ymm15",
    "dec {n}","jnz 2b", n = inout(reg) n => _,
    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm14") _, out("xmm15") _)
    };
    n as f64 * 12.0 * 16.0 / t.elapsed().as_secs_f64() / 1e9
}

/// The same with registers of 512 bits.
///
/// # Safety
/// The processor must have AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fma512() -> f64 {
    let n: u64 = 50_000;
    let t = Instant::now();
    // SAFETY: the code touches no memory, and every register it changes is an operand.
    unsafe {
        std::arch::asm!("2:",
    "vfmadd231ps zmm0,zmm14,zmm15","vfmadd231ps zmm1,zmm14,zmm15","vfmadd231ps zmm2,zmm14,zmm15","vfmadd231ps zmm3,zmm14,zmm15",
    "vfmadd231ps zmm4,zmm14,zmm15","vfmadd231ps zmm5,zmm14,zmm15","vfmadd231ps zmm6,zmm14,zmm15","vfmadd231ps zmm7,zmm14,zmm15",
    "vfmadd231ps zmm8,zmm14,zmm15","vfmadd231ps zmm9,zmm14,zmm15","vfmadd231ps zmm10,zmm14,zmm15","vfmadd231ps zmm11,zmm14,zmm15",
    "dec {n}","jnz 2b", n = inout(reg) n => _,
    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm14") _, out("xmm15") _)
    };
    n as f64 * 12.0 * 32.0 / t.elapsed().as_secs_f64() / 1e9
}

/// The processor's peak over `threads` threads, where it is known how to reach it.
#[cfg(target_arch = "x86_64")]
fn peak(threads: usize) -> Option<f64> {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return None;
    }
    let wide = is_x86_feature_detected!("avx512f");
    let run = move || {
        // SAFETY: both features were found.
        let narrow = (0..400).map(|_| unsafe { fma256() }).fold(0.0, f64::max);
        // SAFETY: not called where the feature was not found.
        (0..if wide { 400 } else { 0 }).map(|_| unsafe { fma512() }).fold(narrow, f64::max)
    };
    let running: Vec<_> = (0..threads).map(|_| std::thread::spawn(run)).collect();
    Some(running.into_iter().map(|t| t.join().expect("a thread that only counts")).sum())
}

/// As above.
#[cfg(not(target_arch = "x86_64"))]
fn peak(_: usize) -> Option<f64> {
    None
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "--peak") {
        for n in args.iter().filter_map(|a| a.parse().ok()) {
            if let Some(peak) = peak(n) {
                println!("{n} {peak:.1}");
            }
        }
        return;
    }
    for n in [1, 2] {
        threads::set_num_threads(n).expect("a number of threads");
        let top = peak(n);
        println!("{n} threads, peak {} GFLOP/s", top.map_or("unknown".into(), |top| format!("{top:.1}")));
        for (b, m, k, n) in SHAPES {
            let x = random(&[b, m, k], 1).cast(DType::F32).expect("floats");
            let y = random(&[b, k, n], 2).cast(DType::F32).expect("floats");
            let rate = |t: f64| 2.0 * (b * m * k * n) as f64 / t / 1e6;
            // As it is, with the left and with the right operand transposed in memory.
            let turned = |t: &Tensor| t.swap_axes(1, 2).and_then(|t| t.contiguous()).and_then(|t| t.swap_axes(1, 2));
            let (xt, yt) = (turned(&x).expect("a matrix"), turned(&y).expect("a matrix"));
            print!("  {b} x ({m} x {k} x {n}):");
            for (x, y) in [(&x, &y), (&xt, &y), (&x, &yt)] {
                let ours = rate(least(|| drop(x.matmul(y).expect("shapes that fit"))));
                let share = top.map_or(String::new(), |top| format!(" ({:.0} %)", 100.0 * ours / top));
                print!("  {ours:.1} GFLOP/s{share}");
            }
            println!();
        }
    }
}
