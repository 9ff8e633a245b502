//! RMSProp.
use super::{
    clipping::ClippingOptions,
    optimizer::{slots_of, Optimizer, Update},
};
use tallow_layers::{options, Fraction, NotNegative, Positive, Result};
use tallow_tensor::{
    ops::{rms_prop_update, RmsPropStep},
    Tensor,
};

options! {
    /// Moves each weight by its gradient over the root of the gradient's running mean square.
    ///
    /// Formula: with the gradient `g`, `v = gamma · v + (1 - gamma) · g²` and `w = w - learningRate · g / (√v + eps)`.
    /// State: `[v]` for each weight, of its shape. It starts as ones.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax; Tieleman & Hinton 2012.
    /// See: `Adam`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.RMSProp({ learningRate: 0.01 }));
    /// for (let step = 0; step < 400; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct RMSPropOptions for "RMSProp" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.001),
        /// Decay rate of the running mean square.
        gamma "gamma": Fraction = Fraction(0.9),
        /// Keeps the divisor away from zero.
        eps "eps": Positive = Positive(1e-8),
    }
}

/// See [`RMSPropOptions`].
#[derive(Debug, Clone)]
pub struct RMSProp(pub RMSPropOptions);

impl Optimizer for RMSProp {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![Tensor::ones(weight.shape(), weight.dtype(), weight.device())?])
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let o = &self.0;
        let [v] = slots_of("RMSProp", slots)?;
        let step = RmsPropStep { lr: u.learning_rate, gamma: o.gamma.0, eps: o.eps.0 };
        let (w, v) = rms_prop_update(weight, gradient, v, u.clip, &step)?;
        Ok((w, vec![v]))
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
