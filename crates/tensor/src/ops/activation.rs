//! Bias and activation in one step.
use crate::{
    autodiff::record,
    for_float,
    kernels::activation::{self as kernel, DENSITY, FAST_GELU_A, FAST_GELU_B},
    ops::general::{is_half, narrow, require_float, require_last_axis, widen},
    tensor::Raw,
    DType, Result, Tensor,
};
use smallvec::smallvec;

pub use crate::kernels::activation::Activation;

impl Activation {
    /// Whether the derivative is computed from the output, or from the input.
    pub(crate) fn uses_output(self) -> bool {
        matches!(self, Activation::None | Activation::Relu | Activation::Sigmoid | Activation::Tanh)
    }
    /// Whether the output is what is kept for backward, or the input: an output as a half is rounded, which only relu can do with.
    pub(crate) fn keeps_output(self, dtype: DType) -> bool {
        self.uses_output() && !(is_half(dtype) && matches!(self, Activation::Sigmoid | Activation::Tanh))
    }
}

/// `activation(x + bias)` for `x: [..., n]` and `bias: [n]`, in one pass; backward gives both gradients in one pass.
///
/// Keeps the output where the derivative can be had from it (relu; sigmoid and tanh unless of halves), else `x`: never a tensor of its own.
/// Halves compute in float32; a bias of another float type is cast to that of `x`.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point, `ShapeMismatch` for a bias that is not `[n]`.
pub fn bias_activation(x: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    require_float(x, "bias_activation")?;
    require_last_axis(x, bias, "bias_activation", "bias")?;
    if bias.is_none() && activation == Activation::None {
        return Ok(x.clone());
    }
    let bias = bias.map(|b| b.cast(x.dtype())).transpose()?;
    let value = forward(x, bias.as_ref(), activation)?;
    let keeps_output = activation.keeps_output(x.dtype());
    // Without an activation the derivative is 1 and nothing need be kept.
    let kept = match activation {
        Activation::None => None,
        _ if keeps_output => Some(value.clone()),
        _ => Some(x.detach()),
    };
    let kept_bias = if keeps_output { None } else { bias.as_ref().map(Tensor::detach) };
    let cols = bias.as_ref().map(Tensor::size);
    let dtype = x.dtype();
    let absent = x.detach();
    let inputs = [x, bias.as_ref().unwrap_or(&absent)];
    Ok(record(value, &inputs, move |g, need| {
        let g = g.cast(dtype)?;
        let (dx, dbias) =
            backward(kept.as_ref().unwrap_or(&g), kept_bias.as_ref(), &g, cols.filter(|_| need[1]), activation)?;
        Ok(smallvec![need[0].then_some(dx), dbias])
    }))
}

fn forward(x: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    if x.size() == 0 {
        return Ok(x.detach());
    }
    let path = x.path("bias_activation");
    if path.by_kernel() {
        return for_float!(x.dtype(), "bias_activation", T => {
            let bias = bias.map(Tensor::values::<T>).transpose()?;
            Tensor::from_vec(kernel::forward(&x.values::<T>()?, bias.as_deref(), activation)?, x.shape())
        });
    }
    let found = path.accelerated(x, |kernels| {
        kernels.bias_activation(&widen(x)?, bias.map(widen).transpose()?.as_ref(), activation as u32)
    })?;
    narrow(
        match found {
            Some(y) => y,
            None => value(biased(x, bias)?, activation)?,
        },
        x.dtype(),
    )
}

