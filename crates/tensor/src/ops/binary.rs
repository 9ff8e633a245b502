//! Arithmetic of two tensors.
use crate::{Result, Tensor};

impl Tensor {
    /// The sum of two untracked tensors of the same shape and dtype, written into `self` when nobody else holds it.
    pub(crate) fn accumulate(self, other: Tensor) -> Result<Tensor> {
        Ok(Tensor::from_raw((self.raw() + other.raw())?, self.dtype()))
    }
}
