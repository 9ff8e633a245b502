//! Other shapes for the same values. Views wherever strides can say it; values are copied only where they must be.
use super::args::{resolve_axis, Axes};
use crate::{autodiff::record, element_count, kernels::copy, tensor::Raw, Error, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// The values in row-major order under another shape of the same size; a view where they already lie in that order.
    ///
    /// # Errors
    /// `ShapeMismatch` when the sizes differ.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        if element_count(shape)? != self.size() {
            return Err(Error::shape(format!(
                "reshape: {:?} has {} elements, {shape:?} would have {}",
                self.shape(),
                self.size(),
                element_count(shape)?
            )));
        }
        let value = match self.same_strides(shape)? {
            Some(raw) => self.view(raw),
            None => Tensor::from_raw(copy::contiguous(self.raw())?.reshape(shape)?, self.dtype()),
        };
        let before = self.shape().to_vec();
        Ok(record(value, &[self], move |ct, _| Ok(smallvec![Some(ct.reshape(&before)?)])))
    }
    /// A view of `shape`, if there is one: of row-major values, or when only axes of size 1 come and go.
    fn same_strides(&self, shape: &[usize]) -> Result<Option<Raw>> {
        if self.is_contiguous() {
            return Ok(Some(self.raw().reshape(shape)?));
        }
        let long = |s: &[usize]| s.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
        if long(shape) != long(self.shape()) {
            return Ok(None);
        }
        let mut raw = self.raw().clone();
        for axis in (0..self.rank()).rev().filter(|&a| self.shape()[a] == 1) {
            raw = raw.squeeze(axis)?;
        }
        for axis in (0..shape.len()).filter(|&a| shape[a] == 1) {
            raw = raw.unsqueeze(axis)?;
        }
        Ok(Some(raw))
    }
    /// [`reshape`](Self::reshape) to a shape in which one size may be -1: what is left for it.
    ///
    /// # Errors
    /// `ShapeMismatch` when no size fits, `InvalidArgument` for two unknown sizes or another negative one.
    pub fn reshape_infer(&self, shape: &[isize]) -> Result<Tensor> {
        if let Some(bad) = shape.iter().find(|&&d| d < -1) {
            return Err(Error::argument(format!("reshape: sizes are whole numbers or one -1, got {bad} in {shape:?}")));
        }
        let known: Vec<usize> = shape.iter().filter(|&&d| d >= 0).map(|&d| d as usize).collect();
        let rest = match shape.len() - known.len() {
            0 => 1,
            1 => {
                let product = element_count(&known)?;
                if product == 0 || !self.size().is_multiple_of(product) {
                    return Err(Error::shape(format!(
                        "reshape: no size for -1 makes {shape:?} hold the {} elements of {:?}",
                        self.size(),
                        self.shape()
                    )));
                }
                self.size() / product
            }
            n => return Err(Error::argument(format!("reshape: only one size may be -1, {shape:?} has {n}"))),
        };
        let full: Vec<usize> = shape.iter().map(|&d| if d < 0 { rest } else { d as usize }).collect();
        self.reshape(&full)
    }
    /// The axes in the order `axes`: axis `i` of the result is axis `axes[i]` of this tensor. `None` reverses them. A view.
    ///
    /// # Errors
    /// `InvalidArgument` unless `axes` names every axis once.
    pub fn transpose(&self, axes: Option<&[usize]>) -> Result<Tensor> {
        let rank = self.rank();
        let axes: Vec<usize> = axes.map_or_else(|| (0..rank).rev().collect(), <[usize]>::to_vec);
        let mut inverse = vec![usize::MAX; rank];
        for (to, &from) in axes.iter().enumerate() {
            if axes.len() != rank || from >= rank || inverse[from] != usize::MAX {
                return Err(Error::argument(format!(
                    "transpose: {axes:?} must name each of the {rank} axes of {:?} once",
                    self.shape()
                )));
            }
            inverse[from] = to;
        }
        if axes.len() != rank {
            return Err(Error::argument(format!("transpose: no axes were given for {:?}", self.shape())));
        }
        if axes.iter().enumerate().all(|(i, &a)| i == a) {
            return Ok(self.clone());
        }
        let value = self.view(self.raw().permute(axes)?);
        Ok(record(value, &[self], move |ct, _| Ok(smallvec![Some(ct.transpose(Some(&inverse))?)])))
    }
    /// Exchanges two axes; a view.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range.
    pub fn swap_axes(&self, a: isize, b: isize) -> Result<Tensor> {
        let mut axes: Vec<usize> = (0..self.rank()).collect();
        axes.swap(resolve_axis("swap_axes", a, self.rank())?, resolve_axis("swap_axes", b, self.rank())?);
        self.transpose(Some(&axes))
    }
    /// Moves axis `from` to place `to`, the others keeping their order; a view.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range.
    pub fn move_axis(&self, from: isize, to: isize) -> Result<Tensor> {
        let mut axes: Vec<usize> = (0..self.rank()).collect();
        let (from, to) = (resolve_axis("move_axis", from, self.rank())?, resolve_axis("move_axis", to, self.rank())?);
        let axis = axes.remove(from);
        axes.insert(to, axis);
        self.transpose(Some(&axes))
    }
    /// A new axis of size 1 at place `axis` of the result; a view.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range.
    pub fn expand_dims(&self, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("expand_dims", axis, self.rank() + 1)?;
        let mut shape = self.shape().to_vec();
        shape.insert(at, 1);
        self.reshape(&shape)
    }
    /// Without the given axes, which must have size 1 (`Axes::All`: without every axis of size 1); a view.
    ///
    /// # Errors
    /// `InvalidArgument` for an axis out of range or given twice, `ShapeMismatch` for an axis of another size.
    pub fn squeeze(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        let axes = axes.into();
        let gone = axes.resolve("squeeze", self.rank())?;
        if let (Axes::Some(_), Some(bad)) = (&axes, gone.iter().find(|&&a| self.shape()[a] != 1)) {
            return Err(Error::shape(format!("squeeze: axis {bad} of {:?} does not have size 1", self.shape())));
        }
        let kept = self.shape().iter().enumerate().filter(|(i, &d)| d != 1 || !gone.contains(i));
        self.reshape(&kept.map(|(_, &d)| d).collect::<Vec<_>>())
    }
    /// Repeats axes of size 1, and puts axes before the first, up to `shape`; a view.
    ///
    /// # Errors
    /// `ShapeMismatch` when another axis would have to change.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let fits = shape.len() >= self.rank()
            && self.shape().iter().rev().zip(shape.iter().rev()).all(|(&from, &to)| from == to || from == 1);
        if !fits {
            return Err(Error::shape(format!("{:?} does not broadcast to {shape:?}", self.shape())));
        }
        element_count(shape)?;
        let value = self.view(self.raw().broadcast_as(shape)?);
        let before = self.shape().to_vec();
        Ok(record(value, &[self], move |ct, _| Ok(smallvec![Some(ct.sum_to(&before)?)])))
    }
    /// The same values lying in row-major order without gaps; itself where they do.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() {
            return Ok(self.clone());
        }
        let value = Tensor::from_raw(copy::contiguous(self.raw())?, self.dtype());
        Ok(record(value, &[self], |ct, _| Ok(smallvec![Some(ct.clone())])))
    }
}
