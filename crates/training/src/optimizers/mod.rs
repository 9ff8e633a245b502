//! Optimizers: what a gradient does to a weight.
mod adafactor;
mod adam;
mod adamw;
mod clipping;
mod lion;
mod momentum;
mod muon;
mod optimizer;
mod rms_prop;
mod sgd;
mod sm3;

pub use adafactor::{Adafactor, AdafactorOptions};
pub use adam::{Adam, AdamOptions};
pub use adamw::{AdamW, AdamWOptions};
pub use clipping::ClippingOptions;
pub use lion::{Lion, LionOptions};
pub use momentum::{Momentum, MomentumOptions};
pub use muon::{AdjustLr, Muon, MuonOptions};
pub(crate) use optimizer::wide;
pub use optimizer::{Optimizer, OptimizerRef, Update};
pub use rms_prop::{RMSProp, RMSPropOptions};
pub use sgd::{SGDOptions, SGD};
pub use sm3::{MomentumType, SM3Options, SM3};

use std::sync::Arc;
use tallow_layers::{options::Meta, HostValue, Result};

/// One registered optimizer.
#[derive(Debug)]
pub struct Entry {
    /// Metadata for the code generator.
    pub meta: fn() -> Meta,
    /// Builds it from options.
    pub build: fn(&HostValue) -> Result<OptimizerRef>,
}

macro_rules! entries {
    ($($kind:ident: $options:ident),* $(,)?) => {
        &[$(Entry { meta: $options::meta, build: |v| Ok(Arc::new($kind($options::parse(v)?))) }),*]
    };
}

/// All optimizers: Trax's first, then those of others.
pub const OPTIMIZERS: &[Entry] = entries![
    SGD: SGDOptions,
    Momentum: MomentumOptions,
    RMSProp: RMSPropOptions,
    Adam: AdamOptions,
    Adafactor: AdafactorOptions,
    SM3: SM3Options,
    AdamW: AdamWOptions,
    Lion: LionOptions,
    Muon: MuonOptions,
];

/// A new optimizer of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn construct(kind: &str, options: impl Into<HostValue>) -> Result<OptimizerRef> {
    let entry = OPTIMIZERS
        .iter()
        .find(|e| (e.meta)().kind == kind)
        .ok_or_else(|| tallow_layers::Error::option(format!("there is no optimizer named {kind}")))?;
    (entry.build)(&options.into())
}
