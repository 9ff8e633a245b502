//! Parts of a tensor, and a tensor as part of a larger one.
use super::{
    args::{resolve_axis, Axes, Scalar},
    make::made,
};
use crate::{
    autodiff::{custom_vjp, record},
    device_path::on_host,
    for_any,
    host_trips::Hosted,
    kernels::remap::{remap, AxisMap, NOWHERE},
    memory,
    tensor::Raw,
    Element, Error, Result, Tensor,
};
use smallvec::smallvec;

impl Tensor {
    /// `len` positions of `axis` from `start` on; a view.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis or the positions are out of range.
    pub fn narrow(&self, axis: isize, start: usize, len: usize) -> Result<Tensor> {
        let at = resolve_axis("narrow", axis, self.rank())?;
        let size = self.shape()[at];
        if start.checked_add(len).is_none_or(|end| end > size) {
            return Err(Error::argument(format!(
                "narrow: axis {axis} of {:?} has no {len} positions from {start} on",
                self.shape()
            )));
        }
        if len == size {
            return Ok(self.clone());
        }
        let value = self.view(self.raw().narrow(at, start, len)?);
        let mut around = vec![(0, 0); self.rank()];
        around[at] = (start, size - start - len);
        Ok(record(value, &[self], move |ct, _| Ok(smallvec![Some(ct.pad(&around, 0.0)?)])))
    }
    /// Takes one slice along an axis, and leaves the axis out.
    ///
    /// Nothing is copied.
    ///
    /// Formula: `y[j, k] = x[j, i, k]` for axis 1 of a tensor of three axes. A negative `i` counts from the end.
    ///
    /// Gradient: `dy` at the slice, 0 elsewhere.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    /// - `IndexOutOfRange`: the position is out of range.
    pub fn index(&self, axis: isize, i: isize) -> Result<Tensor> {
        let at = resolve_axis("index", axis, self.rank())?;
        let size = self.shape()[at];
        let from = if i < 0 { i + size as isize } else { i };
        if !(0..size as isize).contains(&from) {
            return Err(Error::index(format!("index: {i} is out of range for axis {axis} of {:?}", self.shape())));
        }
        self.narrow(axis, from as usize, 1)?.squeeze(at as isize)
    }
    /// Takes a part along the first axes, as NumPy's `x[start:end:step, ...]`.
    ///
    /// Nothing is copied where all steps are 1.
    ///
    /// Each list has one entry for each of the first axes. Negative positions count from the end, and positions beyond
    /// an end stop there. A negative step walks backwards.
    ///
    /// Gradient: `dy` at the part, 0 elsewhere.
    ///
    /// # Errors
    /// - `InvalidArgument`: there are more entries than axes, the lists differ in length, or a step is 0.
    pub fn slice(&self, starts: &[isize], ends: &[isize], steps: &[isize]) -> Result<Tensor> {
        let n = starts.len();
        if ends.len() != n || n > self.rank() || !(steps.is_empty() || steps.len() == n) {
            return Err(Error::argument(format!(
                "slice: {n} starts, {} ends and {} steps for the {} axes of {:?}",
                ends.len(),
                steps.len(),
                self.rank(),
                self.shape()
            )));
        }
        let mut out = self.clone();
        let mut maps: Vec<AxisMap> = Vec::new();
        for axis in 0..self.rank() {
            let size = self.shape()[axis];
            if axis >= n {
                maps.push(AxisMap::Same(size));
                continue;
            }
            let step = steps.get(axis).copied().unwrap_or(1);
            if step == 0 {
                return Err(Error::argument("slice: a step must not be 0"));
            }
            let (first, count) = positions(starts[axis], ends[axis], step, size);
            if step == 1 || count == 0 {
                out = out.narrow(axis as isize, if count == 0 { 0 } else { first }, count)?;
                maps.push(AxisMap::Same(count));
            } else {
                let place = |i: usize| (first as isize + i as isize * step) as usize;
                maps.push(AxisMap::From(memory::collect((0..count).map(place))?));
            }
        }
        out.through(maps)
    }
    /// Reverses the order along the given axes, or along all.
    ///
    /// Formula: `y[i] = x[n - 1 - i]` along each axis.
    ///
    /// Gradient: `dy`, reversed.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
    pub fn flip(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        let axes = axes.into().resolve("flip", self.rank())?;
        let map = |(axis, &n): (usize, &usize)| match axes.contains(&axis) {
            true => memory::collect((0..n).rev()).map(AxisMap::From),
            false => Ok(AxisMap::Same(n)),
        };
        self.through(self.shape().iter().enumerate().map(map).collect::<Result<_>>()?)
    }
    /// Shifts the elements along an axis; those that fall off the end come back at the start.
    ///
    /// Formula: `y[(i + shift) mod n] = x[i]` along the axis.
    ///
    /// Gradient: `dy`, shifted back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    pub fn roll(&self, shift: isize, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("roll", axis, self.rank())?;
        let map = |(axis, &n): (usize, &usize)| {
            let shift = if axis == at && n > 0 { shift.rem_euclid(n as isize) as usize } else { 0 };
            match shift {
                0 => Ok(AxisMap::Same(n)),
                s => memory::collect((0..n).map(|i| if i < s { n - s + i } else { i - s })).map(AxisMap::From),
            }
        };
        self.through(self.shape().iter().enumerate().map(map).collect::<Result<_>>()?)
    }
    /// Puts a value around the tensor: so many positions before and after each axis.
    ///
    /// Shapes: `[n]` → `[before + n + after]`.
    ///
    /// Dtypes: this tensor's.
    ///
    /// Gradient: `dy` without what was put around.
    ///
    /// # Errors
    /// - `InvalidArgument`: there is not one pair for each axis, or an integer dtype does not hold the value.
    /// - `ShapeMismatch`: the result would have too many elements.
    pub fn pad(&self, widths: &[(usize, usize)], value: impl Into<Scalar>) -> Result<Tensor> {
        if widths.len() != self.rank() {
            return Err(Error::argument(format!(
                "pad: {} pairs of widths for the {} axes of {:?}",
                widths.len(),
                self.rank(),
                self.shape()
            )));
        }
        let map = |(&n, &(before, after)): (&usize, &(usize, usize))| match (before, after) {
            (0, 0) => Ok(AxisMap::Same(n)),
            _ => {
                let size = before.checked_add(n).and_then(|m| m.checked_add(after));
                let size = size.ok_or_else(|| Error::shape("pad: the result would have too many elements"))?;
                crate::element_count(&[size])?;
                memory::admit_tensor(&[size], self.dtype())?;
                let places = (0..size).map(|i| if (before..before + n).contains(&i) { i - before } else { NOWHERE });
                Ok(AxisMap::From(memory::collect(places)?))
            }
        };
        let maps = self.shape().iter().zip(widths).map(map).collect::<Result<Vec<_>>>()?;
        if maps.iter().all(|m| matches!(m, AxisMap::Same(_))) {
            return Ok(self.clone());
        }
        let out = apply(self, &maps, value.into())?;
        let (starts, sizes): (Vec<usize>, Vec<usize>) = (widths.iter().map(|w| w.0).collect(), self.shape().to_vec());
        Ok(record(out, &[self], move |ct, _| {
            let mut ct = ct.clone();
            for (axis, (&start, &size)) in starts.iter().zip(&sizes).enumerate() {
                ct = ct.narrow(axis as isize, start, size)?;
            }
            Ok(smallvec![Some(ct)])
        }))
    }
    /// Cuts an axis into `n` parts of the same size.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[..., n·a, ...]` → `n` times `[..., a, ...]`.
    ///
    /// Gradient: `dy` of all parts, joined.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or `n` does not divide its size.
    pub fn split(&self, n: usize, axis: isize) -> Result<Vec<Tensor>> {
        let at = resolve_axis("split", axis, self.rank())?;
        let size = self.shape()[at];
        if n == 0 || !size.is_multiple_of(n) {
            return Err(Error::argument(format!(
                "split: axis {axis} of {:?} cannot be cut into {n} equal parts",
                self.shape()
            )));
        }
        self.split_at(&memory::collect((1..n).map(|i| i * (size / n)))?, axis)
    }
    /// Cuts an axis at ascending positions.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[n]` → `[p]`, `[q - p]`, `[n - q]` for the positions `[p, q]`.
    ///
    /// Gradient: `dy` of all parts, joined.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or positions descend or lie beyond the end.
    pub fn split_at(&self, at: &[usize], axis: isize) -> Result<Vec<Tensor>> {
        let place = resolve_axis("split_at", axis, self.rank())?;
        let size = self.shape()[place];
        let ends: Vec<usize> = at.iter().copied().chain([size]).collect();
        if !ends.is_sorted() {
            return Err(Error::argument(format!(
                "split_at: positions {at:?} must ascend from 0 to {size}, the size of axis {axis} of {:?}",
                self.shape()
            )));
        }
        let shape = self.shape().to_vec();
        let (dtype, device) = (self.dtype(), self.device().clone());
        let lens: Vec<usize> = ends.iter().scan(0, |start, &end| Some(end - std::mem::replace(start, end))).collect();
        let parts = lens.clone();
        // One node for all parts: the gradient is put together once.
        custom_vjp(
            std::slice::from_ref(self),
            move |x| {
                let starts = ends.iter().zip(&lens).map(|(&end, &len)| end - len);
                let parts = starts.zip(&lens).map(|(start, &len)| x[0].narrow(place as isize, start, len));
                Ok((parts.collect::<Result<Vec<_>>>()?, ()))
            },
            move |(), cts, _| {
                let part = |(ct, &len): (&Option<Tensor>, &usize)| match ct {
                    Some(ct) => Ok(ct.clone()),
                    None => {
                        let mut shape = shape.clone();
                        shape[place] = len;
                        Tensor::zeros(&shape, dtype, &device)
                    }
                };
                let parts = cts.iter().zip(&parts).map(part).collect::<Result<Vec<_>>>()?;
                Ok(vec![Some(Tensor::concat(&parts, place as isize)?)])
            },
        )
    }
    /// Reads each axis through a map that has a source for each place and uses none twice.
    fn through(&self, maps: Vec<AxisMap>) -> Result<Tensor> {
        if maps.iter().all(|m| matches!(m, AxisMap::Same(_))) {
            return Ok(self.clone());
        }
        let value = apply(self, &maps, Scalar::Int(0))?;
        let shape = self.shape().to_vec();
        Ok(record(value, &[self], move |ct, _| {
            let back = |(map, &n): (&AxisMap, &usize)| match map {
                AxisMap::Same(n) => Ok(AxisMap::Same(*n)),
                AxisMap::From(places) => {
                    let mut inverse = memory::full(n, NOWHERE)?;
                    places.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
                    Ok(AxisMap::From(inverse))
                }
            };
            let inverse: Vec<AxisMap> = maps.iter().zip(&shape).map(back).collect::<Result<_>>()?;
            Ok(smallvec![Some(apply(ct, &inverse, Scalar::Int(0))?)])
        }))
    }
}

