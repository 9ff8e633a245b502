//! Computing in a narrower type than weights are held in.
//!
//! Layers with matrices of weights take their input and weights in that type; all else computes in what it is given. So sums along the
//! layers of a model, norms, probabilities and losses stay in float32, and so do gradients of weights, since a cast's gradient is cast back.
use crate::{Result, Traits, Tree};
use std::cell::Cell;
use tallow_tensor::{DType, Tensor};

thread_local!(static COMPUTE: Cell<Option<DType>> = const { Cell::new(None) });

/// Runs `f` with layers of this thread computing in `dtype` what is float32, both forward and, where `f` runs it, backward; `None`: in the
/// types they are given.
pub fn computing_in<R>(dtype: Option<DType>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<DType>);
    impl Drop for Restore {
        fn drop(&mut self) {
            COMPUTE.set(self.0);
        }
    }
    let _restore = Restore(COMPUTE.replace(dtype));
    f()
}

/// What layers of this thread compute in, if not in the types they are given.
pub(crate) fn compute_dtype() -> Option<DType> {
    COMPUTE.get()
}

/// A float32 tensor in the type that is computed in, any other as it is.
pub(crate) fn narrowed(t: &Tensor) -> Result<Tensor> {
    match compute_dtype() {
        Some(dtype) if t.dtype() == DType::F32 => Ok(t.cast(dtype)?),
        _ => Ok(t.clone()),
    }
}

/// The weights of a leaf in the type that is computed in, and so its first input in place; `None` for what computes as it is given.
pub(crate) fn narrow(traits: Traits, xs: &mut [Tensor], w: &Tree<Tensor>) -> Result<Option<Tree<Tensor>>> {
    let (Some(dtype), Some(x), false) = (compute_dtype(), xs.first_mut(), traits.keeps_float32) else {
        return Ok(None);
    };
    let is_matrix = |t: &&Tensor| t.dtype() == DType::F32 && t.rank() >= 2;
    if !(x.dtype() == DType::F32 || x.dtype() == dtype) || !w.leaves_in_place().iter().any(is_matrix) {
        return Ok(None);
    }
    *x = narrowed(x)?;
    w.try_map(&mut narrowed).map(Some)
}

/// New state in the types of the state before, where it has as many tensors: what is learned along the way stays in float32.
pub(crate) fn as_wide_as(new: Tree<Tensor>, before: &Tree<Tensor>) -> Result<Tree<Tensor>> {
    let old = before.leaves_in_place();
    if old.len() != new.leaves_in_place().len() {
        return Ok(new);
    }
    let mut old = old.into_iter();
    new.try_map(&mut |t: &Tensor| match old.next() {
        Some(old) if old.dtype().is_float() => Ok(t.cast(old.dtype())?),
        _ => Ok(t.clone()),
    })
}
