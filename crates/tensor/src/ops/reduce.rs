//! Reductions over axes.
use super::{
    args::{resolve_axis, Axes},
    fold::{
        by_float64, finish, fold_kernel, reduced_shapes, refuse_empty, spread, unfit, whole_kernel, with_kept, Fold,
    },
    general::{wide_dtype, widen},
};
use crate::{
    autodiff::{record, Grads},
    device_path::{on_host, Path},
    dtype::Wide,
    for_any, for_float, for_whole, for_wide,
    host_trips::Hosted,
    kernels::{
        plan::Dims,
        reduce::{best_index, products_of_others, running_sum, running_whole as kernel_running_whole},
    },
    memory,
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use smallvec::{smallvec, SmallVec};

impl Tensor {
    /// Adds up the elements over the given axes, or over all.
    ///
    /// Formula: `y = Σ x`
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: bool is summed as int32, uint8 as uint32; others keep theirs.
    ///
    /// Gradient: `dx = dy`, broadcast back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice, or a sum of integers does not fit its dtype.
    pub fn sum(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("sum", self.rank())?;
        let out = finish(Fold::Sum.value(self, &axes)?, &axes, keepdims)?;
        let shape: Dims = self.shape().into();
        Ok(record(out, &[self], move |ct, _| {
            let (kept, _) = reduced_shapes(&shape, &axes);
            Ok(smallvec![Some(spread(&with_kept(ct, &kept)?, &shape)?)])
        }))
    }
    /// Takes the mean of the elements over the given axes, or over all; of no elements it is NaN.
    ///
    /// Formula: `y = Σ x / n`, where `n` counts the elements that were summed.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = dy / n`, broadcast back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
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
    /// Takes the largest element over the given axes, or over all; NaN if one is.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: any, kept.
    ///
    /// Gradient: `dy` goes to the largest elements, in equal shares where several are equal.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range, given twice or empty.
    pub fn max(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        self.extreme(axes.into(), keepdims, Fold::Max, "max")
    }
    /// Takes the smallest element over the given axes, or over all; NaN if one is.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: any, kept.
    ///
    /// Gradient: `dy` goes to the smallest elements, in equal shares where several are equal.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range, given twice or empty.
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
    /// Multiplies the elements over the given axes, or over all.
    ///
    /// Formula: `y = Π x`
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: bool is multiplied as int32, uint8 as uint32; others keep theirs.
    ///
    /// Gradient: each element gets `dy` times the product of the others.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice, or a product of integers does not fit its dtype.
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
    /// Takes the variance of the elements over the given axes, or over all: the mean of the squared distances from the
    /// mean.
    ///
    /// Formula: `y = Σ (x - mean(x))² / n`, where `n` counts the elements, as in NumPy.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: floats keep theirs (float16 and bfloat16 compute in float32); integers and bool give float32.
    ///
    /// Gradient: `dx = 2 (x - mean(x)) / n · dy`
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
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
    /// Takes the logarithm of the sum of exponentials over the given axes, or over all, without overflow.
    ///
    /// Formula: `y = ln Σ e^x`; minus infinity where all elements are.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: floats keep theirs (float16 and bfloat16 compute in float32); integers and bool give float32.
    ///
    /// Gradient: `dx = e^(x - y) · dy`, which is the softmax times `dy`.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
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
    /// Tells whether any element over the given axes, or over all, is true; what is not zero counts as true.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
    pub fn any(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("any", self.rank())?;
        finish(truth(self, &axes, Fold::Max)?, &axes, keepdims)
    }
    /// Tells whether all elements over the given axes, or over all, are true; what is not zero counts as true.
    ///
    /// Shapes: without the reduced axes; with `keepdims` they stay, with size 1.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
    pub fn all(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
        let axes = axes.into().resolve("all", self.rank())?;
        finish(truth(self, &axes, Fold::Min)?, &axes, keepdims)
    }
    /// Finds where the largest element is along an axis; without one, in all elements in row-major order.
    ///
    /// The first of several equal ones counts, and NaN counts as largest.
    ///
    /// Shapes: without the axis; with `keepdims` it stays, with size 1.
    ///
    /// Dtypes: any; the result is int32.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range or empty.
    pub fn argmax(&self, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
        self.arg_extreme("argmax", axis, keepdims, true)
    }
    /// Finds where the smallest element is along an axis; without one, in all elements in row-major order.
    ///
    /// The first of several equal ones counts, and NaN counts as smallest.
    ///
    /// Shapes: without the axis; with `keepdims` it stays, with size 1.
    ///
    /// Dtypes: any; the result is int32.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range or empty.
    pub fn argmin(&self, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
        self.arg_extreme("argmin", axis, keepdims, false)
    }
    fn arg_extreme(&self, op: &str, axis: Option<isize>, keepdims: bool, largest: bool) -> Result<Tensor> {
        let axes = Axes::from(axis).resolve(op, self.rank())?;
        refuse_empty(op, self.shape(), &axes)?;
        let path = self.path(op);
        if !path.by_kernel() {
            if let Some(out) = self.arg_extreme_of_rows(&path, &axes, largest)? {
                return finish(out, &axes, keepdims);
            }
            // candle's order of NaN and of equal values differs between devices.
            return on_host(Hosted::Extreme, &[self], |t| t[0].arg_extreme(op, axis, keepdims, largest));
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
    /// The same of the last axis or of all, by kernels of an accelerator, with the axes kept; nothing where it has none.
    fn arg_extreme_of_rows(&self, path: &Path, axes: &[usize], largest: bool) -> Result<Option<Tensor>> {
        let cols = count(self.shape(), axes);
        let last = axes.len() == self.rank() || axes == [self.rank() - 1];
        if self.size() == 0 || !last {
            return Ok(None);
        }
        let found = path.accelerated(self, |kernels| {
            let wide = widen(&self.detach())?;
            kernels.largest(&if largest { wide } else { wide.neg()? }, cols)
        })?;
        let Some([_, places]) = found else { return Ok(None) };
        let (kept, _) = reduced_shapes(self.shape(), axes);
        Ok(Some(Tensor::from_raw(places.reshape(&kept[..])?, DType::I32)))
    }
    /// Takes running sums along an axis.
    ///
    /// Formula: `y[i] = x[0] + … + x[i]` along the axis.
    ///
    /// Shapes: any, kept.
    ///
    /// Dtypes: bool is summed as int32, uint8 as uint32; others keep theirs.
    ///
    /// Gradient: running sums of `dy` from the end.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or a sum of integers does not fit its dtype.
    pub fn cumsum(&self, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("cumsum", axis, self.rank())?;
        let out = if self.dtype().is_float() { running(self, at, false)? } else { running_whole(self, at)? };
        Ok(record(out, &[self], move |ct, _| Ok(smallvec![Some(running(ct, at, true)?)])))
    }
    /// Sums over the axes along which `shape` was broadcast to this tensor's shape: the gradient of broadcasting.
    ///
    /// # Errors
    /// - `ShapeMismatch`: `shape` does not broadcast to this tensor's shape.
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
        return on_host(Hosted::MeanOfWhole, &[x], |t| {
            for_whole!(dtype, "mean", T => {
                let sums = whole_kernel::<T>(t[0].raw(), axes, Fold::Sum)?;
                let values = memory::collect(sums.into_iter().map(|v| (v.exact() as f64 / n) as f32))?;
                Tensor::from_vec(values, &kept)
            })
        });
    }
    let path = x.path("mean");
    if !path.by_kernel() {
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
    on_host(Hosted::Others, &[x], |t| {
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
    let path = x.path("cumsum");
    if !path.by_kernel() {
        // candle sums by a product with a triangle, which is quadratic.
        return on_host(Hosted::Running, &[x], |t| running(&t[0], axis, backwards));
    }
    for_any!(x.dtype(), T => {
        let values = running_sum(&x.values::<T>()?, split_at(x.shape(), axis), backwards)?;
        Ok(Tensor::from_raw(Raw::from_vec(values, x.shape(), x.device())?, x.dtype()))
    })
}

fn running_whole(x: &Tensor, axis: usize) -> Result<Tensor> {
    let to = x.dtype().of_sums();
    on_host(Hosted::RunningWhole, &[x], |t| {
        for_whole!(x.dtype(), "cumsum", T => for_whole!(to, "cumsum", O => {
            let values = kernel_running_whole::<T, O>(&t[0].values::<T>()?, split_at(x.shape(), axis))?;
            let values = values.ok_or_else(|| unfit("cumsum", x, to))?;
            Ok(Tensor::from_raw(Raw::from_vec(values, x.shape(), t[0].device())?, to))
        }))
    })
}
