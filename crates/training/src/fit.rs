//! The training loop: batches in, steps, progress out, until the steps are done.
use crate::{
    event_file::EventFile,
    progress::Progress,
    schedules::{ScheduleArg, ScheduleRef},
    Result, Trainer,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tallow_layers::{options, Count, ErrorKind, KeyArg, NotNegative};
use tallow_tensor::{cancel, random::Key, Tensor};

options! {
    /// One training step.
    pub struct StepOptions for "Trainer.oneStep" () {
        /// Number of the step.
        step "step": Count = Count(0),
        /// Learning rate; `null`: the optimizer's.
        learning_rate "learningRate": Option<NotNegative> = None,
    }
}

options! {
    /// A training loop.
    pub struct LoopOptions for "Trainer.fit" () {
        /// Steps to run; the loop also ends when the batches do.
        steps "steps": Count,
        /// Key of the run; each step uses it folded in with the step's number.
        rng "rng": KeyArg,
        /// Number of the first step.
        first_step "firstStep": Count = Count(0),
        /// Learning rate of each step; `null`: the optimizer's.
        schedule "schedule": Option<ScheduleArg> = None,
        /// Least milliseconds between two progress reports.
        report_every_ms "reportEveryMs": NotNegative = NotNegative(0.0),
        /// Folder to write an event file for TensorBoard into, at each report.
        output_dir "outputDir": Option<String> = None,
    }
}

impl LoopOptions {
    /// How the loop runs.
    pub fn fit(self) -> FitOptions {
        FitOptions {
            steps: self.steps.0 as u64,
            first_step: self.first_step.0 as u64,
            schedule: self.schedule.map(|s| s.0),
            key: self.rng.0,
            report_every: Duration::from_secs_f64(self.report_every_ms.0.clamp(0.0, 1e9) / 1000.0),
            output_dir: self.output_dir.map(PathBuf::from),
        }
    }
}

options! {
    /// A checkpoint of a trainer that is read.
    pub struct TrainerLoadOptions for "Trainer.load" () {
        /// Whether the file must have the slots of all weights that are trained, and of no others.
        strict "strict": bool = true,
    }
}

options! {
    /// A checkpoint of a trainer.
    pub struct SaveOptions for "Trainer.save" () {
        /// Number of the next step, which `Trainer.load` returns; without it 0, or within a loop that of the loop.
        step "step": Option<Count> = None,
    }
}

/// Where batches come from.
pub trait Batches {
    /// The next batch; `None` when there are no more.
    ///
    /// # Errors
    /// Those of the source.
    fn next(&mut self) -> Result<Option<Vec<Tensor>>>;
    /// As [`Batches::next`]; calls `idle` now and then while it waits.
    ///
    /// # Errors
    /// Those of the source, and of `idle`.
    fn next_with(&mut self, idle: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Tensor>>> {
        let _ = idle;
        self.next()
    }
    /// Whether there are no more batches since their source failed, which is told elsewhere: those of a step that it left incomplete are not used.
    fn failed(&self) -> bool {
        false
    }
}

/// What happens between two steps of a loop.
pub trait Between {
    /// A step was made.
    ///
    /// # Errors
    /// One that ends the loop.
    fn progress(&mut self, p: &Progress) -> Result<()>;
    /// Weights, state and slots are those after the step before `next`. `update`: they are about to change.
    ///
    /// # Errors
    /// One that ends the loop.
    fn pause(&mut self, trainer: &Trainer, next: u64, update: bool) -> Result<()>;
}

/// Only progress, told to a function.
struct Told<'a>(&'a mut dyn FnMut(&Progress) -> Result<()>);

impl Between for Told<'_> {
    fn progress(&mut self, p: &Progress) -> Result<()> {
        (self.0)(p)
    }
    fn pause(&mut self, _: &Trainer, _: u64, _: bool) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut() -> Result<Option<Vec<Tensor>>>> Batches for F {
    fn next(&mut self) -> Result<Option<Vec<Tensor>>> {
        self()
    }
}

/// How a loop runs.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Steps to run.
    pub steps: u64,
    /// Number of the first step (after a checkpoint).
    pub first_step: u64,
    /// Learning rate of each step; `None`: the optimizer's.
    pub schedule: Option<ScheduleRef>,
    /// Step `i` uses the key folded in with `i`, so a run that resumes draws as one that never stopped.
    pub key: Key,
    /// Least time between two progress reports.
    pub report_every: Duration,
    /// Folder to write an event file for TensorBoard into, at each report; it is made if it is missing.
    pub output_dir: Option<PathBuf>,
}

