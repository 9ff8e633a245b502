//! Signatures: shape and dtype without values.
use crate::{Error, Result};
use std::fmt;
use tallow_tensor::{DType, Device, Tensor};

/// Shape and dtype of a tensor (Trax's `ShapeDtype`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorSpec {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl TensorSpec {
    /// A signature.
    pub fn new(shape: impl Into<Vec<usize>>, dtype: DType) -> Self {
        Self { shape: shape.into(), dtype }
    }
    /// The signature of a tensor.
    pub fn of(t: &Tensor) -> Self {
        Self { shape: t.shape().to_vec(), dtype: t.dtype() }
    }
    /// The same dtype with another shape.
    pub fn with_shape(&self, shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), dtype: self.dtype }
    }
    /// The signature of an elementwise operation on both: broadcast shape, promoted dtype.
    ///
    /// # Errors
    /// `ShapeMismatch` if the shapes do not broadcast.
    pub fn broadcast(&self, other: &Self) -> Result<Self> {
        let rank = self.rank().max(other.rank());
        let size = |s: &Self, axis: usize| (axis + s.rank()).checked_sub(rank).map_or(1, |i| s.shape[i]);
        let axis = |i: usize| match (size(self, i), size(other, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        };
        let shape: Option<Vec<usize>> = (0..rank).map(axis).collect();
        let shape = shape.ok_or_else(|| Error::shape(format!("{self} and {other} do not broadcast")))?;
        Ok(Self { shape, dtype: self.dtype.promote(other.dtype) })
    }
    /// The axis that `axis` means, counted from the end if negative.
    ///
    /// # Errors
    /// `ShapeMismatch` if there is no such axis.
    pub fn axis(&self, axis: isize) -> Result<usize> {
        let rank = self.rank() as isize;
        if (-rank..rank).contains(&axis) {
            return Ok(axis.rem_euclid(rank) as usize);
        }
        Err(Error::shape(format!("{self} has no axis {axis}")))
    }
    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
    /// Zeros of this signature on the CPU.
    ///
    /// # Errors
    /// `ShapeMismatch` if the shape has too many elements.
    pub fn zeros(&self) -> tallow_tensor::Result<Tensor> {
        Tensor::zeros(&self.shape, self.dtype, &Device::Cpu)
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{}[{}]", self.dtype, dims.join(","))
    }
}
