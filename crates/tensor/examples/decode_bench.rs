//! What a step of decoding takes for 1 to 64 streams: `cargo run --release -p tallow-tensor --example decode_bench -- [threads] [products]`.
//!
//! The weights are those of 4 layers of width 256 with feed-forward blocks of 1,024, 12.6 MB in all; each product has its own. Attention has 4
//! heads and reads what each of the 4 layers has kept of so many positions.
#![allow(clippy::print_stdout)]
mod timing;

use std::time::Instant;
use tallow_tensor::{
    ops::{attend, Past},
    testing::random,
    threads, DType, Result, Tensor,
};
use timing::least;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LAYERS: usize = 4;
/// Steps of which writing is measured.
const STEPS: usize = 32;
const HEADS: usize = 4;
const WIDTH: usize = 256;
const HIDDEN: usize = 1024;
/// Inner size and columns of each product of a layer.
const PRODUCTS: [[usize; 2]; 6] =
    [[WIDTH, WIDTH], [WIDTH, WIDTH], [WIDTH, WIDTH], [WIDTH, WIDTH], [WIDTH, HIDDEN], [HIDDEN, WIDTH]];

fn floats(shape: &[usize], seed: u64) -> Result<Tensor> {
    random(shape, seed).cast(DType::F32)
}

/// Milliseconds of the products of one step.
fn products(streams: usize) -> Result<f64> {
    let mut all = Vec::new();
    for (seed, [inner, cols]) in (0..).zip(std::iter::repeat_n(PRODUCTS, LAYERS).flatten()) {
        all.push((floats(&[streams, inner], seed)?, floats(&[inner, cols], seed + 100)?));
    }
    Ok(least(|| all.iter().for_each(|(x, w)| drop(x.matmul(w).expect("shapes that fit")))))
}

/// Milliseconds of attention of one step, and of writing what it keeps, behind so many positions.
fn attention(streams: usize, positions: usize) -> Result<[f64; 2]> {
    let rows = streams * HEADS;
    let depth = WIDTH / HEADS;
    let fresh = |seed: u64| -> Result<Past> {
        let past = Past::new([rows, depth, depth], [DType::F32; 2], positions + STEPS);
        past.append(&floats(&[rows, positions, depth], seed)?, &floats(&[rows, positions, depth], seed + 10)?)
    };
    let one = floats(&[rows, 1, depth], 99)?;
    let pasts = (0..LAYERS as u64).map(fresh).collect::<Result<Vec<_>>>()?;
    let read = least(|| {
        for past in &pasts {
            drop(attend(&one, &one, &one, std::slice::from_ref(past), 0.125).expect("shapes that fit"));
        }
    });
    let mut write = f64::MAX;
    for _ in 0..5 {
        let mut pasts = (0..LAYERS as u64).map(fresh).collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        for _ in 0..STEPS {
            for past in &mut pasts {
                *past = past.append(&one, &one)?;
            }
        }
        write = write.min(begun.elapsed().as_secs_f64() * 1e3 / STEPS as f64);
    }
    Ok([read, write])
}

fn main() -> Result<()> {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    threads::set_num_threads(count)?;
    let with_attention = std::env::args().nth(2).is_none();
    for streams in [1, 8, 16, 32, 64] {
        let ms = products(streams)?;
        let bytes = 4 * LAYERS * PRODUCTS.iter().map(|[k, n]| k * n).sum::<usize>();
        print!("{streams:3} streams: products {ms:.3} ms, {:.1} GB/s", bytes as f64 / ms / 1e6);
        print!(", {:.0} GFLOP/s", (streams * bytes / 2) as f64 / ms / 1e6);
        for positions in [20, 127, 255].into_iter().filter(|_| with_attention) {
            let [read, write] = attention(streams, positions)?;
            let bytes = LAYERS * streams * positions * WIDTH * 8;
            print!("; at {positions}: {read:.3} ms, {:.1} GB/s, write {write:.3}", bytes as f64 / read / 1e6);
        }
        println!();
    }
    Ok(())
}
