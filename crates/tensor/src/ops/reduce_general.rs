//! Reductions by candle's operations, for devices without our kernels.
use crate::{
    device_path::{on_host, Path},
    host_trips::Hosted,
    tensor::Raw,
    DType, Result, Tensor,
};
use smallvec::SmallVec;

/// A reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Prod,
    Max,
    Min,
}

/// Neighbouring axes of `shape` as blocks (size, is reduced); axes of size 1 vanish.
pub(super) fn blocks(shape: &[usize], axes: &[usize]) -> SmallVec<[(usize, bool); 6]> {
    let mut out: SmallVec<[(usize, bool); 6]> = SmallVec::new();
    for (i, &d) in shape.iter().enumerate().filter(|(_, &d)| d != 1) {
        let reduced = axes.contains(&i);
        match out.last_mut() {
            Some((size, same)) if *same == reduced => *size *= d,
            _ => out.push((d, reduced)),
        }
    }
    out
}

/// Sums by kernels of an accelerator: the innermost block of axes first, as those for the CPU do.
fn summed(x: &Tensor, wide: &Raw, axes: &[usize], path: &Path) -> Result<Option<Raw>> {
    path.accelerated(x, |kernels| {
        let (mut blocks, mut out) = (blocks(x.shape(), axes), wide.clone());
        while let Some(at) = blocks.iter().rposition(|b| b.1) {
            let size = |part: &[(usize, bool)]| -> usize { part.iter().map(|b| b.0).product() };
            let sizes = [size(&blocks[..at]), blocks[at].0, size(&blocks[at + 1..])];
            out = match kernels.sum(sizes, &out)? {
                Some(out) => out,
                None => return Ok(None),
            };
            blocks.remove(at);
        }
        let kept: Vec<usize> =
            x.shape().iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
        Ok(Some(out.reshape(kept)?))
    })
}

/// The reduction with the axes kept at size 1.
pub(super) fn fold(x: &Tensor, axes: &[usize], how: Fold, path: &Path) -> Result<Tensor> {
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
        Fold::Sum => match summed(x, &wide, axes, path)? {
            Some(out) => out,
            None => wide.sum_keepdim(axes)?,
        },
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
