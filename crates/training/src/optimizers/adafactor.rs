//! Adafactor.
use super::{
    clipping::ClippingOptions,
    optimizer::{wide, wide_bytes, Optimizer, Update},
};
use tallow_layers::{options, Count, Fraction, NotNegative, Positive, Result};
use tallow_tensor::{
    ops::{adafactor_slots, adafactor_update, AdafactorStep},
    DType, Tensor,
};

options! {
    /// Moves each weight by its gradient over the root of a mean square that is kept for rows and columns alone.
    ///
    /// A matrix of `n` by `m` weights needs `n + m` numbers of state, where Adam needs `2 · n · m`.
    ///
    /// Formula: at step `t = 0, 1, …`, with the gradient `g` and `d = 1 - (t + 1)^-decayRate`,
    /// `r = d · r + (1 - d) · mean(g², columns)` and `c = d · c + (1 - d) · mean(g², rows)`. With
    /// `y = g · √(mean(r) / (r + epsilon1)) / √(c + epsilon1)` and `s = learningRate · max(rms(w), epsilon2)`,
    /// `w = (1 - weightDecayRate) · w - s · y / max(1, rms(y) / clippingThreshold)`.
    /// State: `[r, c]` for each weight of two axes or more, else `[v]`; then the average of steps, if `doMomentum`.
    /// They start as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax; Shazeer & Stern 2018, arXiv:1804.04235.
    /// See: `SM3`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.Adafactor({ learningRate: 0.01 }));
    /// for (let step = 0; step < 400; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct AdafactorOptions for "Adafactor" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.05),
        /// Whether weights of two axes or more keep one mean square for each row and one for each column, in place of one for each weight.
        factored "factored": bool = true,
        /// Whether the learning rate is a factor of the root mean square of the weights; else it is the size of a step.
        multiply_by_parameter_scale "multiplyByParameterScale": bool = true,
        /// Whether `clippingThreshold` counts.
        do_clipping "doClipping": bool = true,
        /// Whether steps are averaged, with `beta1`.
        do_momentum "doMomentum": bool = false,
        /// Whether the average is kept in bfloat16, which halves its memory.
        momentum_in_bfloat16 "momentumInBfloat16": bool = false,
        /// Decay rate of the average of steps.
        beta1 "beta1": Fraction = Fraction(0.0),
        /// Exponent of the decay of mean squares: at step `t` it is `1 - (t + 1)^-decayRate`.
        decay_rate "decayRate": NotNegative = NotNegative(0.8),
        /// Largest root mean square of a step over the learning rate: a longer step is scaled down.
        clipping_threshold "clippingThreshold": Positive = Positive(1.0),
        /// Fraction of each weight taken off at every step.
        weight_decay_rate "weightDecayRate": Fraction = Fraction(1e-5),
        /// Steps in which the weight decay falls to 0; 0 keeps it.
        weight_decay_n_steps "weightDecayNSteps": Count = Count(0),
        /// Added to mean squares.
        epsilon1 "epsilon1": Positive = Positive(1e-16),
        /// Least root mean square that weights are taken to have.
        epsilon2 "epsilon2": NotNegative = NotNegative(1e-3),
    }
}

/// See [`AdafactorOptions`].
#[derive(Debug, Clone)]
pub struct Adafactor(pub AdafactorOptions);

impl Optimizer for Adafactor {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        let o = &self.0;
        let wide = wide(weight.dtype());
        let mut slots = adafactor_slots(weight.shape(), o.factored)
            .iter()
            .map(|shape| Tensor::zeros(shape, wide, weight.device()))
            .collect::<tallow_tensor::Result<Vec<_>>>()?;
        if o.do_momentum {
            let dtype = if o.momentum_in_bfloat16 { DType::BF16 } else { weight.dtype() };
            slots.push(Tensor::zeros(weight.shape(), dtype, weight.device())?);
        }
        Ok(slots)
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let o = &self.0;
        let decay = match o.weight_decay_n_steps.0 as f64 {
            n if n < 1.0 => o.weight_decay_rate.0,
            n => o.weight_decay_rate.0 * (n - u.step as f64).max(0.0) / n,
        };
        let step = AdafactorStep {
            lr: u.learning_rate,
            factored: o.factored,
            by_weights: o.multiply_by_parameter_scale,
            clipping_threshold: if o.do_clipping { o.clipping_threshold.0 } else { f64::INFINITY },
            momentum: o.do_momentum.then_some(o.beta1.0),
            decay_exponent: o.decay_rate.0,
            weight_decay_rate: decay,
            epsilon1: o.epsilon1.0,
            epsilon2: o.epsilon2.0,
            step: u.step,
        };
        Ok(adafactor_update(weight, gradient, slots, u.clip, &step)?)
    }
    fn scratch(&self, weight: &Tensor) -> usize {
        // The clipped gradient, the step, and a momentum that is widened.
        wide_bytes(weight, 3)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
