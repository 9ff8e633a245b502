//! Segment ids: what sequence of a packed row each position is of.
use super::matmul::broadcast;
use crate::{memory, DType, Error, Result, Tensor};

/// Refuses ids that are not whole numbers, one for each of `length` positions of matrices with the leading axes `batch`.
///
/// # Errors
/// `DTypeMismatch`, `ShapeMismatch`.
pub(super) fn check(op: &str, ids: &Tensor, batch: &[usize], length: usize) -> Result<()> {
    if ids.dtype().is_float() || ids.dtype() == DType::Bool {
        return Err(Error::dtype(format!("{op}: segment ids are integers, got {}", ids.dtype())));
    }
    let full: Vec<usize> = batch.iter().copied().chain([length]).collect();
    if ids.shape().last() == Some(&length) && broadcast(ids.shape(), &full).as_deref() == Some(&full) {
        return Ok(());
    }
    Err(Error::shape(format!("{op}: segments of shape {:?} are not an id for each of {length} positions", ids.shape())))
}

/// The same ids, or others that are equal where they are, as int32 and with positions adjacent.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn as_int32<const N: usize>(ids: [&Tensor; N]) -> Result<[Tensor; N]> {
    let mut out = ids.map(Tensor::detach);
    if ids.iter().all(|t| matches!(t.dtype(), DType::I32 | DType::U8)) {
        for t in &mut out {
            *t = t.cast(DType::I32)?.contiguous()?;
        }
        return Ok(out);
    }
    // Int32 does not hold all ids: they are counted.
    let mut wide = Vec::with_capacity(N); // few
    for t in &out {
        wide.push(t.cast(DType::I64)?.to_vec::<i64>()?);
    }
    let mut known: Vec<i64> = memory::room(wide.iter().map(Vec::len).sum::<usize>())?;
    wide.iter().for_each(|ids| known.extend(ids)); // within its room
    known.sort_unstable();
    known.dedup();
    for (t, ids) in out.iter_mut().zip(wide) {
        let place = |id: &i64| known.partition_point(|known| known < id) as i32;
        *t = Tensor::from_vec(memory::collect(ids.iter().map(place))?, t.shape())?.to_device(t.device())?;
    }
    Ok(out)
}
