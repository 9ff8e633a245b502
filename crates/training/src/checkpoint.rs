//! Checkpoints of a layer: weights and state by name, in safetensors.
//!
//! A tensor's name is its kind (`weights`, `state`, …), the path of layers to it (position and name of each), and its place
//! in the layer's own tree: `weights/0.Serial/2.Dense_128/1`. What the tree of a state looks like stands in the metadata, since it may
//! follow from the calls a layer has seen. Loading goes by name and shape ([`crate::fitting`]).
use crate::{
    fitting::{Loaded, Plan},
    safetensors_file::{self, Reader},
    Error, Result,
};
use serde_json::{json, Value};
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

/// The key of the metadata that holds the trees of the state.
const STATE: &str = "state";

/// Where each instance is first met, as a path of positions and names.
pub(crate) fn paths(layer: &LayerRef) -> Vec<(LayerRef, String)> {
    fn walk(layer: &LayerRef, path: &str, seen: &mut HashSet<LayerId>, out: &mut Vec<(LayerRef, String)>) {
        if !seen.insert(layer.base().id) {
            return;
        }
        out.push((layer.clone(), path.to_string()));
        for (i, sub) in layer.sublayers().iter().enumerate() {
            walk(sub, &format!("{path}/{i}.{}", sub.base().name), seen, out);
        }
    }
    let mut out = Vec::new();
    walk(layer, "", &mut HashSet::new(), &mut out);
    out
}

/// The same structure with each leaf as its name, which begins with `prefix`. Names of leaves differ: keys are escaped as in JSON pointers.
pub(crate) fn named<T>(tree: &Tree<T>, prefix: &str) -> Tree<String> {
    match tree {
        Tree::Leaf(_) => Tree::Leaf(prefix.to_string()),
        Tree::Tuple(v) => Tree::Tuple(v.iter().enumerate().map(|(i, t)| named(t, &format!("{prefix}/{i}"))).collect()),
        Tree::Dict(v) => {
            let escaped = |k: &str| k.replace('~', "~0").replace('/', "~1");
            Tree::Dict(v.iter().map(|(k, t)| (k.clone(), named(t, &format!("{prefix}/{}", escaped(k))))).collect())
        }
        Tree::Cached => Tree::Cached,
    }
}

/// All tensors of a store with their names, which begin with `kind`.
pub fn named_leaves(kind: &str, layer: &LayerRef, store: &Store) -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    for (layer, path) in paths(layer) {
        if let Some(tree) = store.get(&layer.base().id) {
            let names = named(tree, &format!("{kind}{path}"));
            out.extend(names.leaves().into_iter().cloned().zip(tree.leaves().into_iter().cloned()));
        }
    }
    out
}

/// A tree without its leaves, as JSON: a leaf is `0`, a tuple a list, a dictionary `{"dict": [[key, tree], …]}`.
pub(crate) fn bare(tree: &Tree<Tensor>) -> Value {
    match tree {
        Tree::Leaf(_) | Tree::Cached => json!(0),
        Tree::Tuple(v) => v.iter().map(bare).collect(),
        Tree::Dict(v) => json!({ "dict": v.iter().map(|(k, t)| json!([k, bare(t)])).collect::<Vec<_>>() }),
    }
}

pub(crate) fn from_bare(v: &Value) -> Option<Tree<()>> {
    match v {
        Value::Array(items) => items.iter().map(from_bare).collect::<Option<_>>().map(Tree::Tuple),
        Value::Object(o) => {
            let entry = |e: &Value| Some((e.get(0)?.as_str()?.to_string(), from_bare(e.get(1)?)?));
            o.get("dict")?.as_array()?.iter().map(entry).collect::<Option<_>>().map(Tree::Dict)
        }
        Value::Number(_) => Some(Tree::Leaf(())),
        _ => None,
    }
}

/// The trees of the state of each layer, by path, that a file's metadata names; `None` in a file of an older version.
///
/// # Errors
/// `Io` when they are damaged.
pub(crate) fn state_trees(reader: &Reader) -> Result<Option<HashMap<String, Tree<()>>>> {
    let Some(text) = reader.metadata.get(STATE) else { return Ok(None) };
    let trees: Option<BTreeMap<String, Value>> = serde_json::from_str(text).ok();
    let trees = trees.and_then(|t| t.iter().map(|(path, tree)| Some((path.clone(), from_bare(tree)?))).collect());
    trees.map(Some).ok_or_else(|| reader.damaged(&"the structure of its state is damaged"))
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
        tensors.extend(named_leaves(STATE, layer, &state));
        let trees = paths(layer).into_iter().filter_map(|(layer, path)| {
            let tree = state.get(&layer.base().id).filter(|t| !t.is_empty())?;
            Some((path, bare(tree)))
        });
        metadata.insert(STATE.into(), json!(trees.collect::<BTreeMap<_, _>>()).to_string());
    }
    tensors.extend(extra);
    metadata.insert("format".into(), "tallow-1".into());
    safetensors_file::write(path, &tensors, &metadata)
}

/// Loads weights and state into an initialized layer, by name and shape. All or nothing.
///
/// # Errors
/// `Io` for an unreadable file; `NotInitialized` for a layer that holds nothing; `WeightsMismatch` naming the first tensor
/// that is missing, has another shape, or is in the file but not in the model.
pub fn load_layer(path: &Path, layer: &LayerRef) -> Result<Checkpoint> {
    let (loaded, file) = loaded(path, layer)?;
    hold(layer, Some(&loaded.weights), loaded.state.as_ref());
    Ok(file)
}

/// What [`load_layer`] would put into a layer, and the rest of the file.
pub(crate) fn loaded(path: &Path, layer: &LayerRef) -> Result<(Loaded, Checkpoint)> {
    let (weights, state) = tallow_layers::held(layer);
    let mut reader = Reader::open(path)?;
    let plan = Plan::new(&reader, layer, &weights, Some(&state))?;
    let (loaded, extra) = plan.read(&mut reader, true)?;
    Ok((loaded, Checkpoint { extra, metadata: reader.metadata }))
}
