//! Draws of bits and of continuous and Boolean values.
use super::{
    inverse_erf::{erf_inv_f32, erf_inv_f64},
    stream, Key,
};
use crate::{element_count, kernels::vecmath::ln_f32, memory, DType, Element, Error, Result, Tensor};
use half::{bf16, f16};
use multiversion::multiversion;
use std::cmp::Ordering;

/// Uniform 32-bit words, as `jax.random.bits`.
///
/// # Errors
/// `ShapeMismatch` for a shape with too many elements, here and in all draws.
pub fn bits(key: Key, shape: &[usize]) -> Result<Tensor> {
    draw(shape, |out: &mut [u32]| stream::generate(key, out, 1, |words, out| out.copy_from_slice(words)))
}

/// Values of a float `dtype` spread evenly over `min <= x < max`.
///
/// The mantissa is random, so float32 has 2^23 levels (float64 2^52, float16 2^10, bfloat16 2^7).
///
/// # Errors
/// `DTypeMismatch` for a dtype that is not a float, `InvalidArgument` unless `min <= max` and both, and the width between them, are
/// finite in that dtype.
pub fn uniform(key: Key, shape: &[usize], dtype: DType, min: f64, max: f64) -> Result<Tensor> {
    // XLA rounds the bounds to float16 but not to bfloat16, whose casts it elides.
    let (lo, hi) = match dtype {
        DType::F16 => (nearest(dtype, min), nearest(dtype, max)),
        _ => (min as f32, max as f32),
    };
    let finite = match dtype {
        DType::F64 => (max - min).is_finite(),
        _ => [nearest(dtype, min), nearest(dtype, max), nearest(dtype, max - min)].iter().all(|x| x.is_finite()),
    };
    if dtype.is_float() && !(min <= max && finite) {
        return Err(Error::argument(format!(
            "uniform: minval and maxval must be finite in {dtype} with minval <= maxval, and so must maxval - minval, got {min} and {max}"
        )));
    }
    floats(key, "random.uniform", shape, dtype, Bounds::new(dtype, lo, hi, max - min, min), |_| (), |_| ())
}

/// Normal values of mean 0 and standard deviation 1: √2·erf⁻¹(u) with u uniform over the open interval (-1, 1).
///
/// # Errors
/// `DTypeMismatch` for a dtype that is not a float.
pub fn normal(key: Key, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let (lo, wide_lo) = match dtype {
        DType::F16 => (-1.0 + 0.5 * f16::EPSILON.to_f32(), 0.0),
        DType::BF16 => (-1.0 + 0.5 * bf16::EPSILON.to_f32(), 0.0),
        _ => (-1.0 + 0.5 * f32::EPSILON, -1.0 + 0.5 * f64::EPSILON),
    };
    let mut bounds = Bounds::new(dtype, lo, 1.0, 1.0 - wide_lo, wide_lo);
    bounds.range = rounded(dtype, bounds.range);
    floats(
        key,
        "random.normal",
        shape,
        dtype,
        bounds,
        |x| quantiles(x, sqrt_2(dtype)),
        |x| {
            x.iter_mut().for_each(|x| *x = std::f64::consts::SQRT_2 * erf_inv_f64(*x));
        },
    )
}

/// Normal values conditioned on lying inside the open interval (`lower`, `upper`), by inversion.
///
/// # Errors
/// `DTypeMismatch` for a dtype that is not a float, `InvalidArgument` unless `lower < upper`; a bound may be infinite.
pub fn truncated_normal(key: Key, lower: f64, upper: f64, shape: &[usize], dtype: DType) -> Result<Tensor> {
    if dtype.is_float() && lower.partial_cmp(&upper) != Some(Ordering::Less) {
        return Err(Error::argument(format!(
            "truncatedNormal: lower must be below upper, and neither may be NaN, got {lower} and {upper}"
        )));
    }
    let root = sqrt_2(dtype);
    let (l, u) = (nearest(dtype, lower), nearest(dtype, upper));
    let bound = |x: f32| rounded(dtype, libm::erff(rounded(dtype, x / root)));
    let (a, b) = (bound(l), bound(u));
    let wide = |x: f64| libm::erf(x / std::f64::consts::SQRT_2);
    let (wide_a, wide_b) = (wide(lower), wide(upper));
    let (first, last) = match dtype {
        DType::F16 => (next::<f16>(l, true), next::<f16>(u, false)),
        DType::BF16 => (next::<bf16>(l, true), next::<bf16>(u, false)),
        _ => (l.next_up(), u.next_down()),
    };
    let (wide_first, wide_last) = (lower.next_up(), upper.next_down());
    let bounds = Bounds::new(dtype, a, b, wide_b - wide_a, wide_a);
    floats(
        key,
        "random.truncated_normal",
        shape,
        dtype,
        bounds,
        |x| {
            quantiles(x, root);
            // Not `clamp`, which refuses an empty interval; the upper bound wins there, as in XLA.
            x.iter_mut().for_each(|x| *x = x.max(first).min(last));
        },
        |x| {
            let value = |x: f64| (std::f64::consts::SQRT_2 * erf_inv_f64(x)).max(wide_first).min(wide_last);
            x.iter_mut().for_each(|x| *x = value(*x));
        },
    )
}

