//! Checkpoints of a layer: weights and state by name, in safetensors.
//!
//! A tensor's name is its kind (`weights`, `state`, …), the path of layers to it (position and name of each), and its place
//! in the layer's own tree: `weights/0.Serial/2.Dense_128/1`. Loading goes by name and shape, never by order.
use crate::{safetensors_file, Error, Result};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};
use tallow_layers::{hold, LayerId, LayerRef, Store, Tree};
use tallow_tensor::Tensor;

/// Named tensors of everything that is stored beside weights and state, e.g. optimizer slots.
pub type Extra = Vec<(String, Tensor)>;

/// What a checkpoint file held beside the layer's weights and state.
#[derive(Debug)]
pub struct Checkpoint {
    /// Other tensors by name.
    pub extra: HashMap<String, Tensor>,
    /// Text metadata, e.g. the step.
    pub metadata: BTreeMap<String, String>,
}

/// Where each instance is first met, as a path of positions and names.
pub(crate) fn paths(layer: &LayerRef) -> Vec<(LayerId, String)> {
    fn walk(layer: &LayerRef, path: &str, seen: &mut HashSet<LayerId>, out: &mut Vec<(LayerId, String)>) {
        if !seen.insert(layer.base().id) {
            return;
        }
        out.push((layer.base().id, path.to_string()));
        for (i, sub) in layer.sublayers().iter().enumerate() {
            walk(sub, &format!("{path}/{i}.{}", sub.base().name), seen, out);
        }
    }
    let mut out = Vec::new();
    walk(layer, "", &mut HashSet::new(), &mut out);
    out
}

pub(crate) fn leaf_names(tree: &Tree<Tensor>, prefix: &str, out: &mut Vec<String>) {
    match tree {
        Tree::Leaf(_) => out.push(prefix.to_string()),
        Tree::Tuple(v) => v.iter().enumerate().for_each(|(i, t)| leaf_names(t, &format!("{prefix}/{i}"), out)),
        Tree::Dict(v) => {
            let mut sorted: Vec<_> = v.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            sorted.into_iter().for_each(|(k, t)| leaf_names(t, &format!("{prefix}/{k}"), out));
        }
        Tree::Cached => {}
    }
}

/// All tensors of a store with their names, which begin with `kind`.
pub fn named_leaves(kind: &str, layer: &LayerRef, store: &Store) -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    for (id, path) in paths(layer) {
        if let Some(tree) = store.get(&id) {
            let mut names = Vec::new();
            leaf_names(tree, &format!("{kind}{path}"), &mut names);
            out.extend(names.into_iter().zip(tree.leaves().into_iter().cloned()));
        }
    }
    out
}

/// Saves what `layer` and everything below it hold, and `extra`.
///
/// # Errors
/// `Io`, with the old file untouched; `NotInitialized` for a layer that holds nothing.
pub fn save_layer(path: &Path, layer: &LayerRef, extra: Extra, metadata: BTreeMap<String, String>) -> Result<()> {
    save(path, layer, false, extra, metadata)
}

/// As [`save_layer`], without the state if `weights_only`.
pub(crate) fn save(
    path: &Path,
    layer: &LayerRef,
    weights_only: bool,
    extra: Extra,
    mut metadata: BTreeMap<String, String>,
) -> Result<()> {
    let (weights, state) = tallow_layers::held(layer);
    if weights.is_empty() && state.is_empty() {
        let what = format!("{} has no weights or state to save; call init(signature) first", layer.base().name);
        return Err(Error::new("NotInitialized", what));
    }
    let mut tensors = named_leaves("weights", layer, &weights);
    if !weights_only {
        tensors.extend(named_leaves("state", layer, &state));
    }
    tensors.extend(extra);
    metadata.insert("format".into(), "tallow-1".into());
    safetensors_file::write(path, &tensors, &metadata)
}

fn fill(kind: &str, layer: &LayerRef, like: &Store, from: &mut HashMap<String, Tensor>) -> Result<Store> {
    let mut out = Store::new();
    for (id, path) in paths(layer) {
        let Some(tree) = like.get(&id) else { continue };
        let mut names = Vec::new();
        leaf_names(tree, &format!("{kind}{path}"), &mut names);
        let mut names = names.into_iter();
        let new = tree.try_map(&mut |old: &Tensor| {
            let name = names.next().unwrap_or_default();
            let new = from.remove(&name).ok_or_else(|| {
                Error::new(
                    "WeightsMismatch",
                    format!("the file has no tensor {name}; was it saved from another model?"),
                )
            })?;
            if new.shape() != old.shape() || new.dtype() != old.dtype() {
                let what = format!("{name} is {new:?} in the file, but {old:?} in the model");
                return Err(Error::new("WeightsMismatch", what));
            }
            Ok(new)
        })?;
        out.insert(id, new);
    }
    Ok(out)
}

/// Loads weights and state into an initialized layer, by name and shape. All or nothing.
///
/// # Errors
/// `Io` for an unreadable file; `NotInitialized` for a layer that holds nothing; `WeightsMismatch` naming the first tensor
/// that is missing, has another shape, or is in the file but not in the model.
pub fn load_layer(path: &Path, layer: &LayerRef) -> Result<Checkpoint> {
    let (weights, state) = tallow_layers::held(layer);
    let (tensors, metadata) = safetensors_file::read(path)?;
    let mut from: HashMap<String, Tensor> = tensors.into_iter().collect();
    let (new_weights, new_state) = fitted(layer, &weights, Some(&state), &mut from)?;
    hold(layer, Some(&new_weights), new_state.as_ref());
    from.retain(|name, _| !name.starts_with("state"));
    Ok(Checkpoint { extra: from, metadata })
}

/// The weights, and the state if there is one, that named tensors are for a layer that has such. Takes them out of `from`.
///
/// # Errors
/// Those of [`load_layer`].
pub(crate) fn fitted(
    layer: &LayerRef,
    weights: &Store,
    state: Option<&Store>,
    from: &mut HashMap<String, Tensor>,
) -> Result<(Store, Option<Store>)> {
    if weights.is_empty() {
        let what = format!("{} has no weights to load into; call init(signature) first", layer.base().name);
        return Err(Error::new("NotInitialized", what));
    }
    let new_weights = fill("weights", layer, weights, from)?;
    if let Some(name) = from.keys().filter(|n| n.starts_with("weights")).min() {
        return Err(Error::new("WeightsMismatch", format!("the file has a tensor {name} that the model has not")));
    }
    Ok((new_weights, state.map(|state| fill("state", layer, state, from)).transpose()?))
}
