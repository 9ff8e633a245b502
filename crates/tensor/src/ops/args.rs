//! Argument types that several operations take.
use crate::{DType, Error, Result};
use smallvec::SmallVec;

/// A plain number among operands. It is weak: it takes the tensor's dtype where it can (as in JAX).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
}

macro_rules! scalar_from {
    ($($t:ty => $variant:ident as $to:ty),*) => {$(
        impl From<$t> for Scalar {
            fn from(v: $t) -> Self { Scalar::$variant(v as $to) }
        }
    )*};
}
scalar_from!(i32 => Int as i64, i64 => Int as i64, usize => Int as i64, f32 => Float as f64, f64 => Float as f64);

impl Scalar {
    /// The value as a float.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Int(v) => v as f64,
            Scalar::Float(v) => v,
        }
    }
    /// The dtype of an operation on a tensor of `dtype` and this number.
    pub fn promote(self, dtype: DType) -> DType {
        match (self, dtype) {
            (Scalar::Int(_), DType::Bool) => DType::I32,
            (Scalar::Float(_), d) => d.to_float(),
            (_, d) => d,
        }
    }
    /// The value as an element: floats round, whole numbers wrap around.
    pub(crate) fn element<T: crate::Element>(self) -> T {
        match (self, T::DT) {
            // Beyond 2^53 only int64 keeps all digits, so it goes by its bits.
            (Scalar::Int(v), DType::I64) => cast_i64(v),
            (Scalar::Int(v), DType::I32) => T::from_f64((v as i32) as f64),
            (Scalar::Int(v), DType::U32) => T::from_f64((v as u32) as f64),
            (Scalar::Int(v), DType::U8) => T::from_f64((v as u8) as f64),
            (v, _) => T::from_f64(v.to_f64()),
        }
    }
}

/// `v` as `T`, which is int64.
fn cast_i64<T: crate::Element>(v: i64) -> T {
    let any: &dyn std::any::Any = &v;
    any.downcast_ref::<T>().copied().unwrap_or_else(|| T::from_f64(v as f64))
}

/// Which axes an operation takes. Negative numbers count from the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axes {
    /// Every axis.
    All,
    /// These axes, in any order.
    Some(SmallVec<[isize; 4]>),
}

impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Axes::Some(smallvec::smallvec![axis])
    }
}
impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Axes::Some(axes.into())
    }
}
impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Axes::Some(axes.as_slice().into())
    }
}
impl From<Option<isize>> for Axes {
    fn from(axis: Option<isize>) -> Self {
        axis.map_or(Axes::All, Axes::from)
    }
}

impl Axes {
    /// The axes as ascending positions in a tensor of `rank`.
    ///
    /// # Errors
    /// `InvalidArgument` naming `op` for an axis out of range or given twice.
    pub fn resolve(&self, op: &str, rank: usize) -> Result<SmallVec<[usize; 4]>> {
        let Axes::Some(axes) = self else { return Ok((0..rank).collect()) };
        let mut out: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in axes {
            let at = resolve_axis(op, axis, rank)?;
            if out.contains(&at) {
                return Err(Error::argument(format!("{op}: axis {axis} is given twice")));
            }
            out.push(at);
        }
        out.sort_unstable();
        Ok(out)
    }
}

/// A possibly negative axis as a position in a tensor of `rank`.
///
/// # Errors
/// `InvalidArgument` naming `op` when it is out of range.
pub fn resolve_axis(op: &str, axis: isize, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis + rank as isize } else { axis };
    if (0..rank as isize).contains(&at) {
        Ok(at as usize)
    } else {
        Err(Error::argument(format!("{op}: axis {axis} is out of range for {rank} axes")))
    }
}
