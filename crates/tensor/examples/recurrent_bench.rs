//! Times whole sequences, forward and backward: `cargo run --release -p tallow-tensor --example recurrent_bench -- lstm 128 2`.
#![allow(clippy::print_stdout)]
use std::time::Instant;
use tallow_tensor::{backward, ops, testing::random, threads, DType, Result, Tensor};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let (batch, n) = (16, 256);
    let get = |i: usize, d: usize| args.get(i).and_then(|s| s.parse().ok()).unwrap_or(d);
    let steps = get(2, 128);
    threads::set_num_threads(get(3, 2))?;
    let new = |shape: &[usize], seed| {
        Ok::<_, tallow_tensor::Error>(random(shape, seed).mul_scalar(0.06)?.cast(DType::F32)?.variable())
    };
    let x = new(&[batch, steps, n], 1)?;
    let ct = Tensor::ones(&[batch, steps, n], DType::F32, x.device())?;
    let (s1, s2) = (new(&[batch, n], 2)?.detach(), new(&[batch, 2 * n], 2)?.detach());
    let w: Vec<Tensor> =
        [[2 * n, 4 * n], [1, 4 * n], [2 * n, 2 * n], [1, 2 * n], [2 * n, n], [1, n], [n, 3 * n], [1, 3 * n]]
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let t = new(s, 10 + i as u64)?.detach();
                Ok(if s[0] == 1 { t.reshape(&[s[1]])? } else { t }.variable())
            })
            .collect::<Result<_>>()?;
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..get(4, 12) {
        let start = Instant::now();
        let (y, wrt) = match args.get(1).map(String::as_str) {
            Some("gru") => {
                let g = ops::GruWeights { gates: &w[2], gates_bias: &w[3], candidate: &w[4], candidate_bias: &w[5] };
                (ops::gru(&x, &s1, g)?.0, w[2..6].to_vec())
            }
            Some("sru") => (ops::sru(&ops::dense(&x, &w[6], Some(&w[7]))?, &x, &s1)?.0, w[6..].to_vec()),
            _ => (ops::lstm(&x, &s2, &w[0], &w[1])?.0, w[..2].to_vec()),
        };
        let forward = start.elapsed().as_secs_f64();
        let wrt = [std::slice::from_ref(&x), &wrt[..]].concat();
        backward(&[(y, ct.clone())], &wrt, false)?;
        let all = start.elapsed().as_secs_f64();
        if all < best.1 {
            best = (forward, all);
        }
    }
    println!("{:?}: {:.1} ms, forward {:.1} ms", &args[1..], best.1 * 1e3, best.0 * 1e3);
    Ok(())
}
