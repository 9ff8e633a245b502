//! Segments: the sequences that stand one behind the other in a packed one.
use crate::{Error, Result, TensorSpec};
use tallow_tensor::{DType, Tensor};

/// Refuses what is no segment id for each position.
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`.
pub(super) fn check_segments(segments: &TensorSpec, length: usize) -> Result<()> {
    if segments.dtype.is_float() || segments.dtype == DType::Bool {
        return Err(Error::dtype(format!(
            "segment ids must be integers, got {}; cast them first, e.g. with cast('int32')",
            segments.dtype
        )));
    }
    match segments.shape[..] {
        [_, positions] if positions == length => Ok(()),
        _ => Err(Error::shape(format!(
            "segments must have shape (batch, {length}), an id for each position, got {:?}",
            segments.shape
        ))),
    }
}

/// Which positions of `keys: [batch, length]` are in the segment of each one of `queries`: bool `[batch, 1, queries, keys]`.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn same_segment(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    let &[batch, rows] = queries.shape() else { return Err(Error::shape("segments have two axes")) };
    let cols = keys.shape()[1];
    let rows = queries.reshape(&[batch, 1, rows, 1])?;
    Ok(rows.eq(&keys.cast(queries.dtype())?.reshape(&[batch, 1, 1, cols])?)?)
}

/// For each position how many of its segment stand before it, beginning again wherever the id changes.
///
/// `before` are the last id and how many positions there were of it, for each sequence, where a sequence goes on.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn places_in_segments(segments: &Tensor, before: Option<&[(f64, i32)]>) -> Result<Vec<i32>> {
    let &[batch, length] = segments.shape() else { return Err(Error::shape("segments have two axes")) };
    let ids = segments.to_f64_vec()?;
    let mut places = tallow_tensor::memory::room(&[batch, length])?;
    for (i, row) in ids.chunks_exact(length.max(1)).enumerate() {
        let (mut last, mut count) = match before.and_then(|b| b.get(i)) {
            Some(&(last, count)) => (Some(last), count),
            None => (None, 0),
        };
        for &id in row {
            if last != Some(id) {
                (last, count) = (Some(id), 0);
            }
            places.push(count);
            count += 1;
        }
    }
    Ok(places)
}
