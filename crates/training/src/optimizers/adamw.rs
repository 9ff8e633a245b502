//! AdamW: Adam whose weight decay follows the learning rate.
use super::{
    adam::AdamRule,
    clipping::ClippingOptions,
    optimizer::{zeros, Optimizer, Update},
};
use tallow_layers::{options, NotNegative, Positive, Rate, Result};
use tallow_tensor::Tensor;

options! {
    /// Moves each weight as Adam does, with a weight decay that follows the learning rate.
    ///
    /// The options and their defaults are those of PyTorch's `AdamW`. Trax's `Adam` takes its decay whatever the learning rate.
    ///
    /// Formula: at step `t = 0, 1, …`, with the gradient `g`, `m = b1 · m + (1 - b1) · g` and `v = b2 · v + (1 - b2) · g²`. Then
    /// `w = (1 - learningRate · weightDecay) · w - learningRate · (m / (1 - b1^(t+1))) / (√(v / (1 - b2^(t+1))) + eps)`.
    /// State: `[m, v]` for each weight, both of its shape. They start as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Loshchilov & Hutter 2019, arXiv:1711.05101.
    /// See: `Adam`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.AdamW({ learningRate: 0.02 }));
    /// for (let step = 0; step < 200; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct AdamWOptions for "AdamW" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.001),
        /// Fraction of each weight taken off at every step, times the learning rate.
        weight_decay "weightDecay": NotNegative = NotNegative(0.01),
        /// Decay rate of the running mean.
        b1 "b1": Rate = Rate(0.9),
        /// Decay rate of the running mean square.
        b2 "b2": Rate = Rate(0.999),
        /// Keeps the divisor away from zero.
        eps "eps": Positive = Positive(1e-8),
    }
}

/// See [`AdamWOptions`].
#[derive(Debug, Clone)]
pub struct AdamW(pub AdamWOptions);

impl Optimizer for AdamW {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![zeros(weight)?, zeros(weight)?])
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let o = &self.0;
        let weight_decay_rate = u.learning_rate * o.weight_decay.0;
        let rule = AdamRule { b1: o.b1, b2: o.b2, eps: o.eps.0, weight_decay_rate };
        rule.update("AdamW", weight, gradient, slots, u)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
