//! Random numbers from keys.
use crate::bridge::{
    args::{Arg, Int, Real, Shape, Size, TypeCode, Word, Words},
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

fn draw(env: &Env, key: Words, op: impl FnOnce(Key) -> Outcome<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(key.0)?)))
}

fn give(env: &Env, key: impl FnOnce() -> Outcome<Key>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, Tensor::from_vec(key()?.0.to_vec(), &[2])?)))
}

/// The key of a seed.
#[napi]
pub fn random_key(env: Env, seed: Arg<Int>) -> Result<f64> {
    give(&env, || Ok(Key::new(seed.named("key: seed")?.0 as i64)))
}

/// `n` new keys, `[n, 2]`.
#[napi]
pub fn random_split(env: Env, key: Words, n: Arg<Size>) -> Result<f64> {
    draw(&env, key, |key| {
        let n = n.named("split: num")?.0;
        let words = memory::collect(key.try_split(n)?.into_iter().map(|k| k.0))?.into_flattened();
        Ok(Tensor::from_vec(words, &[n, 2])?)
    })
}

/// A new key from a key and a number.
#[napi]
pub fn random_fold_in(env: Env, key: Words, data: Arg<Word>) -> Result<f64> {
    give(&env, || Ok(key.0.fold_in(data.named("foldIn: data")?.0)))
}

/// Uniform 32-bit words.
#[napi]
pub fn random_bits(env: Env, key: Words, shape: Arg<Shape>) -> Result<f64> {
    draw(&env, key, |key| Ok(random::bits(key, &shape.named("bits: shape")?.0)?))
}

/// Uniform floats in `[min, max)`.
#[napi]
pub fn random_uniform(
    env: Env,
    key: Words,
    shape: Arg<Shape>,
    dtype: Arg<TypeCode>,
    min: Arg<Real>,
    max: Arg<Real>,
) -> Result<f64> {
    draw(&env, key, |key| {
        let (shape, dtype) = (shape.named("uniform: shape")?, dtype.named("uniform: dtype")?);
        let (min, max) = (min.named("uniform: minval")?, max.named("uniform: maxval")?);
        Ok(random::uniform(key, &shape.0, dtype.0, min.0, max.0)?)
    })
}

/// Standard normals.
#[napi]
pub fn random_normal(env: Env, key: Words, shape: Arg<Shape>, dtype: Arg<TypeCode>) -> Result<f64> {
    draw(&env, key, |key| Ok(random::normal(key, &shape.named("normal: shape")?.0, dtype.named("normal: dtype")?.0)?))
}

/// Standard normals within `[lower, upper]`.
#[napi]
pub fn random_truncated_normal(
    env: Env,
    key: Words,
    lower: Arg<Real>,
    upper: Arg<Real>,
    shape: Arg<Shape>,
    dtype: Arg<TypeCode>,
) -> Result<f64> {
    draw(&env, key, |key| {
        let (lower, upper) = (lower.named("truncatedNormal: lower")?, upper.named("truncatedNormal: upper")?);
        let (shape, dtype) = (shape.named("truncatedNormal: shape")?, dtype.named("truncatedNormal: dtype")?);
        Ok(random::truncated_normal(key, lower.0, upper.0, &shape.0, dtype.0)?)
    })
}

/// True with probability `p`.
#[napi]
pub fn random_bernoulli(env: Env, key: Words, p: Arg<Real>, shape: Arg<Shape>) -> Result<f64> {
    draw(&env, key, |key| Ok(random::bernoulli(key, p.named("bernoulli: p")?.0, &shape.named("bernoulli: shape")?.0)?))
}

/// Integers in `[lo, hi)`.
#[napi]
pub fn random_randint(
    env: Env,
    key: Words,
    shape: Arg<Shape>,
    lo: Arg<Int>,
    hi: Arg<Int>,
    dtype: Arg<TypeCode>,
) -> Result<f64> {
    draw(&env, key, |key| {
        let (shape, dtype) = (shape.named("randint: shape")?, dtype.named("randint: dtype")?);
        let (lo, hi) = (lo.named("randint: minval")?.0 as i64, hi.named("randint: maxval")?.0 as i64);
        Ok(random::randint(key, &shape.0, lo, hi, dtype.0)?)
    })
}

/// `0 .. n` in random order.
#[napi]
pub fn random_permutation(env: Env, key: Words, n: Arg<Size>) -> Result<f64> {
    draw(&env, key, |key| Ok(random::permutation(key, n.named("permutation: x")?.0)?))
}

/// A tensor's slices along an axis in random order.
#[napi]
pub fn random_permute(env: Env, key: Words, x: f64, axis: Arg<Int>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("permutation: axis")?.0;
        Ok(e.insert(&env, random::permute(key.0, &e.tensor(x)?, axis)?))
    })
}

/// Categories drawn by their logits.
#[napi]
pub fn random_categorical(env: Env, key: Words, logits: f64, axis: Arg<Int>, shape: Arg<Option<Shape>>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("categorical: axis")?.0;
        let shape = shape.named("categorical: shape")?.map(|s| s.0);
        Ok(e.insert(&env, random::categorical(key.0, &e.tensor(logits)?, axis, shape.as_deref())?))
    })
}

/// Standard Gumbel values.
#[napi]
pub fn random_gumbel(env: Env, key: Words, shape: Arg<Shape>, dtype: Arg<TypeCode>) -> Result<f64> {
    draw(&env, key, |key| Ok(random::gumbel(key, &shape.named("gumbel: shape")?.0, dtype.named("gumbel: dtype")?.0)?))
}
