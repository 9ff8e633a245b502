//! What a file holds.
use std::collections::BTreeMap;
use tallow_tensor::Tensor;

/// What a file holds: named tensors, sorted by name, and text metadata.
pub type Contents = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its type, as tensors call it; as the format calls it where tensors have none such.
    pub dtype: String,
    /// Bytes it takes in the file.
    pub bytes: u64,
}

/// The key that our metadata stands under, as JSON in order of its keys.
pub(super) const OURS: &str = "tallow";
