//! Times elementwise operations, copies and reductions: `cargo run --release -p tallow-tensor --example elementwise_bench`.
#![allow(clippy::print_stdout)]
use std::{hint::black_box, time::Instant};
use tallow_tensor::{testing, Axes, DType, Result, Tensor};

fn time(name: &str, elements: usize, f: impl Fn() -> Result<Tensor>) {
    let rounds = (20_000_000 / elements.max(1)).clamp(20, 200_000);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds / 5 {
            black_box(f().expect("the operation works"));
        }
        best = best.min(start.elapsed().as_secs_f64() / (rounds / 5) as f64);
    }
    println!("{name:32} {:10.2} us  {:7.3} ns per element", best * 1e6, best * 1e9 / elements as f64);
}

fn main() {
    let make = |shape: &[usize]| testing::random(shape, 1).cast(DType::F32).expect("a cast works");
    let (s, v) = (make(&[4]), make(&[4]).variable());
    time("add of 4", 4, || s.add(&s));
    time("add_scalar of 4", 4, || s.add_scalar(1));
    time("add of 4, tracked", 4, || v.add(&v));
    time("tanh of 4", 4, || s.tanh());
    time("sum of 4", 4, || s.sum(Axes::All, false));
    let (rows, columns) = (2048, 512);
    let n = rows * columns;
    let (x, row, column) = (make(&[rows, columns]), make(&[columns]), make(&[rows, 1]));
    let turned = make(&[columns, rows]).transpose(None).expect("a transpose works");
    time("add", n, || x.add(&x));
    time("add of a row", n, || x.add(&row));
    time("add of a column", n, || x.add(&column));
    time("add of a transpose", n, || x.add(&turned));
    time("contiguous transpose", n, || turned.contiguous());
    for (name, f) in [
        ("exp", Tensor::exp as fn(&Tensor) -> Result<Tensor>),
        ("log", Tensor::log),
        ("tanh", Tensor::tanh),
        ("sigmoid", Tensor::sigmoid),
        ("erf", Tensor::erf),
        ("softplus", Tensor::softplus),
        ("relu", Tensor::relu),
    ] {
        time(name, n, || f(&x));
    }
    time("sum of all", n, || x.sum(Axes::All, false));
    time("sum of rows", n, || x.sum(-1, false));
    time("sum of columns", n, || x.sum(0, false));
    time("max of rows", n, || x.max(-1, false));
    time("argmax of rows", n, || x.argmax(Some(-1), false));
    time("logsumexp of rows", n, || x.logsumexp(-1, false));
    time("to bfloat16", n, || x.cast(DType::BF16));
    time("pow 3", n, || x.pow_scalar(3));
}
