//! Pooling: each window reduced to its largest value, its sum or its mean.
use super::{
    args::wider,
    general::wide_dtype,
    window::{places, Windows},
};
use crate::{
    autodiff::{is_recording, record},
    device_path::on_host,
    dtype::{Whole, Wide},
    for_float, for_whole,
    host_trips::Hosted,
    kernels::pool::{self as kernel, Pool},
    memory, DType, Error, Result, Tensor,
};
use smallvec::smallvec;

/// What a window is reduced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Its largest value. The gradient goes to the first one of equals, in the order of the window's places.
    Max,
    /// The sum of its values; padding adds nothing.
    Sum,
    /// The mean of its values; padding is not counted.
    Average,
}

/// Reduces windows of `size` over the spatial axes of `x [batch, spatial…, channels]`, each channel on its own.
///
/// Backward of `Max` keeps a number per window and channel, `Sum` and `Average` keep nothing. Halves add up in float32. A window
/// with NaN has NaN for its maximum. Integers keep their dtype, but their means are float32; they are added up exactly.
///
/// # Errors
/// `DTypeMismatch` for bool; `InvalidArgument` where a sum of integers does not fit their dtype; `ShapeMismatch` for an input without an axis of items and one of channels, and for
/// windows that do not fit; `InvalidArgument` for strides or padding of the wrong length or of 0, a dilated input, and a maximum or
/// mean over padding alone.
pub fn pool(x: &Tensor, size: &[usize], windows: &Windows, kind: Pooling) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::dtype("pool takes numbers, got bool; cast it to int32 or float32"));
    }
    let &[batch, ref spatial @ .., channels] = x.shape() else {
        return Err(Error::shape(format!(
            "pool: the input needs an axis of items and one of channels, got shape {:?}",
            x.shape()
        )));
    };
    let axes = windows.resolve("pool", spatial, size)?;
    if axes.iter().any(|a| a.input_dilation != 1) {
        return Err(Error::argument("pool: the input cannot be dilated"));
    }
    let blind = |a: &crate::kernels::window::Axis| (0..a.output).any(|w| (0..a.size).all(|p| a.source(w, p).is_none()));
    if kind != Pooling::Sum && axes.iter().any(blind) {
        return Err(Error::argument(format!(
            "pool: some windows of {size:?} see nothing but the padding {:?}; pad less",
            windows.padding
        )));
    }
    let shape: Vec<usize> = std::iter::once(batch).chain(axes.iter().map(|a| a.output)).chain([channels]).collect();
    let p = Pool { axes, batch, channels };
    if !x.dtype().is_float() {
        return on_host(Hosted::PoolWhole, &[x], |t| whole(&t[0], &p, kind, &shape));
    }
    let path = x.path("pool");
    if !path.by_kernel() {
        return general(x, &p, kind);
    }
    for_float!(x.dtype(), "pool", T => {
        let values = x.values::<T>()?;
        let input = x.shape().to_vec();
        if kind == Pooling::Max {
            let (out, at) = kernel::max(&p, &values, is_recording() && x.is_tracked())?;
            return Ok(record(Tensor::from_vec(out, &shape)?, &[x], move |ct, _| {
                let dx = kernel::spread(&p, &ct.values::<T>()?, Some(&at), None)?;
                Ok(smallvec![Some(Tensor::from_vec(dx, &input)?)])
            }));
        }
        let shares = (kind == Pooling::Average).then(|| p.shares()).transpose()?;
        let out = kernel::sum(&p, &values, shares.as_deref())?;
        Ok(record(Tensor::from_vec(out, &shape)?, &[x], move |ct, _| {
            let dx = kernel::spread(&p, &ct.values::<T>()?, None, shares.as_deref())?;
            Ok(smallvec![Some(Tensor::from_vec(dx, &input)?)])
        }))
    })
}

/// Windows of integers.
fn whole(x: &Tensor, p: &Pool, kind: Pooling, shape: &[usize]) -> Result<Tensor> {
    let dtype = x.dtype();
    for_whole!(dtype, "pool", T => {
        let values = x.values::<T>()?;
        let zero = <T as Whole>::Wide::default();
        let sum = |a: <T as Whole>::Wide, v: T| a.plus(v.wide());
        match kind {
            Pooling::Max => {
                // No window is empty, and nothing is below the least number.
                let largest = |best: T, v: T| if v > best { v } else { best };
                Tensor::from_vec(kernel::fold_whole(p, &values, T::MIN, largest, |best, _| best)?, shape)
            }
            Pooling::Sum => {
                let sums = kernel::fold_whole(p, &values, zero, sum, |total, _| T::fit(total.exact()))?;
                let sums: Option<Vec<T>> = memory::collect_some(sums)?;
                let unfit = || {
                    Error::argument(format!(
                        "pool: the sum of a window does not fit {dtype}; cast the input to {} first",
                        wider(dtype, true)
                    ))
                };
                Tensor::from_vec(sums.ok_or_else(unfit)?, shape)
            }
            Pooling::Average => {
                let mean = |total: <T as Whole>::Wide, n: usize| (total.exact() as f64 / n as f64) as f32;
                Tensor::from_vec(kernel::fold_whole(p, &values, zero, sum, mean)?, shape)
            }
        }
    })
}

/// Composed of other operations, on any device.
fn general(x: &Tensor, p: &Pool, kind: Pooling) -> Result<Tensor> {
    let n: usize = p.axes.iter().map(|a| a.size).product();
    if kind == Pooling::Max {
        let padded = places::pad(x, &p.axes, f64::NEG_INFINITY)?;
        let seen: Vec<Tensor> = (0..n).map(|i| places::at(&padded, &p.axes, i)).collect::<Result<_>>()?;
        let seen = Tensor::stack(&seen, 0)?;
        if seen.size() == 0 {
            return seen.index(0, 0);
        }
        let first = seen.detach().argmax(Some(0), true)?;
        return seen.gather(&first, 0)?.index(0, 0);
    }
    let padded = places::pad(&x.cast(wide_dtype(x.dtype()))?, &p.axes, 0.0)?;
    let mut sum = places::at(&padded, &p.axes, 0)?;
    for place in 1..n {
        sum = sum.add(&places::at(&padded, &p.axes, place)?)?;
    }
    if kind == Pooling::Average {
        let shares: Vec<f64> = p.shares()?;
        let shape: Vec<usize> = p.axes.iter().map(|a| a.output).chain([1]).collect();
        sum = sum.mul(&Tensor::from_f64(&shares, &shape, sum.dtype(), x.device())?)?;
    }
    sum.cast(x.dtype())
}
