//! What fills new weights.
use crate::{drawing, Error, HostFnRef, HostValue, Result};
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
            return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        }
        self.0.make(shape, key)
    }
    /// One that is a function of the host, of a shape and a key.
    pub(crate) fn host(f: HostFnRef) -> Self {
        Self(Arc::new(Host(f)))
    }
}

#[derive(Debug)]
struct Host(HostFnRef);

impl Initialize for Host {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        let key = Tensor::from_vec(key.0.to_vec(), &[2])?;
        match self.0.call(&[HostValue::shape(shape), HostValue::Tensor(key)])? {
            HostValue::Tensor(t) if t.shape() == shape => Ok(t.detach()),
            HostValue::Tensor(t) => Err(Error::shape(format!(
                "the initializer returned shape {:?} where {shape:?} was asked for",
                t.shape()
            ))),
            other => Err(Error::option(format!("an initializer must return a tensor, got {}", other.what()))),
        }
    }
    fn show(&self) -> String {
        "function".into()
    }
}
