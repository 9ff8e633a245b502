//! Checkpoints that Trax wrote.
//!
//! gzip around a pickled dictionary: weights and state are flat lists, in the order of Trax's nested tuples; newer ones keep the
//! weights in a file beside it (`model.pkl.gz`, `model.weights.npy.gz`).
mod arrays;
mod bytes;
mod dtypes;
mod pickle;
mod value;

use crate::{
    budget::Budget,
    npy_list::{arrays_in, infos},
    safetensors_file::TensorInfo,
    Result,
};
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
use tallow_tensor::{memory_limit, Tensor};
use value::{Id, Pickle, Value};

/// What a checkpoint holds: flat lists.
pub(crate) struct TraxFile {
    pub(crate) weights: Vec<Tensor>,
    /// `None` where only weights were saved.
    pub(crate) state: Option<Vec<Tensor>>,
}

/// The key of the weights, or of the number of them that lie in a file beside.
const WEIGHTS: &str = "flat_weights";
/// The key of what the model was initialized for.
const SIGNATURE: &str = "input_signature";

/// What a checkpoint may hold beside weights, slots and state: the history of a training, state of a larger batch.
const BESIDE: u64 = 32 << 20;

/// Deepest nesting of what is listed, and most values that are looked at for it: a pickle may refer to one value in many places.
const MAX_DEPTH: usize = 8;
const MAX_LISTED: usize = 100_000;

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
    match p.entry(p.root(), SIGNATURE) {
        Some(id) if !matches!(p.get(id), Value::None) => {
            arrays::signatures(&p, id).map(Some).map_err(|e| io_error("read", path, &e))
        }
        _ => Ok(None),
    }
}

/// What a checkpoint says of itself.
pub(crate) struct TraxInfo {
    pub(crate) step: Option<u64>,
    pub(crate) signature: Option<Vec<TensorSpec>>,
    /// Arrays under the name of their list and their number in it.
    pub(crate) tensors: Vec<TensorInfo>,
}

/// What a checkpoint holds, without its arrays. It is unpacked once, as gzip has no directory.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn info(path: &Path) -> Result<TraxInfo> {
    let p = pickle(path, |_| u64::MAX, true)?;
    let Value::Dict(entries) = p.get(p.root()) else { return Err(io_error("read", path, &"it is no dictionary")) };
    let mut tensors = Vec::new();
    let mut left = MAX_LISTED;
    for (key, value) in entries {
        match p.text(*key) {
            // So many weights lie in a file beside.
            Some(WEIGHTS) if matches!(p.get(*value), Value::Int(_)) => {
                let named = |t: TensorInfo| TensorInfo { name: format!("weights/{}", t.name), ..t };
                tensors.extend(infos(&beside(path), Width::Trax)?.into_iter().map(named));
            }
            Some(name) if name.starts_with("flat_") || name.starts_with("slots") => {
                let list = name.strip_prefix("flat_").unwrap_or(name);
                listed(&p, *value, list, &mut left, &mut tensors).map_err(|e| io_error("read", path, &e))?;
            }
            _ => {}
        }
    }
    let step = match p.entry(p.root(), "step").map(|id| p.get(id)) {
        Some(Value::Int(step)) => u64::try_from(*step).ok(),
        _ => None,
    };
    let signature = p.entry(p.root(), SIGNATURE).and_then(|id| arrays::signatures(&p, id).ok());
    Ok(TraxInfo { step, signature, tensors })
}

/// Adds the arrays that stand in lists, under their path. A number is an array where layers have it; among slots it counts those elsewhere.
fn listed(
    p: &Pickle,
    id: Id,
    name: &str,
    left: &mut usize,
    out: &mut Vec<TensorInfo>,
) -> std::result::Result<(), String> {
    let items = p.items(id).map(|items| (0..).zip(items.iter().copied()).collect::<Vec<(usize, Id)>>());
    for (i, item) in items.unwrap_or_default() {
        *left = left.checked_sub(1).ok_or_else(|| format!("it lists more than {MAX_LISTED} values"))?;
        let path = format!("{name}/{i}");
        match arrays::described(p, item) {
            Some(_) if name.starts_with("slots") && matches!(p.get(item), Value::Int(_)) => {}
            Some(said) => {
                out.push(TensorInfo { name: path, shape: said.shape, dtype: said.dtype, bytes: said.bytes });
            }
            None if path.matches('/').count() < MAX_DEPTH => listed(p, item, &path, left, out)?,
            None => {}
        }
    }
    Ok(())
}

/// The weights and the state of a checkpoint, under the name of their list and their number in it, in the order of Trax's nested tuples.
///
/// # Errors
/// Those of [`read`]; `Io` for a file that unpacks to more than memory holds.
pub(crate) fn arrays_of(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let TraxFile { weights, state } = read_within(path, true, |_| memory_limit() as u64, memory_limit() as u64)?;
    let named = |list: &'static str, tensors: Vec<Tensor>| {
        tensors.into_iter().enumerate().map(move |(i, t)| (format!("{list}/{i}"), t))
    };
    Ok(named("weights", weights).chain(named("state", state.unwrap_or_default())).collect())
}

/// Reads a checkpoint of a model of so many weights and numbers of state; its state only if `with_state`.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, truncated, corrupt, no checkpoint of Trax, refers to anything that
/// such a checkpoint does not, or unpacks to more than a checkpoint of this model may have. Nothing in a file is executed.
pub(crate) fn read(path: &Path, with_state: bool, weights: u64, state: u64) -> Result<TraxFile> {
    read_within(path, with_state, |file| budget(file, weights, state), budget(0, weights, 0))
}

/// As [`read`], from at most `most` bytes for each file length, and `most_beside` in a file of weights beside.
fn read_within(path: &Path, with_state: bool, most: impl FnOnce(u64) -> u64, most_beside: u64) -> Result<TraxFile> {
    let bad = |e: &dyn std::fmt::Display| io_error("read", path, e);
    let mut p = pickle(path, most, false)?;
    let entry = |p: &Pickle, key| p.entry(p.root(), key);
    let weights = match entry(&p, WEIGHTS) {
        Some(flat) if !matches!(p.get(flat), Value::Int(_)) => tensors(&mut p, flat, "weight").map_err(|e| bad(&e))?,
        _ => arrays_in(&beside(path), Width::Trax, most_beside)?,
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
