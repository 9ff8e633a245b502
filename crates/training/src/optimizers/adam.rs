//! Adam, with Trax's decoupled weight decay. Source: Kingma & Ba, arXiv:1412.6980.
use super::optimizer::{slots_of, zeros, Optimizer, Update};
use tallow_layers::{options, Fraction, NotNegative, Positive, Rate, Result};
use tallow_tensor::{
    ops::{adam_update, AdamStep},
    Tensor,
};

options! {
    /// Moves each weight by the running mean of its gradient over the root of its running mean square.
    ///
    /// The weights decay apart from the gradient, as in Trax. The moments `m` and `v` are the optimizer's slots: tensors that it keeps for
    /// each weight.
    ///
    /// Formula: at step `t = 0, 1, …`, with the gradient `g`, `m = b1 · m + (1 - b1) · g` and `v = b2 · v + (1 - b2) · g²`. Then
    /// `w = (1 - weightDecayRate) · w - learningRate · (m / (1 - b1^(t+1))) / (√(v / (1 - b2^(t+1))) + eps)`.
    /// State: `[m, v]` for each weight, both of its shape. They start as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax; Kingma & Ba 2015, arXiv:1412.6980.
    /// See: `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.01 }));
    /// for (let step = 0; step < 200; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct AdamOptions for "Adam" () {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.0001),
        /// Fraction of each weight taken off at every step.
        weight_decay_rate "weightDecayRate": Fraction = Fraction(1e-5),
        /// Decay rate of the running mean.
        b1 "b1": Rate = Rate(0.9),
        /// Decay rate of the running mean square.
        b2 "b2": Rate = Rate(0.999),
        /// Keeps the divisor away from zero.
        eps "eps": Positive = Positive(1e-5),
        /// Largest L2 norm of the whole gradient: a longer one is scaled down. `null` is no limit.
        clip_grad_norm "clipGradNorm": Option<Positive> = None,
        /// Largest size of each element of the gradient, after `clipGradNorm`: larger ones are cut to it. `null` is no limit.
        clip_grad_value "clipGradValue": Option<Positive> = None,
    }
}

/// See [`AdamOptions`].
#[derive(Debug, Clone)]
pub struct Adam(pub AdamOptions);

impl Optimizer for Adam {
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
        let [m, v] = slots_of("Adam", slots)?;
        let step = AdamStep {
            lr: u.learning_rate,
            b1: o.b1.0,
            b2: o.b2.0,
            eps: o.eps.0,
            weight_decay_rate: o.weight_decay_rate.0,
            step: u.step,
        };
        let (w, m, v) = adam_update(weight, gradient, m, v, u.clip, &step)?;
        Ok((w, vec![m, v]))
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clip_grad_norm(&self) -> Option<f64> {
        self.0.clip_grad_norm.map(|p| p.0)
    }
    fn clip_grad_value(&self) -> Option<f64> {
        self.0.clip_grad_value.map(|p| p.0)
    }
}
