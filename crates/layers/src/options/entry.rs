//! What is registered of a layer, initializer or function, so that it can be made by name.
use super::Meta;
use crate::{HostValue, Result};

/// One registered name.
#[derive(Debug)]
pub struct Entry<T> {
    /// Trax's module, e.g. `core`.
    pub module: &'static str,
    /// Metadata for the code generator.
    pub meta: fn() -> Meta,
    /// Builds it from options.
    pub build: fn(&HostValue) -> Result<T>,
}

/// Makes an [`Entry`] of an options struct and a function from it.
#[macro_export]
macro_rules! entry {
    ($module:literal, $O:ty, $f:expr) => {
        $crate::options::Entry { module: $module, meta: <$O>::meta, build: |v| ($f)(<$O>::parse(v)?) }
    };
}
