//! Optimizers: what a gradient does to a weight.
mod adam;
mod optimizer;

pub use adam::{Adam, AdamOptions};
pub use optimizer::{Optimizer, OptimizerRef, Update};

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

/// All optimizers.
pub const OPTIMIZERS: &[Entry] =
    &[Entry { meta: AdamOptions::meta, build: |v| Ok(Arc::new(Adam(AdamOptions::parse(v)?))) }];

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
