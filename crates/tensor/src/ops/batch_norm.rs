//! Batch normalisation with the statistics of the batch itself.
use crate::{
    autodiff::record,
    kernels::batch_norm::{self as kernel, Wide},
    memory,
    ops::general::{require_float, require_last_axis, wide_dtype},
    Axes, DType, Error, Result, Tensor,
};
use smallvec::smallvec;

/// What [`batch_norm`] gives.
#[derive(Debug, Clone)]
pub struct BatchNormed {
    /// The normalised values.
    pub y: Tensor,
    /// The mean of each feature; a constant to autodiff.
    pub mean: Tensor,
    /// The population variance of each feature; a constant to autodiff.
    pub var: Tensor,
}

/// `(x − mean) / √(var + epsilon) · scale + bias` with mean and variance over all axes but the last: `x [..., n]`, `scale` and `bias` `[n]`.
///
/// The variance is that of the population, taken around the mean, so values far from 0 lose no accuracy. The gradient of the input
/// includes that through the statistics (Ioffe & Szegedy, 2015, arXiv:1502.03167). Halves compute in float32.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point; `ShapeMismatch` for a 0-d `x`, for one without a value to take statistics of, and for
/// a parameter that is not `[n]`.
pub fn batch_norm(x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f64) -> Result<BatchNormed> {
    require_float(x, "batch_norm")?;
    require_last_axis(x, scale, "batch_norm", "scale")?;
    require_last_axis(x, bias, "batch_norm", "bias")?;
    let Some((&cols, rest)) = x.shape().split_last() else {
        return Err(Error::shape("batch_norm needs a last axis, the tensor is 0-d"));
    };
    if rest.contains(&0) {
        return Err(Error::shape(format!("batch_norm: a batch of shape {:?} has no mean", x.shape())));
    }
    let wide = wide_dtype(x.dtype());
    let input = x.cast(wide)?;
    let scale = scale.map(|t| t.cast(wide)).transpose()?;
    let bias = bias.map(|t| t.cast(wide)).transpose()?;
    let path = input.path("batch_norm");
    let mut out = if cols == 0 || !path.by_kernel() {
        general(&input, scale.as_ref(), bias.as_ref(), epsilon)?
    } else {
        match wide {
            DType::F64 => with_kernel::<f64>(&input, scale.as_ref(), bias.as_ref(), epsilon)?,
            _ => with_kernel::<f32>(&input, scale.as_ref(), bias.as_ref(), epsilon)?,
        }
    };
    out.y = out.y.cast(x.dtype())?;
    Ok(out)
}

fn with_kernel<T: Wide>(
    x: &Tensor,
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Result<BatchNormed> {
    let cols = x.shape()[x.rank() - 1];
    let of = |t: Option<&Tensor>, value: f64| match t {
        Some(t) => t.to_vec::<T>(),
        None => memory::full(cols, T::of(value)),
    };
    let (gamma, beta) = (of(scale, 1.0)?, of(bias, 0.0)?);
    let (mean, var) = kernel::statistics(&x.values::<T>()?, cols)?;
    let rstd: Vec<T> = memory::collect(var.iter().map(|&v| T::of(1.0) / (v + T::of(epsilon)).sqrt()))?;
    let factor: Vec<T> = memory::collect(rstd.iter().zip(&gamma).map(|(&r, &g)| r * g))?;
    let value = Tensor::from_vec(kernel::apply(&x.values::<T>()?, &mean, &factor, &beta)?, x.shape())?;
    let statistics = |v: &[T]| Tensor::from_vec(memory::copy(v)?, &[cols]);
    let (kept_mean, kept_var) = (statistics(&mean)?, statistics(&var)?);
    let saved = x.detach();
    // Absent parameters are stood in for by a constant: they never need a gradient.
    let inputs = [x, scale.unwrap_or(&saved), bias.unwrap_or(&saved)].map(Tensor::clone);
    let y = record(value, &inputs.each_ref(), move |ct, need| {
        let (x, g) = (saved.values::<T>()?, ct.values::<T>()?);
        let (plain, along) = kernel::sums(&x, &g, &mean)?;
        let n = T::of((x.len() / cols) as f64);
        let dx = if need[0] {
            let by_column = |f: &dyn Fn(usize) -> T| memory::collect((0..cols).map(f));
            let slope = by_column(&|i| factor[i] * rstd[i] * rstd[i] * along[i] / n)?;
            let shift = by_column(&|i| factor[i] * plain[i] / n)?;
            Some(Tensor::from_vec(kernel::input_gradient(&x, &g, &mean, [&factor, &slope, &shift])?, saved.shape())?)
        } else {
            None
        };
        let dscale = || memory::collect(along.iter().zip(&rstd).map(|(&a, &r)| a * r));
        Ok(smallvec![
            dx,
            need[1].then(|| Tensor::from_vec(dscale()?, &[cols])).transpose()?,
            need[2].then(|| Tensor::from_vec(plain, &[cols])).transpose()?,
        ])
    });
    Ok(BatchNormed { y, mean: kept_mean, var: kept_var })
}

/// Composed of other operations, on any device.
fn general(x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f64) -> Result<BatchNormed> {
    let axes: Vec<isize> = (0..x.rank() as isize - 1).collect();
    let axes = || Axes::from(&axes[..]);
    let mean = x.mean(axes(), true)?;
    let centred = x.sub(&mean)?;
    let var = centred.square()?.mean(axes(), true)?;
    let mut y = centred.div(&var.add_scalar(epsilon)?.sqrt()?)?;
    if let Some(s) = scale {
        y = y.mul(s)?;
    }
    if let Some(b) = bias {
        y = y.add(b)?;
    }
    let cols = [x.shape()[x.rank() - 1]];
    Ok(BatchNormed { y, mean: mean.detach().reshape(&cols)?, var: var.detach().reshape(&cols)? })
}
