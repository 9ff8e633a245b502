//! Clipping of gradients, which all optimizers can do.
use tallow_layers::{options, Positive};
use tallow_tensor::ops::{clip_factor, Clip};

options! {
    /// How an optimizer clips gradients first.
    pub group ClippingOptions {
        /// Largest L2 norm of the whole gradient: a longer one is scaled down. `null` is no limit.
        clip_grad_norm "clipGradNorm": Option<Positive> = None,
        /// Largest size of each element of the gradient, after `clipGradNorm`: larger ones are cut to it. `null` is no limit.
        clip_grad_value "clipGradValue": Option<Positive> = None,
    }
}

impl ClippingOptions {
    /// What is done to gradients whose whole norm is `norm`.
    pub fn clip(&self, norm: f64) -> Clip {
        Clip {
            scale: self.clip_grad_norm.map_or(1.0, |max| clip_factor(norm, max.0)),
            limit: self.clip_grad_value.map_or(f64::INFINITY, |max| max.0),
        }
    }
}
