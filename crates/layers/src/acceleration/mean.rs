//! The mean over devices.
use crate::Result;
use tallow_tensor::{Axes, Tensor};

/// The mean over all axes, or one.
///
/// # Errors
/// `InvalidArgument` for an axis that `x` has not.
pub fn mean_or_pmean(x: &Tensor, axis: Option<isize>) -> Result<Tensor> {
    Ok(x.mean(axis.map_or(Axes::All, Axes::from), false)?)
}
