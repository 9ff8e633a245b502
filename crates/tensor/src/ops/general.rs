//! What the general paths of the fused operations share: halves are computed in float32.
use crate::{tensor::Raw, DType, Error, Result, Tensor};

/// The type that values of `dtype` are computed in.
pub(crate) fn wide_dtype(dtype: DType) -> DType {
    if dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

/// Whether `dtype` has 16 bits, and is computed in float32.
pub(crate) fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// The values in the type they are computed in.
pub(crate) fn widen(x: &Tensor) -> Result<Raw> {
    Ok(x.raw().to_dtype(wide_dtype(x.dtype()).storage())?.contiguous()?)
}

/// A result rounded to `dtype`.
pub(crate) fn narrow(raw: Raw, dtype: DType) -> Result<Tensor> {
    Ok(Tensor::from_raw(raw.to_dtype(dtype.storage())?, dtype))
}

/// Refuses what is not floating point.
pub(crate) fn require_float(x: &Tensor, op: &str) -> Result<()> {
    if x.dtype().is_float() {
        Ok(())
    } else {
        Err(Error::dtype(format!("{op} takes floats, got {}", x.dtype())))
    }
}

/// Refuses a parameter that is not one value per element of the last axis of `x`.
pub(crate) fn require_last_axis(x: &Tensor, parameter: Option<&Tensor>, op: &str, name: &str) -> Result<()> {
    let Some(p) = parameter else { return Ok(()) };
    require_float(p, op)?;
    if x.rank() == 0 || p.shape() != &x.shape()[x.rank() - 1..] {
        return Err(Error::shape(format!(
            "{op}: {name} of shape {:?} must hold one value per element of the last axis of {:?}",
            p.shape(),
            x.shape()
        )));
    }
    Ok(())
}

/// Rows and columns of `x` seen as a matrix along its last axis; one row of one value for a 0-d tensor.
pub(crate) fn as_matrix(x: &Tensor) -> (usize, usize) {
    let cols = x.shape().last().copied().unwrap_or(1);
    (x.size().checked_div(cols).unwrap_or(0), cols)
}
