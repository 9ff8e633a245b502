//! The norm of all gradients, and the factor that shortens them.
use crate::{
    for_float,
    kernels::optimizer::square_sum,
    ops::general::{narrow, widen},
    Result, Tensor,
};

/// The Euclidean norm of all elements of all `tensors` together.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point.
pub fn global_norm(tensors: &[Tensor]) -> Result<f64> {
    let mut total = 0.0;
    for t in tensors {
        total += for_float!(t.dtype(), "global_norm", T => {
            let path = t.path("global_norm");
            if path.by_kernel() {
                square_sum(&t.values::<T>()?)?
            } else if t.size() == 0 {
                0.0
            } else {
                widen(t)?.sqr()?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?
            }
        });
    }
    Ok(total.sqrt())
}

/// The factor that shortens gradients of Euclidean norm `norm` to at most `max_norm`: 1 below it, else `max_norm / norm`.
/// A norm that is NaN gives NaN, so that a broken gradient shows.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    if norm < max_norm || norm == 0.0 {
        1.0
    } else {
        max_norm / norm
    }
}

/// `tensors` scaled together so that their [`global_norm`] is at most `max_norm`, and the norm they had. Untracked.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point.
pub fn clip_by_global_norm(tensors: &[Tensor], max_norm: f64) -> Result<(Vec<Tensor>, f64)> {
    let norm = global_norm(tensors)?;
    let factor = clip_factor(norm, max_norm);
    let scaled = |t: &Tensor| {
        if factor == 1.0 {
            Ok(t.detach())
        } else {
            narrow((widen(t)? * factor)?, t.dtype())
        }
    };
    Ok((tensors.iter().map(scaled).collect::<Result<_>>()?, norm))
}
