//! Learning-rate schedules: functions from the step's number to the learning rate. Source: Trax's `lr_schedules`.
mod decays;
mod schedule;

pub use decays::{Anneal, CosineDecayRestartsOptions, LinearDecayOptions, OneCycleOptions};
pub use schedule::Schedule;

use decays::{CosineDecayRestarts, LinearDecay, OneCycle};
use std::sync::Arc;
use tallow_layers::{
    options,
    options::{Meta, OptionType},
    Count, Error, HostFnRef, HostValue, NotNegative, Positive, Result,
};

/// A shared schedule.
pub type ScheduleRef = Arc<dyn Schedule>;

/// A schedule that is a function of the host language.
#[derive(Debug)]
pub struct HostSchedule(pub HostFnRef);

impl Schedule for HostSchedule {
    fn rate(&self, step: u64) -> Result<f64> {
        let refused = |what: &str, got: String| {
            Error::option(format!("a learning-rate schedule must return {what}, at step {step} it returned {got}"))
        };
        match self.0.call(&[HostValue::Number(step as f64)])? {
            HostValue::Number(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
            HostValue::Number(rate) if rate.is_finite() => Err(refused("a number of at least 0", rate.to_string())),
            HostValue::Number(rate) => Err(refused("a finite number", rate.to_string())),
            other => Err(refused("a finite number", other.what().to_string())),
        }
    }
}

/// A schedule as an option: `{kind, options}` of a registered one, or a function of the host.
#[derive(Debug, Clone)]
pub struct ScheduleArg(pub ScheduleRef);

impl OptionType for ScheduleArg {
    const TS: &'static str = "Schedule | ((step: number) => number)";
    const EXPECTED: &'static str = "a schedule or a function of the step";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Function(f) => Some(Self(Arc::new(HostSchedule(f.clone())))),
            HostValue::Record(_) => construct(v.get("kind")?.text()?, v.get("options")?.clone()).ok().map(Self),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "schedule".into()
    }
}

