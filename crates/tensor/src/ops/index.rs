//! Reading and writing at indices that are tensors themselves.
use super::{
    args::{resolve_axis, wider},
    make::made,
};
use crate::{
    autodiff::record,
    device_path::on_host,
    dtype::{Whole, Wide},
    element_count, for_any, for_whole,
    host_trips::Hosted,
    kernels::{
        gather::{gather, scatter, scatter_by, Picks, Spread, Write},
        plan::broadcast_shape,
    },
    memory,
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use smallvec::smallvec;

impl Tensor {
    /// Takes the slices at `indices` along an axis, as `jnp.take`.
    ///
    /// Formula: `y[i, j, k] = x[i, indices[j], k]` for axis 1 of a tensor of three axes.
    ///
    /// Shapes: `[a, n, b]`, `int32[p, q]` → `[a, p, q, b]` for axis 1: the axes of the indices take the place of the
    /// axis. A negative index counts from the end.
    ///
    /// Dtypes: this tensor's; indices are integers.
    ///
    /// Gradient: `dy` is added up at the indices, which may repeat.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    /// - `DTypeMismatch`: indices are not integers.
    /// - `IndexOutOfRange`: an index is out of range.
    pub fn take(&self, indices: &Tensor, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("take", axis, self.rank())?;
        let frame = Frame::new(self.shape(), at, indices.size(), Spread::Shared);
        let mut shape = self.shape().to_vec();
        shape.splice(at..=at, indices.shape().iter().copied());
        let flat = indices.detach().reshape(&[indices.size()])?;
        let value = pick("take", self, &flat, &frame, &shape)?;
        let from = self.shape().to_vec();
        Ok(record(value, &[self], move |ct, _| {
            let zeros = Tensor::zeros(&from, ct.dtype(), ct.device())?;
            Ok(smallvec![Some(put("take", &zeros, &flat, &frame, ct, Write::Add)?)])
        }))
    }
    /// Takes one element for each index along an axis, as `jnp.take_along_axis`.
    ///
    /// Formula: `y[i, j, k] = x[i, indices[i, j, k], k]` for axis 1 of a tensor of three axes.
    ///
    /// Shapes: the tensor and `indices` have as many axes, and broadcast except along the axis, which gets the size
    /// that it has in `indices`. A negative index counts from the end.
    ///
    /// Dtypes: this tensor's; indices are integers.
    ///
    /// Gradient: `dy` is added up at the indices, which may repeat.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: indices are not integers.
    /// - `IndexOutOfRange`: an index is out of range.
    pub fn gather(&self, indices: &Tensor, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("gather", axis, self.rank())?;
        let mut shape = common_shape("gather", self, indices, at)?;
        shape[at] = self.shape()[at];
        let x = self.broadcast_to(&shape)?;
        shape[at] = indices.shape()[at];
        let (indices, spread) = spread(indices, &shape, at)?;
        let frame = Frame::new(x.shape(), at, shape[at], spread);
        let value = pick("gather", &x, &indices, &frame, &shape)?;
        let from = x.shape().to_vec();
        Ok(record(value, &[&x], move |ct, _| {
            let zeros = Tensor::zeros(&from, ct.dtype(), ct.device())?;
            Ok(smallvec![Some(put("gather", &zeros, &indices, &frame, ct, Write::Add)?)])
        }))
    }
    /// Replaces the elements at `indices` along an axis by `updates`, as `jnp.put_along_axis`; this tensor itself stays
    /// as it is.
    ///
    /// Formula: `y = x`, then `y[i, indices[i, j, k], k] = updates[i, j, k]` for axis 1 of a tensor of three axes.
    /// Where an index repeats, the last update stays.
    ///
    /// Shapes: `indices` broadcast to this tensor except along the axis, `updates` to the indices. A negative index
    /// counts from the end.
    ///
    /// Dtypes: this tensor's, which `updates` must have too; indices are integers.
    ///
    /// Gradient: `dx = dy` with 0 at what was replaced; each update that stayed gets `dy` of its place.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: indices are not integers, or updates have another dtype.
    /// - `IndexOutOfRange`: an index is out of range.
    pub fn scatter(&self, indices: &Tensor, updates: &Tensor, axis: isize) -> Result<Tensor> {
        let w = Writing::new("scatter", self, indices, updates, axis)?;
        let value = put("scatter", &self.detach(), &w.indices, &w.frame, &w.updates.detach(), Write::Set)?;
        let Writing { indices, updates, frame } = w;
        let shape = updates.shape().to_vec();
        let (dtype, given) = (self.dtype(), updates.clone());
        Ok(record(value, &[self, &given], move |ct, need| {
            let kept = || -> Result<Tensor> {
                let zeros = Tensor::zeros(&shape, dtype, ct.device())?;
                put("scatter", ct, &indices, &frame, &zeros, Write::Set)
            };
            let written = || -> Result<Tensor> {
                let picked = pick("scatter", ct, &indices, &frame, &shape)?;
                let zeros = Tensor::zeros(&shape, dtype, ct.device())?;
                let stayed = winners(&indices, &frame, &shape)?;
                Ok(Tensor::from_raw(stayed.raw().where_cond(picked.raw(), zeros.raw())?, dtype))
            };
            Ok(smallvec![need[0].then(kept).transpose()?, need[1].then(written).transpose()?])
        }))
    }
    /// Adds `updates` to the elements at `indices` along an axis; this tensor itself stays as it is.
    ///
    /// Formula: `y = x`, then `y[i, indices[i, j, k], k] += updates[i, j, k]` for axis 1 of a tensor of three axes, in
    /// the order of the updates.
    ///
    /// Shapes: `indices` broadcast to this tensor except along the axis, `updates` to the indices. A negative index
    /// counts from the end.
    ///
    /// Dtypes: this tensor's, which `updates` must have too; indices are integers.
    ///
    /// Gradient: `dx = dy`; each update gets `dy` of its place.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or a sum of integers does not fit their dtype.
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: indices are not integers, or updates have another dtype.
    /// - `IndexOutOfRange`: an index is out of range.
    pub fn scatter_add(&self, indices: &Tensor, updates: &Tensor, axis: isize) -> Result<Tensor> {
        let w = Writing::new("scatter_add", self, indices, updates, axis)?;
        let value = put("scatter_add", &self.detach(), &w.indices, &w.frame, &w.updates.detach(), Write::Add)?;
        let Writing { indices, updates, frame } = w;
        let shape = updates.shape().to_vec();
        Ok(record(value, &[self, &updates], move |ct, need| {
            let added = || pick("scatter_add", ct, &indices, &frame, &shape);
            Ok(smallvec![need[0].then(|| ct.clone()), need[1].then(added).transpose()?])
        }))
    }
    /// Makes a vector of each integer: 1 at its place, 0 elsewhere.
    ///
    /// An integer outside `0` to `n - 1` gives zeros only.
    ///
    /// Formula: `y[..., j] = 1` if `x[...] = j`, else `0`
    ///
    /// Shapes: `int32[...]` → `[..., n]`.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `DTypeMismatch`: the elements are not integers.
    pub fn one_hot(&self, n: usize, dtype: DType) -> Result<Tensor> {
        require_integers("one_hot", self)?;
        let mut shape = self.shape().to_vec();
        shape.push(n);
        if !self.device().is_cpu() {
            return on_host(Hosted::OneHot, &[self], |x| x[0].one_hot(n, dtype));
        }
        let ids = for_any!(self.dtype(), T => {
            memory::collect(self.values::<T>()?.iter().map(|&v| candle_core::WithDType::to_f64(v)))?
        });
        for_any!(dtype, T => {
            element_count(&shape)?;
            let mut out: Vec<T> = memory::zeros(&shape)?;
            if n > 0 {
                for (row, &id) in out.chunks_exact_mut(n).zip(&ids) {
                    if id >= 0.0 && id < n as f64 {
                        row[id as usize] = T::of_whole(1);
                    }
                }
            }
            made(out, &shape, dtype, self.device())
        })
    }
}

/// The sizes around the indexed axis, and how many places are picked.
#[derive(Clone)]
struct Frame {
    outer: usize,
    size: usize,
    inner: usize,
    count: usize,
    spread: Spread,
}

impl Frame {
    fn new(shape: &[usize], axis: usize, count: usize, spread: Spread) -> Self {
        let product = |s: &[usize]| s.iter().product();
        Self { outer: product(&shape[..axis]), size: shape[axis], inner: product(&shape[axis + 1..]), count, spread }
    }
    fn picks<'a>(&self, places: &'a [u32]) -> Picks<'a> {
        let Frame { outer, size, inner, count, spread } = *self;
        Picks { outer, size, inner, count, places, spread }
    }
}

