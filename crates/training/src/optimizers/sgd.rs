//! Gradient descent.
use super::optimizer::{slots_of, Optimizer, Update};
use tallow_layers::{options, NotNegative, Positive, Result};
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
    pub struct SGDOptions for "SGD" () {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.01),
        /// Largest L2 norm of the whole gradient: a longer one is scaled down. `null` is no limit.
        clip_grad_norm "clipGradNorm": Option<Positive> = None,
        /// Largest size of each element of the gradient, after `clipGradNorm`: larger ones are cut to it. `null` is no limit.
        clip_grad_value "clipGradValue": Option<Positive> = None,
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
    fn clip_grad_norm(&self) -> Option<f64> {
        self.0.clip_grad_norm.map(|p| p.0)
    }
    fn clip_grad_value(&self) -> Option<f64> {
        self.0.clip_grad_value.map(|p| p.0)
    }
}
