//! Writing into a storage that nobody else holds.
use crate::{Element, Error, Result, Tensor};
use candle_core::{CpuStorage, InplaceOp1, Layout};
use std::cell::RefCell;

struct Write<T, F, R> {
    state: RefCell<(Option<F>, Option<R>)>,
    _t: std::marker::PhantomData<fn(T)>,
}

/// The values of a storage as a mutable slice.
fn slice_mut<T: Element>(storage: &mut CpuStorage) -> Option<&mut Vec<T>> {
    use std::any::Any;
    let values: &mut dyn Any = match storage {
        CpuStorage::F32(v) => v,
        CpuStorage::F64(v) => v,
        CpuStorage::F16(v) => v,
        CpuStorage::BF16(v) => v,
        CpuStorage::I32(v) => v,
        CpuStorage::I64(v) => v,
        CpuStorage::U32(v) => v,
        CpuStorage::U8(v) => v,
        _ => return None,
    };
    values.downcast_mut()
}

impl<T: Element, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for Write<T, F, R> {
    fn name(&self) -> &'static str {
        "write in place"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let mut state = self.state.borrow_mut();
        let range = layout.contiguous_offsets();
        if let (Some((start, end)), Some(values)) = (range, slice_mut::<T>(storage)) {
            state.1 = state.0.take().map(|f| f(&mut values[start..end]));
        }
        Ok(())
    }
}

/// Calls `f` with the values of `tensor`, which the caller has made sure is unique and contiguous, on the CPU, and of type `T`.
///
/// # Errors
/// `Internal` where one of these does not hold.
pub(crate) fn with_mut<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    let wrong =
        || Error::internal("a tensor cannot be written in place unless it is unique, contiguous and on the CPU");
    if !tensor.is_unique() {
        return Err(wrong());
    }
    let write = Write { state: RefCell::new((Some(f), None)), _t: std::marker::PhantomData };
    tensor.raw().inplace_op1(&write)?;
    write.state.into_inner().1.ok_or_else(wrong)
}
