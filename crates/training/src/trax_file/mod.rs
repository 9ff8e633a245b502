//! Checkpoints that Trax wrote.
//!
//! gzip around a pickled dictionary: weights and state are flat lists, in the order of Trax's nested tuples; newer ones keep the
//! weights in a file beside it (`model.pkl.gz`, `model.weights.npy.gz`).
mod arrays;
mod bytes;
mod dtypes;
mod pickle;
mod value;

use crate::{budget::Budget, npy_list::arrays_in, Result};
use flate2::bufread::MultiGzDecoder;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};
use tallow_layers::{
    files::{io_error, open_regular},
    npy::Width,
    TensorSpec,
};
use tallow_tensor::Tensor;
use value::{Id, Pickle, Value};

/// What a checkpoint holds: flat lists.
pub(crate) struct TraxFile {
    pub(crate) weights: Vec<Tensor>,
    /// `None` where only weights were saved.
    pub(crate) state: Option<Vec<Tensor>>,
}

/// The key of the weights, or of the number of them that lie in a file beside.
const WEIGHTS: &str = "flat_weights";

/// What a checkpoint may hold beside weights, slots and state: the history of a training, state of a larger batch.
const BESIDE: u64 = 32 << 20;

/// The most bytes that a checkpoint of a model unpacks to: weights and two slots of each, state, each number in up to eight bytes, or
/// what a file that is not a bomb could.
fn budget(file: u64, weights: u64, state: u64) -> u64 {
    let of_model = weights.saturating_mul(24).saturating_add(state.saturating_mul(8));
    of_model.saturating_add(file.saturating_mul(8)).saturating_add(BESIDE)
}

/// Whether a file begins as gzip does.
pub(crate) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Reads the pickle of a checkpoint, from at most `most` bytes for each file length; with `skim`, without its arrays.
fn pickle(path: &Path, most: impl FnOnce(u64) -> u64, skim: bool) -> Result<Pickle> {
    let bad = |e: &dyn std::fmt::Display| io_error("read", path, e);
    let (file, length) = open_regular(path)?;
    let mut from = BufReader::new(Budget::new(MultiGzDecoder::new(BufReader::new(file)), most(length)));
    let p = Pickle::read(&mut from, skim).map_err(|e| bad(&e))?;
    // Up to the end, where gzip's checksum is.
    if !from.fill_buf().map_err(|e| bad(&e))?.is_empty() {
        return Err(bad(&"something stands behind its end"));
    }
    if p.entry(p.root(), WEIGHTS).is_none() {
        return Err(bad(&format!("it is no checkpoint of Trax: it has no `{WEIGHTS}`")));
    }
    Ok(p)
}

/// What the model of a checkpoint was initialized for. Old files name the targets and their weights after its inputs.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn signature(path: &Path) -> Result<Option<Vec<TensorSpec>>> {
    let p = pickle(path, |_| u64::MAX, true)?;
    match p.entry(p.root(), "input_signature") {
        Some(id) if !matches!(p.get(id), Value::None) => {
            arrays::signatures(&p, id).map(Some).map_err(|e| io_error("read", path, &e))
        }
        _ => Ok(None),
    }
}

/// Reads a checkpoint of a model of so many weights and numbers of state; its state only if `with_state`.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, truncated, corrupt, no checkpoint of Trax, refers to anything that
/// such a checkpoint does not, or unpacks to more than a checkpoint of this model may have. Nothing in a file is executed.
pub(crate) fn read(path: &Path, with_state: bool, weights: u64, state: u64) -> Result<TraxFile> {
    let bad = |e: &dyn std::fmt::Display| io_error("read", path, e);
    let most = |file| budget(file, weights, state);
    let mut p = pickle(path, most, false)?;
    let entry = |p: &Pickle, key| p.entry(p.root(), key);
    let weights = match entry(&p, WEIGHTS) {
        Some(flat) if !matches!(p.get(flat), Value::Int(_)) => tensors(&mut p, flat, "weight").map_err(|e| bad(&e))?,
        _ => arrays_in(&beside(path), Width::Trax, budget(0, weights, 0))?,
    };
    let state = match entry(&p, "flat_state").filter(|_| with_state) {
        Some(state) => Some(tensors(&mut p, state, "state").map_err(|e| bad(&e))?),
        None => None,
    };
    Ok(TraxFile { weights, state })
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
