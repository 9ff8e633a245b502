//! RMSProp.
use super::{updated, Clip, Update};
use crate::{
    kernels::{optimizer as kernel, real::Real},
    tensor::Raw,
    Result, Tensor,
};

/// The numbers of one step of RMSProp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsPropStep {
    /// The learning rate.
    pub lr: f64,
    /// Decay of the running mean square.
    pub gamma: f64,
    /// Added to its root.
    pub eps: f64,
}

impl Update<1> for RmsPropStep {
    const NAME: &'static str = "rms_prop_update";
    const SLOTS: [&'static str; 1] = ["the mean square"];
    type Rule<A: Real> = kernel::RmsProp<A>;

    fn rule<A: Real>(&self) -> kernel::RmsProp<A> {
        kernel::RmsProp { lr: A::of(self.lr), gamma: A::of(self.gamma), eps: A::of(self.eps) }
    }

    fn general<A: Real>(&self, p: Raw, g: Raw, [v]: [Raw; 1]) -> Result<(Raw, [Raw; 1])> {
        let kernel::RmsProp { lr, gamma, eps } = self.rule::<A>();
        let v = ((v * gamma.wide())? + (g.sqr()? * (1.0 - gamma.wide()))?)?;
        let down = ((g * lr.wide())? / (v.sqrt()? + eps.wide())?)?;
        Ok(((p - down)?, [v]))
    }
}

/// New weights and mean squares after one step of RMSProp (Tieleman & Hinton, 2012): `v ← γ v + (1 − γ) g²`,
/// `p ← p − lr g / (√v + eps)`.
///
/// Written in place, and computed, as in [`super::adam_update`].
///
/// # Errors
/// As [`super::adam_update`].
pub fn rms_prop_update(p: Tensor, g: &Tensor, v: Tensor, clip: Clip, step: &RmsPropStep) -> Result<(Tensor, Tensor)> {
    let (p, [v]) = updated(p, g, [v], clip, step)?;
    Ok((p, v))
}
