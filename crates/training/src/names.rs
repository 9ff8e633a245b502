//! Names of tensors in files, and the trees of state that stand beside them.
use crate::{safetensors_file::Reader, Error, Result};
use fast_glob::{glob_match, validate};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use tallow_layers::{options::edits, LayerId, LayerRef, Store, Tree};
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
        // What is not named stays as it is.
        Tree::Quantized(matrix) => Tree::Quantized(matrix.clone()),
        // Files are written of what is shown, where none of them stands.
        Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) => Tree::EMPTY,
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

/// A name in a file without its kind, as [`matching`] takes it.
pub(crate) fn without_kind(name: &str) -> &str {
    name.split_once('/').map_or("", |(_, rest)| rest)
}

/// The float weights of `layer` in a store with their names, which are those in files without the leading kind. A trainer's weights are these, in
/// this order.
pub(crate) fn float_weights(layer: &LayerRef, weights: &Store) -> Vec<(String, Tensor)> {
    let all = named_leaves("weights", layer, weights).into_iter().filter(|(_, t)| t.dtype().is_float());
    all.map(|(name, t)| (without_kind(&name).to_owned(), t)).collect()
}

/// The names of the float weights that a layer holds, as checkpoints have them without the leading `weights/`.
pub fn weight_names(layer: &LayerRef) -> Vec<String> {
    let weights = tallow_layers::held(layer).0;
    let mut out = Vec::new();
    for (layer, path) in paths(layer) {
        let Some(tree) = weights.get(&layer.base().id) else { continue };
        let specs = tree.specs();
        let names = named(&specs, &format!("weights{path}"));
        let floats = names.leaves().into_iter().zip(specs.leaves()).filter(|(_, spec)| spec.dtype.is_float());
        out.extend(floats.map(|(name, _)| without_kind(name).to_owned()));
    }
    out
}

/// A tree without its leaves, as JSON: a leaf is `0`, a tuple a list, a dictionary `{"dict": [[key, tree], …]}`.
pub(crate) fn bare(tree: &Tree<Tensor>) -> Value {
    match tree {
        Tree::Leaf(_) | Tree::Cached => json!(0),
        Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) | Tree::Quantized(_) => json!([]),
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

/// How many names are shown where one was probably meant.
const NEAREST: usize = 3;

/// The names that are most like `wanted`, the nearest first.
pub(crate) fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    // An innermost part that is the same counts for more than how long the way to it is.
    let last = |name: &str| name.rsplit('/').find(|p| p.contains('.')).unwrap_or(name).to_string();
    let mut near: Vec<_> = names.iter().map(|n| (edits(&last(wanted), &last(n)) + edits(wanted, n), *n)).collect();
    near.sort_unstable();
    near.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

/// Whether each of `names` matches one of `patterns`, which are globs: `*` stands for anything within a part of a name, `**` for any
/// number of parts, `?` for a character, `{a,b}` for either, `[ab]` for one of these; `!` in front turns it round. `what` names the option they are of.
///
/// # Errors
/// `InvalidOption` for no patterns, for one that is no glob, and for one that matches none of the names; it tells the nearest.
pub fn matching(what: &str, patterns: &[String], names: &[&str]) -> Result<Vec<bool>> {
    if patterns.is_empty() {
        return Err(Error::option(format!("{what} must be at least one pattern of names of weights, got none")));
    }
    let mut used = vec![false; patterns.len()];
    let mut matched = vec![false; names.len()];
    for (pattern, used) in patterns.iter().zip(&mut used) {
        validate(pattern).map_err(|e| Error::option(format!("{what}: '{pattern}' is no pattern: {e}")))?;
        for (name, matched) in names.iter().zip(&mut matched) {
            let matches = glob_match(pattern, name);
            *matched |= matches;
            *used |= matches;
        }
    }
    match used.iter().position(|used| !used) {
        None => Ok(matched),
        Some(i) => {
            let near = nearest(&patterns[i], names);
            let near = match near.is_empty() {
                true => "there are no weights".to_string(),
                false => format!("the nearest are {}", near.join(", ")),
            };
            let hint = "`*` stops at `/`, `**` does not";
            Err(Error::option(format!("{what}: no weight matches the pattern '{}'; {near} ({hint})", patterns[i])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] =
        ["0.Serial/0.Embedding_9_4/0", "0.Serial/1.Dense_8/0", "0.Serial/1.Dense_8/1", "1.Dense_2/0"];

    fn matched(patterns: &[&str]) -> Vec<bool> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        matching("Trainer: `groups`", &patterns, &NAMES).unwrap()
    }

    #[test]
    fn a_star_stays_within_a_part_and_two_do_not() {
        assert_eq!(matched(&["0.Serial/**"]), [true, true, true, false]);
        assert_eq!(matched(&["**/*Dense*/0"]), [false, true, false, true]);
        assert_eq!(matched(&["*Dense*/0"]), [false, false, false, true]);
        assert_eq!(matched(&["0.Serial/1.Dense_8/{0,1}", "1.Dense_?/0"]), [false, true, true, true]);
        assert_eq!(matched(&["**"]), [true; 4]);
    }

    #[test]
    fn a_pattern_without_a_match_is_refused_with_the_nearest_names() {
        let refused = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            let e = matching("Trainer: `groups`", &patterns, &NAMES).unwrap_err();
            assert_eq!(e.code(), "InvalidOption");
            e.message().to_string()
        };
        let message = refused(&["**", "0.Serial/1.Dense_9/0"]);
        let near = "no weight matches the pattern '0.Serial/1.Dense_9/0'; the nearest are 0.Serial/1.Dense_8/0, ";
        assert!(message.contains(near), "{message}");
        assert!(refused(&[]).contains("at least one pattern"));
        assert!(refused(&["a[b"]).contains("'a[b' is no pattern"), "{}", refused(&["a[b"]));
    }
}
