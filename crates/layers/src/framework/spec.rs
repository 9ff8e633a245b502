//! Signatures: shape and dtype without values.
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
