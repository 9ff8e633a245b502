//! What a checkpoint says of itself, and whether it is as it was written. No tensor is made.
use crate::{
    checkpoint::{NOTES, STEP},
    safetensors_file::{Reader, TensorInfo},
    Result,
};
use serde::de::IgnoredAny;
use std::path::Path;

/// What the header of a checkpoint says.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointInfo {
    /// Number of the next step, if a trainer wrote the file.
    pub step: Option<u64>,
    /// The notes that were saved with it, as JSON.
    pub notes: Option<String>,
    /// Its tensors, sorted by name.
    pub tensors: Vec<TensorInfo>,
}

/// What a checkpoint, or any other safetensors file, says of itself. Only the header is read.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no regular file, truncated, or has a header that is damaged.
pub fn checkpoint_info(path: &Path) -> Result<CheckpointInfo> {
    let reader = Reader::open(path)?;
    let step = step_in(&reader)?;
    let notes = reader.metadata.get(NOTES).cloned();
    if notes.as_deref().is_some_and(|n| !is_record(n)) {
        return Err(reader.damaged(&"its notes are no JSON"));
    }
    let mut tensors = reader.infos();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(CheckpointInfo { step, notes, tensors })
}

/// Reads a checkpoint, or any other safetensors file that was written here, to its end, and checks every checksum.
///
/// # Errors
/// Those of [`checkpoint_info`]; `Io` naming the tensor whose bytes are not those that were written; `Io` for a file without checksums,
/// as other programs write them.
pub fn verify_checkpoint(path: &Path) -> Result<()> {
    checkpoint_info(path)?;
    Reader::open(path)?.verify()
}

/// The number of the next step in a file's metadata, if a trainer wrote it.
///
/// # Errors
/// `Io` for what is no number.
pub(crate) fn step_in(reader: &Reader) -> Result<Option<u64>> {
    let number = |text: &String| text.parse().map_err(|_| reader.damaged(&format!("{text} is no number of a step")));
    reader.metadata.get(STEP).map(number).transpose()
}

/// Whether a text is a JSON object.
pub(crate) fn is_record(json: &str) -> bool {
    json.starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}