/// The first position and their number of a NumPy slice over `size` positions.
fn positions(start: isize, end: isize, step: isize, size: usize) -> (usize, usize) {
    let n = size as isize;
    // The range that positions stop at: 0..=n forwards, -1..=n-1 backwards.
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |i: isize| match i {
        isize::MIN => low,
        i if i < 0 => (i + n).max(low),
        i => i.min(high),
    };
    let (first, last) = (place(start), place(end));
    let span = if step > 0 { last - first } else { first - last };
    let count = if span <= 0 { 0 } else { (span as usize - 1) / step.unsigned_abs() + 1 };
    (first.max(0) as usize, count)
}

/// `x` read through `maps`, untracked; `fill` where they lead nowhere.
fn apply(x: &Tensor, maps: &[AxisMap], fill: Scalar) -> Result<Tensor> {
    let shape: Vec<usize> = maps.iter().map(AxisMap::len).collect();
    crate::element_count(&shape)?;
    let path = x.path("slice");
    if path.by_kernel() {
        return for_any!(x.dtype(), T => by_kernel::<T>(x, maps, fill, &shape));
    }
    memory::admit_tensor(&shape, x.dtype())?;
    match by_selection(x, maps, fill, &shape) {
        Ok(raw) => Ok(Tensor::from_raw(raw, x.dtype())),
        // A device may lack a dtype for one of the steps; the host has them all.
        Err(_) => on_host(Hosted::Slice, &[x], |t| apply(&t[0], maps, fill)),
    }
}

