//! Milliseconds of attention, forward and forward with backward: `cargo run --release -p tallow-tensor --example attention_bench`.
#![allow(clippy::print_stdout)]
mod timing;

use tallow_tensor::{
    backward,
    ops::{attention, AttentionOptions},
    testing::random,
    threads, DType, Tensor,
};
use timing::least;

fn main() {
    for n in [1, 2] {
        threads::set_num_threads(n).expect("a number of threads");
        for (b, h, l, d, causal) in [
            (8, 4, 256, 64, true),
            (8, 4, 256, 64, false),
            (1, 2, 1024, 64, true),
            (1, 2, 4096, 64, true),
            (4, 2, 4096, 64, true),
        ] {
            // As layers make them: heads seen through a transpose.
            let x = [1, 2, 3, 4].map(|seed| {
                let t = random(&[b, l, h, d], seed).cast(DType::F32).expect("floats");
                t.transpose(Some(&[0, 2, 1, 3])).expect("four axes")
            });
            let options = AttentionOptions { scale: (d as f64).powf(-0.5), causal, ..Default::default() };
            let run = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], &options).expect("shapes that fit");
            let forward = least(|| drop(run(&x)));
            let both = least(|| {
                let vars = [0, 1, 2].map(|i| x[i].variable());
                backward(&[(run(&vars), x[3].clone())], &vars, false).expect("gradients");
            });
            println!(
                "threads {n}  {b}x{h}x{l}x{d} causal {causal}: forward {forward:.2} ms, with backward {both:.2} ms"
            );
        }
    }
}