/// The checked operands of a scatter: updates have the full shape, indices that or one place for a whole row.
struct Writing {
    indices: Tensor,
    updates: Tensor,
    frame: Frame,
}

impl Writing {
    fn new(op: &str, x: &Tensor, indices: &Tensor, updates: &Tensor, axis: isize) -> Result<Self> {
        let at = resolve_axis(op, axis, x.rank())?;
        let mut shape = common_shape(op, x, indices, at)?;
        shape[at] = x.shape()[at];
        if shape != x.shape() {
            return Err(Error::shape(format!(
                "{op}: indices of shape {:?} do not broadcast to {:?} beside axis {axis}",
                indices.shape(),
                x.shape()
            )));
        }
        shape[at] = indices.shape()[at];
        let fits = updates.rank() <= shape.len()
            && updates.shape().iter().rev().zip(shape.iter().rev()).all(|(&from, &to)| from == to || from == 1);
        if !fits {
            return Err(Error::shape(format!(
                "{op}: updates of shape {:?} do not broadcast to {shape:?}",
                updates.shape()
            )));
        }
        if updates.dtype() != x.dtype() {
            return Err(Error::dtype(format!(
                "{op}: updates are {}, the tensor is {}; cast one of them",
                updates.dtype(),
                x.dtype()
            )));
        }
        let updates = updates.broadcast_to(&shape)?;
        let (indices, spread) = spread(indices, &shape, at)?;
        Ok(Self { indices, updates, frame: Frame::new(x.shape(), at, shape[at], spread) })
    }
}

