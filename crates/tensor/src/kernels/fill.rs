//! Buffers that loops fill, each element once.
use crate::{
    memory::{self, Extent},
    planted,
    threads::{self, Piece},
    Result,
};
use std::mem::MaybeUninit;

/// An output buffer while it is being filled.
pub(crate) type Unfilled<T> = [MaybeUninit<T>];

/// A vector of so many elements that `fill` writes. It is not zeroed first: the threads that fill it are the first to touch it.
///
/// # Errors
/// `OutOfMemory`, and those of `fill`.
///
/// # Safety
/// Unless it fails, `fill` must write every element of the slice it is given.
pub(crate) unsafe fn filled<'a, T, P: Piece>(
    extent: impl Into<Extent<'a>>,
    fill: impl FnOnce(&mut Unfilled<T>) -> P,
) -> Result<Vec<T>> {
    let extent = extent.into();
    let mut out = memory::room(extent)?;
    let n = extent.elements();
    let written = n.saturating_sub(usize::from(planted::fault("buffers")));
    fill(&mut out.spare_capacity_mut()[..written]).outcome()?;
    // SAFETY: the capacity is at least `n`, and the caller vouches that `fill` wrote all `n` elements. Tested in
    // `tests/it/small.rs`.
    unsafe { out.set_len(n) };
    Ok(out)
}

/// A vector of so many elements that `f(start, part)` fills in parts of `chunk` elements, in parallel when it pays.
///
/// # Errors
/// `OutOfMemory`, those of `f`, and `Aborted` when the work is cancelled meanwhile.
///
/// # Safety
/// Unless it fails, `f` must write every element of each part it is given.
pub(crate) unsafe fn build<'a, T: Send, P: Piece>(
    extent: impl Into<Extent<'a>>,
    chunk: usize,
    f: impl Fn(usize, &mut Unfilled<T>) -> P + Sync,
) -> Result<Vec<T>> {
    // SAFETY: the parts cover the slice, a loop that leaves some out fails, and the caller vouches that `f` writes all of each.
    unsafe { filled(extent, |out| threads::for_chunks(out, chunk, f)) }
}
