//! Argument types that several operations take.
use crate::{device_path::made, for_any, DType, Device, Error, Result, Tensor};
use smallvec::SmallVec;
use std::fmt;

/// A plain number among operands. It is weak: it takes the tensor's dtype where it can (as in JAX).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// A whole number: any that an element type holds, and more.
    Int(i128),
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
scalar_from!(i32 => Int as i128, i64 => Int as i128, i128 => Int as i128, usize => Int as i128, f32 => Float as f64, f64 => Float as f64);

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Int(v) => v.fmt(f),
            Scalar::Float(v) => v.fmt(f),
        }
    }
}

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
    /// The dtype of a tensor made of such numbers alone: int64 if one is of an integer type, int32 if all are whole, else float32.
    pub fn natural(numbers: &[Self]) -> DType {
        if numbers.iter().any(|x| matches!(x, Scalar::Int(_))) {
            DType::I64
        } else if numbers.iter().all(|x| x.whole().is_some()) {
            DType::I32
        } else {
            DType::F32
        }
    }
    /// The value as a whole number, if it is one; what is beyond 128 bits stops there.
    pub(crate) fn whole(self) -> Option<i128> {
        match self {
            Scalar::Int(v) => Some(v),
            Scalar::Float(v) => (v.fract() == 0.0).then_some(v as i128),
        }
    }
    /// This number where a tensor of integers of `dtype` meets it, if it is whole and they cannot hold it.
    pub(crate) fn outside(self, dtype: DType) -> Option<i128> {
        let (Scalar::Int(v), Some((least, most))) = (self, dtype.whole_range()) else { return None };
        (v < least || v > most).then_some(v)
    }
    /// The value as an element: floats round; whole numbers must fit, which [`Scalar::outside`] tells.
    pub(crate) fn element<T: crate::Element>(self) -> T {
        match self {
            Scalar::Int(v) => T::of_whole(v),
            Scalar::Float(v) => T::nearest(v),
        }
    }
    /// The value as an element of a tensor of `dtype` that `op` makes or fills: bool is whether it is not zero.
    ///
    /// # Errors
    /// `InvalidArgument` where an integer type cannot hold it.
    pub(crate) fn checked<T: crate::Element>(self, op: &str, dtype: DType) -> Result<T> {
        if dtype == DType::Bool {
            return Ok(T::of_whole(i128::from(self.to_f64() != 0.0)));
        }
        let Some((least, most)) = dtype.whole_range() else { return Ok(self.element()) };
        match self.whole().filter(|v| (least..=most).contains(v)) {
            Some(v) => Ok(T::of_whole(v)),
            None => Err(Error::argument(format!(
                "{op}: {dtype} cannot hold {self}, only whole numbers from {least} to {most}; use {} instead",
                wider(dtype, self.whole().is_some())
            ))),
        }
    }
    /// The number as a tensor without axes, of the dtype that it takes beside `like`.
    ///
    /// # Errors
    /// `InvalidArgument` naming `op` where that dtype cannot hold it.
    pub fn beside(self, op: &str, like: &Tensor) -> Result<Tensor> {
        self.tensor(op, self.promote(like.dtype()), like.device())
    }
    /// The number as a tensor without axes.
    pub(crate) fn tensor(self, op: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        for_any!(dtype, T => made(vec![self.checked::<T>(op, dtype)?], &[], dtype, device))
    }
}

/// What holds more numbers than `dtype`, in words.
pub(crate) fn wider(dtype: DType, is_whole: bool) -> &'static str {
    match dtype {
        DType::I64 => "float64",
        _ if is_whole => "int64 or float64",
        _ => "float32 or float64",
    }
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
