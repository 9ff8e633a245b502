//! Initializers that are functions of the host.
use crate::{framework::initializer::Initialize, Error, HostFnRef, HostValue, Initializer, Result};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

impl Initializer {
    /// One that is a function of the host, of a shape and a key.
    pub(crate) fn host(f: HostFnRef) -> Self {
        Self(Arc::new(Host(f)))
    }
}

#[derive(Debug)]
struct Host(HostFnRef);

impl Initialize for Host {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        match self.0.call(&[HostValue::shape(shape), HostValue::key(key)?])? {
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
