//! Initializers: functions from shape and key to a tensor.
mod file;
mod orthogonal;
mod random;
mod scaled;

pub use file::from_file;
pub(crate) use orthogonal::householder;
pub use orthogonal::orthogonal;
pub use random::{atari_conv, random_normal, random_uniform};
pub use scaled::{
    glorot_normal, glorot_uniform, kaiming_normal, kaiming_uniform, lecun_normal, lecun_uniform, scaled, Distribution,
    FanMode,
};
use {file::*, orthogonal::*, random::*, scaled::*};

use crate::{build, drawing, entry, options::Entry, options::OptionType, HostFnRef, HostValue, Result};
use serde_json::Value;
use std::{fmt::Debug, sync::Arc};
use tallow_tensor::{random::Key, DType, Device, Tensor};

/// The initializers of this module.
pub const INITIALIZERS: &[Entry<Initializer>] = &[
    entry!("initializers", InitializerFromFileOptions, |o: InitializerFromFileOptions| Ok(from_file(o.path))),
    entry!("initializers", RandomNormalOptions, |o: RandomNormalOptions| Ok(random_normal(o.stddev.0))),
    entry!("initializers", RandomUniformOptions, |o: RandomUniformOptions| Ok(random_uniform(o.lim.0))),
    entry!("initializers", ScaledOptions, |o: ScaledOptions| {
        Ok(scaled(o.out_dim.0, o.in_dim.0, o.scale.0, o.mode, o.distribution))
    }),
    entry!("initializers", GlorotNormalOptions, |o: GlorotNormalOptions| {
        Ok(named("GlorotNormalInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanAvg, Distribution::Normal))
    }),
    entry!("initializers", GlorotUniformOptions, |o: GlorotUniformOptions| {
        Ok(named("GlorotUniformInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanAvg, Distribution::Uniform))
    }),
    entry!("initializers", LeCunNormalOptions, |o: LeCunNormalOptions| {
        Ok(named("LeCunNormalInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanIn, Distribution::Normal))
    }),
    entry!("initializers", LeCunUniformOptions, |o: LeCunUniformOptions| {
        Ok(named("LeCunUniformInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanIn, Distribution::Uniform))
    }),
    entry!("initializers", KaimingNormalOptions, |o: KaimingNormalOptions| {
        Ok(kaiming("KaimingNormalInitializer", o.out_dim, o.in_dim, o.param.0, Distribution::Normal))
    }),
    entry!("initializers", KaimingUniformOptions, |o: KaimingUniformOptions| {
        Ok(kaiming("KaimingUniformInitializer", o.out_dim, o.in_dim, o.param.0, Distribution::Uniform))
    }),
    entry!("initializers", OrthogonalOptions, |o: OrthogonalOptions| Ok(orthogonal(o.stddev.0))),
];

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] =
    &[entry!("initializers", AtariConvInitOptions, |o: AtariConvInitOptions| {
        atari_conv(&o.kernel_shape.0, o.rng.0, o.dtype).map(HostValue::Tensor)
    })];

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
    // An initializer whose own options are refused says so in its own words.
    fn explain(v: &Value) -> Option<String> {
        let i = v.get("$initializer")?;
        let why = crate::registry::initializer(i.get("kind")?.as_str()?, i.get("options")?).err()?;
        Some(format!("was refused: {}", why.message()))
    }
}