/// The activation of each value, by candle's operations.
fn value(z: Raw, activation: Activation) -> Result<Raw> {
    Ok(match activation {
        Activation::None => z,
        Activation::Relu => positive_part(&z)?,
        Activation::Gelu => ((z.affine(std::f64::consts::FRAC_1_SQRT_2, 0.0)?.erf()? + 1.0)? * (z * 0.5)?)?,
        Activation::FastGelu => {
            let t = (((z.sqr()? * FAST_GELU_B)? + 1.0)? * (&z * FAST_GELU_A)?)?.tanh()?;
            ((t + 1.0)? * (z * 0.5)?)?
        }
        Activation::Sigmoid => sigmoid(&z)?,
        Activation::Tanh => z.tanh()?,
        Activation::Swish => (&z * sigmoid(&z)?)?,
        Activation::Softplus => (positive_part(&z)? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?,
    })
}

fn biased(x: &Tensor, bias: Option<&Tensor>) -> Result<Raw> {
    let x = widen(x)?;
    Ok(match bias {
        Some(b) => x.broadcast_add(&widen(b)?)?,
        None => x,
    })
}

fn sigmoid(z: &Raw) -> Result<Raw> {
    Ok((z.neg()?.exp()? + 1.0)?.recip()?)
}

/// 0 where `z <= 0`, else `z` (also NaN).
fn positive_part(z: &Raw) -> Result<Raw> {
    Ok(z.le(0.0)?.where_cond(&z.zeros_like()?, z)?)
}

fn backward(
    kept: &Tensor,
    bias: Option<&Tensor>,
    g: &Tensor,
    bias_cols: Option<usize>,
    activation: Activation,
) -> Result<(Tensor, Option<Tensor>)> {
    if g.size() == 0 {
        let dbias = bias_cols.map(|n| Tensor::zeros(&[n], g.dtype(), g.device())).transpose()?;
        return Ok((g.detach(), dbias));
    }
    if activation == Activation::None && bias_cols.is_none() {
        return Ok((g.detach(), None));
    }
    let path = g.path("gradient of bias_activation");
    if path.by_kernel() {
        return for_float!(g.dtype(), "bias_activation", T => {
            let (kept, g_values) = (kept.values::<T>()?, g.values::<T>()?);
            let bias = bias.map(Tensor::values::<T>).transpose()?;
            // The pre-activation needs the bias even where no one wants its gradient.
            let cols = bias_cols.or(bias.as_ref().map(|b| b.len()));
            let (dx, dbias) = kernel::backward(&kept, bias.as_deref(), &g_values, cols, activation)?;
            let dbias = bias_cols.map(|n| Tensor::from_vec(dbias, &[n])).transpose()?;
            Ok((Tensor::from_vec(dx, g.shape())?, dbias))
        });
    }
    let found = path.accelerated(g, |kernels| {
        let (kept, wide, number) = (widen(kept)?, widen(g)?, activation as u32);
        let bias = bias.map(widen).transpose()?;
        // The derivative is that of an output that was not kept.
        let (kept, bias) = if activation.uses_output() && !activation.keeps_output(g.dtype()) {
            (kernels.bias_activation(&kept, bias.as_ref(), number)?, None)
        } else {
            (Some(kept), bias)
        };
        let Some(kept) = kept else { return Ok(None) };
        let Some(dx) = kernels.activation_back(&kept, bias.as_ref(), &wide, number)? else { return Ok(None) };
        match bias_cols {
            None => Ok(Some((dx, None))),
            Some(cols) => Ok(kernels.of_bias(&dx, cols)?.map(|dbias| (dx, Some(dbias)))),
        }
    })?;
    if let Some((dx, dbias)) = found {
        let dbias = dbias.map(|raw| narrow(raw, g.dtype())).transpose()?;
        return Ok((narrow(dx, g.dtype())?, dbias));
    }
    let (k, gw) = (biased(kept, bias)?, widen(g)?);
    let k = if activation.uses_output() && !activation.keeps_output(g.dtype()) { value(k, activation)? } else { k };
    let slope = match activation {
        Activation::None => k.ones_like()?,
        Activation::Relu => k.le(0.0)?.where_cond(&k.zeros_like()?, &k.ones_like()?)?,
        Activation::Gelu => {
            let below = ((k.affine(std::f64::consts::FRAC_1_SQRT_2, 0.0)?.erf()? + 1.0)? * 0.5)?;
            (below + ((k.sqr()? * -0.5)?.exp()? * (&k * DENSITY)?)?)?
        }
        Activation::FastGelu => {
            let square = (k.sqr()? * FAST_GELU_B)?;
            let t = ((&square + 1.0)? * (&k * FAST_GELU_A)?)?.tanh()?;
            let inner = square.affine(3.0 * FAST_GELU_A, FAST_GELU_A)?;
            (t.affine(0.5, 0.5)? + (t.sqr()?.affine(-0.5, 0.5)? * (k * inner)?)?)?
        }
        Activation::Sigmoid => (&k - k.sqr()?)?,
        Activation::Tanh => k.sqr()?.affine(-1.0, 1.0)?,
        Activation::Swish => {
            let s = sigmoid(&k)?;
            ((k * s.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)? * s)?
        }
        Activation::Softplus => sigmoid(&k)?,
    };
    let dx = (gw * slope)?;
    let dbias = bias_cols.map(|n| narrow(dx.reshape(((), n))?.sum(0)?, g.dtype())).transpose()?;
    Ok((narrow(dx, g.dtype())?, dbias))
}
