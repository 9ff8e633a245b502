//! What signatures say of axes, or refuse.
use crate::{Error, Result, TensorSpec};

impl TensorSpec {
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
}

/// The size of the last axis.
///
/// # Errors
/// `ShapeMismatch` if there is none, saying what the layer `needs` it for.
pub(crate) fn last_axis(shape: &[usize], needs: &str) -> Result<usize> {
    shape.last().copied().ok_or_else(|| Error::shape(format!("the input is a 0-d tensor, but {needs}")))
}
