//! Muon: steps that are orthogonal matrices.
use super::{
    adam::AdamRule,
    clipping::ClippingOptions,
    optimizer::{slots_of, wide, wide_bytes, zeros, Optimizer, Update},
};
use tallow_layers::{choice, options, Dim, NotNegative, Positive, Rate, Result};
use tallow_tensor::{
    ops::{momentum_update, orthogonalize, sgd_update, Clip, MomentumStep, SgdStep},
    Tensor,
};

/// Coefficients of the Newton–Schulz iteration.
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

choice! {
    /// How the step of a matrix grows with its shape.
    pub enum AdjustLr: "'original' | 'match_rms_adamw'", "'original' or 'match_rms_adamw'" {
        /// By `√max(1, rows / columns)`.
        Original = "original",
        /// By `0.2 √max(rows, columns)`, so that steps are as long as those of AdamW.
        MatchRmsAdamw = "match_rms_adamw",
    }
}

options! {
    /// Moves each matrix by the orthogonal matrix nearest to its gradient's running mean.
    ///
    /// Weights of more than two axes are matrices of their last one. Those of fewer are moved as `AdamW` moves them. So should embeddings and
    /// the last layer be: name them in a group of their own.
    ///
    /// Formula: with the gradient `g`, `m = momentum · m + (1 - momentum) · g`, and `d = momentum · m + (1 - momentum) · g` if
    /// `nesterov`, else `m`. `x = d / max(‖d‖, eps)`, then `nsSteps` times
    /// `x = 3.4445 · x - 4.7750 · (x · xᵀ) · x + 2.0315 · (x · xᵀ)² · x`. Last
    /// `w = (1 - learningRate · weightDecay) · w - learningRate · s · x`, with the factor `s` of `adjustLrFn`.
    /// State: `[m]` for each matrix, `[m, v]` for other weights. They start as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Jordan et al. 2024, github.com/KellerJordan/Muon; options as in PyTorch's `Muon`.
    /// See: `AdamW`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.Muon({ learningRate: 0.01 }));
    /// for (let step = 0; step < 400; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct MuonOptions for "Muon" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.001),
        /// Fraction of each weight taken off at every step, times the learning rate.
        weight_decay "weightDecay": NotNegative = NotNegative(0.1),
        /// Decay rate of the running mean.
        momentum "momentum": Rate = Rate(0.95),
        /// Whether the gradient is added to what the mean becomes next.
        nesterov "nesterov": bool = true,
        /// Newton–Schulz iterations at each step.
        ns_steps "nsSteps": Dim = Dim(5),
        /// Least norm that a step is divided by.
        eps "eps": Positive = Positive(1e-7),
        /// How a step grows with the shape: `original` by `√max(1, rows / columns)`, `match_rms_adamw` by `0.2 · √max(rows, columns)`.
        adjust_lr_fn "adjustLrFn": AdjustLr = AdjustLr::Original,
        /// Learning rate of weights that are no matrices, over that of the matrices.
        adamw_rate "adamwRate": NotNegative = NotNegative(1.0),
        /// Decay rates of their running mean.
        b1 "b1": Rate = Rate(0.9),
        /// Decay rates of their running mean square.
        b2 "b2": Rate = Rate(0.95),
    }
}

/// See [`MuonOptions`].
#[derive(Debug, Clone)]
pub struct Muon(pub MuonOptions);

/// Rows and columns of weights seen as a matrix.
fn matrix(shape: &[usize]) -> (usize, usize) {
    let cols = shape.last().copied().unwrap_or(1);
    (shape[..shape.len().saturating_sub(1)].iter().product(), cols)
}

impl Muon {
    /// What is made orthogonal, and the new running mean.
    fn direction(&self, gradient: &Tensor, m: Tensor, clip: Clip) -> Result<(Tensor, Tensor)> {
        let o = &self.0;
        let mass = o.momentum.0;
        // A step of momentum from zero, upward by a rate of 1: the direction itself, in the type it is computed in.
        let step =
            MomentumStep { lr: -1.0, mass, share: 1.0 - mass, weight_decay_rate: 0.0, l2: 0.0, nesterov: o.nesterov };
        let zero = Tensor::zeros(gradient.shape(), wide(gradient.dtype()), gradient.device())?;
        Ok(momentum_update(zero, gradient, m, clip, &step)?)
    }
}

impl Optimizer for Muon {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        (0..if weight.rank() < 2 { 2 } else { 1 }).map(|_| zeros(weight)).collect()
    }
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let o = &self.0;
        let lr = u.learning_rate;
        if weight.rank() < 2 {
            let learning_rate = lr * o.adamw_rate.0;
            let rule = AdamRule { b1: o.b1, b2: o.b2, eps: 1e-8, weight_decay_rate: learning_rate * o.weight_decay.0 };
            return rule.update("Muon", weight, gradient, slots, &Update { learning_rate, ..*u });
        }
        let [m] = slots_of("Muon", slots)?;
        let (rows, cols) = matrix(weight.shape());
        let (d, m) = self.direction(gradient, m, u.clip)?;
        let x = orthogonalize(&d.reshape(&[rows, cols])?, COEFFICIENTS, o.eps.0, o.ns_steps.0)?;
        let (rows, cols) = (rows as f64, cols as f64);
        let factor = match o.adjust_lr_fn {
            AdjustLr::Original => (rows / cols).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamw => 0.2 * rows.max(cols).sqrt(),
        };
        let step = SgdStep { lr: lr * factor, weight_decay_rate: lr * o.weight_decay.0, l2: 0.0 };
        let x = x.reshape(weight.shape())?;
        Ok((sgd_update(weight, &x, Clip::NONE, &step)?, vec![m]))
    }
    fn scratch(&self, weight: &Tensor) -> usize {
        // The mean, what is made orthogonal, and what an iteration makes; a square is no larger than its matrix.
        wide_bytes(weight, 8)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
