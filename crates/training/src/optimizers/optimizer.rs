//! What an optimizer is.
use super::clipping::ClippingOptions;
use std::{fmt::Debug, sync::Arc};
use tallow_layers::{Error, ErrorKind, Result};
use tallow_tensor::{ops::Clip, DType, Tensor};

/// What an update of one weight is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The step's number, from 0.
    pub step: u64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// What is done to gradients first.
    pub clip: Clip,
}

/// An optimizer: slots for each weight, and the update of a weight and its slots.
pub trait Optimizer: Debug + Send + Sync {
    /// The slots a weight starts with.
    ///
    /// # Errors
    /// None but of memory.
    fn init(&self, weight: &Tensor) -> Result<Vec<Tensor>>;
    /// The new weight and slots. What is consumed is written in place when nobody else holds it.
    ///
    /// # Errors
    /// Shapes that do not belong together.
    fn update(
        &self,
        weight: Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        u: &Update,
    ) -> Result<(Tensor, Vec<Tensor>)>;
    /// Bytes that an update takes for a while, beside the new weight.
    fn scratch(&self, _weight: &Tensor) -> usize {
        0
    }
    /// Learning rate when a step states none.
    fn learning_rate(&self) -> f64;
    /// How gradients are clipped first.
    fn clipping(&self) -> &ClippingOptions;
}

/// The type that weights of `dtype` are computed in.
pub(crate) fn wide(dtype: DType) -> DType {
    if dtype == DType::F64 {
        dtype
    } else {
        DType::F32
    }
}

/// Bytes of so many tensors of a weight's shape, in the type it is computed in.
pub(super) fn wide_bytes(weight: &Tensor, tensors: usize) -> usize {
    weight.size().saturating_mul(weight.dtype().size().max(4)).saturating_mul(tensors)
}

/// Zeros of a weight's shape.
pub(super) fn zeros(weight: &Tensor) -> Result<Tensor> {
    Ok(Tensor::zeros(weight.shape(), weight.dtype(), weight.device())?)
}

/// The slots of one weight, of which the optimizer keeps `N`.
pub(super) fn slots_of<const N: usize>(optimizer: &str, slots: Vec<Tensor>) -> Result<[Tensor; N]> {
    slots.try_into().map_err(|s: Vec<Tensor>| {
        Error::new(ErrorKind::WeightsMismatch, format!("{optimizer} keeps {N} slots a weight, got {}", s.len()))
    })
}

/// A shared optimizer.
pub type OptimizerRef = Arc<dyn Optimizer>;
