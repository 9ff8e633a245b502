//! Lion.
use super::{
    clipping::ClippingOptions,
    optimizer::{slots_of, zeros, Optimizer, Update},
};
use tallow_layers::{options, Fraction, NotNegative, Result};
use tallow_tensor::{
    ops::{lion_update, LionStep},
    Tensor,
};

options! {
    /// Moves each weight by the learning rate, against the sign of its gradient's running mean.
    ///
    /// Formula: with the gradient `g`,
    /// `w = (1 - learningRate · weightDecay) · w - learningRate · sign(b1 · m + (1 - b1) · g)`. Then `m = b2 · m + (1 - b2) · g`.
    /// State: `[m]` for each weight, of its shape. It starts as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Chen et al. 2023, arXiv:2302.06675.
    /// See: `AdamW`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.Lion({ learningRate: 0.005 }));
    /// for (let step = 0; step < 400; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct LionOptions for "Lion" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.0001),
        /// Fraction of each weight taken off at every step, times the learning rate.
        weight_decay "weightDecay": NotNegative = NotNegative(0.0),
        /// Weight of the running mean in what is followed.
        b1 "b1": Fraction = Fraction(0.9),
        /// Decay rate of the running mean.
        b2 "b2": Fraction = Fraction(0.99),
    }
}

/// See [`LionOptions`].
#[derive(Debug, Clone)]
pub struct Lion(pub LionOptions);

impl Optimizer for Lion {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![zeros(weight)?])
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let o = &self.0;
        let [m] = slots_of("Lion", slots)?;
        let lr = u.learning_rate;
        let step = LionStep { lr, b1: o.b1.0, b2: o.b2.0, weight_decay_rate: lr * o.weight_decay.0 };
        let (w, m) = lion_update(weight, gradient, m, u.clip, &step)?;
        Ok((w, vec![m]))
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
