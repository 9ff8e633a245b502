//! Other shapes for the same values. Views wherever strides can say it; values are copied only where they must be.
use super::args::{resolve_axis, Axes};
use crate::{autodiff::record, element_count, kernels::copy, tensor::Raw, Error, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// Gives the elements, in row-major order, another shape of the same size.
    ///
    /// They are copied only where they do not lie in that order.
    ///
    /// Gradient: `dy` in the shape that was before.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has another size.
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
    /// Gives the elements, in row-major order, another shape; one size may be -1, which stands for what is left.
    ///
    /// They are copied only where they do not lie in that order.
    ///
    /// Gradient: `dy` in the shape that was before.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has another size, or no size fits for -1.
    /// - `InvalidArgument`: two sizes are -1, or a size is another negative number.
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
    /// Puts the axes in another order; without one, in reverse.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[a, b, c]` → `[c, a, b]` for the order `[2, 0, 1]`: place `i` gets the axis that the order names there.
    ///
    /// Gradient: `dy` with its axes put back.
    ///
    /// # Errors
    /// - `InvalidArgument`: the order does not name every axis once.
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
    /// [`Tensor::transpose`] where a negative axis counts from the end.
    ///
    /// # Errors
    /// Those of [`Tensor::transpose`].
    pub fn transpose_axes(&self, axes: Option<&[isize]>) -> Result<Tensor> {
        let Some(axes) = axes else { return self.transpose(None) };
        let at = |&axis: &isize| resolve_axis("transpose", axis, self.rank());
        self.transpose(Some(&axes.iter().map(at).collect::<Result<Vec<_>>>()?))
    }
    /// Exchanges two axes.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[a, b, c]` → `[c, b, a]` for axes 0 and 2.
    ///
    /// Gradient: `dy` with its axes put back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    pub fn swap_axes(&self, a: isize, b: isize) -> Result<Tensor> {
        let mut axes: Vec<usize> = (0..self.rank()).collect();
        axes.swap(resolve_axis("swap_axes", a, self.rank())?, resolve_axis("swap_axes", b, self.rank())?);
        self.transpose(Some(&axes))
    }
    /// Moves an axis to another place; the others keep their order.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[a, b, c]` → `[b, c, a]` for axis 0 moved to 2.
    ///
    /// Gradient: `dy` with its axes put back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    pub fn move_axis(&self, from: isize, to: isize) -> Result<Tensor> {
        let mut axes: Vec<usize> = (0..self.rank()).collect();
        let (from, to) = (resolve_axis("move_axis", from, self.rank())?, resolve_axis("move_axis", to, self.rank())?);
        let axis = axes.remove(from);
        axes.insert(to, axis);
        self.transpose(Some(&axes))
    }
    /// Adds an axis of size 1 at a place.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[a, b]` → `[a, 1, b]` for axis 1.
    ///
    /// Gradient: `dy` without the axis.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range.
    pub fn expand_dims(&self, axis: isize) -> Result<Tensor> {
        let at = resolve_axis("expand_dims", axis, self.rank() + 1)?;
        let mut shape = self.shape().to_vec();
        shape.insert(at, 1);
        self.reshape(&shape)
    }
    /// Removes axes of size 1: the given ones, or all.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[1, a, 1]` → `[a]`.
    ///
    /// Gradient: `dy` with the axes put back.
    ///
    /// # Errors
    /// - `InvalidArgument`: an axis is out of range or given twice.
    /// - `ShapeMismatch`: an axis has another size.
    pub fn squeeze(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        let axes = axes.into();
        let gone = axes.resolve("squeeze", self.rank())?;
        if let (Axes::Some(_), Some(bad)) = (&axes, gone.iter().find(|&&a| self.shape()[a] != 1)) {
            return Err(Error::shape(format!("squeeze: axis {bad} of {:?} does not have size 1", self.shape())));
        }
        let kept = self.shape().iter().enumerate().filter(|(i, &d)| d != 1 || !gone.contains(i));
        self.reshape(&kept.map(|(_, &d)| d).collect::<Vec<_>>())
    }
    /// Repeats the tensor to a larger shape: along axes of size 1, and along new axes before the first.
    ///
    /// Nothing is copied.
    ///
    /// Shapes: `[1, b]` → `[c, a, b]`.
    ///
    /// Gradient: `dy` is added up over the copies.
    ///
    /// # Errors
    /// - `ShapeMismatch`: an axis of another size would have to change.
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