options! {
    /// Keeps the same learning rate at every step.
    ///
    /// Formula: `rate(t) = value`.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Trainer`.
    /// Example:
    /// ```ts
    /// tl.lrSchedules.constant(0.001)(500); // → 0.001
    /// ```
    pub struct ConstantOptions for "constant" ("value") {
        /// Learning rate.
        value "value": NotNegative,
    }
}
options! {
    /// Raises the learning rate in a straight line from 0, then keeps it constant.
    ///
    /// Formula: `rate(t) = maxValue · min(1, t / (nWarmupSteps + 1))`.
    /// Errors: none.
    /// Source: Trax.
    /// See: `warmupAndRsqrtDecay`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.warmup(999, 0.001);
    /// schedule(500); // → 0.0005
    /// schedule(5000); // → 0.001
    /// ```
    pub struct WarmupOptions for "warmup" ("nWarmupSteps", "maxValue") {
        /// Steps of the rise.
        n_warmup_steps "nWarmupSteps": Count,
        /// Rate afterwards.
        max_value "maxValue": NotNegative,
    }
}
options! {
    /// Raises the learning rate in a straight line from 0, then lets it fall with the root of the step.
    ///
    /// Formula: `rate(t) = maxValue · min(t / s, √(s / t))`, with `s = nWarmupSteps + 1`.
    /// Errors: none.
    /// Source: Trax.
    /// See: `warmup`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.warmupAndRsqrtDecay(999, 0.001);
    /// schedule(500); // → 0.0005
    /// schedule(4000); // → 0.0005
    /// ```
    pub struct WarmupAndRsqrtDecayOptions for "warmupAndRsqrtDecay" ("nWarmupSteps", "maxValue") {
        /// Steps of the rise.
        n_warmup_steps "nWarmupSteps": Count,
        /// Highest rate.
        max_value "maxValue": NotNegative,
    }
}
options! {
    /// Multiplies factors that depend on the step, named in a string.
    ///
    /// Formula: the product of the factors at step `t`, and never less than `minimum`:
    ///
    /// - `constant`: the option `constant`
    /// - `two_constants`: `constant` before step `secondConstantStep`, `secondConstant` from it on
    /// - `linear_warmup`: `min(1, t / warmupSteps)`
    /// - `rsqrt_decay`: `1 / √max(t, warmupSteps)`
    /// - `rsqrt_normalized_decay`: `√(warmupSteps / max(t, warmupSteps))`
    /// - `decay_every`: `decayFactor^⌊t / stepsPerDecay⌋`
    /// - `cosine_decay`: `½ · (1 + cos(π · frac(max(0, (t - warmupSteps) / stepsPerCycle))))`
    ///
    /// Errors:
    /// - `InvalidOption`: a factor has another name, or `warmupSteps` is 0 with `linear_warmup`.
    ///
    /// Source: Trax.
    /// See: `warmupAndRsqrtDecay`.
    /// Example:
    /// ```ts
    /// const schedule = tl.lrSchedules.multifactor({
    ///   factors: 'constant * linear_warmup * cosine_decay',
    ///   constant: 0.001,
    ///   warmupSteps: 1000,
    /// });
    /// schedule(500); // → 0.0005
    /// ```
    pub struct MultifactorOptions for "multifactor" () {
        /// Names of the factors, separated by `*`.
        factors "factors": String = "constant * linear_warmup * rsqrt_decay".to_string(),
        /// Value of `constant`.
        constant "constant": NotNegative = NotNegative(0.1),
        /// Steps of the warm-up.
        warmup_steps "warmupSteps": Count = Count(400),
        /// Factor of each decay.
        decay_factor "decayFactor": NotNegative = NotNegative(0.5),
        /// Steps between decays.
        steps_per_decay "stepsPerDecay": Positive = Positive(20000.0),
        /// Steps of one cosine cycle.
        steps_per_cycle "stepsPerCycle": Positive = Positive(100_000.0),
        /// Second value of `two_constants`.
        second_constant "secondConstant": NotNegative = NotNegative(0.01),
        /// Step at which it begins.
        second_constant_step "secondConstantStep": Count = Count(10000),
        /// Lowest rate.
        minimum "minimum": NotNegative = NotNegative(0.0),
    }
}

/// A linear rise, a level, and optionally a fall with the root of the step.
#[derive(Debug)]
struct Ramp {
    value: f64,
    start: f64,
    falls: bool,
}

