//! Schedules that Trax has not: decay in a straight line, cosine with restarts, one cycle.
use super::schedule::Schedule;
use std::f64::consts::PI;
use tallow_layers::{choice, options, Count, Dim, Error, Fraction, NotNegative, Positive, Result};

options! {
    /// Lowers the learning rate in a straight line, after a rise if there is one, then keeps it constant.
    ///
    /// Formula: with `w = nWarmupSteps` and `p = min(1, (t - w) / nDecaySteps)`,
    /// `rate(t) = maxValue · t / w` before step `w`, and `rate(t) = maxValue + (endValue - maxValue) · p` from it on.
    /// Errors:
    /// - `InvalidOption`: an option is outside its bounds.
    ///
    /// Source: the schedule of BERT, Devlin et al. 2019, arXiv:1810.04805.
    /// See: `warmup`, `cosineDecayRestarts`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.linearDecay(0.5, 100, { nWarmupSteps: 10 });
    /// schedule(5); // → 0.25
    /// schedule(60); // → 0.25
    /// schedule(1000); // → 0
    /// ```
    pub struct LinearDecayOptions for "linearDecay" ("maxValue", "nDecaySteps") {
        /// Highest rate.
        max_value "maxValue": NotNegative,
        /// Steps of the fall.
        n_decay_steps "nDecaySteps": Dim,
        /// Rate afterwards.
        end_value "endValue": NotNegative = NotNegative(0.0),
        /// Steps of the rise.
        n_warmup_steps "nWarmupSteps": Count = Count(0),
    }
}

/// See [`LinearDecayOptions`].
#[derive(Debug)]
pub(super) struct LinearDecay(pub(super) LinearDecayOptions);

impl Schedule for LinearDecay {
    fn rate(&self, step: u64) -> Result<f64> {
        let o = &self.0;
        let (t, w) = (step as f64, o.n_warmup_steps.0 as f64);
        if t < w {
            return Ok(o.max_value.0 * t / w);
        }
        let p = ((t - w) / o.n_decay_steps.0 as f64).min(1.0);
        Ok(o.max_value.0 + (o.end_value.0 - o.max_value.0) * p)
    }
}

options! {
    /// Lowers the learning rate by half a cosine, and begins anew from the top, each time for longer.
    ///
    /// Formula: in period `i = 0, 1, …` of `nDecaySteps · tMul^i` steps, of which the part `p` has passed,
    /// `rate(t) = maxValue · ((1 - alpha) · mMul^i · ½ · (1 + cos(π · p)) + alpha)`.
    /// Errors:
    /// - `InvalidOption`: an option is outside its bounds, or `tMul` is below 1.
    ///
    /// Source: Loshchilov & Hutter 2017, arXiv:1608.03983; options as in Keras' `CosineDecayRestarts`.
    /// See: `oneCycle`, `multifactor`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.cosineDecayRestarts(0.5, 100);
    /// schedule(50); // → 0.25
    /// schedule(100); // → 0.5
    /// ```
    pub struct CosineDecayRestartsOptions for "cosineDecayRestarts" ("maxValue", "nDecaySteps") {
        /// Highest rate.
        max_value "maxValue": NotNegative,
        /// Steps of the first period.
        n_decay_steps "nDecaySteps": Dim,
        /// Factor of the length of each period over the one before; at least 1.
        t_mul "tMul": Positive = Positive(2.0),
        /// Factor of the height of each period over the one before.
        m_mul "mMul": NotNegative = NotNegative(1.0),
        /// Lowest rate, as a part of `maxValue`.
        alpha "alpha": Fraction = Fraction(0.0),
    }
}

/// See [`CosineDecayRestartsOptions`].
#[derive(Debug)]
pub(super) struct CosineDecayRestarts(CosineDecayRestartsOptions);

impl CosineDecayRestarts {
    pub(super) fn new(o: CosineDecayRestartsOptions) -> Result<Self> {
        if o.t_mul.0 < 1.0 {
            let what = format!("cosineDecayRestarts: `tMul` must be a number of at least 1, got {}", o.t_mul.0);
            return Err(Error::option(what));
        }
        Ok(Self(o))
    }
}

