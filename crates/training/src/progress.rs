//! What a step measures, and what a loop reports on its way.

/// What a step measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// L2 norm of all gradients, before clipping.
    pub gradients_l2: f64,
    /// L2 norm of all weights, before the update.
    pub weights_l2: f64,
}

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