/// Standard Gumbel values: -ln(-ln u).
///
/// # Errors
/// `DTypeMismatch` for a dtype that is not a float.
pub fn gumbel(key: Key, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let tiny = match dtype {
        DType::F16 => f16::MIN_POSITIVE.to_f32(),
        _ => f32::MIN_POSITIVE,
    };
    let bounds = Bounds::new(dtype, tiny, 1.0, 1.0, f64::MIN_POSITIVE);
    let round = dtype == DType::F16;
    floats(
        key,
        "random.gumbel",
        shape,
        dtype,
        bounds,
        |x| double_log(x, round),
        |x| {
            x.iter_mut().for_each(|x| *x = -libm::log(-libm::log(*x)));
        },
    )
}

/// Booleans that are true with probability `p`: u < p, with `p` and the uniform u in float32.
///
/// # Errors
/// `InvalidArgument` unless `p` is from 0 to 1.
pub fn bernoulli(key: Key, p: f64, shape: &[usize]) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::argument(format!("bernoulli: p must be a probability, from 0 to 1, got {p}")));
    }
    let threshold = bernoulli_threshold(p);
    let mask = draw(shape, |out: &mut [u8]| stream::generate(key, out, 1, |words, out| below(words, threshold, out)))?;
    Ok(mask.with_dtype_tag(DType::Bool))
}

/// The number that `word >> 9` must stay below for [`bernoulli`] to be true: uniforms are whole multiples of 2^-23.
pub(crate) fn bernoulli_threshold(p: f64) -> u32 {
    (f64::from(p as f32) * f64::from(1u32 << 23)).ceil() as u32
}

/// A CPU tensor of `shape` filled by `fill`.
pub(super) fn draw<T: Element>(shape: &[usize], fill: impl FnOnce(&mut [T]) -> Result<()>) -> Result<Tensor> {
    element_count(shape)?;
    let mut out = memory::zeros(shape)?;
    fill(&mut out)?;
    Tensor::from_vec(out, shape)
}

/// How units in [0, 1) are stretched: `max(lo, unit·range + lo)`, in single precision and in double.
#[derive(Clone, Copy)]
struct Bounds {
    lo: f32,
    range: f32,
    wide_lo: f64,
    wide_range: f64,
    /// Whether each step is rounded to float16 (XLA's float16 arithmetic; it keeps bfloat16 in float32 to the end).
    round: bool,
}

impl Bounds {
    fn new(dtype: DType, lo: f32, hi: f32, wide_range: f64, wide_lo: f64) -> Self {
        let round = dtype == DType::F16;
        let range = if round { f16_rounded(hi - lo) } else { hi - lo };
        Self { lo, range, wide_lo, wide_range, round }
    }
}

/// Draws units, stretches them to `bounds` and maps them in place; halves are worked on in float32 and rounded at the end.
fn floats(
    key: Key,
    op: &str,
    shape: &[usize],
    dtype: DType,
    bounds: Bounds,
    map: impl Fn(&mut [f32]) + Sync,
    map_wide: impl Fn(&mut [f64]) + Sync,
) -> Result<Tensor> {
    let finish = |x: &mut [f32]| {
        stretch(x, bounds);
        map(x);
    };
    match dtype {
        DType::F32 => draw(shape, |out: &mut [f32]| {
            stream::generate(key, out, 1, |words, out| {
                units(words, out);
                finish(out);
            })
        }),
        DType::F64 => draw(shape, |out: &mut [f64]| {
            stream::generate_wide(key, out, |upper, lower, out| {
                for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
                    let word = u64::from(upper) << 32 | u64::from(lower);
                    let unit = f64::from_bits(word >> 12 | 1f64.to_bits()) - 1.0;
                    *out = unit.mul_add(bounds.wide_range, bounds.wide_lo).max(bounds.wide_lo);
                }
                map_wide(out);
            })
        }),
        DType::F16 => halves(key, shape, 2, 10, finish, f16::from_f32),
        DType::BF16 => halves(key, shape, 4, 7, finish, bf16::from_f32),
        other => Err(Error::dtype(format!("{op} makes floats, got dtype {other}"))),
    }
}

