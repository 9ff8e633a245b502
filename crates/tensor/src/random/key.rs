//! Random keys.

/// A 64-bit random key, used for one draw or split into further keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u32; 2]);
