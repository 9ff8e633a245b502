//! Where the tensors of a layer come from.
use std::collections::HashMap;
use tallow_layers::{LayerId, Tree};
use tallow_tensor::Tensor;

/// Where a tensor comes from.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A place in the file.
    File(usize),
    /// The layer holds it, and keeps it.
    Held(Tensor),
}

/// Trees of places, for each instance.
pub(super) type Places = HashMap<LayerId, Tree<Place>>;
