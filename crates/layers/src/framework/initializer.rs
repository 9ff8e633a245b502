//! What fills new weights.
use crate::{drawing, Result};
use std::{fmt::Debug, sync::Arc};
use tallow_tensor::{random::Key, DType, Device, Tensor};

/// A way to fill a new weight.
pub trait Initialize: Debug + Send + Sync {
    /// A float32 tensor of `shape`.
    ///
    /// # Errors
    /// A shape the distribution is not defined for.
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor>;
    /// As written in TypeScript.
    fn show(&self) -> String;
}

/// A shared initializer.
#[derive(Debug, Clone)]
pub struct Initializer(pub Arc<dyn Initialize>);

impl Initializer {
    /// A float32 tensor of `shape`.
    ///
    /// # Errors
    /// A shape the distribution is not defined for.
    pub fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        if drawing::is_off() {
            // One zero, seen as many: the structure of weights takes no memory, however large they are.
            return Ok(Tensor::zeros(&[], DType::F32, &Device::Cpu)?.broadcast_to(shape)?);
        }
        self.0.make(shape, key)
    }
}
