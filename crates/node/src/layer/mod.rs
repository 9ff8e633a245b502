//! Layers: construction by name, calls, weights and state, reversal. Knows no layer by name.
mod call;
mod construct;
mod handle;
mod info;
mod reversible;
mod share;
mod signature;
mod state;

pub(crate) use handle::run_with;
pub(crate) use signature::specs;
pub(crate) use state::{change, held_key, keeping_device};
