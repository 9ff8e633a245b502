//! What a file holds.
use std::collections::BTreeMap;
use tallow_tensor::Tensor;

/// What a file holds: named tensors, sorted by name, and text metadata.
pub type Contents = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// The key that our metadata stands under, as JSON in order of its keys.
pub(super) const OURS: &str = "tallow";
