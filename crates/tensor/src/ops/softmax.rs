//! Softmax along one axis.
use crate::{
    autodiff::{record, Grads},
    for_float,
    kernels::softmax as kernel,
    ops::general::{is_half, narrow, require_float, widen},
    tensor::Raw,
    DType, Error, Result, Tensor,
};
use smallvec::smallvec;

impl Tensor {
    /// Turns the elements along an axis into shares that are positive and sum to 1.
    ///
    /// Formula: `y = e^x / Σ e^x` along the axis, computed as `e^(x - max(x))`. As in JAX, elements that are all minus
    /// infinity, or that hold NaN or infinity, become NaN.
    ///
    /// Shapes: any, kept.
    ///
    /// Dtypes: floats keep theirs; float16 and bfloat16 compute in float32.
    ///
    /// Gradient: `dx = y (dy - Σ dy y)`
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is not of floats.
    /// - `InvalidArgument`: an axis is out of range.
    pub fn softmax(&self, axis: isize) -> Result<Tensor> {
        along(self, axis, false)
    }

    /// Takes the logarithm of the softmax along an axis, without the underflow of taking it afterwards.
    ///
    /// Formula: `y = x - ln Σ e^x` along the axis. As in JAX, elements that are all minus infinity, or that hold NaN or
    /// infinity, become NaN.
    ///
    /// Shapes: any, kept.
    ///
    /// Dtypes: floats keep theirs; float16 and bfloat16 compute in float32.
    ///
    /// Gradient: `dx = dy - e^y Σ dy`
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is not of floats.
    /// - `InvalidArgument`: an axis is out of range.
    pub fn log_softmax(&self, axis: isize) -> Result<Tensor> {
        along(self, axis, true)
    }
}

fn along(x: &Tensor, axis: isize, log: bool) -> Result<Tensor> {
    let name = if log { "log_softmax" } else { "softmax" };
    require_float(x, name)?;
    let rank = x.rank();
    let at = if axis < 0 { axis + rank as isize } else { axis };
    if !(0..rank as isize).contains(&at) {
        return Err(Error::argument(format!("{name} along axis {axis} of a tensor of shape {:?}", x.shape())));
    }
    let (at, last) = (at as usize, rank - 1);
    let value = last_axis(&moved(x, at, last)?, log, name)?;
    let value = moved(&value, at, last)?;
    // The output as a half is rounded: slopes are taken from the output as it was before, made again from the input.
    let again = is_half(x.dtype());
    let kept = if again { x.detach() } else { value.clone() };
    Ok(record(value, &[x], move |g, _| -> Result<Grads> {
        let (kept, g) = (moved(&kept, at, last)?, moved(g, at, last)?);
        let gradient = if again {
            let y = last_axis(&kept.cast(DType::F32)?, log, name)?;
            last_axis_gradient(&y, &g.cast(DType::F32)?, log, name)?.cast(kept.dtype())?
        } else {
            last_axis_gradient(&kept, &g, log, name)?
        };
        Ok(smallvec![Some(moved(&gradient, at, last)?)])
    }))
}

/// `x` untracked, with axes `a` and `b` swapped: a view.
fn moved(x: &Tensor, a: usize, b: usize) -> Result<Tensor> {
    if a == b {
        return Ok(x.detach());
    }
    Ok(x.view(x.raw().transpose(a, b)?))
}

fn last_axis(x: &Tensor, log: bool, name: &str) -> Result<Tensor> {
    let cols = x.shape()[x.rank() - 1];
    if x.size() == 0 {
        return Tensor::zeros(x.shape(), x.dtype(), x.device());
    }
    let path = x.path(name);
    if path.by_kernel() {
        return for_float!(x.dtype(), name, T => Tensor::from_vec(kernel::forward(&x.values::<T>()?, cols, log)?, x.shape()));
    }
    let wide = widen(x)?;
    if let Some(y) = path.accelerated(x, |kernels| kernels.softmax(&wide, log))? {
        return narrow(y, x.dtype());
    }
    let last = x.rank() - 1;
    let shifted = wide.broadcast_sub(&wide.max_keepdim(last)?)?;
    let e = shifted.exp()?;
    let total = e.sum_keepdim(last)?;
    narrow(if log { shifted.broadcast_sub(&total.log()?)? } else { e.broadcast_div(&total)? }, x.dtype())
}

fn last_axis_gradient(y: &Tensor, g: &Tensor, log: bool, name: &str) -> Result<Tensor> {
    if y.size() == 0 {
        return Ok(y.clone());
    }
    let cols = y.shape()[y.rank() - 1];
    let path = y.path(if log { "gradient of log_softmax" } else { "gradient of softmax" });
    if path.by_kernel() {
        return for_float!(y.dtype(), name, T => {
            Tensor::from_vec(kernel::backward(&y.values::<T>()?, &g.values::<T>()?, cols, log)?, y.shape())
        });
    }
    let (last, dtype) = (y.rank() - 1, y.dtype());
    let of = y;
    let (y, g): (Raw, Raw) = (widen(y)?, widen(g)?);
    if let Some(dx) = path.accelerated(of, |kernels| kernels.softmax_back(&y, &g, log))? {
        return narrow(dx, dtype);
    }
    narrow(
        if log {
            (&g - y.exp()?.broadcast_mul(&g.sum_keepdim(last)?)?)?
        } else {
            (&y * g.broadcast_sub(&(&g * &y)?.sum_keepdim(last)?)?)?
        },
        dtype,
    )
}
