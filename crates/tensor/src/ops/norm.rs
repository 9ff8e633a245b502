//! Layer normalisation.
use crate::{
    accelerated::Normed,
    autodiff::record,
    for_float,
    kernels::layer_norm::{self as kernel, Saved},
    ops::general::{as_matrix, narrow, require_float, require_last_axis, wide_dtype, widen},
    tensor::Raw,
    Result, Tensor,
};
use smallvec::smallvec;

/// `(x − mean) / √(var + epsilon) · scale + bias` over the last axis of `x: [..., n]`; `scale` and `bias` are `[n]`.
///
/// The variance is that of the population, taken in a second pass (Ba et al., 2016, arXiv:1607.06450). Halves compute in
/// float32; a parameter of another float type is cast to that of `x`. Two numbers per row are kept for backward beside `x` itself.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point, `ShapeMismatch` for a 0-d `x` or a parameter that is not `[n]`.
pub fn layer_norm(x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f64) -> Result<Tensor> {
    normalise(x, scale, bias, epsilon, true, "layer_norm")
}

/// `x / √(mean(x²) + epsilon) · scale` over the last axis: [`layer_norm`] that neither subtracts the mean nor shifts
/// (Zhang & Sennrich, 2019, arXiv:1910.07467).
///
/// # Errors
/// Those of [`layer_norm`].
pub fn rms_norm(x: &Tensor, scale: Option<&Tensor>, epsilon: f64) -> Result<Tensor> {
    normalise(x, scale, None, epsilon, false, "rms_norm")
}

/// What backward reads beside the cotangent, all detached.
struct Kept {
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Option<Tensor>,
    center: bool,
}

fn normalise(
    x: &Tensor,
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
    center: bool,
    op: &str,
) -> Result<Tensor> {
    require_float(x, op)?;
    if x.rank() == 0 {
        return Err(crate::Error::shape(format!("{op} needs a last axis, the tensor is 0-d")));
    }
    require_last_axis(x, scale, op, "scale")?;
    require_last_axis(x, bias, op, "bias")?;
    let scale = scale.map(|t| t.cast(x.dtype())).transpose()?;
    let bias = bias.map(|t| t.cast(x.dtype())).transpose()?;
    let (value, kept) = forward(x, scale.as_ref(), bias.as_ref(), epsilon, center, op)?;
    // Absent parameters are stood in for by constants: they never need a gradient.
    let absent = x.detach();
    let inputs = [x, scale.as_ref().unwrap_or(&absent), bias.as_ref().unwrap_or(&absent)];
    Ok(record(value, &inputs, move |g, need| {
        let [dx, dscale, dbias] = backward(&kept, &g.cast(kept.x.dtype())?, need)?;
        Ok(smallvec![dx, dscale, dbias])
    }))
}

fn forward(
    x: &Tensor,
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
    center: bool,
    op: &str,
) -> Result<(Tensor, Kept)> {
    let (rows, cols) = as_matrix(x);
    let wide = wide_dtype(x.dtype());
    let path = x.path(op);
    let (value, mean, rstd) = if x.size() == 0 {
        let none = Tensor::zeros(&[0], wide, x.device())?;
        (Tensor::zeros(x.shape(), x.dtype(), x.device())?, none.clone(), none)
    } else if path.by_kernel() {
        for_float!(x.dtype(), op, T => {
            let (s, b) = (scale.map(Tensor::values::<T>).transpose()?, bias.map(Tensor::values::<T>).transpose()?);
            let done = kernel::forward(&x.values::<T>()?, cols, s.as_deref(), b.as_deref(), epsilon, center)?;
            (
                Tensor::from_vec(done.out, x.shape())?,
                Tensor::from_vec(done.mean, &[rows])?,
                Tensor::from_vec(done.rstd, &[rows])?,
            )
        })
    } else if let Some([y, mean, rstd]) = path.accelerated(x, |kernels| {
        let (scale, bias) = (scale.map(widen).transpose()?, bias.map(widen).transpose()?);
        kernels.layer_norm(&widen(x)?, scale.as_ref(), bias.as_ref(), epsilon, center)
    })? {
        (narrow(y, x.dtype())?, Tensor::from_raw(mean, wide), Tensor::from_raw(rstd, wide))
    } else {
        let v = widen(x)?.reshape((rows, cols))?;
        let mean = if center { v.mean_keepdim(1)? } else { Raw::zeros((rows, 1), v.dtype(), v.device())? }; // few: one a row
        let centred = v.broadcast_sub(&mean)?;
        let rstd = (centred.sqr()?.mean_keepdim(1)? + epsilon)?.sqrt()?.recip()?;
        let mut y = centred.broadcast_mul(&rstd)?;
        if let Some(s) = scale {
            y = y.broadcast_mul(&widen(s)?)?;
        }
        if let Some(b) = bias {
            y = y.broadcast_add(&widen(b)?)?;
        }
        (narrow(y.reshape(x.shape())?, x.dtype())?, Tensor::from_raw(mean, wide), Tensor::from_raw(rstd, wide))
    };
    Ok((value, Kept { x: x.detach(), mean, rstd, scale: scale.map(Tensor::detach), center }))
}

