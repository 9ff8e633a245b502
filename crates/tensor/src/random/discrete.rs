//! Draws of whole numbers: ranges, shuffles, categories.
use super::{draws, gumbel, stream, Key};
use crate::{kernels::sort::argsort, memory, ops::args::resolve_axis, DType, Error, Result, Tensor};

/// Whole numbers spread evenly over `lo <= x < hi`, as `jax.random.randint`; `lo` everywhere when `hi <= lo`.
///
/// Bounds outside `dtype` are moved to its ends; `hi` may be one above its largest value.
///
/// # Errors
/// `DTypeMismatch` for a dtype that is not an integer.
pub fn randint(key: Key, shape: &[usize], lo: i64, hi: i64, dtype: DType) -> Result<Tensor> {
    let (high_key, low_key) = key.split_pair();
    macro_rules! narrow {
        ($t:ty, $u:ty, $per_word:literal) => {{
            let range = range!($t, $u);
            let words = |key| {
                crate::element_count(shape)?;
                let mut out: Vec<$u> = memory::zeros(shape)?;
                stream::generate(key, &mut out, $per_word, |words, out| {
                    for (out, &word) in out.chunks_mut($per_word).zip(words) {
                        let parts = (0..32).step_by(32 / $per_word);
                        out.iter_mut().zip(parts).for_each(|(out, shift)| *out = (word >> shift) as $u);
                    }
                })?;
                Ok::<_, Error>(out)
            };
            let (high, low) = (words(high_key)?, words(low_key)?);
            pick!(range, high, low, $t)
        }};
    }
    macro_rules! range {
        ($t:ty, $u:ty) => {{
            let (min, max) = (i128::from(<$t>::MIN), i128::from(<$t>::MAX));
            let (l, h) = (i128::from(lo).clamp(min, max), i128::from(hi).clamp(min, max));
            let beyond = i128::from(hi) > max;
            // A span of 2^bits wraps to 0, which stands for "take the low word as it is".
            let span = if h <= l { 1 } else { (h - l) as $u };
            let span = if beyond && h > l { span.wrapping_add(1) } else { span };
            let rem = |x: $u| if span == 0 { x } else { x % span };
            let root = rem(1 << (<$u>::BITS / 2));
            (l as $t, span, rem(root.wrapping_mul(root)))
        }};
    }
    macro_rules! pick {
        ($range:expr, $high:expr, $low:expr, $t:ty) => {{
            let (lo, span, multiplier) = $range;
            draws::draw(shape, |out: &mut [$t]| {
                crate::threads::for_chunks(out, crate::threads::GRAIN, |start, out| {
                    for ((out, high), low) in out.iter_mut().zip(&$high[start..]).zip(&$low[start..]) {
                        let offset = if span == 0 {
                            high.wrapping_mul(multiplier).wrapping_add(*low)
                        } else {
                            (high % span).wrapping_mul(multiplier).wrapping_add(low % span) % span
                        };
                        *out = lo.wrapping_add(offset as $t);
                    }
                })
            })
        }};
    }
    match dtype {
        DType::U8 => narrow!(u8, u8, 4),
        DType::I32 => narrow!(i32, u32, 1),
        DType::U32 => narrow!(u32, u32, 1),
        DType::I64 => {
            let range = range!(i64, u64);
            let words = |key| {
                crate::element_count(shape)?;
                let mut out: Vec<u64> = memory::zeros(shape)?;
                stream::generate_wide(key, &mut out, |upper, lower, out| {
                    for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
                        *out = u64::from(upper) << 32 | u64::from(lower);
                    }
                })?;
                Ok::<_, Error>(out)
            };
            let (high, low) = (words(high_key)?, words(low_key)?);
            pick!(range, high, low, i64)
        }
        other => Err(Error::dtype(format!("random.randint makes integers, got dtype {other}"))),
    }
}

/// The numbers 0 … n-1 in random order, as int32: as many rounds of sorting by random words as make ties harmless.
///
/// # Errors
/// `InvalidArgument` when `n` does not fit int32.
pub fn permutation(key: Key, n: usize) -> Result<Tensor> {
    if n > i32::MAX as usize {
        return Err(Error::argument(format!("random.permutation orders at most 2147483647 numbers, got {n}")));
    }
    let mut order: Vec<i32> = memory::collect(0..n as i32)?;
    let mut words: Vec<u32> = memory::zeros(n)?;
    let rounds = (3.0 * (n.max(1) as f64).ln() / f64::from(u32::MAX).ln()).ceil() as usize;
    let mut key = key;
    for _ in 0..rounds {
        let (next, subkey) = key.split_pair();
        key = next;
        stream::generate(subkey, &mut words, 1, |words, out| out.copy_from_slice(words))?;
        order = memory::collect(argsort(&words)?.into_iter().map(|from| order[from as usize]))?;
    }
    Tensor::from_vec(order, &[n])
}

/// `x` with its slices along `axis` in the order of [`permutation`]; differentiable.
///
/// # Errors
/// `InvalidArgument` for an axis out of range.
pub fn permute(key: Key, x: &Tensor, axis: isize) -> Result<Tensor> {
    let n = x.shape()[resolve_axis("random.permute", axis, x.rank())?];
    x.take(&permutation(key, n)?, axis)
}

/// Indices along `axis`, drawn with probabilities softmax(`logits`), as int32: the place of the largest `logits` + Gumbel.
///
/// `shape` is that of the result, by default that of `logits` without `axis`; it may broadcast the rest of `logits`
/// and put further axes before it.
///
/// # Errors
/// `DTypeMismatch` unless `logits` are floats, `InvalidArgument` for an axis out of range, `ShapeMismatch` when `shape`
/// is not one that `logits` without `axis` broadcasts to.
pub fn categorical(key: Key, logits: &Tensor, axis: isize, shape: Option<&[usize]>) -> Result<Tensor> {
    let at = resolve_axis("random.categorical", axis, logits.rank())?;
    let mut batch = logits.shape().to_vec();
    let classes = batch.remove(at);
    let shape = shape.unwrap_or(&batch);
    let fits = shape.len() >= batch.len()
        && batch.iter().rev().zip(shape.iter().rev()).all(|(&from, &to)| from == to || from == 1);
    if !fits {
        return Err(Error::shape(format!(
            "random.categorical cannot draw shape {shape:?} from logits {:?} along axis {axis}: without that axis they are {batch:?}",
            logits.shape()
        )));
    }
    let mut full = shape.to_vec();
    full.insert(shape.len() - batch.len() + at, classes);
    let noise = gumbel(key, &full, logits.dtype())?.to_device(logits.device())?;
    noise.add(&logits.detach())?.argmax(Some(at as isize - logits.rank() as isize), false)
}