/// Draws a 16-bit float from each of the `per_word` parts of a word, lowest first, keeping its upper `mantissa` bits.
fn halves<T: Element>(
    key: Key,
    shape: &[usize],
    per_word: usize,
    mantissa: u32,
    finish: impl Fn(&mut [f32]) + Sync,
    round: impl Fn(f32) -> T + Sync,
) -> Result<Tensor> {
    let width = 32 / per_word as u32;
    draw(shape, |out: &mut [T]| {
        stream::generate(key, out, per_word, |words, out| {
            let mut buffer = [0f32; 256];
            for (words, out) in words.chunks(256 / per_word).zip(out.chunks_mut(256)) {
                let buffer = &mut buffer[..out.len()];
                for (i, x) in buffer.iter_mut().enumerate() {
                    let part = words[i / per_word] >> (width * (i % per_word) as u32) & ((1 << width) - 1);
                    *x = (part >> (width - mantissa)) as f32 / (1u32 << mantissa) as f32;
                }
                finish(buffer);
                out.iter_mut().zip(buffer).for_each(|(out, x)| *out = round(*x));
            }
        })
    })
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn units(words: &[u32], out: &mut [f32]) {
    for (out, &word) in out.iter_mut().zip(words) {
        *out = f32::from_bits(word >> 9 | 0x3F80_0000) - 1.0;
    }
}

/// See [`Bounds`]. Fused, as XLA compiles it: a separate multiplication would differ in the last bit.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn stretch(x: &mut [f32], bounds: Bounds) {
    let Bounds { lo, range, .. } = bounds;
    if bounds.round {
        x.iter_mut().for_each(|x| *x = f16_rounded(f16_rounded(*x * range) + lo).max(lo));
    } else if lo != 0.0 || range != 1.0 {
        x.iter_mut().for_each(|x| *x = x.mul_add(range, lo).max(lo));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn quantiles(x: &mut [f32], root: f32) {
    for x in x {
        *x = root * erf_inv_f32(*x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn double_log(x: &mut [f32], round: bool) {
    for x in x.iter_mut() {
        *x = -ln_f32(*x);
    }
    if round {
        x.iter_mut().for_each(|x| *x = f16_rounded(*x));
    }
    for x in x {
        *x = -ln_f32(*x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
fn below(words: &[u32], threshold: u32, out: &mut [u8]) {
    for (out, &word) in out.iter_mut().zip(words) {
        *out = u8::from(word >> 9 < threshold);
    }
}

fn f16_rounded(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// `x` rounded to a half `dtype`, to be worked on in float32; unchanged for others.
fn rounded(dtype: DType, x: f32) -> f32 {
    match dtype {
        DType::F16 => f16_rounded(x),
        DType::BF16 => bf16::from_f32(x).to_f32(),
        _ => x,
    }
}

/// The value of `dtype` nearest to `x`, to be worked on in float32.
fn nearest(dtype: DType, x: f64) -> f32 {
    match dtype {
        DType::F16 => f16::nearest(x).to_f32(),
        DType::BF16 => bf16::nearest(x).to_f32(),
        _ => x as f32,
    }
}

fn sqrt_2(dtype: DType) -> f32 {
    rounded(dtype, std::f32::consts::SQRT_2)
}

/// The next value of the half type `T` above or below `x`, which is one of them.
fn next<T: Element<Acc = f32>>(x: f32, up: bool) -> f32 {
    // Walk in float32 until the rounding reaches a neighbour: a quarter step never does, three quarters always do.
    let mut step = f32::MIN_POSITIVE;
    loop {
        let y = T::down(if up { x + step } else { x - step }).up();
        if y != x || !y.is_finite() {
            return y;
        }
        step *= 2.0;
    }
}
