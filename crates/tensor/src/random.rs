//! Random keys: JAX's threefry2x32 in its original, non-partitionable layout.

/// A 64-bit random key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u32; 2]);
