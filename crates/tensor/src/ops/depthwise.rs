//! Causal convolution of each feature on its own.
use crate::{
    autodiff::record, for_float, kernels::depthwise as kernel, ops::general::wide_dtype, DType, Error, Result, Tensor,
};
use smallvec::smallvec;

/// `y[…, t, d] = Σᵢ w[i, d] · x[…, t − i, d]` for `x [..., length, d]` and `w [places, d]`, with zeros before the first position.
///
/// Operands are promoted to one type; halves add up in float32. Backward keeps `x` and `w`.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point; `ShapeMismatch` for an `x` of fewer than two axes or a `w` that has not its last one.
pub fn causal_depthwise_conv(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let dtype = x.dtype().promote(w.dtype());
    if !dtype.is_float() {
        return Err(Error::dtype(format!("causal_depthwise_conv takes floats, got {dtype}")));
    }
    let (&[.., length, cols], &[places, same]) = (x.shape(), w.shape()) else {
        return Err(mismatch(x, w));
    };
    if cols != same {
        return Err(mismatch(x, w));
    }
    let (x, w) = (x.cast(dtype)?, w.cast(dtype)?);
    let path = x.path("causal_depthwise_conv");
    if !path.by_kernel() {
        return general(&x, &w, length, places, dtype);
    }
    for_float!(dtype, "causal_depthwise_conv", T => {
        let y = kernel::convolve(&x.values::<T>()?, &w.values::<T>()?, length, cols, false)?;
        let (saved_x, saved_w) = (x.detach(), w.detach());
        Ok(record(Tensor::from_vec(y, x.shape())?, &[&x, &w], move |ct, need| {
            let g = ct.values::<T>()?;
            let dx = || Tensor::from_vec(kernel::convolve(&g, &saved_w.values::<T>()?, length, cols, true)?, saved_x.shape());
            let dw = || {
                let dw = kernel::weight_gradient(&saved_x.values::<T>()?, &g, places, length, cols)?;
                Tensor::from_vec(dw, saved_w.shape())
            };
            Ok(smallvec![need[0].then(dx).transpose()?, need[1].then(dw).transpose()?])
        }))
    })
}

fn mismatch(x: &Tensor, w: &Tensor) -> Error {
    Error::shape(format!(
        "causal_depthwise_conv takes [..., length, d] and [places, d], got shapes {:?} and {:?}",
        x.shape(),
        w.shape()
    ))
}

/// Composed of other operations, on any device.
fn general(x: &Tensor, w: &Tensor, length: usize, places: usize, dtype: DType) -> Result<Tensor> {
    let (x, w) = (x.cast(wide_dtype(dtype))?, w.cast(wide_dtype(dtype))?);
    let mut y = x.zeros_like()?;
    for place in 0..places.min(length) {
        let mut widths = vec![(0, 0); x.rank()];
        widths[x.rank() - 2].0 = place;
        let earlier = x.narrow(-2, 0, length - place)?.pad(&widths, 0.0)?;
        y = y.add(&earlier.mul(&w.index(0, place as isize)?)?)?;
    }
    y.cast(dtype)
}
