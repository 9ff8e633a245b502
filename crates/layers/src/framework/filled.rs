//! Tensors of state of which nothing is held but what was written.
use crate::{Result, TensorSpec};
use tallow_tensor::Tensor;

/// The places of a tensor along one axis that were written, in order; where Trax's nesting is asked for, zeros stand behind them, as many as there
/// is room for.
///
/// It is replaced, never changed, so that clones share what they hold.
#[derive(Debug, Clone)]
pub struct Filled {
    held: Tensor,
    axis: usize,
    room: usize,
    /// Whether Trax has the axis and the one before it as one.
    joined: bool,
}

impl PartialEq for Filled {
    /// Whether it is the other with its very tensor.
    fn eq(&self, other: &Self) -> bool {
        self.held.is_same(&other.held) && (self.axis, self.room, self.joined) == (other.axis, other.room, other.joined)
    }
}

impl Filled {
    /// What is held of a tensor that has room for so many places along an axis.
    pub(crate) fn new(held: Tensor, axis: usize, room: usize) -> Self {
        Self { held, axis, room, joined: false }
    }
    /// The same, shown with the axis and the one before it as one.
    pub(crate) fn joined(self) -> Self {
        Self { joined: true, ..self }
    }
    /// The places that were written.
    pub(crate) fn held(&self) -> &Tensor {
        &self.held
    }
    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.held.size() * self.held.dtype().size()
    }
    /// The shape with room for all places, the axes apart.
    fn whole(&self) -> Vec<usize> {
        let mut shape = self.held.shape().to_vec();
        shape[self.axis] = self.room;
        shape
    }
    /// The signature of [`Filled::shown`].
    pub(crate) fn spec(&self) -> TensorSpec {
        let mut shape = self.whole();
        if self.joined {
            let places = shape.remove(self.axis);
            shape[self.axis - 1] = shape[self.axis - 1].saturating_mul(places);
        }
        TensorSpec::new(shape, self.held.dtype())
    }
    /// As Trax has it: zeros behind what was written. Where that is nothing, they take no memory, however much room there is.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn shown(&self) -> Result<Tensor> {
        let TensorSpec { shape, dtype } = self.spec();
        let written = self.held.shape()[self.axis];
        if written == 0 {
            return Ok(Tensor::zeros(&vec![1; shape.len()], dtype, self.held.device())?.broadcast_to(&shape)?);
        }
        let mut rest = self.whole();
        rest[self.axis] = self.room.saturating_sub(written);
        let rest = Tensor::zeros(&rest, dtype, self.held.device())?;
        Ok(Tensor::concat(&[self.held.clone(), rest], self.axis as isize)?.reshape(&shape)?)
    }
}
