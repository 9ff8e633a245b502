//! Adam, with Trax's decoupled weight decay. Source: Kingma & Ba, arXiv:1412.6980.
use super::{
    clipping::ClippingOptions,
    optimizer::{slots_of, zeros, Optimizer, Update},
};
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
    pub struct AdamOptions for "Adam" () with (clipping: ClippingOptions) {
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
    }
}

/// Adam's rule. Other optimizers decay weights in other ways.
pub(super) struct AdamRule {
    pub(super) b1: Rate,
    pub(super) b2: Rate,
    pub(super) eps: f64,
    /// The fraction of each weight that is taken off at this step.
    pub(super) weight_decay_rate: f64,
}

impl AdamRule {
    /// The new weight and slots; `optimizer` is named in errors.
    pub(super) fn update(
        &self,
        optimizer: &str,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let [m, v] = slots_of(optimizer, slots)?;
        let Self { b1: Rate(b1), b2: Rate(b2), eps, weight_decay_rate } = *self;
        let step = AdamStep { lr: u.learning_rate, b1, b2, eps, weight_decay_rate, step: u.step };
        let (w, m, v) = adam_update(weight, gradient, m, v, u.clip, &step)?;
        Ok((w, vec![m, v]))
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
        let rule = AdamRule { b1: o.b1, b2: o.b2, eps: o.eps.0, weight_decay_rate: o.weight_decay_rate.0 };
        rule.update("Adam", weight, gradient, slots, u)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