/// The shape that `x` and `indices` broadcast to, but for the axis `at`.
fn common_shape(op: &str, x: &Tensor, indices: &Tensor, at: usize) -> Result<Vec<usize>> {
    if x.rank() != indices.rank() {
        return Err(Error::shape(format!(
            "{op}: indices of shape {:?} must have as many axes as {:?}",
            indices.shape(),
            x.shape()
        )));
    }
    let (mut a, mut b) = (x.shape().to_vec(), indices.shape().to_vec());
    (a[at], b[at]) = (1, 1);
    Ok(broadcast_shape(op, &a, &b)?.to_vec())
}

/// `indices` broadcast to `shape`, but left at one place for a whole row where they do not vary behind the axis.
fn spread(indices: &Tensor, shape: &[usize], at: usize) -> Result<(Tensor, Spread)> {
    let mut target = shape.to_vec();
    let mut spread = Spread::Elements;
    if indices.shape()[at + 1..].iter().all(|&d| d == 1) {
        target[at + 1..].fill(1);
        spread = Spread::Rows;
    }
    Ok((indices.detach().broadcast_to(&target)?, spread))
}

fn require_integers(op: &str, indices: &Tensor) -> Result<()> {
    match indices.dtype() {
        DType::I32 | DType::I64 | DType::U32 | DType::U8 => Ok(()),
        other => Err(Error::dtype(format!("{op}: indices are integers, got {other}"))),
    }
}

/// The indices as places below `size`, checked.
fn places(op: &str, indices: &Tensor, size: usize) -> Result<Vec<u32>> {
    require_integers(op, indices)?;
    if size > u32::MAX as usize {
        return Err(Error::argument(format!("{op}: an axis of {size} positions is too long to be indexed")));
    }
    let n = size as i64;
    macro_rules! checked {
        ($t:ty) => {{
            let values = indices.values::<$t>()?;
            let mut out = memory::room(values.len())?;
            let mut good = true;
            out.extend(values.iter().map(|&v| {
                let v = i64::from(v);
                good &= (-n..n).contains(&v);
                (if v < 0 { v.wrapping_add(n) } else { v }) as u32
            }));
            if !good {
                let bad = values.iter().find(|&&v| !(-n..n).contains(&i64::from(v)));
                let bad = bad.map_or(0, |&v| i64::from(v));
                return Err(Error::index(format!("{op}: index {bad} is out of range for an axis of size {size}")));
            }
            Ok(out)
        }};
    }
    match indices.dtype() {
        DType::I32 => checked!(i32),
        DType::I64 => checked!(i64),
        DType::U32 => checked!(u32),
        _ => checked!(u8),
    }
}

/// The picked values of `x` as `shape`, untracked.
fn pick(op: &str, x: &Tensor, indices: &Tensor, frame: &Frame, shape: &[usize]) -> Result<Tensor> {
    let places = places(op, indices, frame.size)?;
    let n = element_count(shape)?;
    if n == 0 {
        return Tensor::zeros(shape, x.dtype(), x.device());
    }
    let path = x.path(op);
    if path.by_kernel() {
        return for_any!(x.dtype(), T => {
            let mut out = memory::zeros(shape)?;
            gather(&x.values::<T>()?, frame.picks(&places), &mut out)?;
            made(out, shape, x.dtype(), x.device())
        });
    }
    memory::admit_tensor(shape, x.dtype())?;
    let raw = x.raw().reshape((frame.outer, frame.size, frame.inner)).and_then(|x| x.contiguous());
    let picked = raw.and_then(|raw| {
        if frame.spread == Spread::Shared {
            raw.index_select(&Raw::from_vec(places, frame.count, x.device())?, 1)?.reshape(shape)
        } else {
            raw.gather(&full_places(places, frame, x)?, 1)?.reshape(shape)
        }
    });
    match picked {
        Ok(raw) => Ok(Tensor::from_raw(raw, x.dtype())),
        // The device lacks the dtype.
        Err(_) => on_host(Hosted::Pick, &[&x.detach(), indices], |t| pick(op, &t[0], &t[1], frame, shape)),
    }
}

