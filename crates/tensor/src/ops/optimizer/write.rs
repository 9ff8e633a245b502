//! Storages that an update may write.
use crate::{kernels::inplace::with_mut, Element, Error, Result, Tensor};

/// Drops the record of how `t` was computed without keeping a second handle on its storage.
pub(super) fn untracked(t: Tensor) -> Tensor {
    let out = t.detach();
    drop(t);
    out
}

/// `t` itself where its storage may be written, else a copy.
pub(super) fn writable<T: Element>(t: Tensor) -> Result<Tensor> {
    if t.is_unique() && t.is_contiguous() {
        return Ok(t);
    }
    Tensor::from_vec(t.to_vec::<T>()?, t.shape())
}

/// Calls `f` with the values of `N` tensors that [`writable`] gave.
///
/// # Errors
/// `Internal` where one of them cannot be written.
pub(super) fn each_mut<T: Element, const N: usize, R>(
    tensors: &[Tensor],
    f: impl FnOnce([&mut [T]; N]) -> R,
) -> Result<R> {
    fn open<T: Element, R>(left: &[Tensor], open_ones: Vec<&mut [T]>, f: Open<'_, T, R>) -> Result<R> {
        match left {
            [] => f(open_ones),
            [first, left @ ..] => with_mut::<T, _>(first, |values| {
                let mut all: Vec<&mut [T]> = open_ones;
                all.push(values);
                open(left, all, f)
            })?,
        }
    }
    open(
        tensors,
        Vec::with_capacity(N), // few: the slots of a weight
        Box::new(|slices| match slices.try_into() {
            Ok(slices) => Ok(f(slices)),
            Err(_) => Err(Error::internal("as many slots as the rule keeps")),
        }),
    )
}

type Open<'a, T, R> = Box<dyn FnOnce(Vec<&mut [T]>) -> Result<R> + 'a>;

/// Calls `f` with the values of `p` and of `N` tensors, all of which may be written.
///
/// # Errors
/// `Internal` where one of them cannot be written.
pub(super) fn all_mut<T: Element, W: Element, const N: usize, R>(
    p: &Tensor,
    tensors: &[Tensor],
    f: impl FnOnce(&mut [T], [&mut [W]; N]) -> R,
) -> Result<R> {
    with_mut::<T, _>(p, |p| each_mut(tensors, |slices| f(p, slices)))?
}
