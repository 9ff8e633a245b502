//! Several tensors as one, and one repeated.
use super::{args::resolve_axis, make::made};
use crate::{
    autodiff::record,
    element_count, for_any,
    kernels::concat::{concat, Part},
    memory,
    tensor::Raw,
    Error, Result, Tensor,
};

impl Tensor {
    /// Joins tensors end to end along an axis they have.
    ///
    /// Shapes: `[..., a, ...]`, `[..., b, ...]` → `[..., a + b, ...]`; all other axes are equal.
    ///
    /// Dtypes: the dtype that all promote to.
    ///
    /// Gradient: each tensor gets its part of `dy`.
    ///
    /// # Errors
    /// - `InvalidArgument`: there are no tensors, or the axis is out of range.
    /// - `ShapeMismatch`: another axis differs.
    pub fn concat(tensors: &[Tensor], axis: isize) -> Result<Tensor> {
        let first = tensors.first().ok_or_else(|| Error::argument("concat: there must be at least one tensor"))?;
        let at = resolve_axis("concat", axis, first.rank())?;
        let others = |s: &[usize]| s.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, &d)| d).collect::<Vec<_>>();
        if let Some(bad) =
            tensors.iter().find(|t| t.rank() != first.rank() || others(t.shape()) != others(first.shape()))
        {
            return Err(Error::shape(format!(
                "concat: {:?} and {:?} differ in more than axis {axis}",
                first.shape(),
                bad.shape()
            )));
        }
        let dtype = tensors.iter().fold(first.dtype(), |d, t| d.promote(t.dtype()));
        let tensors = tensors.iter().map(|t| t.cast(dtype)).collect::<Result<Vec<_>>>()?;
        if let [only] = &tensors[..] {
            return Ok(only.clone());
        }
        let mut shape = first.shape().to_vec();
        // What overflows is refused as too many elements.
        shape[at] = tensors.iter().fold(0, |n: usize, t| n.saturating_add(t.shape()[at]));
        element_count(&shape)?;
        memory::admit_tensor(&shape, dtype)?;
        let path = first.path("concat");
        let value = if path.by_kernel() {
            for_any!(dtype, T => {
                let inner: usize = shape[at + 1..].iter().product();
                let values = tensors.iter().map(Tensor::values::<T>).collect::<Result<Vec<_>>>()?;
                let parts: Vec<Part<'_, T>> = tensors
                    .iter()
                    .zip(&values)
                    .map(|(t, values)| Part { values, width: t.shape()[at] * inner })
                    .collect();
                let mut out = memory::zeros(&shape)?;
                concat(&parts, &mut out)?;
                made(out, &shape, dtype, first.device())?
            })
        } else {
            // Empty parts are left out: candle's copy of nothing is not reliable on every device.
            let parts: Vec<&Raw> = tensors.iter().filter(|t| t.size() > 0).map(Tensor::raw).collect();
            match parts[..] {
                [] => Tensor::zeros(&shape, dtype, first.device())?,
                _ => Tensor::from_raw(Raw::cat(&parts, at)?.force_contiguous()?, dtype),
            }
        };
        let inputs: Vec<&Tensor> = tensors.iter().collect();
        let sizes: Vec<usize> = tensors.iter().map(|t| t.shape()[at]).collect();
        Ok(record(value, &inputs, move |ct, need| {
            let mut start = 0;
            let parts = sizes.iter().zip(need).map(|(&n, &need)| {
                start += n;
                need.then(|| ct.narrow(at as isize, start - n, n)).transpose()
            });
            parts.collect()
        }))
    }
    /// Joins tensors of one shape along a new axis.
    ///
    /// Shapes: `k` times `[..., n]` → `[k, ..., n]`, with the new axis at the given place.
    ///
    /// Dtypes: the dtype that all promote to.
    ///
    /// Gradient: each tensor gets its slice of `dy`.
    ///
    /// # Errors
    /// - `InvalidArgument`: there are no tensors, or the axis is out of range.
    /// - `ShapeMismatch`: the shapes differ.
    pub fn stack(tensors: &[Tensor], axis: isize) -> Result<Tensor> {
        let first = tensors.first().ok_or_else(|| Error::argument("stack: there must be at least one tensor"))?;
        let at = resolve_axis("stack", axis, first.rank() + 1)? as isize;
        if let Some(bad) = tensors.iter().find(|t| t.shape() != first.shape()) {
            return Err(Error::shape(format!("stack: shapes {:?} and {:?} differ", first.shape(), bad.shape())));
        }
        Self::concat(&tensors.iter().map(|t| t.expand_dims(at)).collect::<Result<Vec<_>>>()?, at)
    }
    /// The slices along `axis`, without it: views, the inverse of [`Tensor::stack`].
    ///
    /// One node of autodiff for all of them, so that the gradient of `n` slices is one stack, not `n` sums.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    pub fn unstack(&self, axis: isize) -> Result<Vec<Tensor>> {
        let at = resolve_axis("unstack", axis, self.rank())?;
        let n = self.shape()[at];
        let mut shape = self.shape().to_vec();
        shape.remove(at);
        let (dtype, device) = (self.dtype(), self.device().clone());
        crate::custom_vjp(
            std::slice::from_ref(self),
            |x| Ok(((0..n).map(|i| x[0].index(at as isize, i as isize)).collect::<Result<_>>()?, ())),
            move |(), cts, _| {
                let zeros = Tensor::zeros(&shape, dtype, &device)?;
                let cts: Vec<Tensor> =
                    (0..n).map(|i| cts.get(i).and_then(Clone::clone).unwrap_or_else(|| zeros.clone())).collect();
                Ok(vec![Some(Tensor::stack(&cts, at as isize)?)])
            },
        )
    }
    /// Repeats the whole tensor along its axes, as often as `repeats` says for each.
    ///
    /// Shapes: `[a, b]` → `[m·a, n·b]` for the repeats `[m, n]`. With more repeats than axes, axes are put before the
    /// first; with fewer, they count for the last axes.
    ///
    /// Gradient: `dy` is added up over the copies.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the result would have too many elements.
    pub fn tile(&self, repeats: &[usize]) -> Result<Tensor> {
        let rank = self.rank().max(repeats.len());
        let pick = |list: &[usize], i: usize| (i + list.len()).checked_sub(rank).map_or(1, |j| list[j]);
        let (mut apart, mut wide, mut shape) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..rank {
            let (n, size) = (pick(repeats, i), pick(self.shape(), i));
            apart.extend([1, size]);
            wide.extend([n, size]);
            shape.push(element_count(&[n, size])?);
        }
        self.reshape(&apart)?.broadcast_to(&wide)?.reshape(&shape)
    }
    /// Repeats each position of an axis `n` times in a row.
    ///
    /// Shapes: `[..., a, ...]` → `[..., n·a, ...]`.
    ///
    /// Gradient: `dy` is added up over the copies.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    /// - `ShapeMismatch`: the result would have too many elements.
    pub fn repeat(&self, n: usize, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("repeat", axis, self.rank())?;
        let mut shape = self.shape().to_vec();
        shape.insert(at + 1, n);
        let wide = self.expand_dims(at as isize + 1)?.broadcast_to(&shape)?;
        shape.remove(at + 1);
        shape[at] = element_count(&[shape[at], n])?;
        wide.reshape(&shape)
    }
}