/// The places as a candle tensor `[outer, count, inner]` on the device of `x`.
fn full_places(places: Vec<u32>, frame: &Frame, x: &Tensor) -> candle_core::Result<Raw> {
    let (o, c, i) = (frame.outer, frame.count, frame.inner);
    let dims = match frame.spread {
        Spread::Elements => (o, c, i),
        Spread::Rows => (o, c, 1),
        Spread::Shared => (1, c, 1),
    };
    Raw::from_vec(places, dims, x.device())?.broadcast_as((o, c, i))?.contiguous()
}

/// `base` with `updates` written at the indices, untracked. Halves are added up in float32.
fn put(op: &str, base: &Tensor, indices: &Tensor, frame: &Frame, updates: &Tensor, write: Write) -> Result<Tensor> {
    let dtype = base.dtype();
    if write == Write::Add && matches!(dtype, DType::F16 | DType::BF16) {
        let wide = |t: &Tensor| t.detach().cast(DType::F32);
        return put(op, &wide(base)?, indices, frame, &wide(updates)?, write)?.cast(dtype);
    }
    if write == Write::Add && dtype == DType::Bool {
        return Err(Error::dtype(format!("{op}: bool values cannot be added; cast them to int32")));
    }
    let checked = places(op, indices, frame.size)?;
    if write == Write::Add && !dtype.is_float() {
        return on_host(Hosted::AddWhole, &[base, updates], |t| add_whole(op, &t[0], frame.picks(&checked), &t[1]));
    }
    let path = base.path(op);
    if path.by_kernel() {
        return for_any!(dtype, T => {
            let mut out = base.to_vec::<T>()?;
            scatter(&mut out, frame.picks(&checked), &updates.values::<T>()?, write)?;
            made(out, base.shape(), dtype, base.device())
        });
    }
    if write == Write::Add && dtype.is_float() && base.size() > 0 && updates.size() > 0 {
        let (o, c, i) = (frame.outer, frame.count, frame.inner);
        let sum = || {
            let to = base.raw().reshape((o, frame.size, i))?.contiguous()?;
            let from = updates.raw().reshape((o, c, i))?.contiguous()?;
            to.scatter_add(&full_places(checked, frame, base)?, &from, 1)?.reshape(base.shape())
        };
        if let Ok(raw) = sum() {
            return Ok(Tensor::from_raw(raw, dtype));
        }
    }
    on_host(Hosted::Put, &[base, indices, updates], |t| put(op, &t[0], &t[1], frame, &t[2], write))
}

/// Integers with updates added: sums are exact, and must fit.
fn add_whole(op: &str, base: &Tensor, picks: Picks<'_>, updates: &Tensor) -> Result<Tensor> {
    let dtype = base.dtype();
    for_whole!(dtype, op, T => {
        let wide = |t: &Tensor| memory::collect(t.values::<T>()?.iter().map(|v| v.wide()));
        let mut sums = wide(base)?;
        scatter_by(&mut sums, picks, &wide(updates)?, |to, value| *to = to.plus(value))?;
        let fitting = memory::collect_some(sums.into_iter().map(|v| T::fit(v.exact())))?;
        let unfit = || format!("{op}: a sum does not fit {dtype}; cast the tensor and its updates to {} first", wider(dtype, true));
        made(fitting.ok_or_else(|| Error::argument(unfit()))?, base.shape(), dtype, base.device())
    })
}

/// Which updates of shape `shape` are the last at their place, as bool.
fn winners(indices: &Tensor, frame: &Frame, shape: &[usize]) -> Result<Tensor> {
    on_host(Hosted::Winners, &[indices], |t| {
        let n = element_count(shape)?;
        let picked = places("scatter", &t[0], frame.size)?;
        let picks = frame.picks(&picked);
        let order: Vec<i64> = memory::collect((0..n).map(|i| i as i64))?;
        let mut last = memory::full(&[frame.outer, frame.size, frame.inner], -1i64)?;
        scatter(&mut last, picks, &order, Write::Set)?;
        let mut stayed: Vec<i64> = memory::zeros(n)?;
        gather(&last, picks, &mut stayed)?;
        Tensor::from_bools(memory::collect(stayed.iter().zip(&order).map(|(a, b)| u8::from(a == b)))?, shape)
    })
}
