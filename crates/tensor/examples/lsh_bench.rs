//! Milliseconds of chunked and of full attention, forward with backward: `cargo run --release -p tallow-tensor --example lsh_bench`.
#![allow(clippy::print_stdout)]
mod timing;

use tallow_tensor::{
    backward,
    ops::{attention, chunked_attention, hash_buckets, AttentionOptions, ChunkedAttentionOptions},
    testing::random,
    threads, DType, Tensor,
};
use timing::least;

fn main() {
    threads::set_num_threads(1).expect("a number of threads");
    for l in [1024, 4096, 16384] {
        let x = [1, 2, 3].map(|seed| {
            let t = random(&[1, l, 2, 64], seed).cast(DType::F32).expect("floats");
            t.transpose(Some(&[0, 2, 1, 3])).expect("four axes")
        });
        for hashes in [1, 4] {
            let rotations = random(&[1, 2, 64, hashes, 24], 4).cast(DType::F32).expect("floats");
            let hash = || {
                let b = hash_buckets(&x[0], &rotations, &[32, 16]).expect("shapes that fit");
                b.reshape(&[1, 2, hashes * l]).expect("as many")
            };
            let options = ChunkedAttentionOptions {
                chunk_len: 64,
                n_chunks_before: 1,
                causal: true,
                exclude_self: true,
                buckets: Some(hash()),
                ..Default::default()
            };
            let hashing = least(|| drop(hash()));
            let forward = least(|| drop(chunked_attention(&x[0], None, &x[1], &options)));
            let both = least(|| {
                let vars = [0, 1].map(|i| x[i].variable());
                let y = chunked_attention(&vars[0], None, &vars[1], &options).expect("shapes that fit");
                backward(&[(y, x[2].clone())], &vars, false).expect("gradients");
            });
            println!(
                "{l} positions, {hashes} hashes: hash {hashing:.2}, forward {forward:.2}, with backward {both:.2} ms"
            );
        }
        if l < 16384 {
            let options = AttentionOptions { scale: 0.125, causal: true, ..Default::default() };
            let run = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], &options).expect("shapes that fit");
            let forward = least(|| drop(run(&x)));
            let both = least(|| {
                let vars = [0, 1, 2].map(|i| x[i].variable());
                backward(&[(run(&vars), x[2].clone())], &vars, false).expect("gradients");
            });
            println!("{l} positions, full: forward {forward:.2}, with backward {both:.2} ms");
        }
    }
}
