//! Initializers: functions from shape and key to a tensor.
use crate::{build, options::OptionType, HostFnRef, HostValue, Result};
use serde_json::Value;
use std::{cell::Cell, fmt::Debug, sync::Arc};
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
        if DRAWING_OFF.get() {
            return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        }
        self.0.make(shape, key)
    }
}

thread_local!(static DRAWING_OFF: Cell<bool> = const { Cell::new(false) });

/// Runs `f` with initializers of this thread making zeros, for when only the structure of weights is wanted.
pub(crate) fn without_drawing<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            DRAWING_OFF.set(self.0);
        }
    }
    let _restore = Restore(DRAWING_OFF.replace(true));
    f()
}

#[derive(Debug)]
struct Host(HostFnRef);

impl Initialize for Host {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        let key = Tensor::from_vec(key.0.to_vec(), &[2])?;
        match self.0.call(&[HostValue::shape(shape), HostValue::Tensor(key)])? {
            HostValue::Tensor(t) if t.shape() == shape => Ok(t.detach()),
            HostValue::Tensor(t) => Err(crate::Error::shape(format!(
                "the initializer returned shape {:?} where {shape:?} was asked for",
                t.shape()
            ))),
            other => Err(crate::Error::option(format!("an initializer must return a tensor, got {}", other.what()))),
        }
    }
    fn show(&self) -> String {
        "function".into()
    }
}

impl OptionType for Initializer {
    const TS: &'static str = "KernelInitializer";
    const EXPECTED: &'static str = "an initializer";
    fn parse(v: &Value) -> Option<Self> {
        let o = v.as_object()?;
        if let Some(i) = o.get("$initializer") {
            return crate::registry::initializer(i.get("kind")?.as_str()?, i.get("options")?).ok();
        }
        build::function(o.get("$fn")?.as_u64()? as usize).map(|f| Self(Arc::new(Host(f))))
    }
    fn show(&self) -> String {
        self.0.show()
    }
}
