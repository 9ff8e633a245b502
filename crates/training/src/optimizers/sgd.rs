//! Gradient descent.
use super::{
    clipping::ClippingOptions,
    optimizer::{slots_of, Optimizer, Update},
};
use tallow_layers::{options, NotNegative, Result};
use tallow_tensor::{
    ops::{sgd_update, SgdStep},
    Tensor,
};

options! {
    /// Moves each weight down its gradient.
    ///
    /// Formula: `w = w - learningRate · g`, with the gradient `g`.
    /// State: none.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax.
    /// See: `Momentum`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 0.1 }));
    /// for (let step = 0; step < 100; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct SGDOptions for "SGD" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.01),
    }
}

/// See [`SGDOptions`].
#[derive(Debug, Clone)]
pub struct SGD(pub SGDOptions);

impl Optimizer for SGD {
    fn init(&self, _: &Tensor) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let [] = slots_of("SGD", slots)?;
        let step = SgdStep { lr: u.learning_rate, weight_decay_rate: 0.0, l2: 0.0 };
        Ok((sgd_update(weight, gradient, u.clip, &step)?, Vec::new()))
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
