//! What a schedule is.
use std::fmt::Debug;
use tallow_layers::Result;

/// A learning rate for each step.
pub trait Schedule: Debug + Send + Sync {
    /// The rate at a step.
    ///
    /// # Errors
    /// Those of a host function.
    fn rate(&self, step: u64) -> Result<f64>;
}
