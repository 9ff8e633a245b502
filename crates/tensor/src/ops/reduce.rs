//! Reductions over axes.
use super::args::{resolve_axis, wider, Axes};
use super::general::wide_dtype;
use super::reduce_general as general;
use crate::{
    autodiff::{record, Grads},
    device_path::on_host,
    dtype::{Whole, Wide},
    for_any, for_float, for_whole, for_wide,
    kernels::{
        copy,
        number::Number,
        plan::{read, Dims},
        reduce::{
            best_index, middle, products_of_others, running_sum, running_whole as kernel_running_whole, same, Combine,
            Largest, Product, Smallest, Sum, WholeProduct, WholeSum,
        },
    },
    memory,
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use smallvec::{smallvec, SmallVec};

/// A reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Prod,
    Max,
    Min,
}

/// The shape with the axes at 1, and without them.
fn reduced_shapes(shape: &[usize], axes: &[usize]) -> (Dims, Dims) {
    let kept = shape.iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
    let dropped = shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect();
    (kept, dropped)
}

/// Neighbouring axes of `shape` as blocks (size, is reduced); axes of size 1 vanish.
fn blocks(shape: &[usize], axes: &[usize]) -> SmallVec<[(usize, bool); 6]> {
    let mut out: SmallVec<[(usize, bool); 6]> = SmallVec::new();
    for (i, &d) in shape.iter().enumerate().filter(|(_, &d)| d != 1) {
        let reduced = axes.contains(&i);
        match out.last_mut() {
            Some((size, same)) if *same == reduced => *size *= d,
            _ => out.push((d, reduced)),
        }
    }
    out
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

fn fold_kernel<T: Element>(x: &Raw, axes: &[usize], fold: Fold) -> Result<Vec<T::Acc>>
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
fn whole_kernel<T: Whole>(x: &Raw, axes: &[usize], fold: Fold) -> Result<Vec<T::Wide>> {
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
        if !x.use_kernels() {
            return general::fold(&x.detach(), axes, self);
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
fn unfit(op: &str, x: &Tensor, dtype: DType) -> Error {
    Error::argument(format!(
        "{op} of {}{:?}: a result does not fit {dtype}; cast the tensor to {} first",
        x.dtype(),
        x.shape(),
        wider(dtype, true)
    ))
}

/// `f` of integers as float64, as float32: float32 alone would round them before anything is computed.
fn by_float64(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    on_host(&[&x.detach()], |t| f(&t[0].cast(DType::F64)?)?.cast(DType::F32))
}

/// Views a result that kept its axes at 1 as one without them, unless they are wanted.
fn finish(out: Tensor, axes: &[usize], keepdims: bool) -> Result<Tensor> {
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
fn with_kept(t: &Tensor, kept: &[usize]) -> Result<Tensor> {
    if t.shape() == kept {
        return Ok(t.detach());
    }
    let packed = if t.use_kernels() { copy::contiguous(t.raw())? } else { t.raw().contiguous()? };
    Ok(t.view(packed.reshape(kept)?))
}

/// A broadcast view.
fn spread(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    Ok(t.view(t.raw().broadcast_as(shape)?))
}

fn refuse_empty(op: &str, shape: &[usize], axes: &[usize]) -> Result<()> {
    match axes.iter().find(|&&a| shape[a] == 0) {
        Some(axis) => Err(Error::argument(format!("{op}: axis {axis} of shape {shape:?} is empty and has no {op}"))),
        None => Ok(()),
    }
}

impl Tensor {
    /// Sum over `axes`. Bool is summed as int32, uint8 as uint32, other whole numbers keep their dtype.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range or given twice, and where a sum of whole numbers does not fit its dtype.
    pub fn sum(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("sum", self.rank())?;
        let out = finish(Fold::Sum.value(self, &axes)?, &axes, keepdims)?;
        let shape: Dims = self.shape().into();
        Ok(record(out, &[self], move |ct, _| {
            let (kept, _) = reduced_shapes(&shape, &axes);
            Ok(smallvec![Some(spread(&with_kept(ct, &kept)?, &shape)?)])
        }))
    }
    /// Mean over `axes`; whole numbers give float32. Of an empty axis it is NaN.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range or given twice.
    pub fn mean(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("mean", self.rank())?;
        let out = finish(mean_value(self, &axes)?, &axes, keepdims)?;
        let shape: Dims = self.shape().into();
        let wide = wide_dtype(out.dtype());
        Ok(record(out, &[self], move |ct, _| {
            let (kept, _) = reduced_shapes(&shape, &axes);
            // Halves cannot hold every count.
            let each = with_kept(ct, &kept)?.cast(wide)?.div_scalar(count(&shape, &axes) as f64)?;
            Ok(smallvec![Some(spread(&each.cast(ct.dtype())?, &shape)?)])
        }))
    }
    /// The largest value over `axes`; NaN if one is. Equal largest values share the gradient.
    ///
    /// # Errors
    /// As [`Tensor::sum`], and for an empty axis.
    pub fn max(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        self.extreme(axes.into(), keepdims, Fold::Max, "max")
    }
    /// The smallest value over `axes`; NaN if one is. Equal smallest values share the gradient.
    ///
    /// # Errors
    /// As [`Tensor::sum`], and for an empty axis.
    pub fn min(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        self.extreme(axes.into(), keepdims, Fold::Min, "min")
    }
    fn extreme(&self, axes: Axes, keepdims: bool, fold: Fold, op: &str) -> Result<Tensor> {
        let axes = axes.resolve(op, self.rank())?;
        refuse_empty(op, self.shape(), &axes)?;
        let best = fold.value(self, &axes)?;
        let out = finish(best.clone(), &axes, keepdims)?;
        if !self.is_tracked() {
            return Ok(out);
        }
        let x = self.detach();
        Ok(record(out, &[self], move |ct, _| {
            let wide = wide_dtype(x.dtype());
            let hit = x.eq(&best)?;
            let ties = Fold::Sum.value(&hit.cast(wide)?, &axes)?;
            let share = with_kept(ct, best.shape())?.cast(wide)?.div(&ties)?.cast(x.dtype())?;
            Ok(smallvec![Some(Tensor::where_(&hit, &share, &share.zeros_like()?)?)])
        }))
    }
    /// Product over `axes`. Bool is multiplied as int32, uint8 as uint32.
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn prod(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("prod", self.rank())?;
        let out = finish(Fold::Prod.value(self, &axes)?, &axes, keepdims)?;
        let x = self.detach();
        Ok(record(out, &[self], move |ct, _| {
            let (kept, _) = reduced_shapes(x.shape(), &axes);
            let wide = wide_dtype(x.dtype());
            let others = others(&x.cast(wide)?, &axes)?;
            Ok(smallvec![Some(others.mul(&with_kept(ct, &kept)?.cast(wide)?)?.cast(x.dtype())?)])
        }))
    }
    /// Population variance over `axes` (divided by the count); whole numbers give float32.
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn var(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("var", self.rank())?;
        if !self.dtype().is_float() {
            let some: SmallVec<[isize; 4]> = axes.iter().map(|&a| a as isize).collect();
            return by_float64(self, |x| x.var(Axes::Some(some.clone()), keepdims));
        }
        // Halves compute in float32 throughout.
        let wide_dtype = wide_dtype(self.dtype());
        let wide = self.detach().cast(wide_dtype)?;
        let mean = mean_value(&wide, &axes)?;
        let centred = wide.sub(&mean)?;
        let out = finish(mean_value(&centred.square()?, &axes)?.cast(self.dtype())?, &axes, keepdims)?;
        if !self.is_tracked() {
            return Ok(out);
        }
        drop((wide, centred));
        let x = self.detach();
        Ok(record(out, &[self], move |ct, _| {
            let (kept, _) = reduced_shapes(x.shape(), &axes);
            let each = with_kept(ct, &kept)?.cast(wide_dtype)?.mul_scalar(2.0 / count(x.shape(), &axes) as f64)?;
            Ok(smallvec![Some(x.cast(wide_dtype)?.sub(&mean)?.mul(&each)?.cast(x.dtype())?)])
        }))
    }
    /// ln Σ e^x over `axes`, without overflow; -inf where all values are -inf (with gradient 0).
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn logsumexp(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("logsumexp", self.rank())?;
        if !self.dtype().is_float() {
            let some: SmallVec<[isize; 4]> = axes.iter().map(|&a| a as isize).collect();
            return by_float64(self, |x| x.logsumexp(Axes::Some(some.clone()), keepdims));
        }
        let wide_dtype = wide_dtype(self.dtype());
        let wide = self.detach().cast(wide_dtype)?;
        let (kept, _) = reduced_shapes(self.shape(), &axes);
        let total = if count(self.shape(), &axes) == 0 {
            Tensor::full(&kept, f64::NEG_INFINITY, wide_dtype, self.device())?
        } else {
            let most = Fold::Max.value(&wide, &axes)?;
            let shift = Tensor::where_(&most.isfinite()?, &most, &most.zeros_like()?)?;
            Fold::Sum.value(&wide.sub(&shift)?.exp()?, &axes)?.log()?.add(&shift)?
        };
        let out = finish(total.cast(self.dtype())?, &axes, keepdims)?;
        if !self.is_tracked() {
            return Ok(out);
        }
        drop(wide);
        let x = self.detach();
        Ok(record(out, &[self], move |ct, _| {
            let shift = Tensor::where_(&total.eq_scalar(f64::NEG_INFINITY)?, &total.zeros_like()?, &total)?;
            let share = x.cast(wide_dtype)?.sub(&shift)?.exp()?;
            // Beside huge values the logarithm of the sum is lost in rounding; the shares sum to 1 all the same.
            let sum = Fold::Sum.value(&share, &axes)?;
            let share = share.div(&Tensor::where_(&sum.eq_scalar(0.0)?, &sum.ones_like()?, &sum)?)?;
            Ok(smallvec![Some(share.mul(&with_kept(ct, total.shape())?)?.cast(x.dtype())?)])
        }))
    }
    /// Whether any value over `axes` is true (nonzero).
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn any(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("any", self.rank())?;
        finish(truth(self, &axes, Fold::Max)?, &axes, keepdims)
    }
    /// Whether all values over `axes` are true (nonzero).
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn all(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("all", self.rank())?;
        finish(truth(self, &axes, Fold::Min)?, &axes, keepdims)
    }
    /// The first index of the largest value along `axis` (`None`: of all values in row-major order), int32. NaN counts as largest.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range or empty.
    pub fn argmax(&self, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
        self.arg_extreme("argmax", axis, keepdims, true)
    }
    /// The first index of the smallest value along `axis` (`None`: of all values in row-major order), int32. NaN counts as smallest.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range or empty.
    pub fn argmin(&self, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
        self.arg_extreme("argmin", axis, keepdims, false)
    }
    fn arg_extreme(&self, op: &str, axis: Option<isize>, keepdims: bool, largest: bool) -> Result<Tensor> {
        let axes = Axes::from(axis).resolve(op, self.rank())?;
        refuse_empty(op, self.shape(), &axes)?;
        if !self.use_kernels() {
            // candle's order of NaN and of equal values differs between devices.
            return on_host(&[self], |t| t[0].arg_extreme(op, axis, keepdims, largest));
        }
        let (kept, _) = reduced_shapes(self.shape(), &axes);
        let split = match axis {
            None => [1, self.size(), 1],
            Some(_) => split_at(self.shape(), axes[0]),
        };
        for_any!(self.dtype(), T => {
            let values = self.detach().values::<T>()?;
            // The comparison with itself is false for NaN alone.
            #[allow(clippy::eq_op)]
            let out = if largest {
                best_index(&values, split, |new: T, best: T| best == best && (new > best || new != new))?
            } else {
                best_index(&values, split, |new: T, best: T| best == best && (new < best || new != new))?
            };
            let out = Tensor::from_raw(Raw::from_vec(out, &kept[..], self.device())?, DType::I32);
            finish(out, &axes, keepdims)
        })
    }
    /// Running sums along `axis`. Bool is summed as int32, uint8 as uint32.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range, and where a sum of whole numbers does not fit its dtype.
    pub fn cumsum(&self, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("cumsum", axis, self.rank())?;
        let out = if self.dtype().is_float() { running(self, at, false)? } else { running_whole(self, at)? };
        Ok(record(out, &[self], move |ct, _| Ok(smallvec![Some(running(ct, at, true)?)])))
    }
    /// Sums over the axes along which `shape` was broadcast to this tensor's shape: the gradient of broadcasting.
    ///
    /// # Errors
    /// `ShapeMismatch` when `shape` does not broadcast to this tensor's shape.
    pub fn sum_to(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let missing = self.rank().checked_sub(shape.len());
        let fits = |m: usize| shape.iter().zip(&self.shape()[m..]).all(|(&s, &d)| s == d || s == 1);
        let Some(missing) = missing.filter(|&m| fits(m)) else {
            return Err(Error::shape(format!("sum_to: {shape:?} does not broadcast to {:?}", self.shape())));
        };
        let axes: SmallVec<[usize; 4]> =
            (0..self.rank()).filter(|&i| i < missing || (shape[i - missing] == 1 && self.shape()[i] != 1)).collect();
        let sum = Fold::Sum.value(self, &axes)?;
        let out = sum.view(sum.raw().reshape(shape)?);
        let (from, kept) = (Dims::from(self.shape()), Dims::from(sum.shape()));
        Ok(record(out, &[self], move |ct, _| -> Result<Grads> {
            Ok(smallvec![Some(spread(&with_kept(ct, &kept)?, &from)?)])
        }))
    }
}

fn split_at(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

fn count(shape: &[usize], axes: &[usize]) -> usize {
    axes.iter().map(|&a| shape[a]).product()
}

/// The mean with the axes kept; halves divide before they are rounded, integers are summed exactly.
fn mean_value(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let n = count(x.shape(), axes) as f64;
    let dtype = x.dtype();
    let (kept, _) = reduced_shapes(x.shape(), axes);
    if !dtype.is_float() {
        return on_host(&[x], |t| {
            for_whole!(dtype, "mean", T => {
                let sums = whole_kernel::<T>(t[0].raw(), axes, Fold::Sum)?;
                let values = memory::collect(sums.into_iter().map(|v| (v.exact() as f64 / n) as f32))?;
                Tensor::from_vec(values, &kept)
            })
        });
    }
    if !x.use_kernels() {
        let wide = x.detach().cast(wide_dtype(dtype))?;
        return Fold::Sum.value(&wide, axes)?.div_scalar(n)?.cast(dtype);
    }
    for_float!(dtype, "mean", T => {
        let n = n as <T as Element>::Acc;
        let values = memory::collect::<T>(fold_kernel::<T>(x.raw(), axes, Fold::Sum)?.into_iter().map(|v| T::down(v / n)))?;
        Ok(Tensor::from_raw(Raw::from_vec(values, &kept[..], x.device())?, dtype))
    })
}

/// For each element the product of the others over `axes`: zeros, infinities and what overflows on the way are no special cases.
fn others(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    on_host(&[x], |t| {
        let order: SmallVec<[usize; 6]> =
            (0..x.rank()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
        let rows = t[0].transpose(Some(&order))?;
        for_wide!(x.dtype(), "prod", T => {
            let values = products_of_others(&rows.values::<T>()?, count(x.shape(), axes))?;
            let mut back = order.clone();
            order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
            Tensor::from_vec(values, rows.shape())?.transpose(Some(&back))
        })
    })
}

fn truth(x: &Tensor, axes: &[usize], fold: Fold) -> Result<Tensor> {
    let bytes = x.detach().cast(DType::Bool)?;
    let (kept, _) = reduced_shapes(x.shape(), axes);
    if count(x.shape(), axes) == 0 {
        return Tensor::full(&kept, (fold == Fold::Min) as i64, DType::Bool, x.device());
    }
    fold.value(&bytes, axes)
}

fn running(x: &Tensor, axis: usize, backwards: bool) -> Result<Tensor> {
    if !x.use_kernels() {
        // candle sums by a product with a triangle, which is quadratic.
        return on_host(&[x], |t| running(&t[0], axis, backwards));
    }
    for_any!(x.dtype(), T => {
        let values = running_sum(&x.values::<T>()?, split_at(x.shape(), axis), backwards)?;
        Ok(Tensor::from_raw(Raw::from_vec(values, x.shape(), x.device())?, x.dtype()))
    })
}

fn running_whole(x: &Tensor, axis: usize) -> Result<Tensor> {
    let to = x.dtype().of_sums();
    on_host(&[x], |t| {
        for_whole!(x.dtype(), "cumsum", T => for_whole!(to, "cumsum", O => {
            let values = kernel_running_whole::<T, O>(&t[0].values::<T>()?, split_at(x.shape(), axis))?;
            let values = values.ok_or_else(|| unfit("cumsum", x, to))?;
            Ok(Tensor::from_raw(Raw::from_vec(values, x.shape(), t[0].device())?, to))
        }))
    })
}
