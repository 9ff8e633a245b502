//! Times of convolution, pooling and batch normalisation on channels-last images.
#![allow(clippy::print_stdout)]
mod timing;

use tallow_tensor::{
    backward,
    ops::{batch_norm, causal_depthwise_conv, conv, pool, Padding, Pooling, Windows},
    random::{normal, Key},
    threads, DType, Result, Tensor,
};
use timing::least;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn values(shape: &[usize]) -> Result<Tensor> {
    normal(Key([0, shape.len() as u32]), shape, DType::F32)
}

/// Milliseconds forward alone, and forward and backward to `inputs`.
fn show(name: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let g = f(inputs)?.ones_like()?;
    let forward = least(|| drop(f(inputs).expect("fits")));
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let both = least(|| {
        let y = f(&variables).expect("fits");
        drop(backward(&[(y, g.clone())], &variables, false).expect("has gradients"));
    });
    println!("{name:24} forward {forward:8.3} ms, with backward {both:8.3} ms");
    Ok(())
}

fn main() -> Result<()> {
    let same = Windows { padding: Padding::Same, ..Windows::default() };
    let halved = Windows { strides: vec![2, 2], ..same.clone() };
    for n in [1, threads::num_threads()] {
        threads::set_num_threads(n)?;
        println!("--- {n} threads");
        let x = values(&[8, 32, 32, 64])?;
        let (w, b) = (values(&[3, 3, 64, 64])?, values(&[64])?);
        show("conv 3x3 64 to 64", &[x.clone(), w.clone(), b.clone()], |t| conv(&t[0], &t[1], Some(&t[2]), &same))?;
        show("weight alone", std::slice::from_ref(&w), |t| conv(&x, &t[0], None, &same))?;
        show("stride 2", &[x.clone(), w, b], |t| conv(&t[0], &t[1], Some(&t[2]), &halved))?;
        show("conv 3x3 3 to 32", &[values(&[8, 64, 64, 3])?, values(&[3, 3, 3, 32])?], |t| {
            conv(&t[0], &t[1], None, &same)
        })?;
        show("max pool 2x2", std::slice::from_ref(&x), |t| pool(&t[0], &[2, 2], &halved, Pooling::Max))?;
        show("average pool 3x3", std::slice::from_ref(&x), |t| pool(&t[0], &[3, 3], &same, Pooling::Average))?;
        let (sequence, w) = (values(&[8, 512, 512])?, values(&[3, 512])?);
        show("causal depthwise 3", &[sequence, w], |t| causal_depthwise_conv(&t[0], &t[1]))?;
        let (scale, bias) = (values(&[64])?, values(&[64])?);
        show("batch norm", &[x, scale, bias], |t| Ok(batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)?.y))?;
    }
    Ok(())
}