fn by_kernel<T: Element>(x: &Tensor, maps: &[AxisMap], fill: Scalar, shape: &[usize]) -> Result<Tensor> {
    let mut out = memory::zeros(shape)?;
    remap(&x.values::<T>()?, x.shape(), maps, fill.checked("pad", x.dtype())?, &mut out)?;
    made(out, shape, x.dtype(), x.device())
}

/// Axis by axis: a slice of fill values is put behind the axis, then its positions are selected.
fn by_selection(x: &Tensor, maps: &[AxisMap], fill: Scalar, shape: &[usize]) -> Result<Raw> {
    let mut raw = x.raw().contiguous()?;
    if shape.contains(&0) {
        return Ok(Raw::zeros(shape, raw.dtype(), raw.device())?); // few: nothing
    }
    for (axis, map) in maps.iter().enumerate() {
        let AxisMap::From(places) = map else { continue };
        let n = raw.dims()[axis];
        if places.contains(&NOWHERE) {
            let mut dims = raw.dims().to_vec();
            dims[axis] = 1;
            let edge = Tensor::full(&dims, fill, x.dtype(), x.device())?;
            raw = Raw::cat(&[&raw, edge.raw()], axis)?.contiguous()?;
        }
        let ids: Vec<u32> = memory::collect(places.iter().map(|&p| p.min(n) as u32))?;
        let ids = Raw::from_vec(ids, places.len(), raw.device())?;
        raw = raw.index_select(&ids, axis)?;
    }
    Ok(raw)
}