impl Schedule for CosineDecayRestarts {
    fn rate(&self, step: u64) -> Result<f64> {
        let o = &self.0;
        let periods = step as f64 / o.n_decay_steps.0 as f64;
        let by = o.t_mul.0;
        let (period, passed) = if by == 1.0 {
            (periods.floor(), periods.fract())
        } else {
            // The start of period `i`, in lengths of the first one.
            let start = |i: f64| (by.powf(i) - 1.0) / (by - 1.0);
            let mut i = ((periods * (by - 1.0) + 1.0).ln() / by.ln()).floor().max(0.0);
            // The logarithm may be a little off at the start of a period.
            if periods >= start(i + 1.0) {
                i += 1.0;
            } else if periods < start(i) {
                i -= 1.0;
            }
            (i, (periods - start(i)) / by.powf(i))
        };
        let height = o.m_mul.0.powf(period) * 0.5 * (1.0 + (PI * passed).cos());
        Ok(o.max_value.0 * ((1.0 - o.alpha.0) * height + o.alpha.0))
    }
}

choice! {
    /// How the learning rate goes from one value to another.
    pub enum Anneal: "'cos' | 'linear'", "'cos' or 'linear'" {
        /// By half a cosine.
        Cos = "cos",
        /// In a straight line.
        Linear = "linear",
    }
}

options! {
    /// Raises the learning rate to its highest value, then lowers it to far below where it began.
    ///
    /// Formula: with `a = maxValue / divFactor`, the rate goes from `a` to `maxValue` up to step `pctStart · nSteps - 1`, and to
    /// `a / finalDivFactor` up to step `nSteps - 1`, where it stays. It goes from `x` to `y` as
    /// `y + (x - y) · ½ · (1 + cos(π · p))` with the part `p` of the way, or in a straight line.
    /// Errors:
    /// - `InvalidOption`: an option is outside its bounds.
    ///
    /// Source: Smith & Topin 2017, arXiv:1708.07120; options as in PyTorch's `OneCycleLR`.
    /// See: `cosineDecayRestarts`, `linearDecay`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.oneCycle(0.5, 101, { pctStart: 0.5, annealStrategy: 'linear', divFactor: 5 });
    /// schedule(0); // → 0.1
    /// ```
    pub struct OneCycleOptions for "oneCycle" ("maxValue", "nSteps") {
        /// Highest rate.
        max_value "maxValue": NotNegative,
        /// Steps of the cycle.
        n_steps "nSteps": Dim,
        /// The part of the steps in which the rate rises.
        pct_start "pctStart": Fraction = Fraction(0.3),
        /// The highest rate over the first.
        div_factor "divFactor": Positive = Positive(25.0),
        /// The first rate over the last.
        final_div_factor "finalDivFactor": Positive = Positive(10_000.0),
        /// How the rate goes from one value to another.
        anneal_strategy "annealStrategy": Anneal = Anneal::Cos,
    }
}

/// See [`OneCycleOptions`].
#[derive(Debug)]
pub(super) struct OneCycle(pub(super) OneCycleOptions);

impl Schedule for OneCycle {
    fn rate(&self, step: u64) -> Result<f64> {
        let o = &self.0;
        let first = o.max_value.0 / o.div_factor.0;
        let last = first / o.final_div_factor.0;
        let end = o.n_steps.0 as f64 - 1.0;
        let top = o.pct_start.0 * o.n_steps.0 as f64 - 1.0;
        let t = (step as f64).min(end);
        let (from, to, passed) = if t < top {
            (first, o.max_value.0, t / top)
        } else if end > top.max(0.0) {
            (o.max_value.0, last, (t - top.max(0.0)) / (end - top.max(0.0)))
        } else {
            (o.max_value.0, last, 0.0)
        };
        Ok(match o.anneal_strategy {
            Anneal::Cos => to + (from - to) * 0.5 * (1.0 + (PI * passed).cos()),
            Anneal::Linear => from + (to - from) * passed,
        })
    }
}
