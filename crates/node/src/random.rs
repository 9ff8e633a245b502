//! Random numbers from keys. A key crosses as its two words.
use crate::{
    args::{Int, Real, Shape, Size, TypeCode},
    environment::run,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{
    random::{self, Key},
    Tensor,
};

fn draw(env: &Env, a: u32, b: u32, op: impl FnOnce(Key) -> tallow_tensor::Result<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(Key([a, b]))?)))
}

/// The key of a seed, as two words.
#[napi]
pub fn random_key(env: Env, seed: Int) -> Result<Vec<u32>> {
    run(&env, |_| Ok(Key::new(seed.0 as i64).0.to_vec()))
}

/// `n` new keys, two words each.
#[napi]
pub fn random_split(env: Env, a: u32, b: u32, n: Size) -> Result<Vec<u32>> {
    run(&env, |_| Ok(Key([a, b]).split(n.0).into_iter().flat_map(|k| k.0).collect()))
}

/// A new key from a key and a number.
#[napi]
pub fn random_fold_in(env: Env, a: u32, b: u32, data: u32) -> Result<Vec<u32>> {
    run(&env, |_| Ok(Key([a, b]).fold_in(data).0.to_vec()))
}

/// Uniform 32-bit words.
#[napi]
pub fn random_bits(env: Env, a: u32, b: u32, shape: Shape) -> Result<f64> {
    draw(&env, a, b, |key| random::bits(key, &shape.0))
}

/// Uniform floats in `[min, max)`.
#[napi]
pub fn random_uniform(env: Env, a: u32, b: u32, shape: Shape, dtype: TypeCode, min: Real, max: Real) -> Result<f64> {
    draw(&env, a, b, |key| random::uniform(key, &shape.0, dtype.0, min.0, max.0))
}

/// Standard normals.
#[napi]
pub fn random_normal(env: Env, a: u32, b: u32, shape: Shape, dtype: TypeCode) -> Result<f64> {
    draw(&env, a, b, |key| random::normal(key, &shape.0, dtype.0))
}

/// Standard normals within `[lower, upper]`.
#[napi]
pub fn random_truncated_normal(
    env: Env,
    a: u32,
    b: u32,
    lower: Real,
    upper: Real,
    shape: Shape,
    dtype: TypeCode,
) -> Result<f64> {
    draw(&env, a, b, |key| random::truncated_normal(key, lower.0, upper.0, &shape.0, dtype.0))
}

/// True with probability `p`.
#[napi]
pub fn random_bernoulli(env: Env, a: u32, b: u32, p: Real, shape: Shape) -> Result<f64> {
    draw(&env, a, b, |key| random::bernoulli(key, p.0, &shape.0))
}

/// Integers in `[lo, hi)`.
#[napi]
pub fn random_randint(env: Env, a: u32, b: u32, shape: Shape, lo: Int, hi: Int, dtype: TypeCode) -> Result<f64> {
    draw(&env, a, b, |key| random::randint(key, &shape.0, lo.0 as i64, hi.0 as i64, dtype.0))
}

/// `0 .. n` in random order.
#[napi]
pub fn random_permutation(env: Env, a: u32, b: u32, n: Size) -> Result<f64> {
    draw(&env, a, b, |key| random::permutation(key, n.0))
}

/// A tensor's slices along an axis in random order.
#[napi]
pub fn random_permute(env: Env, a: u32, b: u32, x: f64, axis: Int) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, random::permute(Key([a, b]), &e.tensor(x)?, axis.0)?)))
}

/// Categories drawn by their logits.
#[napi]
pub fn random_categorical(env: Env, a: u32, b: u32, logits: f64, axis: Int, shape: Option<Shape>) -> Result<f64> {
    run(&env, |e| {
        let shape = shape.map(|s| s.0);
        Ok(e.insert(&env, random::categorical(Key([a, b]), &e.tensor(logits)?, axis.0, shape.as_deref())?))
    })
}

/// Standard Gumbel values.
#[napi]
pub fn random_gumbel(env: Env, a: u32, b: u32, shape: Shape, dtype: TypeCode) -> Result<f64> {
    draw(&env, a, b, |key| random::gumbel(key, &shape.0, dtype.0))
}
