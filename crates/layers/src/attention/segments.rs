//! Segments: the sequences that stand one behind the other in a packed one.
use crate::{Error, Result, TensorSpec};
use tallow_tensor::{DType, Tensor};

/// Refuses what is no segment id for each position.
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`.
pub(crate) fn check_segments(segments: &TensorSpec, length: usize) -> Result<()> {
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

/// Refuses what is no segment id for each position of `[batch, length]`.
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`.
pub(crate) fn check_segments_of(segments: &TensorSpec, [batch, length]: [usize; 2]) -> Result<()> {
    check_segments(segments, length)?;
    if segments.shape[0] == batch {
        return Ok(());
    }
    Err(Error::shape(format!("the segments are of {} sequences, the input has {batch}", segments.shape[0])))
}

/// Which positions of `keys: [batch, length]` are in the segment of each one of `queries`: bool `[batch, 1, queries, keys]`.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn same_segment(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    let &[batch, rows] = queries.shape() else { return Err(Error::shape("segments have two axes")) };
    let cols = keys.shape()[1];
    let rows = queries.reshape(&[batch, 1, rows, 1])?;
    Ok(rows.eq(&keys.cast(queries.dtype())?.reshape(&[batch, 1, 1, cols])?)?)
}

/// The mask of attention within segments, bool `[batch, 1, length, length]`: what may be seen of positions with these ids, integers
/// `[batch, length]`. If `causal`, none sees a later one.
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`, `OutOfMemory`.
pub fn mask_of_segments(ids: &Tensor, causal: bool) -> Result<Tensor> {
    let length = mask_of_segments_signature(&TensorSpec::of(ids))?.shape[2];
    let same = same_segment(ids, ids)?;
    if !causal {
        return Ok(same);
    }
    Ok(same.logical_and(&Tensor::tril_mask(length, length, 0, ids.device())?)?)
}

/// The signature of [`mask_of_segments`].
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`.
pub(super) fn mask_of_segments_signature(ids: &TensorSpec) -> Result<TensorSpec> {
    let &[b, l] = &ids.shape[..] else {
        return Err(Error::shape(format!("segments must have shape (batch, length), got {:?}", ids.shape)));
    };
    check_segments(ids, l)?;
    Ok(TensorSpec::new([b, 1, l, l], DType::Bool))
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