/// How a loop ended.
#[derive(Debug, Clone)]
pub struct FitReport {
    /// Steps done.
    pub steps: u64,
    /// Loss of every step.
    pub losses: Vec<f64>,
    /// Seconds it took.
    pub seconds: f64,
}

/// Trains until `steps` are done or the batches end; a step takes as many batches as the trainer says. Weights of every finished step are kept, also where the job is cancelled
/// ([`tallow_tensor::cancel`]).
///
/// # Errors
/// `Io` before the first step when `output_dir` cannot be written to; then the first error of a batch, schedule, step, progress
/// callback or of writing events; finished steps stay.
pub fn fit(
    trainer: &mut Trainer,
    batches: &mut dyn Batches,
    o: &FitOptions,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<FitReport> {
    fit_with(trainer, batches, o, &mut Told(progress))
}

/// As [`fit`], with what happens between two steps.
///
/// # Errors
/// Those of [`fit`] and of `between`.
pub fn fit_with(
    trainer: &mut Trainer,
    batches: &mut dyn Batches,
    o: &FitOptions,
    between: &mut dyn Between,
) -> Result<FitReport> {
    let start = Instant::now();
    let mut out = FitReport { steps: 0, losses: Vec::new(), seconds: 0.0 };
    let done = run(trainer, batches, o, between, &mut out);
    out.seconds = start.elapsed().as_secs_f64();
    match done {
        // Another rank was stopped: this one ends as if there were no more to do.
        Err(e) if trainer.shards.are_shared() && e.kind() == ErrorKind::Aborted && cancel::check().is_ok() => Ok(out),
        Err(e) => {
            if !matches!(e.kind(), ErrorKind::Aborted | ErrorKind::RankFailed) {
                trainer.shards.abort(e.message());
            }
            Err(e)
        }
        Ok(()) => Ok(out),
    }
}

/// Makes the steps, each told in `out` once it is made.
fn run(
    trainer: &mut Trainer,
    batches: &mut dyn Batches,
    o: &FitOptions,
    between: &mut dyn Between,
    out: &mut FitReport,
) -> Result<()> {
    let mut events = o.output_dir.as_deref().map(EventFile::create).transpose()?;
    let start = Instant::now();
    let mut reported = start;
    let mut items = 0;
    while out.steps < o.steps {
        let step = o.first_step + out.steps;
        let key = o.key.fold_in(step as u32);
        let mut gathered = None;
        let mut rate = 0.0;
        for i in 0..trainer.accumulate() {
            let batch = batches.next_with(&mut || between.pause(trainer, step, false));
            let Some(batch) = trainer.shards.told(batch)? else {
                if batches.failed() {
                    gathered = None;
                }
                break;
            };
            items += batch.first().map_or(0, |t| t.size() as u64);
            if i == 0 {
                rate = trainer.rate(step, o.schedule.as_ref().map(|s| s.rate(step)).transpose()?)?;
            }
            gathered = Some(trainer.gather(batch, key, step, gathered)?);
        }
        // The last step is made with the batches that there are, if they ended as they should.
        let Some(gathered) = gathered else {
            if batches.failed() {
                trainer.shards.abort("its batches cannot be read any further");
                return Ok(());
            }
            trainer.shards.end()?;
            break;
        };
        let mut pause = |trainer: &Trainer| between.pause(trainer, step, true);
        let report = trainer.finish(gathered, step, rate, &mut pause)?;
        out.steps += 1;
        out.losses.push(report.loss);
        let last = out.steps == o.steps;
        if last || out.steps == 1 || reported.elapsed() >= o.report_every {
            reported = Instant::now();
            let seconds = start.elapsed().as_secs_f64();
            let now = Progress { step, done: out.steps, report, learning_rate: rate, seconds, items };
            if let Some(events) = &mut events {
                events.report(&now, trainer.model_with_loss())?;
            }
            between.progress(&now)?;
        }
    }
    Ok(())
}
