//! Dropout by key.
use crate::{
    autodiff::record,
    for_float,
    kernels::dropout as kernel,
    ops::general::{narrow, require_float, widen},
    random::{bernoulli, bernoulli_threshold, Key},
    DType, Error, Result, Tensor,
};
use smallvec::smallvec;

/// `x / (1 − rate)` where `random::bernoulli(key, 1 − rate, mask_shape)` is true, else 0: the mask is broadcast to `x`, so axes
/// of size 1 share one decision. A rate of 0 is the identity.
///
/// The mask is never stored: backward makes it again from the key.
///
/// # Errors
/// `DTypeMismatch` unless `x` is floating point, `InvalidArgument` unless `0 <= rate < 1`, `ShapeMismatch` where
/// `mask_shape` does not broadcast to the shape of `x`.
pub fn dropout(x: &Tensor, rate: f64, key: Key, mask_shape: &[usize]) -> Result<Tensor> {
    require_float(x, "dropout")?;
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::argument(format!("dropout: the rate must be at least 0 and below 1, got {rate}")));
    }
    let shape = x.shape();
    let fits = mask_shape.len() <= shape.len()
        && mask_shape.iter().rev().zip(shape.iter().rev()).all(|(&m, &d)| m == d || m == 1);
    if !fits {
        return Err(Error::shape(format!("dropout: a mask of shape {mask_shape:?} does not broadcast to {shape:?}")));
    }
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let mask_shape = mask_shape.to_vec();
    let (keep, dtype) = (1.0 - rate, x.dtype());
    let value = apply(&x.detach(), keep, key, &mask_shape)?;
    Ok(record(value, &[x], move |g, _| Ok(smallvec![Some(apply(&g.cast(dtype)?, keep, key, &mask_shape)?)])))
}

fn apply(x: &Tensor, keep: f64, key: Key, mask_shape: &[usize]) -> Result<Tensor> {
    if x.size() == 0 {
        return Ok(x.clone());
    }
    let own_decisions = crate::element_count(mask_shape)? == x.size();
    let path = x.path("dropout");
    if path.by_kernel() && own_decisions {
        return for_float!(x.dtype(), "dropout", T => {
            Tensor::from_vec(kernel::with_draw(&x.values::<T>()?, key, bernoulli_threshold(keep), keep)?, x.shape())
        });
    }
    if own_decisions {
        let found = path.accelerated(x, |kernels| {
            kernels.dropout(&widen(x)?, key.0, bernoulli_threshold(keep), factor(keep, x.dtype())?)
        })?;
        if let Some(y) = found {
            return narrow(y, x.dtype());
        }
    }
    let mask = bernoulli(key, keep, mask_shape)?;
    if path.by_kernel() {
        let mask = mask.view(mask.raw().broadcast_as(x.shape())?);
        return for_float!(x.dtype(), "dropout", T => {
            Tensor::from_vec(kernel::with_mask(&x.values::<T>()?, &mask.values::<u8>()?, keep)?, x.shape())
        });
    }
    let v = widen(x)?;
    let mask = mask.raw().to_device(x.device())?.to_dtype(v.dtype())?;
    narrow(v.broadcast_mul(&(mask * factor(keep, x.dtype())?)?)?, x.dtype())
}

/// 1 / keep, in the rounding of `dtype`.
fn factor(keep: f64, dtype: DType) -> Result<f64> {
    let rounded = |v: f64| Tensor::scalar(v).cast(dtype)?.item();
    rounded(1.0 / rounded(keep)?)
}
