//! Gradient descent with momentum.
use super::{
    clipping::ClippingOptions,
    optimizer::{slots_of, zeros, Optimizer, Update},
};
use tallow_layers::{options, Fraction, NotNegative, Result};
use tallow_tensor::{
    ops::{momentum_update, MomentumStep},
    Tensor,
};

options! {
    /// Moves each weight by a running sum of its gradients, the velocity.
    ///
    /// Formula: with the gradient `g`, `v = mass · v + g`. Then `w = (1 - weightDecayRate) · w - learningRate · d`, where `d` is
    /// `mass · v + g` if `nesterov`, else `v`.
    /// State: `[v]` for each weight, of its shape. It starts as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax; Sutskever et al. 2013, proceedings.mlr.press/v28/sutskever13.
    /// See: `SGD`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.Momentum({ learningRate: 0.02 }));
    /// for (let step = 0; step < 200; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct MomentumOptions for "Momentum" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.01),
        /// What stays of the velocity at each step.
        mass "mass": Fraction = Fraction(0.9),
        /// Fraction of each weight taken off at every step.
        weight_decay_rate "weightDecayRate": Fraction = Fraction(1e-5),
        /// Whether the gradient is added to what the velocity becomes next.
        nesterov "nesterov": bool = true,
    }
}

/// See [`MomentumOptions`].
#[derive(Debug, Clone)]
pub struct Momentum(pub MomentumOptions);

impl Optimizer for Momentum {
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
        let [v] = slots_of("Momentum", slots)?;
        let step = MomentumStep {
            lr: u.learning_rate,
            mass: o.mass.0,
            share: 1.0,
            weight_decay_rate: o.weight_decay_rate.0,
            l2: 0.0,
            nesterov: o.nesterov,
        };
        let (w, v) = momentum_update(weight, gradient, v, u.clip, &step)?;
        Ok((w, vec![v]))
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
