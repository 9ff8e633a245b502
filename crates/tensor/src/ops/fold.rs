//! How elements are folded over axes, and what reductions share.
pub(super) use super::reduce_general::Fold;
use super::{
    args::wider,
    reduce_general::{self as general, blocks},
};
use crate::{
    device_path::on_host,
    dtype::{Whole, Wide},
    for_any, for_whole,
    host_trips::Hosted,
    kernels::{
        copy,
        number::Number,
        plan::{read, Dims},
        reduce::{middle, same, Combine, Largest, Product, Smallest, Sum, WholeProduct, WholeSum},
    },
    memory,
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};

/// The shape with the axes at 1, and without them.
pub(super) fn reduced_shapes(shape: &[usize], axes: &[usize]) -> (Dims, Dims) {
    let kept = shape.iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
    let dropped = shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect();
    (kept, dropped)
}

/// Folds row-major values of `shape` over `axes`, innermost block first, in the type `A` that `up` takes them to.
fn fold_values<T: Element, A: Copy + Send + Sync, C: Combine<A>>(
    values: &[T],
    shape: &[usize],
    axes: &[usize],
    up: impl Fn(T) -> A + Copy + Sync,
    how: C,
) -> Result<Vec<A>> {
    let mut blocks = blocks(shape, axes);
    let mut done: Option<Vec<A>> = None;
    while let Some(at) = blocks.iter().rposition(|b| b.1) {
        let outer = blocks[..at].iter().map(|b| b.0).product();
        let inner = blocks[at + 1..].iter().map(|b| b.0).product();
        let size = [outer, blocks[at].0, inner];
        done = Some(if blocks[at].0 == 0 || outer * inner == 0 {
            memory::full(outer * inner, how.start())?
        } else {
            match done {
                None => middle(values, size, up, how)?,
                Some(values) => middle(&values, size, same, how)?,
            }
        });
        blocks.remove(at);
    }
    done.map_or_else(|| memory::collect(values.iter().map(|&v| up(v))), Ok)
}

/// Calls `f` with the row-major values of a CPU tensor.
fn with_values<T: Element, R>(x: &Raw, f: impl FnOnce(&[T], &[usize]) -> Result<R>) -> Result<R> {
    let packed = copy::contiguous(x)?;
    let source = read(&packed);
    f(&source.slice::<T>()?[..packed.elem_count()], packed.dims())
}

pub(super) fn fold_kernel<T: Element>(x: &Raw, axes: &[usize], fold: Fold) -> Result<Vec<T::Acc>>
where
    T::Acc: Number,
{
    with_values(x, |values: &[T], shape| match fold {
        Fold::Sum => fold_values(values, shape, axes, T::up, Sum),
        Fold::Prod => fold_values(values, shape, axes, T::up, Product),
        Fold::Max => fold_values(values, shape, axes, T::up, Largest),
        Fold::Min => fold_values(values, shape, axes, T::up, Smallest),
    })
}

/// Exact sums or products of integers.
pub(super) fn whole_kernel<T: Whole>(x: &Raw, axes: &[usize], fold: Fold) -> Result<Vec<T::Wide>> {
    with_values(x, |values: &[T], shape| match fold {
        Fold::Prod => fold_values(values, shape, axes, T::wide, WholeProduct),
        _ => fold_values(values, shape, axes, T::wide, WholeSum),
    })
}

impl Fold {
    fn name(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Prod => "prod",
            Fold::Max => "max",
            Fold::Min => "min",
        }
    }
    /// The untracked result with the axes kept at size 1. Sums and products of integers have the type [`DType::of_sums`] tells.
    pub(super) fn value(self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let dtype = x.dtype();
        let (kept, _) = reduced_shapes(x.shape(), axes);
        let path = x.path(self.name());
        if !path.by_kernel() {
            return general::fold(&x.detach(), axes, self, &path);
        }
        if !dtype.is_float() && matches!(self, Fold::Sum | Fold::Prod) {
            let to = dtype.of_sums();
            return for_whole!(dtype, self.name(), T => for_whole!(to, self.name(), O => {
                let values = whole_kernel::<T>(x.raw(), axes, self)?.into_iter().map(|v| O::fit(v.exact()));
                let values = memory::collect_some(values)?.ok_or_else(|| unfit(self.name(), x, to))?;
                Ok(Tensor::from_raw(Raw::from_vec(values, &kept[..], x.device())?, to))
            }));
        }
        for_any!(dtype, T => {
            let values = memory::collect::<T>(fold_kernel::<T>(x.raw(), axes, self)?.into_iter().map(T::down))?;
            Ok(Tensor::from_raw(Raw::from_vec(values, &kept[..], x.device())?, dtype))
        })
    }
}

/// A sum or product of integers that is too large.
pub(super) fn unfit(op: &str, x: &Tensor, dtype: DType) -> Error {
    Error::argument(format!(
        "{op} of {}{:?}: a result does not fit {dtype}; cast the tensor to {} first",
        x.dtype(),
        x.shape(),
        wider(dtype, true)
    ))
}

/// `f` of integers as float64, as float32: float32 alone would round them before anything is computed.
pub(super) fn by_float64(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    on_host(Hosted::Wide, &[&x.detach()], |t| f(&t[0].cast(DType::F64)?)?.cast(DType::F32))
}

/// Views a result that kept its axes at 1 as one without them, unless they are wanted.
pub(super) fn finish(out: Tensor, axes: &[usize], keepdims: bool) -> Result<Tensor> {
    if keepdims {
        return Ok(out);
    }
    let shape = without(out.shape(), axes);
    Ok(out.view(out.raw().reshape(&shape[..])?))
}

fn without(shape: &[usize], axes: &[usize]) -> Dims {
    shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect()
}

/// The opposite of [`finish`]: puts axes of size 1 back.
pub(super) fn with_kept(t: &Tensor, kept: &[usize]) -> Result<Tensor> {
    if t.shape() == kept {
        return Ok(t.detach());
    }
    let packed = if t.use_kernels() { copy::contiguous(t.raw())? } else { t.raw().contiguous()? };
    Ok(t.view(packed.reshape(kept)?))
}

/// A broadcast view.
pub(super) fn spread(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    Ok(t.view(t.raw().broadcast_as(shape)?))
}

pub(super) fn refuse_empty(op: &str, shape: &[usize], axes: &[usize]) -> Result<()> {
    match axes.iter().find(|&&a| shape[a] == 0) {
        Some(axis) => Err(Error::argument(format!("{op}: axis {axis} of shape {shape:?} is empty and has no {op}"))),
        None => Ok(()),
    }
}
