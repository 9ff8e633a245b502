//! Gradient descent, plain and with momentum.
use super::{updated, Clip, Update};
use crate::{
    kernels::{optimizer as kernel, real::Real},
    tensor::Raw,
    Result, Tensor,
};

/// The numbers of one step of gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The learning rate.
    pub lr: f64,
    /// The fraction of each weight that is taken away at this step.
    pub weight_decay_rate: f64,
    /// The part of each weight that is added to its gradient.
    pub l2: f64,
}

impl Update<0> for SgdStep {
    const NAME: &'static str = "sgd_update";
    const SLOTS: [&'static str; 0] = [];
    type Rule<A: Real> = kernel::Descent<A>;

    fn rule<A: Real>(&self) -> kernel::Descent<A> {
        kernel::Descent { lr: A::of(self.lr), decay: A::of(self.weight_decay_rate), l2: A::of(self.l2) }
    }

    fn accelerated(&self) -> Option<(&'static str, [f32; 6])> {
        let kernel::Descent { lr, decay, l2 } = self.rule::<f32>();
        Some(("sgd", [lr, decay, l2, 0.0, 0.0, 0.0]))
    }

    fn general<A: Real>(&self, p: Raw, g: Raw, _: [Raw; 0]) -> Result<(Raw, [Raw; 0])> {
        let kernel::Descent { lr, decay, l2 } = self.rule::<A>();
        let g = (g + (&p * l2.wide())?)?;
        Ok((((p * (1.0 - decay.wide()))? - (g * lr.wide())?)?, []))
    }
}

/// New weights after one step down the gradient: `p ← (1 − decay) p − lr (g + l2 p)`.
///
/// Written in place, and computed, as in [`super::adam_update`].
///
/// # Errors
/// As [`super::adam_update`].
pub fn sgd_update(p: Tensor, g: &Tensor, clip: Clip, step: &SgdStep) -> Result<Tensor> {
    Ok(updated(p, g, [], clip, step)?.0)
}

/// The numbers of one step with momentum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentumStep {
    /// The learning rate.
    pub lr: f64,
    /// What stays of the momentum.
    pub mass: f64,
    /// What each gradient adds to it: 1, or 1 − mass for a running mean.
    pub share: f64,
    /// The fraction of each weight that is taken away at this step.
    pub weight_decay_rate: f64,
    /// The part of each weight that is added to its gradient.
    pub l2: f64,
    /// Whether the gradient is added to what the momentum becomes next.
    pub nesterov: bool,
}

impl Update<1> for MomentumStep {
    const NAME: &'static str = "momentum_update";
    const SLOTS: [&'static str; 1] = ["the momentum"];
    type Rule<A: Real> = kernel::Momentum<A>;

    fn rule<A: Real>(&self) -> kernel::Momentum<A> {
        kernel::Momentum {
            lr: A::of(self.lr),
            mass: A::of(self.mass),
            share: A::of(self.share),
            decay: A::of(self.weight_decay_rate),
            l2: A::of(self.l2),
            nesterov: self.nesterov,
        }
    }

    fn accelerated(&self) -> Option<(&'static str, [f32; 6])> {
        let kernel::Momentum { lr, mass, share, decay, l2, nesterov } = self.rule::<f32>();
        Some(("momentum", [lr, decay, l2, mass, share, f32::from(u8::from(nesterov))]))
    }

    fn general<A: Real>(&self, p: Raw, g: Raw, [m]: [Raw; 1]) -> Result<(Raw, [Raw; 1])> {
        let kernel::Momentum { lr, mass, share, decay, l2, nesterov } = self.rule::<A>();
        let g = (g + (&p * l2.wide())?)?;
        let g = (g * share.wide())?;
        let m = ((m * mass.wide())? + &g)?;
        let down = if nesterov { ((&m * mass.wide())? + g)? } else { m.clone() };
        Ok((((p * (1.0 - decay.wide()))? - (down * lr.wide())?)?, [m]))
    }
}

/// New weights and momentum after one step: `m ← mass m + share g`, `p ← (1 − decay) p − lr d`, where `d` is `m`, or with
/// Nesterov's correction (Sutskever et al., 2013) `mass m + share g`. To `g` is added `l2 p` first.
///
/// Written in place, and computed, as in [`super::adam_update`].
///
/// # Errors
/// As [`super::adam_update`].
pub fn momentum_update(p: Tensor, g: &Tensor, m: Tensor, clip: Clip, step: &MomentumStep) -> Result<(Tensor, Tensor)> {
    let (p, [m]) = updated(p, g, [m], clip, step)?;
    Ok((p, m))
}
