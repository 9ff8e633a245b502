//! Identities of layer instances.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Identity of a layer instance; kept by `with_mode`. Equal ids share weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u64);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl LayerId {
    /// A new identity.
    pub fn fresh() -> Self {
        Self(NEXT.fetch_add(1, Relaxed))
    }
    /// The identity that the next layer gets, or one before it: layers made from now on have none below.
    pub fn next() -> Self {
        Self(NEXT.load(Relaxed))
    }
}