impl Schedule for Ramp {
    fn rate(&self, step: u64) -> Result<f64> {
        let t = step as f64;
        Ok(if t < self.start {
            t / self.start * self.value
        } else if self.falls {
            self.value * (self.start.sqrt() / t.sqrt())
        } else {
            self.value
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Factor {
    Constant,
    TwoConstants,
    LinearWarmup,
    RsqrtDecay,
    RsqrtNormalizedDecay,
    DecayEvery,
    CosineDecay,
}

impl Factor {
    const NAMES: [(&'static str, Factor); 7] = [
        ("constant", Factor::Constant),
        ("two_constants", Factor::TwoConstants),
        ("linear_warmup", Factor::LinearWarmup),
        ("rsqrt_decay", Factor::RsqrtDecay),
        ("rsqrt_normalized_decay", Factor::RsqrtNormalizedDecay),
        ("decay_every", Factor::DecayEvery),
        ("cosine_decay", Factor::CosineDecay),
    ];
}

#[derive(Debug)]
struct Multifactor {
    factors: Vec<Factor>,
    o: MultifactorOptions,
}

impl Multifactor {
    fn new(o: MultifactorOptions) -> Result<Self> {
        let factors = o.factors.split('*').map(|name| {
            let name = name.trim();
            Factor::NAMES.iter().find(|(n, _)| *n == name).map(|(_, f)| *f).ok_or_else(|| {
                let known: Vec<_> = Factor::NAMES.iter().map(|(n, _)| *n).collect();
                Error::option(format!(
                    "multifactor: unknown factor \"{name}\" in `factors`; known are {}",
                    known.join(", ")
                ))
            })
        });
        let factors = factors.collect::<Result<Vec<_>>>()?;
        if o.warmup_steps.0 == 0 && factors.iter().any(|f| matches!(f, Factor::LinearWarmup)) {
            return Err(Error::option("multifactor: `warmupSteps` must be at least 1 with linear_warmup, got 0"));
        }
        Ok(Self { factors, o })
    }
}

impl Schedule for Multifactor {
    fn rate(&self, step: u64) -> Result<f64> {
        let (t, o) = (step as f64, &self.o);
        let warmup = o.warmup_steps.0 as f64;
        let mut rate = 1.0;
        for factor in &self.factors {
            rate *= match factor {
                Factor::Constant => o.constant.0,
                Factor::TwoConstants if step < o.second_constant_step.0 as u64 => o.constant.0,
                Factor::TwoConstants => o.second_constant.0,
                Factor::LinearWarmup => (t / warmup).min(1.0),
                Factor::RsqrtDecay => 1.0 / t.max(warmup).max(1.0).sqrt(),
                Factor::RsqrtNormalizedDecay => (warmup / t.max(warmup).max(1.0)).sqrt(),
                Factor::DecayEvery => o.decay_factor.0.powf((t / o.steps_per_decay.0).floor()),
                Factor::CosineDecay => {
                    let progress = ((t - warmup) / o.steps_per_cycle.0).max(0.0);
                    0.5 * (1.0 + (std::f64::consts::PI * progress.fract()).cos())
                }
            };
        }
        Ok(rate.max(o.minimum.0))
    }
}

/// One registered schedule.
#[derive(Debug)]
pub struct Entry {
    /// Metadata for the code generator.
    pub meta: fn() -> Meta,
    /// Builds it from options.
    pub build: fn(&HostValue) -> Result<ScheduleRef>,
}

/// All schedules.
pub const SCHEDULES: &[Entry] = &[
    Entry {
        meta: ConstantOptions::meta,
        build: |v| Ok(Arc::new(Ramp { value: ConstantOptions::parse(v)?.value.0, start: 0.0, falls: false })),
    },
    Entry {
        meta: WarmupOptions::meta,
        build: |v| {
            let o = WarmupOptions::parse(v)?;
            Ok(Arc::new(Ramp { value: o.max_value.0, start: o.n_warmup_steps.0 as f64 + 1.0, falls: false }))
        },
    },
    Entry {
        meta: WarmupAndRsqrtDecayOptions::meta,
        build: |v| {
            let o = WarmupAndRsqrtDecayOptions::parse(v)?;
            Ok(Arc::new(Ramp { value: o.max_value.0, start: o.n_warmup_steps.0 as f64 + 1.0, falls: true }))
        },
    },
    Entry { meta: MultifactorOptions::meta, build: |v| Ok(Arc::new(Multifactor::new(MultifactorOptions::parse(v)?)?)) },
    Entry { meta: LinearDecayOptions::meta, build: |v| Ok(Arc::new(LinearDecay(LinearDecayOptions::parse(v)?))) },
    Entry {
        meta: CosineDecayRestartsOptions::meta,
        build: |v| Ok(Arc::new(CosineDecayRestarts::new(CosineDecayRestartsOptions::parse(v)?)?)),
    },
    Entry { meta: OneCycleOptions::meta, build: |v| Ok(Arc::new(OneCycle(OneCycleOptions::parse(v)?))) },
];

/// A new schedule of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn construct(kind: &str, options: impl Into<HostValue>) -> Result<ScheduleRef> {
    let entry = SCHEDULES
        .iter()
        .find(|e| (e.meta)().kind == kind)
        .ok_or_else(|| Error::option(format!("there is no schedule named {kind}")))?;
    (entry.build)(&options.into())
}
