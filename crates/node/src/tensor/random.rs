//! Random numbers from keys. A key crosses as its two words.
use crate::bridge::{
    args::{Arg, Int, Real, Shape, Size, TypeCode, Word},
    environment::run,
    error::Outcome,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{
    memory,
    random::{self, Key},
    Tensor,
};

fn draw(env: &Env, a: u32, b: u32, op: impl FnOnce(Key) -> Outcome<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(Key([a, b]))?)))
}

/// The key of a seed, as two words.
#[napi]
pub fn random_key(env: Env, seed: Arg<Int>) -> Result<Vec<u32>> {
    run(&env, |_| Ok(Key::new(seed.named("key: seed")?.0 as i64).0.to_vec()))
}

/// `n` new keys, `[n, 2]`.
#[napi]
pub fn random_split(env: Env, a: u32, b: u32, n: Arg<Size>) -> Result<f64> {
    draw(&env, a, b, |key| {
        let n = n.named("split: num")?.0;
        let words = memory::collect(key.try_split(n)?.into_iter().map(|k| k.0))?.into_flattened();
        Ok(Tensor::from_vec(words, &[n, 2])?)
    })
}

/// A new key from a key and a number.
#[napi]
pub fn random_fold_in(env: Env, a: u32, b: u32, data: Arg<Word>) -> Result<Vec<u32>> {
    run(&env, |_| Ok(Key([a, b]).fold_in(data.named("foldIn: data")?.0).0.to_vec()))
}

/// Uniform 32-bit words.
#[napi]
pub fn random_bits(env: Env, a: u32, b: u32, shape: Arg<Shape>) -> Result<f64> {
    draw(&env, a, b, |key| Ok(random::bits(key, &shape.named("bits: shape")?.0)?))
}

/// Uniform floats in `[min, max)`.
#[napi]
pub fn random_uniform(
    env: Env,
    a: u32,
    b: u32,
    shape: Arg<Shape>,
    dtype: Arg<TypeCode>,
    min: Arg<Real>,
    max: Arg<Real>,
) -> Result<f64> {
    draw(&env, a, b, |key| {
        let (shape, dtype) = (shape.named("uniform: shape")?, dtype.named("uniform: dtype")?);
        let (min, max) = (min.named("uniform: minval")?, max.named("uniform: maxval")?);
        Ok(random::uniform(key, &shape.0, dtype.0, min.0, max.0)?)
    })
}

/// Standard normals.
#[napi]
pub fn random_normal(env: Env, a: u32, b: u32, shape: Arg<Shape>, dtype: Arg<TypeCode>) -> Result<f64> {
    draw(&env, a, b, |key| Ok(random::normal(key, &shape.named("normal: shape")?.0, dtype.named("normal: dtype")?.0)?))
}

/// Standard normals within `[lower, upper]`.
#[napi]
pub fn random_truncated_normal(
    env: Env,
    a: u32,
    b: u32,
    lower: Arg<Real>,
    upper: Arg<Real>,
    shape: Arg<Shape>,
    dtype: Arg<TypeCode>,
) -> Result<f64> {
    draw(&env, a, b, |key| {
        let (lower, upper) = (lower.named("truncatedNormal: lower")?, upper.named("truncatedNormal: upper")?);
        let (shape, dtype) = (shape.named("truncatedNormal: shape")?, dtype.named("truncatedNormal: dtype")?);
        Ok(random::truncated_normal(key, lower.0, upper.0, &shape.0, dtype.0)?)
    })
}

/// True with probability `p`.
#[napi]
pub fn random_bernoulli(env: Env, a: u32, b: u32, p: Arg<Real>, shape: Arg<Shape>) -> Result<f64> {
    draw(&env, a, b, |key| Ok(random::bernoulli(key, p.named("bernoulli: p")?.0, &shape.named("bernoulli: shape")?.0)?))
}

/// Integers in `[lo, hi)`.
#[napi]
pub fn random_randint(
    env: Env,
    a: u32,
    b: u32,
    shape: Arg<Shape>,
    lo: Arg<Int>,
    hi: Arg<Int>,
    dtype: Arg<TypeCode>,
) -> Result<f64> {
    draw(&env, a, b, |key| {
        let (shape, dtype) = (shape.named("randint: shape")?, dtype.named("randint: dtype")?);
        let (lo, hi) = (lo.named("randint: minval")?.0 as i64, hi.named("randint: maxval")?.0 as i64);
        Ok(random::randint(key, &shape.0, lo, hi, dtype.0)?)
    })
}

/// `0 .. n` in random order.
#[napi]
pub fn random_permutation(env: Env, a: u32, b: u32, n: Arg<Size>) -> Result<f64> {
    draw(&env, a, b, |key| Ok(random::permutation(key, n.named("permutation: x")?.0)?))
}

/// A tensor's slices along an axis in random order.
#[napi]
pub fn random_permute(env: Env, a: u32, b: u32, x: f64, axis: Arg<Int>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("permutation: axis")?.0;
        Ok(e.insert(&env, random::permute(Key([a, b]), &e.tensor(x)?, axis)?))
    })
}

/// Categories drawn by their logits.
#[napi]
pub fn random_categorical(
    env: Env,
    a: u32,
    b: u32,
    logits: f64,
    axis: Arg<Int>,
    shape: Arg<Option<Shape>>,
) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("categorical: axis")?.0;
        let shape = shape.named("categorical: shape")?.map(|s| s.0);
        Ok(e.insert(&env, random::categorical(Key([a, b]), &e.tensor(logits)?, axis, shape.as_deref())?))
    })
}

/// Standard Gumbel values.
#[napi]
pub fn random_gumbel(env: Env, a: u32, b: u32, shape: Arg<Shape>, dtype: Arg<TypeCode>) -> Result<f64> {
    draw(&env, a, b, |key| Ok(random::gumbel(key, &shape.named("gumbel: shape")?.0, dtype.named("gumbel: dtype")?.0)?))
}
