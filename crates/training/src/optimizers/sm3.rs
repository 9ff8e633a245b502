//! SM3.
use super::{
    clipping::ClippingOptions,
    optimizer::{wide_bytes, zeros, Optimizer, Update},
};
use tallow_layers::{choice, options, Fraction, NotNegative, Rate, Result};
use tallow_tensor::{
    ops::{sm3_update, MomentumStep, Sm3Moments, Sm3Step},
    Tensor,
};

choice! {
    /// How SM3 puts its steps together.
    pub enum MomentumType: "'EMA' | 'HEAVY_BALL' | 'NESTEROV'", "'EMA', 'HEAVY_BALL' or 'NESTEROV'" {
        /// Their running mean.
        Ema = "EMA",
        /// Their running sum.
        HeavyBall = "HEAVY_BALL",
        /// Their running sum with Nesterov's correction.
        Nesterov = "NESTEROV",
    }
}

options! {
    /// Moves each weight by its gradient over the root of a second moment that is bounded by what is kept for its row and its column.
    ///
    /// A matrix of `n` by `m` weights needs `n + m` numbers of state beside the momentum, where Adam needs `2 · n · m`.
    ///
    /// Formula: with the gradient `g`, `a = min(r, c) + g²` for each weight of bounds `r` and `c`. Then `r` and `c` become the largest `a`
    /// of each row and column. With `y = g / √a + weightDecay · w`, `m = momentum · m + (1 - momentum) · y` and
    /// `w = w - learningRate · m`. With `secondMomentAveraging` `b` below 1, `a = b · min(r, c) + (1 - b) · g²`, and the step is as long as
    /// without.
    /// State: the momentum, of the weight's shape; then a bound for each place of each axis; with averaging, a second such list.
    /// They start as zeros.
    /// Errors:
    /// - `InvalidOption`: an option is unknown or outside its bounds.
    ///
    /// Source: Trax; Anil et al. 2019, arXiv:1901.11150.
    /// See: `Adafactor`, `Trainer`.
    /// Example:
    /// ```ts
    /// const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]; // inputs, targets, weights of the items
    /// const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    /// model.init(tl.signature(batch));
    /// const trainer = new tl.Trainer(model, tl.optimizers.SM3({ learningRate: 0.2 }));
    /// for (let step = 0; step < 400; step++) trainer.oneStep(batch, tl.random.key(0), { step });
    /// trainer.oneStep(batch, tl.random.key(0))[0] < 0.001; // → true
    /// ```
    pub struct SM3Options for "SM3" () with (clipping: ClippingOptions) {
        /// Learning rate of steps that state none.
        learning_rate "learningRate": NotNegative = NotNegative(0.01),
        /// Decay rate of the momentum; 0 keeps none.
        momentum "momentum": Rate = Rate(0.9),
        /// Decay rate of second moments; 1 adds them up from the first step on, as AdaGrad does.
        second_moment_averaging "secondMomentAveraging": Fraction = Fraction(1.0),
        /// The part of each weight that is added to its step.
        weight_decay "weightDecay": NotNegative = NotNegative(0.0),
        /// How steps are put together: their running mean, their running sum, or that sum with Nesterov's correction.
        momentum_type "momentumType": MomentumType = MomentumType::Ema,
    }
}

/// See [`SM3Options`].
#[derive(Debug, Clone)]
pub struct SM3(pub SM3Options);

impl SM3 {
    fn has_momentum(&self) -> bool {
        self.0.momentum.0 > 0.0
    }
    fn averages(&self) -> bool {
        self.0.second_moment_averaging.0 != 1.0
    }
}

/// Lengths of the axes that have bounds; a single number has one of length 1.
fn axes(weight: &Tensor) -> &[usize] {
    if weight.rank() == 0 {
        &[1]
    } else {
        weight.shape()
    }
}

impl Optimizer for SM3 {
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        let mut slots = Vec::new();
        if self.has_momentum() {
            slots.push(zeros(weight)?);
        }
        for _ in 0..1 + usize::from(self.averages()) {
            for &n in axes(weight) {
                slots.push(Tensor::zeros(&[n], weight.dtype(), weight.device())?);
            }
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
        let axes = axes(&weight).len();
        let mut slots = slots.into_iter();
        let momentum = if self.has_momentum() { slots.next() } else { None };
        let moments = Sm3Moments { momentum, bounds: slots.by_ref().take(axes).collect(), sums: slots.collect() };
        let mass = o.momentum.0;
        let step = Sm3Step {
            lr: u.learning_rate,
            second_moment_averaging: o.second_moment_averaging.0,
            l2: o.weight_decay.0,
            momentum: self.has_momentum().then_some(MomentumStep {
                lr: u.learning_rate,
                mass,
                share: if o.momentum_type == MomentumType::Ema { 1.0 - mass } else { 1.0 },
                weight_decay_rate: 0.0,
                l2: o.weight_decay.0,
                nesterov: o.momentum_type == MomentumType::Nesterov,
            }),
        };
        let (w, new) = sm3_update(weight, gradient, moments, u.clip, &step)?;
        Ok((w, new.momentum.into_iter().chain(new.bounds).chain(new.sums).collect()))
    }
    fn scratch(&self, weight: &Tensor) -> usize {
        // The clipped gradient, and two steps where moments are averaged.
        wide_bytes(weight, 3)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate.0
    }
    fn clipping(&self) -> &ClippingOptions {
        &self.0.clipping
    }
}
