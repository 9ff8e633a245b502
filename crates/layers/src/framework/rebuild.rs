//! Layers built anew: in another mode, as deep copies, or with other layers in place of some below them.
use crate::{stack::deep, LayerId, LayerNest, LayerRef, Mode, Rebuild};
use std::{collections::HashMap, sync::Arc};

impl Rebuild {
    /// The new instance of `layer`.
    pub fn layer(&mut self, layer: &LayerRef) -> LayerRef {
        let key = (Arc::as_ptr(layer).cast::<()>() as usize, self.mode);
        if let Some(l) = self.done.get(&key) {
            return l.clone();
        }
        let new = match self.replaced.get(&layer.base().id) {
            Some(new) => match self.mode.or(layer.base().mode()) {
                Some(mode) => with_mode(new, mode),
                None => new.clone(),
            },
            None => deep(|| layer.rebuild(self)),
        };
        self.done.insert(key, new.clone());
        new
    }
    /// The new instance of `layer`, in a mode of its own.
    pub fn layer_in(&mut self, layer: &LayerRef, mode: Mode) -> LayerRef {
        let outer = self.mode.replace(mode);
        let new = self.layer(layer);
        self.mode = outer;
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
    /// The identity of what stands in the place of a layer.
    pub(crate) fn identity(&mut self, id: LayerId) -> LayerId {
        match self.replaced.get(&id) {
            Some(new) => new.base().id,
            None if self.deep => self.copy_of(id),
            None => id,
        }
    }
    /// The identity of the deep copy of a layer.
    pub(crate) fn copy_of(&mut self, id: LayerId) -> LayerId {
        *self.copies.entry(id).or_insert_with(LayerId::fresh)
    }
}

/// The same layer in another mode: same identities and weights; state is fresh (see [`crate::ensure_state`]) but for what is learned.
pub fn with_mode(layer: &LayerRef, mode: Mode) -> LayerRef {
    Rebuild { mode: Some(mode), ..Rebuild::default() }.layer(layer)
}

/// A copy with new identities, starting from the same weights and state if there are any, sharing inside it as in the original.
pub fn deep_copy(layer: &LayerRef) -> LayerRef {
    Rebuild { deep: true, ..Rebuild::default() }.layer(layer)
}

/// The same layer with others in place of some instances below it; all else keeps its identity and shares its weights.
pub fn with_replaced(layer: &LayerRef, replaced: HashMap<LayerId, LayerRef>) -> LayerRef {
    Rebuild { replaced, ..Rebuild::default() }.layer(layer)
}
