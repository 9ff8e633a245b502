//! Options of what stands around the step, which is written in TypeScript (`src/training`): tasks, the loop, its callbacks.
//!
//! What is declared here is checked and refused as the options of layers are. TypeScript asks once and gets all of them, with those filled in that
//! were left out: see [`loop_options`].
use tallow_layers::{
    choice,
    models::{Filled, Value},
    options,
    options::OptionType,
    Count, Dim, Error, HostValue, NotNegative, Positive, Result,
};

choice! {
    /// Which values of a metric are better.
    pub enum Objective: "'min' | 'max'", "'min' or 'max'" {
        /// Lower ones, as of a loss.
        Min = "min",
        /// Higher ones, as of an accuracy.
        Max = "max",
    }
}

impl Value for Objective {
    fn value(&self) -> HostValue {
        HostValue::Text(self.show().trim_matches('\'').into())
    }
}

/// Declares options as [`options!`] does, and what all of them are once they are filled in.
macro_rules! filled_options {
    ($(#[doc = $doc:literal])* pub struct $S:ident for $kind:literal {
        $( $(#[doc = $fd:literal])* $n:ident $j:literal : $t:ty $(= $d:expr)? ),* $(,)?
    }) => {
        options! {
            $(#[doc = $doc])*
            pub struct $S for $kind () { $( $(#[doc = $fd])* $n $j : $t $(= $d)? ),* }
        }
        impl $S {
            const KIND: &'static str = $kind;
            fn filled(v: &HostValue) -> Result<Filled> {
                let o = Self::parse(v)?;
                Ok(vec![ $( ($j, o.$n.value()) ),* ])
            }
        }
    };
}

filled_options! {
    /// A task to train on.
    pub struct TrainTaskOptions for "TrainTask" {
        /// Steps between two checkpoints; `null`: none.
        n_steps_per_checkpoint "nStepsPerCheckpoint": Option<Dim> = Some(Dim(100)),
        /// Steps between two checkpoints that stay; `null`: none.
        n_steps_per_permanent_checkpoint "nStepsPerPermanentCheckpoint": Option<Dim> = None,
        /// Name of the loss; `null`: that of its layer.
        loss_name "lossName": Option<String> = None,
        /// Name of the task before those of its metrics, where there are several.
        export_prefix "exportPrefix": Option<String> = None,
    }
}
filled_options! {
    /// A task to evaluate on.
    pub struct EvalTaskOptions for "EvalTask" {
        /// Batches of an evaluation.
        n_eval_batches "nEvalBatches": Dim = Dim(1),
        /// Name of the task before those of its metrics.
        export_prefix "exportPrefix": Option<String> = None,
    }
}
filled_options! {
    /// A loop.
    pub struct TrainingLoopOptions for "Loop" {
        /// Folder of checkpoints; `null`: none are written.
        output_dir "outputDir": Option<String> = None,
        /// Metric whose lowest value is saved apart.
        checkpoint_low_metric "checkpointLowMetric": Option<String> = None,
        /// Metric whose highest value is saved apart.
        checkpoint_high_metric "checkpointHighMetric": Option<String> = None,
        /// Whether one step and one batch of each evaluation are all, without files.
        fast_dev_run "fastDevRun": bool = false,
        /// Batches to take again and again.
        overfit_batches "overfitBatches": Option<Dim> = None,
    }
}
filled_options! {
    /// A run of a loop.
    pub struct RunOptions for "Loop.run" {
        /// Steps to do.
        n_steps "nSteps": Option<Count> = None,
        /// Number of steps that are done when it ends.
        until "until": Option<Count> = None,
    }
}
filled_options! {
    /// Stops when a metric no longer gets better.
    pub struct EarlyStoppingOptions for "EarlyStopping" {
        /// Name of the metric.
        metric "metric": String,
        /// Evaluations without a better value before it stops.
        patience "patience": Dim = Dim(3),
        /// By how much a value must be better to count.
        min_delta "minDelta": NotNegative = NotNegative(0.0),
        /// Which values are better.
        mode "mode": Objective = Objective::Min,
    }
}
filled_options! {
    /// Keeps the checkpoint with the best value of a metric.
    pub struct BestCheckpointOptions for "BestCheckpoint" {
        /// Name of the metric.
        metric "metric": String,
        /// Which values are better.
        mode "mode": Objective = Objective::Min,
        /// Name of the file.
        name "name": String = "best".to_owned(),
    }
}
filled_options! {
    /// Keeps the last checkpoints.
    pub struct LastCheckpointsOptions for "LastCheckpoints" {
        /// How many.
        count "count": Dim = Dim(3),
        /// Steps between two of them; `null`: one whenever the loop saves.
        n_steps "nSteps": Option<Dim> = None,
    }
}
filled_options! {
    /// Looks for a learning rate.
    pub struct LearningRateFinderOptions for "LearningRateFinder" {
        /// Rate of the first step.
        min_rate "minRate": Positive = Positive(1e-6),
        /// Rate of the last step.
        max_rate "maxRate": Positive = Positive(1.0),
        /// Steps of the sweep.
        n_steps "nSteps": Dim = Dim(100),
        /// How many times the lowest loss a loss must be for the sweep to end there.
        diverged "diverged": Positive = Positive(4.0),
    }
}
filled_options! {
    /// Stops at a time.
    pub struct StopAtOptions for "StopAt" {
        /// Seconds after the run began.
        seconds "seconds": Option<NotNegative> = None,
    }
}
filled_options! {
    /// Shows how far a run is.
    pub struct ProgressOptions for "Progress" {
        /// Least milliseconds between two times that it shows something.
        every_ms "everyMs": NotNegative = NotNegative(100.0),
    }
}

/// All options of a task, a loop or a callback, checked, with those filled in that were left out.
///
/// # Errors
/// `InvalidOption` for an unknown kind, an unknown option or one outside its domain.
pub fn loop_options(kind: &str, options: &HostValue) -> Result<Filled> {
    macro_rules! find {
        ($($S:ident),* $(,)?) => {
            match kind {
                $( $S::KIND => $S::filled(options), )*
                _ => Err(Error::option(format!("`{kind}` has no options that are known"))),
            }
        };
    }
    find!(
        TrainTaskOptions,
        EvalTaskOptions,
        TrainingLoopOptions,
        RunOptions,
        EarlyStoppingOptions,
        BestCheckpointOptions,
        LastCheckpointsOptions,
        LearningRateFinderOptions,
        StopAtOptions,
        ProgressOptions,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_filled_in_and_what_is_wrong_is_refused() {
        let given = HostValue::from([("patience", HostValue::Number(7.0)), ("metric", HostValue::Text("loss".into()))]);
        let all = loop_options("EarlyStopping", &given).unwrap();
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["metric", "patience", "minDelta", "mode"]);
        assert_eq!((all[1].1.number(), all[3].1.text()), (Some(7.0), Some("min")));
        let refused = |kind: &str, v: HostValue| loop_options(kind, &v).unwrap_err().to_string();
        let wrong = refused("EvalTask", HostValue::from([("nEvalBatches", HostValue::Number(0.0))]));
        assert!(wrong.contains("EvalTask: `nEvalBatches` must be a whole number of at least 1, got 0"), "{wrong}");
        assert!(refused("Nothing", given).contains("`Nothing` has no options"));
    }
}
