//! Reductions by candle's operations, for devices without our kernels.
use crate::{device_path::on_host, host_trips::Hosted, DType, Result, Tensor};

/// A reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Prod,
    Max,
    Min,
}

/// The reduction with the axes kept at size 1.
pub(super) fn fold(x: &Tensor, axes: &[usize], how: Fold) -> Result<Tensor> {
    let empty = x.size() == 0;
    if how == Fold::Prod || empty || !x.dtype().is_float() {
        // candle has no product, no reduction of empty axes, extremes of few types, and wraps sums of integers around.
        return on_host(Hosted::Fold, &[x], |t| how.value(&t[0], axes));
    }
    let dtype = x.dtype();
    // Halves accumulate in float32.
    let inner = if dtype.is_float() && dtype.size() == 2 { DType::F32 } else { dtype };
    let wide = x.cast(inner)?.raw().contiguous()?;
    let out = match how {
        Fold::Sum => wide.sum_keepdim(axes)?,
        _ => {
            let mut best = wide.clone();
            for &axis in axes {
                best = if how == Fold::Max { best.max_keepdim(axis)? } else { best.min_keepdim(axis)? };
            }
            // candle passes over NaN: put it back where one was.
            let nans = wide.ne(&wide)?.to_dtype(inner.storage())?.sum_keepdim(axes)?;
            nans.gt(0.0)?.where_cond(&(nans.zeros_like()? + f64::NAN)?, &best)?
        }
    };
    Tensor::from_raw(out, inner).cast(dtype)
}
