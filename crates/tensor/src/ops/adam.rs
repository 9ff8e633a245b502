//! Adam's update, and the norm of all gradients.
use crate::{
    for_float,
    kernels::{
        adam::{self as kernel, Coefficients},
        inplace::with_mut,
        real::Real,
    },
    ops::general::{narrow, require_float, wide_dtype, widen},
    Element, Error, Result, Tensor,
};

/// The numbers of one step of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub b1: f64,
    /// Decay of the second moment.
    pub b2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// The fraction of each weight that is taken away at each step, whatever the learning rate.
    pub weight_decay_rate: f64,
    /// The number of steps done before this one; the moments are divided by `1 − b^(step + 1)`.
    pub step: u64,
    /// A factor on the gradient, so that clipping ([`clip_factor`]) costs no pass of its own; else 1.
    pub gradient_scale: f64,
}

impl AdamStep {
    fn coefficients<A: Real>(&self) -> Coefficients<A> {
        // As in float32 throughout: the power too is rounded before it is subtracted.
        let correction = |b: f64| A::of(1.0) - A::of(A::of(b).wide().powf(self.step as f64 + 1.0));
        Coefficients {
            lr: A::of(self.lr),
            b1: A::of(self.b1),
            b2: A::of(self.b2),
            eps: A::of(self.eps),
            keep: A::of(1.0) - A::of(self.weight_decay_rate),
            correction1: correction(self.b1),
            correction2: correction(self.b2),
            gradient_scale: A::of(self.gradient_scale),
        }
    }
}

/// New weights and moments `(p, m, v)` after one step of Adam (Kingma & Ba, 2014, arXiv:1412.6980) with Trax's weight decay:
///
/// `m ← (1 − b1) g + b1 m`, `v ← (1 − b2) g² + b2 v`, `p ← (1 − decay) p − lr m̂ / (√v̂ + eps)` with `m̂`, `v̂` divided by `1 − b^(step + 1)`.
///
/// Written into the storage of `p`, `m` and `v` where nobody else holds it. Weights that are halves are computed in float32,
/// and their moments are float32. The results are untracked.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point, `ShapeMismatch` unless all four shapes are equal.
pub fn adam_update(p: Tensor, g: &Tensor, m: Tensor, v: Tensor, step: &AdamStep) -> Result<(Tensor, Tensor, Tensor)> {
    for (t, name) in [(g, "the gradient"), (&m, "the first moment"), (&v, "the second moment")] {
        require_float(t, "adam_update")?;
        if t.shape() != p.shape() {
            return Err(Error::shape(format!(
                "adam_update: {name} has shape {:?}, the weights have {:?}",
                t.shape(),
                p.shape()
            )));
        }
    }
    let wide = wide_dtype(p.dtype());
    let (m, v) = (untracked(m).cast(wide)?, untracked(v).cast(wide)?);
    let path = p.path("adam_update");
    if !path.by_kernel() {
        return general(&p, g, &m, &v, step);
    }
    let g = g.detach().cast(wide)?;
    for_float!(p.dtype(), "adam_update", T => {
        type W = <T as Element>::Acc;
        let (p, m, v) = (untracked(p), writable::<W>(m)?, writable::<W>(v)?);
        let g_values = g.values::<W>()?;
        let c = step.coefficients::<W>();
        if p.is_unique() && p.is_contiguous() {
            with_mut(&p, |p| {
                with_mut(&m, |m| with_mut(&v, |v| kernel::update::<T>(p, &g_values, m, v, c)))
            })????;
            return Ok((p, m, v));
        }
        let old = p.values::<T>()?;
        let new = with_mut(&m, |m| with_mut(&v, |v| kernel::renewed::<T>(&old, &g_values, m, v, c)))???;
        Ok((Tensor::from_vec(new, p.shape())?, m, v))
    })
}

/// Drops the record of how `t` was computed without keeping a second handle on its storage.
fn untracked(t: Tensor) -> Tensor {
    let out = t.detach();
    drop(t);
    out
}

/// `t` itself where its storage may be written, else a copy.
fn writable<T: Element>(t: Tensor) -> Result<Tensor> {
    if t.is_unique() && t.is_contiguous() {
        return Ok(t);
    }
    Tensor::from_vec(t.to_vec::<T>()?, t.shape())
}

fn general(p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor, step: &AdamStep) -> Result<(Tensor, Tensor, Tensor)> {
    let dtype = wide_dtype(p.dtype());
    let c: Coefficients<f64> = if dtype == crate::DType::F64 { step.coefficients() } else { step.coefficients_f32() };
    let g = (widen(g)?.to_dtype(dtype.storage())? * c.gradient_scale)?;
    let m = ((&g * (1.0 - c.b1))? + (widen(m)? * c.b1)?)?;
    let v = ((g.sqr()? * (1.0 - c.b2))? + (widen(v)? * c.b2)?)?;
    let scale = ((&v / c.correction2)?.sqrt()? + c.eps)?;
    let new = ((widen(p)? * c.keep)? - ((&m * (c.lr / c.correction1))? / scale)?)?;
    Ok((narrow(new, p.dtype())?, Tensor::from_raw(m, dtype), Tensor::from_raw(v, dtype)))
}

impl AdamStep {
    /// The float32 coefficients, widened: what the general path feeds to scalar operations.
    fn coefficients_f32(&self) -> Coefficients<f64> {
        let c: Coefficients<f32> = self.coefficients();
        Coefficients {
            lr: c.lr.wide(),
            b1: c.b1.wide(),
            b2: c.b2.wide(),
            eps: c.eps.wide(),
            keep: c.keep.wide(),
            correction1: c.correction1.wide(),
            correction2: c.correction2.wide(),
            gradient_scale: c.gradient_scale.wide(),
        }
    }
}

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
                kernel::square_sum(&t.values::<T>()?)?
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