fn backward(kept: &Kept, g: &Tensor, need: &[bool]) -> Result<[Option<Tensor>; 3]> {
    let (rows, cols) = as_matrix(g);
    let dtype = g.dtype();
    if g.size() == 0 {
        let parameter = |wanted: bool| wanted.then(|| Tensor::zeros(&[cols], dtype, g.device())).transpose();
        return Ok([need[0].then(|| g.detach()), parameter(need[1])?, parameter(need[2])?]);
    }
    let path = g.path("gradient of layer_norm");
    if path.by_kernel() {
        return for_float!(dtype, "layer_norm", T => {
            type W = <T as crate::Element>::Acc;
            let scale = kept.scale.as_ref().map(Tensor::values::<T>).transpose()?;
            let (x, mean, rstd) = (kept.x.values::<T>()?, kept.mean.values::<W>()?, kept.rstd.values::<W>()?);
            let saved =
                Saved { x: &x, mean: &mean, rstd: &rstd, scale: scale.as_deref(), center: kept.center };
            let d = kernel::backward(&saved, &g.values::<T>()?, cols, need[0], need[1] || need[2])?;
            Ok([
                need[0].then(|| Tensor::from_vec(d.dx, g.shape())).transpose()?,
                need[1].then(|| Tensor::from_vec(d.dscale, &[cols])).transpose()?,
                need[2].then(|| Tensor::from_vec(d.dbias, &[cols])).transpose()?,
            ])
        });
    }
    let parameters = need[1] || need[2];
    let found = path.accelerated(g, |kernels| {
        let (x, scale) = (widen(&kept.x)?, kept.scale.as_ref().map(widen).transpose()?);
        let (mean, rstd) = (kept.mean.raw().flatten_all()?, kept.rstd.raw().flatten_all()?);
        let normed = Normed { x: &x, scale: scale.as_ref(), mean: &mean, rstd: &rstd, center: kept.center };
        let wide = widen(g)?;
        let dx = if need[0] { Some(kernels.layer_norm_back(&normed, &wide)?) } else { None };
        let of = if parameters { Some(kernels.layer_norm_parameters(&normed, &wide)?) } else { None };
        // Either all are there, or none.
        Ok(if matches!(dx, Some(None)) || matches!(of, Some(None)) { None } else { Some((dx.flatten(), of.flatten())) })
    })?;
    if let Some((dx, of)) = found {
        let dx = dx.map(|dx| narrow(dx, dtype)).transpose()?;
        let [dscale, dbias] = match of {
            None => [None, None],
            Some([dscale, dbias]) => [Some(dscale), Some(dbias)],
        };
        let parameter =
            |raw: Option<Raw>, wanted: bool| raw.filter(|_| wanted).map(|raw| narrow(raw, dtype)).transpose();
        return Ok([dx, parameter(dscale, need[1])?, parameter(dbias, need[2])?]);
    }
    let (mean, rstd) = (kept.mean.raw().reshape((rows, 1))?, kept.rstd.raw().reshape((rows, 1))?);
    let normal = widen(&kept.x)?.reshape((rows, cols))?.broadcast_sub(&mean)?.broadcast_mul(&rstd)?;
    let g2 = widen(g)?.reshape((rows, cols))?;
    let dscale = need[1].then(|| narrow((&g2 * &normal)?.sum(0)?, dtype)).transpose()?;
    let dbias = need[2].then(|| narrow(g2.sum(0)?, dtype)).transpose()?;
    if !need[0] {
        return Ok([None, dscale, dbias]);
    }
    let scaled = match &kept.scale {
        Some(s) => g2.broadcast_mul(&widen(s)?)?,
        None => g2,
    };
    let along = normal.broadcast_mul(&(&scaled * &normal)?.mean_keepdim(1)?)?;
    let mut dx = (&scaled - along)?;
    if kept.center {
        dx = dx.broadcast_sub(&scaled.mean_keepdim(1)?)?;
    }
    let dx = narrow(dx.broadcast_mul(&rstd)?.reshape(g.shape())?, dtype)?;
    Ok([Some(dx), dscale, dbias])
}
