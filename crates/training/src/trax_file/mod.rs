//! Checkpoints that Trax wrote.
//!
//! gzip around a pickled dictionary: weights and state are flat lists, in the order of Trax's nested tuples; newer ones keep the
//! weights in a file beside it (`model.pkl.gz`, `model.weights.npy.gz`).
mod arrays;
mod pickle;

use crate::{npy_list::arrays_in, whole_file::io, Result};
use flate2::bufread::MultiGzDecoder;
use pickle::{Id, Pickle, Value};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};
use tallow_layers::{npy::Width, TensorSpec};
use tallow_tensor::Tensor;

/// What a checkpoint holds: flat lists.
pub(crate) struct TraxFile {
    pub(crate) weights: Vec<Tensor>,
    /// `None` where only weights were saved.
    pub(crate) state: Option<Vec<Tensor>>,
    /// What the model was initialized for. Old files name the targets and their weights after its inputs.
    pub(crate) signature: Option<Vec<TensorSpec>>,
}

/// Whether a file begins as gzip does.
pub(crate) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Reads a checkpoint; its state and signature only if they are asked for.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, truncated, corrupt, no checkpoint of Trax, or refers to anything that
/// such a checkpoint does not. Nothing in a file is executed.
pub(crate) fn read(path: &Path, state: bool, signature: bool) -> Result<TraxFile> {
    let bad = |e: &dyn std::fmt::Display| io("read", path, e);
    let file = File::open(path).map_err(|e| bad(&e))?;
    let mut from = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut p = Pickle::read(&mut from).map_err(|e| bad(&e))?;
    // Up to the end, where gzip's checksum is.
    if !from.fill_buf().map_err(|e| bad(&e))?.is_empty() {
        return Err(bad(&"something stands behind its end"));
    }
    let entry = |p: &Pickle, key| p.entry(p.root(), key);
    let Some(weights) = entry(&p, "flat_weights") else {
        return Err(bad(&"it is no checkpoint of Trax: it has no `flat_weights`"));
    };
    let weights = match p.get(weights) {
        Value::Int(_) => arrays_in(&beside(path), Width::Trax)?,
        _ => tensors(&mut p, weights, "weight").map_err(|e| bad(&e))?,
    };
    let state = match entry(&p, "flat_state").filter(|_| state) {
        Some(state) => Some(tensors(&mut p, state, "state").map_err(|e| bad(&e))?),
        None => None,
    };
    let signature = match entry(&p, "input_signature").filter(|_| signature) {
        Some(id) if !matches!(p.get(id), Value::None) => Some(arrays::signatures(&p, id).map_err(|e| bad(&e))?),
        _ => None,
    };
    Ok(TraxFile { weights, state, signature })
}

fn tensors(p: &mut Pickle, id: Id, what: &str) -> std::result::Result<Vec<Tensor>, String> {
    let items = p.items(id).ok_or_else(|| format!("its list of {what}s is none"))?.to_vec();
    let mut tensors = Vec::new();
    let mut known = std::collections::HashMap::new();
    for (i, id) in items.into_iter().enumerate() {
        // An array that stands in several places is read once.
        let tensor = match known.get(&id) {
            Some(tensor) => Tensor::clone(tensor),
            None => arrays::tensor(p, id).map_err(|e| format!("{what} {i}: {e}"))?,
        };
        known.insert(id, tensor.clone());
        tensors.push(tensor);
    }
    Ok(tensors)
}

/// Where a checkpoint keeps its weights if not in itself.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let new = name.strip_suffix("pkl.gz").map(|stem| path.with_file_name(format!("{stem}weights.npy.gz")));
    new.filter(|p| p.exists()).unwrap_or_else(|| path.with_file_name(format!("{name}.npy")))
}
