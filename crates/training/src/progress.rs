//! What a loop reports on its way.
use crate::StepReport;

/// What a loop reports on its way.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Number of the step just done.
    pub step: u64,
    /// Steps done in this run.
    pub done: u64,
    /// What the step measured.
    pub report: StepReport,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Seconds since the run began.
    pub seconds: f64,
    /// Elements of the first tensor of all batches so far: tokens, for sequences.
    pub items: u64,
}
