//! Steps of a TransformerLM on one rank or on several, for `bench/ranks.ts`: what they take, what a bare sum of the gradients takes, the bytes sent.
//!
//! `ranks_bench alone`, `ranks_bench threads 2`, and under `mpirun` `ranks_bench mpi`; each with the steps to measure, and a batch of 8 sequences of 128.
#![allow(clippy::print_stdout)]
use serde_json::json;
use std::{env, error::Error, sync::Arc, thread, time::Instant};
use tallow_layers::{
    combinators::{add, dup, parallel, serial},
    core::dense,
    held, hold, init, registry, LayerRef, TensorSpec,
};
use tallow_tensor::{
    random::{randint, Key},
    DType, Tensor,
};
use tallow_training::{
    communicator::{leave, of_process, threads, Communicator},
    named_leaves, optimizers, Trainer,
};

type Answer<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VOCABULARY: usize = 256;

fn batch(i: u64) -> Answer<Vec<Tensor>> {
    let ids = |k: u64| randint(Key([k as u32, i as u32]), &[8, 128], 0, VOCABULARY as i64, DType::I32);
    Ok(vec![ids(0)?, ids(1)?])
}

/// As `models.TransformerLM` puts it together: 4 blocks of depth 256 with 4 heads.
fn language_model() -> Answer<LayerRef> {
    let made = |kind: &str, options| registry::construct(kind, &options);
    let norm = || made("LayerNorm", json!({}));
    let mut layers = vec![
        made("ShiftRight", json!({}))?,
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 256}))?,
        made("PositionalEncoding", json!({"maxLen": 128}))?,
    ];
    let residual = |inside: Vec<LayerRef>| serial(vec![dup(), serial(inside), add()]);
    for _ in 0..4 {
        let attention = made("CausalAttention", json!({"dFeature": 256, "nHeads": 4}))?;
        layers.push(residual(vec![norm()?, attention]));
        layers.push(residual(vec![norm()?, dense(1024), made("Relu", json!({}))?, dense(256)]));
    }
    layers.extend([norm()?, dense(VOCABULARY)]);
    Ok(serial(layers))
}

/// Seconds of a step, of a bare sum of as many numbers as there are gradients, bytes that a step sends, and bytes of the gradients.
fn measured(ranks: Option<Arc<dyn Communicator>>, steps: u64) -> Answer<[f64; 4]> {
    let loss = registry::construct("CategoryCrossEntropy", json!({}))?;
    let model = serial(vec![parallel(vec![language_model()?, serial(Vec::new())])?, loss]);
    let specs: Vec<TensorSpec> = batch(0)?.iter().map(TensorSpec::of).collect();
    let (weights, state) = init(&model, &specs, Key::new(1))?;
    hold(&model, Some(&weights), Some(&state));
    let numbers: usize = named_leaves("weights", &model, &held(&model).0).iter().map(|(_, t)| t.size()).sum();
    let adam = optimizers::construct("Adam", json!({"learningRate": 1e-4}))?;
    let mut trainer = Trainer::new(model, adam).among(None, ranks.clone())?;
    let sent = || ranks.as_ref().map_or(0, |r| r.bytes_sent());
    for i in 0..2 {
        trainer.one_step(batch(i)?, Key([0, i as u32]), i, None)?;
    }
    let (before, start) = (sent(), Instant::now());
    for i in 2..steps + 2 {
        trainer.one_step(batch(i)?, Key([0, i as u32]), i, None)?;
    }
    let (step, bytes) = (start.elapsed().as_secs_f64() / steps as f64, (sent() - before) as f64 / steps as f64);
    let mut sums = vec![1.0; numbers];
    let start = Instant::now();
    for _ in 0..steps {
        if let Some(ranks) = &ranks {
            ranks.all_reduce(&mut sums)?;
        }
    }
    Ok([step, start.elapsed().as_secs_f64() / steps as f64, bytes, numbers as f64 * 4.0])
}

fn on_threads(n: usize, steps: u64) -> Answer<[f64; 4]> {
    let one = |rank| measured(Some(Arc::new(rank)), steps);
    let all: Vec<Answer<[f64; 4]>> = thread::scope(|scope| {
        let begun: Vec<_> = threads(n).into_iter().map(|rank| scope.spawn(move || one(rank))).collect();
        begun.into_iter().map(|rank| rank.join().unwrap_or_else(|_| Err("a rank panicked".into()))).collect()
    });
    all.into_iter().next().ok_or("no ranks")?
}

fn main() -> Answer<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |i: usize| words.get(i).and_then(|word| word.parse().ok());
    let figures = match words.first().map(String::as_str) {
        Some("alone") => measured(None, number(1).unwrap_or(10))?,
        Some("threads") => on_threads(number(1).unwrap_or(2) as usize, number(2).unwrap_or(10))?,
        Some("mpi") => {
            let ranks = of_process()?.ok_or("start it under mpirun")?;
            let figures = measured(Some(ranks.clone()), number(1).unwrap_or(10))?;
            leave(None);
            if ranks.rank() > 0 {
                return Ok(());
            }
            figures
        }
        _ => return Err("say alone, threads or mpi".into()),
    };
    println!("{}", json!(figures));
    Ok(())
}
