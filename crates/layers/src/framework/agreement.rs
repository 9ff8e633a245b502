//! Whether the places that an instance is used in agree on its weights, found out while signatures of a tree are computed.
use crate::{drawing, InitCx, LayerId, LayerRef, ReplicaState, Result, Store, TensorSpec};
use std::{cell::RefCell, collections::HashMap};
use tallow_tensor::random::Key;

/// What a tree has shown so far.
#[derive(Default)]
struct Seen {
    inputs: HashMap<LayerId, Vec<TensorSpec>>,
    outputs: HashMap<LayerId, Vec<TensorSpec>>,
}

thread_local!(static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) });

/// Ends what was begun for the outermost layer.
pub(crate) struct Tree(bool);

impl Drop for Tree {
    fn drop(&mut self) {
        if self.0 {
            SEEN.with(|seen| seen.borrow_mut().take());
        }
    }
}

/// Begins a tree, unless one is under way.
pub(crate) fn begin() -> Tree {
    SEEN.with(|seen| {
        let mut seen = seen.borrow_mut();
        let outermost = seen.is_none();
        seen.get_or_insert_with(Seen::default);
        Tree(outermost)
    })
}

/// Refuses a layer without sublayers that was met before with inputs for which its weights have other shapes.
pub(crate) fn check(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<()> {
    if !layer.sublayers().is_empty() {
        return Ok(());
    }
    let id = layer.base().id;
    let before = SEEN.with(|seen| match seen.borrow_mut().as_mut()?.inputs.entry(id) {
        std::collections::hash_map::Entry::Occupied(e) => Some(e.get().clone()),
        std::collections::hash_map::Entry::Vacant(e) => {
            e.insert(inputs.to_vec());
            None
        }
    });
    let Some(before) = before.filter(|before| before != inputs) else { return Ok(()) };
    // What either refuses is said in the layer's own words, by its signature.
    let made = |inputs: &[TensorSpec]| {
        let mut cx = InitCx::default();
        drawing::without_drawing(|| layer.init(&mut cx, inputs, Key::new(0))).ok()?;
        Some((cx.weights, cx.state))
    };
    let (Some(first), Some(now)) = (made(&before), made(inputs)) else { return Ok(()) };
    let shapes = |store: &Store| -> Vec<Vec<usize>> {
        let leaves = store.get(&id).map(|tree| tree.leaves_in_place()).unwrap_or_default();
        leaves.into_iter().map(|t| t.shape().to_vec()).collect()
    };
    let learned = layer.replica_state() == ReplicaState::Mean;
    if shapes(&first.0) == shapes(&now.0) && (!learned || shapes(&first.1) == shapes(&now.1)) {
        return Ok(());
    }
    let list = |specs: &[TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(crate::Error::shape(format!(
        "the layer is used in two places, for {} and for {}, whose weights have other shapes; make a layer for each",
        list(&before),
        list(inputs)
    )))
}

/// What `f` gave when this layer was met first; for a layer that keeps its first result.
pub(crate) fn first(id: LayerId, f: impl FnOnce() -> Result<Vec<TensorSpec>>) -> Result<Vec<TensorSpec>> {
    let known = SEEN.with(|seen| seen.borrow().as_ref().and_then(|seen| seen.outputs.get(&id).cloned()));
    if let Some(outputs) = known {
        return Ok(outputs);
    }
    let outputs = f()?;
    SEEN.with(|seen| {
        if let Some(seen) = seen.borrow_mut().as_mut() {
            seen.outputs.insert(id, outputs.clone());
        }
    });
    Ok(outputs)
}
