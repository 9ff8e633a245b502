//! The time of a linear layer and its loss as one operation, beside that of the two one after another.
#![allow(clippy::print_stdout)]
mod timing;

use tallow_tensor::{
    backward,
    ops::{cross_entropy, dense, linear_cross_entropy, LinearCrossEntropyOptions},
    random::{uniform, Key},
    threads, DType, Result, Tensor,
};
use timing::least;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let draw = |shape: &[usize], seed| uniform(Key([0, seed]), shape, DType::F32, -0.5, 0.5);
    for threads in [1, threads::num_threads()] {
        threads::set_num_threads(threads)?;
        for [rows, depth, categories] in [[1024, 48, 50_257], [1024, 256, 256], [2048, 256, 8192], [512, 768, 50_257]] {
            let (x, w) = (draw(&[rows, depth], 1)?.variable(), draw(&[depth, categories], 2)?.variable());
            let b = draw(&[categories], 3)?.variable();
            let targets = Tensor::from_vec((0..rows).map(|i| (i * 7919 % categories) as i32).collect(), &[rows])?;
            let scale = Tensor::full(&[rows], 1.0 / rows as f64, DType::F32, x.device())?;
            let gradients = |loss: Tensor| {
                let seed = Tensor::ones(&[], DType::F32, loss.device()).expect("one");
                backward(&[(loss, seed)], &[x.clone(), w.clone(), b.clone()], false).expect("gradients")
            };
            let apart = least(|| {
                let losses = dense(&x, &w, Some(&b)).and_then(|y| cross_entropy(&y, &targets, 0.0)).expect("losses");
                gradients(losses.mul(&scale).and_then(|l| l.sum(None, false)).expect("a loss"));
            });
            let fused = least(|| {
                let o = LinearCrossEntropyOptions::default();
                gradients(linear_cross_entropy(&x, &w, Some(&b), &targets, &scale, o).expect("a loss"));
            });
            let rate = (6 * rows * depth * categories) as f64 / 1e6;
            println!(
                "{threads} threads, {rows}x{depth} to {categories}: apart {apart:.1} ms ({:.0} GFLOP/s), as one {fused:.1} ms ({:.0} GFLOP/s)",
                rate / apart,
                rate / fused
            );
        }
    }
    Ok(())
}
