//! Changes of dtype and device.
use crate::{DType, Result, Tensor};

impl Tensor {
    /// The same values as `dtype`.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        Ok(Tensor::from_raw(self.raw().to_dtype(dtype.storage())?, dtype))
    }
}
