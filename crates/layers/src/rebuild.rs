//! Layers built anew: in another mode, or as deep copies.
use crate::{stack::deep, LayerId, LayerNest, LayerRef};
use std::collections::HashMap;

/// How a layer is being rebuilt: in another mode with the same identities (`with_mode`), or as a deep copy with new ones.
/// An instance met again gives the same new instance, so sharing survives.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// The new mode; `None` keeps each layer's own.
    pub mode: Option<crate::Mode>,
    /// Whether copies get new identities, and weights and state of their own.
    pub deep: bool,
    done: HashMap<LayerId, LayerRef>,
}

impl Rebuild {
    /// The new instance of `layer`.
    pub fn layer(&mut self, layer: &LayerRef) -> LayerRef {
        let id = layer.base().id;
        if let Some(l) = self.done.get(&id) {
            return l.clone();
        }
        let new = deep(|| layer.rebuild(self));
        self.done.insert(id, new.clone());
        new
    }
    /// The new instances of the layers in `nest`.
    pub fn nest(&mut self, nest: &LayerNest) -> LayerNest {
        match nest {
            LayerNest::Null => LayerNest::Null,
            LayerNest::One(l) => LayerNest::One(self.layer(l)),
            LayerNest::List(v) => LayerNest::List(v.iter().map(|l| self.nest(l)).collect()),
        }
    }
    /// The new instances of `layers`.
    pub fn layers(&mut self, layers: &[LayerRef]) -> Vec<LayerRef> {
        layers.iter().map(|l| self.layer(l)).collect()
    }
}

/// The same layer in another mode: same identities and weights; state is fresh (see [`crate::ensure_state`]) but for what is learned.
pub fn with_mode(layer: &LayerRef, mode: crate::Mode) -> LayerRef {
    Rebuild { mode: Some(mode), ..Rebuild::default() }.layer(layer)
}

/// A copy with new identities, starting from the same weights and state if there are any, sharing inside it as in the original.
pub fn deep_copy(layer: &LayerRef) -> LayerRef {
    Rebuild { deep: true, ..Rebuild::default() }.layer(layer)
}
