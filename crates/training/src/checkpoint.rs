//! Checkpoints of a layer: weights and state by name, in safetensors.
//!
//! A tensor's name is its kind (`weights`, `state`, …), the path of layers to it (position and name of each), and its place
//! in the layer's own tree: `weights/0.Serial/2.Dense_128/1`. What the tree of a state looks like stands in the metadata, since it may
//! follow from the calls a layer has seen. Loading goes by name and shape ([`crate::fitting`]).
use crate::{
    fitting::{Loaded, Plan, WHOLE},
    names::{bare, matching, named_leaves, paths, without_kind, STATE},
    quantized_file::Stored,
    safetensors_file::{self, Reader},
    Error, Result,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};
use tallow_layers::{hold, ErrorKind, LayerRef};
use tallow_tensor::Tensor;

/// The key of the metadata that holds the number of the next step.
pub(crate) const STEP: &str = "step";
/// The key of the metadata that holds notes, as JSON.
pub(crate) const NOTES: &str = "notes";

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

/// Saves what `layer` and everything below it hold, and `extra`.
///
/// # Errors
/// `Io`, with the old file untouched; `NotInitialized` for a layer that holds nothing.
pub fn save_layer(path: &Path, layer: &LayerRef, extra: Extra, metadata: BTreeMap<String, String>) -> Result<()> {
    save(path, layer, Part::All, extra, metadata)
}

/// What of a layer is saved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// Weights and state.
    All,
    /// The weights.
    Weights,
    /// The weights of which a pattern matches the name, see [`matching`].
    Matching(&'a [String]),
}

/// As [`save_layer`], only a part of the layer.
///
/// # Errors
/// Those of [`save_layer`], and of [`matching`].
pub(crate) fn save(
    path: &Path,
    layer: &LayerRef,
    part: Part<'_>,
    extra: Extra,
    mut metadata: BTreeMap<String, String>,
) -> Result<()> {
    let (weights, state) = tallow_layers::held(layer);
    let state = tallow_layers::shown(state)?;
    if weights.is_empty() && state.is_empty() {
        let what = format!("{} has no weights or state to save; call init(signature) first", layer.base().name);
        return Err(Error::new(ErrorKind::NotInitialized, what));
    }
    let mut stored = Stored::new(layer, weights)?;
    if let Part::Matching(patterns) = part {
        let names: Vec<&str> = stored.weights.iter().map(|(name, _)| without_kind(name)).collect();
        let matched = matching("saveToFile: `weights`", patterns, &names)?;
        let kept = stored.weights.iter().zip(matched).filter(|(_, is)| *is).map(|((name, _), _)| name.clone());
        let kept: HashSet<String> = kept.collect();
        stored.retain(|name| kept.contains(name));
    }
    stored.note(&mut metadata);
    let Stored { weights: mut tensors, signed, scales, .. } = stored;
    tensors.extend(scales);
    if let Part::All = part {
        tensors.extend(named_leaves(STATE, layer, &state));
        let trees = paths(layer).into_iter().filter_map(|(layer, path)| {
            let tree = state.get(&layer.base().id).filter(|t| !t.is_empty())?;
            Some((path, bare(tree)))
        });
        metadata.insert(STATE.into(), json!(trees.collect::<BTreeMap<_, _>>()).to_string());
    }
    tensors.extend(extra);
    metadata.insert("format".into(), "tallow-1".into());
    safetensors_file::write_signed(path, &tensors, &signed, &metadata)
}

/// Loads weights and state into an initialized layer, by name and shape. All or nothing.
///
/// # Errors
/// `Io` for an unreadable file; `NotInitialized` for a layer that holds nothing; `WeightsMismatch` naming the tensors
/// that are missing, have another shape, or are in the file but not in the model.
pub fn load_layer(path: &Path, layer: &LayerRef) -> Result<Checkpoint> {
    let (loaded, file) = loaded(path, layer)?;
    hold(layer, Some(&loaded.weights), loaded.state.as_ref());
    Ok(file)
}

/// What [`load_layer`] would put into a layer, and the rest of the file.
pub(crate) fn loaded(path: &Path, layer: &LayerRef) -> Result<(Loaded, Checkpoint)> {
    let (weights, state) = tallow_layers::held(layer);
    let state = tallow_layers::shown(state)?;
    let mut reader = Reader::open(path)?;
    let plan = Plan::new(&reader, layer, &weights, Some(&state), WHOLE)?;
    let (loaded, extra, _) = plan.read(&mut reader, true)?;
    Ok((loaded, Checkpoint { extra, metadata: reader.metadata }))
}
