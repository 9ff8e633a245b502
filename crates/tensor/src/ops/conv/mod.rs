//! Convolution over any number of spatial axes.
mod general;

use super::window::Windows;
use crate::{
    autodiff::record,
    kernels::{
        conv::{forward, weight_gradient, Conv, Convolve},
        gemm::column_sums,
    },
    ops::{dense, general::wide_dtype},
    DType, Error, Result, Tensor,
};
use smallvec::{smallvec, SmallVec};

/// The convolution (cross-correlation) of `x [batch, spatial…, inputs]` with `w [places…, inputs, outputs]`, plus `bias [outputs]`.
///
/// `y[n, o, j] = bias[j] + Σ over places t and channels i of x[n, o · stride + t · dilation − before, i] · w[t, i, j]`, where what lies
/// beyond the input and between its dilated positions is 0. Any number of spatial axes. Operands are promoted to one type;
/// halves compute in float32. Backward keeps `x` and `w`; a gradient that is not needed is not computed.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point; `ShapeMismatch` for ranks or channels that do not agree and for windows that do
/// not fit; `InvalidArgument` for strides, padding or dilations of the wrong length or of 0.
pub fn conv(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, windows: &Windows) -> Result<Tensor> {
    let dtype = bias.map_or(x.dtype().promote(w.dtype()), |b| x.dtype().promote(w.dtype()).promote(b.dtype()));
    if !dtype.is_float() {
        return Err(Error::dtype(format!("conv takes floats, got {} and {}", x.dtype(), w.dtype())));
    }
    let (Some((&inputs, rest)), [places @ .., from, outputs]) = (x.shape().split_last(), w.shape()) else {
        return Err(mismatch(x, w, "they need the axes [batch, spatial…, inputs] and [places…, inputs, outputs]"));
    };
    let Some((&batch, spatial)) = rest.split_first() else {
        return Err(mismatch(x, w, "the input needs an axis of items and one of channels"));
    };
    if spatial.len() != places.len() {
        return Err(mismatch(x, w, "the weight must have as many axes as the input"));
    }
    if inputs != *from {
        return Err(mismatch(x, w, &format!("the input has {inputs} channels, the weight takes {from}")));
    }
    if let Some(b) = bias {
        if b.shape() != [*outputs] {
            return Err(Error::shape(format!("conv: the bias must have shape [{outputs}], got {:?}", b.shape())));
        }
    }
    let axes = windows.resolve("conv", spatial, places)?;
    if inputs == 0 || *outputs == 0 {
        // Nothing is multiplied: sums of nothing, and the bias.
        let shape: Vec<usize> = std::iter::once(batch).chain(axes.iter().map(|a| a.output)).chain([*outputs]).collect();
        return match bias {
            Some(bias) => bias.cast(dtype)?.broadcast_to(&shape),
            None => Tensor::zeros(&shape, dtype, x.device()),
        };
    }
    let c = Conv { axes, batch, inputs, outputs: *outputs };
    let wide = wide_dtype(dtype);
    let (x, w, bias) = (x.cast(wide)?, w.cast(wide)?, bias.map(|b| b.cast(wide)).transpose()?);
    let path = x.path("conv");
    let y = if c
        .axes
        .iter()
        .all(|a| a.size == 1 && a.stride == 1 && a.output == a.input && a.input_dilation == 1 && a.before == 0)
    {
        // One place without padding is a product of matrices.
        dense(&x, &w.reshape(&[inputs, *outputs])?, bias.as_ref())?
    } else if path.by_kernel() {
        match wide {
            DType::F64 => with_kernel::<f64>(c, &x, &w, bias.as_ref())?,
            _ => with_kernel::<f32>(c, &x, &w, bias.as_ref())?,
        }
    } else {
        general::conv(&c, &x, &w, bias.as_ref())?
    };
    y.cast(dtype)
}

fn mismatch(x: &Tensor, w: &Tensor, why: &str) -> Error {
    Error::shape(format!("conv of an input of shape {:?} with a weight of shape {:?}: {why}", x.shape(), w.shape()))
}

fn with_kernel<T: Convolve>(c: Conv, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let shape: Vec<usize> =
        std::iter::once(c.batch).chain(c.axes.iter().map(|a| a.output)).chain([c.outputs]).collect();
    let value = {
        let bias = bias.map(Tensor::values::<T>).transpose()?;
        forward(&c, &x.values::<T>()?, &w.values::<T>()?, false, bias.as_deref())?
    };
    let value = Tensor::from_vec(value, &shape)?;
    let (saved_x, saved_w) = (x.detach(), w.detach());
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x, w];
    inputs.extend(bias);
    Ok(record(value, &inputs, move |ct, need| {
        let g = ct.values::<T>()?;
        let dx = if need[0] {
            let dx = forward(&c.transposed(), &g, &saved_w.values::<T>()?, true, None)?;
            Some(Tensor::from_vec(dx, saved_x.shape())?)
        } else {
            None
        };
        let dw = if need[1] {
            Some(Tensor::from_vec(weight_gradient(&c, &saved_x.values::<T>()?, &g)?, saved_w.shape())?)
        } else {
            None
        };
        let mut grads = smallvec![dx, dw];
        if let Some(&needed) = need.get(2) {
            grads.push(if needed { Some(Tensor::from_vec(column_sums(&g, c.outputs)?, &[c.outputs])?) } else { None });
        }
        Ok(grads)
    }))
}
