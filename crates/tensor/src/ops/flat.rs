//! Operations along an axis that, as in NumPy, take the elements in their order where none is given.
use crate::{Result, Tensor};

impl Tensor {
    /// [`Tensor::cumsum`] along `axis`; without one, of all elements in order.
    ///
    /// # Errors
    /// Those of [`Tensor::cumsum`].
    pub fn cumsum_over(&self, axis: Option<isize>) -> Result<Tensor> {
        match axis {
            Some(axis) => self.cumsum(axis),
            None => self.flat()?.cumsum(0),
        }
    }
    /// [`Tensor::roll`] along `axis`; without one, of all elements in order, which keep the shape.
    ///
    /// # Errors
    /// Those of [`Tensor::roll`].
    pub fn roll_over(&self, shift: isize, axis: Option<isize>) -> Result<Tensor> {
        match axis {
            Some(axis) => self.roll(shift, axis),
            None => self.flat()?.roll(shift, 0)?.reshape(self.shape()),
        }
    }
    /// [`Tensor::take`] along `axis`; without one, of all elements in order.
    ///
    /// # Errors
    /// Those of [`Tensor::take`].
    pub fn take_over(&self, indices: &Tensor, axis: Option<isize>) -> Result<Tensor> {
        match axis {
            Some(axis) => self.take(indices, axis),
            None => self.flat()?.take(indices, 0),
        }
    }
    fn flat(&self) -> Result<Tensor> {
        self.reshape(&[self.size()])
    }
}
