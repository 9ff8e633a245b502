//! Adam and Lion: running means of gradients.
use super::{updated, Clip, Update};
use crate::{
    kernels::{optimizer as kernel, real::Real},
    tensor::Raw,
    Result, Tensor,
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
}

impl Update<2> for AdamStep {
    const NAME: &'static str = "adam_update";
    const SLOTS: [&'static str; 2] = ["the first moment", "the second moment"];
    type Rule<A: Real> = kernel::Adam<A>;

    fn rule<A: Real>(&self) -> kernel::Adam<A> {
        // As in float32 throughout: the power too is rounded before it is subtracted.
        let correction = |b: f64| (A::of(1.0) - A::of(libm::pow(A::of(b).wide(), self.step as f64 + 1.0))).wide();
        kernel::Adam {
            lr: A::of(self.lr / correction(self.b1)),
            b1: A::of(self.b1),
            b2: A::of(self.b2),
            eps: A::of(self.eps),
            decay: A::of(self.weight_decay_rate),
            correction: A::of(1.0 / correction(self.b2)),
        }
    }

    fn accelerated(&self) -> Option<(&'static str, [f32; 6])> {
        let kernel::Adam { lr, b1, b2, eps, decay, correction } = self.rule::<f32>();
        Some(("adam", [lr, decay, b1, b2, eps, correction]))
    }

    fn general<A: Real>(&self, p: Raw, g: Raw, [m, v]: [Raw; 2]) -> Result<(Raw, [Raw; 2])> {
        let kernel::Adam { lr, b1, b2, eps, decay, correction } = self.rule::<A>();
        let (lr, b1, b2, eps, decay) = (lr.wide(), b1.wide(), b2.wide(), eps.wide(), decay.wide());
        let m = ((&g * (1.0 - b1))? + (m * b1)?)?;
        let v = ((g.sqr()? * (1.0 - b2))? + (v * b2)?)?;
        let scale = ((&v * correction.wide())?.sqrt()? + eps)?;
        let new = ((p * (1.0 - decay))? - ((&m * lr)? / scale)?)?;
        Ok((new, [m, v]))
    }
}

/// New weights and moments `(p, m, v)` after one step of Adam (Kingma & Ba, 2014, arXiv:1412.6980) with Trax's weight decay:
///
/// `m ← (1 − b1) g + b1 m`, `v ← (1 − b2) g² + b2 v`, `p ← (1 − decay) p − lr m̂ / (√v̂ + eps)` with `m̂`, `v̂` divided by `1 − b^(step + 1)`.
///
/// Written into the storage of `p`, `m` and `v` where nobody else holds it. Weights of 16 bits are computed in float32,
/// and their moments are float32. The results are untracked.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point, `ShapeMismatch` unless all four shapes are equal.
pub fn adam_update(
    p: Tensor,
    g: &Tensor,
    m: Tensor,
    v: Tensor,
    clip: Clip,
    step: &AdamStep,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (p, [m, v]) = updated(p, g, [m, v], clip, step)?;
    Ok((p, m, v))
}

/// The numbers of one step of Lion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionStep {
    /// The learning rate.
    pub lr: f64,
    /// Weight of the old mean in what is followed.
    pub b1: f64,
    /// Weight of the old mean in the new one.
    pub b2: f64,
    /// The fraction of each weight that is taken away at this step.
    pub weight_decay_rate: f64,
}

impl Update<1> for LionStep {
    const NAME: &'static str = "lion_update";
    const SLOTS: [&'static str; 1] = ["the momentum"];
    type Rule<A: Real> = kernel::Lion<A>;

    fn rule<A: Real>(&self) -> kernel::Lion<A> {
        kernel::Lion {
            lr: A::of(self.lr),
            b1: A::of(self.b1),
            b2: A::of(self.b2),
            decay: A::of(self.weight_decay_rate),
        }
    }

    fn general<A: Real>(&self, p: Raw, g: Raw, [m]: [Raw; 1]) -> Result<(Raw, [Raw; 1])> {
        let kernel::Lion { lr, b1, b2, decay } = self.rule::<A>();
        let (lr, b1, b2, decay) = (lr.wide(), b1.wide(), b2.wide(), decay.wide());
        let c = ((&m * b1)? + (&g * (1.0 - b1))?)?;
        let new = ((p * (1.0 - decay))? - (c.sign()? * lr)?)?;
        Ok((new, [((m * b2)? + (g * (1.0 - b2))?)?]))
    }
}

/// New weights and momentum after one step of Lion (Chen et al., 2023, arXiv:2302.06675):
///
/// `p ← (1 − decay) p − lr sign(b1 m + (1 − b1) g)`, `m ← b2 m + (1 − b2) g`.
///
/// Written in place, and computed, as in [`adam_update`].
///
/// # Errors
/// As [`adam_update`].
pub fn lion_update(p: Tensor, g: &Tensor, m: Tensor, clip: Clip, step: &LionStep) -> Result<(Tensor, Tensor)> {
    let (p, [m]) = updated(p, g, [m], clip, step)?;
    Ok((p, m))
}
