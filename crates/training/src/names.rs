//! Names of tensors in files, and the trees of state that stand beside them.
use crate::{safetensors_file::Reader, Result};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use tallow_layers::{LayerId, LayerRef, Store, Tree};
use tallow_tensor::Tensor;

/// The key of the metadata that holds the trees of the state.
pub(crate) const STATE: &str = "state";

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
