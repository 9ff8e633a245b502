//! Tensors made from a shape.
use crate::{tensor::Raw, DType, Device, Result, Tensor};

impl Tensor {
    /// Zeros of `shape`.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        crate::element_count(shape)?;
        Ok(Tensor::from_raw(Raw::zeros(shape, dtype.storage(), device)?, dtype))
    }
}
