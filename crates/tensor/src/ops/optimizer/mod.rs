//! What optimizers do to weights: new weights and slots from a gradient. Nothing here records a gradient of its own.
mod adafactor;
mod adam;
mod momentum;
mod muon;
mod norm;
mod rms_prop;
mod sm3;
mod write;

pub use adafactor::{adafactor_slots, adafactor_update, AdafactorStep};
pub use adam::{adam_update, lion_update, AdamStep, LionStep};
pub use momentum::{momentum_update, sgd_update, MomentumStep, SgdStep};
pub use muon::orthogonalize;
pub use norm::{clip_by_global_norm, clip_factor, global_norm};
pub use rms_prop::{rms_prop_update, RmsPropStep};
pub use sm3::{sm3_update, Sm3Moments, Sm3Step};

use crate::{
    for_float,
    kernels::{
        optimizer::{self as kernel, Clipped, Rule},
        real::Real,
    },
    ops::general::{narrow, require_float, wide_dtype, widen},
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use write::{all_mut, untracked, writable};

/// What is done to gradients first, so that it costs no pass of its own: they are scaled, then kept within a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// The factor of all gradients, as [`clip_factor`] gives it; else 1.
    pub scale: f64,
    /// The largest size of each element; infinite where there is none.
    pub limit: f64,
}

impl Clip {
    /// Gradients as they are.
    pub const NONE: Clip = Clip { scale: 1.0, limit: f64::INFINITY };

    /// The clipped gradient, in the type it is computed in; untracked.
    ///
    /// # Errors
    /// `DTypeMismatch` for what is not floating point.
    pub fn applied(self, g: &Tensor) -> Result<Tensor> {
        require_float(g, "clipping")?;
        Ok(Tensor::from_raw(self.of(g)?, wide_dtype(g.dtype())))
    }

    /// The gradient kept within the limit, and what it must still be scaled by.
    fn apart(self, g: &Tensor) -> Result<(Tensor, f64)> {
        if self.limit == f64::INFINITY {
            return Ok((g.clone(), self.scale));
        }
        Ok((Tensor::from_raw(self.of(g)?, wide_dtype(g.dtype())), 1.0))
    }

    /// The clipped gradient, in the type it is computed in.
    fn of(self, g: &Tensor) -> Result<Raw> {
        let scaled = (widen(g)? * self.scale)?;
        Ok(if self.limit == f64::INFINITY { scaled } else { scaled.clamp(-self.limit, self.limit)? })
    }
}

/// An optimizer that looks at one weight at a time, and keeps `N` slots for it.
trait Update<const N: usize> {
    /// The operation, in errors.
    const NAME: &'static str;
    /// The slots, in errors.
    const SLOTS: [&'static str; N];
    /// The rule in the type that weights are computed in.
    type Rule<A: Real>: Rule<A, N>;
    fn rule<A: Real>(&self) -> Self::Rule<A>;
    /// The kernel of accelerators that does it, and its numbers as kernels/optimizer.h has them from the third on; nothing without one.
    fn accelerated(&self) -> Option<(&'static str, [f32; 6])> {
        None
    }
    /// The same by candle's operations, in numbers rounded to `A`: weights, a clipped gradient, and slots.
    fn general<A: Real>(&self, p: Raw, g: Raw, slots: [Raw; N]) -> Result<(Raw, [Raw; N])>;
}

/// Refuses a gradient or slot that is not as the weights are.
fn check(name: &str, p: &Tensor, others: &[(&Tensor, &str)]) -> Result<()> {
    require_float(p, name)?;
    for (t, what) in others {
        require_float(t, name)?;
        if t.shape() != p.shape() {
            let what = format!("{name}: {what} has shape {:?}, the weights have {:?}", t.shape(), p.shape());
            return Err(Error::shape(what));
        }
    }
    Ok(())
}

/// New weights and slots, written in place where nobody else holds them.
fn updated<const N: usize, U: Update<N>>(
    p: Tensor,
    g: &Tensor,
    slots: [Tensor; N],
    clip: Clip,
    step: &U,
) -> Result<(Tensor, [Tensor; N])> {
    check(U::NAME, &p, &[(g, "the gradient")])?;
    for (slot, name) in slots.iter().zip(U::SLOTS) {
        check(U::NAME, &p, &[(slot, name)])?;
    }
    let wide = wide_dtype(p.dtype());
    let path = p.path(U::NAME);
    if !path.by_kernel() {
        let raw: Vec<Raw> = slots.iter().map(|s| Ok(s.cast(wide)?.raw().contiguous()?)).collect::<Result<_>>()?;
        let raw = raw.try_into().map_err(|_| Error::internal("as many slots as were given"))?;
        let raw: [Raw; N] = raw;
        let found = path.accelerated(&p, |kernels| {
            let Some((name, rest)) = step.accelerated().filter(|_| p.size() > 0) else { return Ok(None) };
            let mut numbers = [clip.scale as f32, clip.limit as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            numbers[2..].copy_from_slice(&rest);
            kernels.updated(name, numbers, &widen(&p)?, &widen(&g.cast(wide)?)?, &raw)
        })?;
        if let Some((new, slots)) = found {
            return Ok((narrow(new, p.dtype())?, slots.map(|s| Tensor::from_raw(s, wide))));
        }
        let g = clip.of(&g.cast(wide)?)?;
        let (new, slots) = match wide {
            DType::F64 => step.general::<f64>(widen(&p)?, g, raw)?,
            _ => step.general::<f32>(widen(&p)?, g, raw)?,
        };
        return Ok((narrow(new, p.dtype())?, slots.map(|s| Tensor::from_raw(s, wide))));
    }
    let g = g.detach().cast(wide)?;
    for_float!(p.dtype(), U::NAME, T => {
        type W = <T as Element>::Acc;
        let p = untracked(p);
        let mut own = Vec::with_capacity(N); // few: the slots of a weight
        for slot in slots {
            // A statement of its own: its end drops the handle that the cast leaves over.
            let slot = untracked(slot).cast(wide)?;
            own.push(writable::<W>(slot)?);
        }
        let g_values = g.values::<W>()?;
        let rule = Clipped { scale: W::of(clip.scale), limit: W::of(clip.limit), rule: step.rule::<W>() };
        let p = if p.is_unique() && p.is_contiguous() {
            all_mut::<T, W, N, _>(&p, &own, |p, slots| kernel::update::<T, _, N>(p, &g_values, slots, rule))??;
            p
        } else {
            let old = p.values::<T>()?;
            let new = write::each_mut::<W, N, _>(&own, |slots| kernel::renewed::<T, _, N>(&old, &g_values, slots, rule))??;
            Tensor::from_vec(new, p.shape())?
        };
        let own = own.try_into().map_err(|_| Error::internal("as many slots as were given"))?;
        Ok((p, own))
    })
}
