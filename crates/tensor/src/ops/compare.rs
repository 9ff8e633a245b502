//! Comparisons, logic, and choice by a mask.
use super::{
    args::Scalar,
    binary::{cast_side, meet, meet_shape, same_device, Side},
};
use crate::{
    autodiff::{record, Grads},
    for_any,
    kernels::{
        map::{map, select, zip, Operand},
        plan::broadcast_shape,
    },
    tensor::Raw,
    DType, Element, Result, Tensor,
};
use smallvec::smallvec;

#[derive(Debug, Clone, Copy)]
enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Compare {
    fn name(self) -> &'static str {
        match self {
            Compare::Eq => "eq",
            Compare::Ne => "ne",
            Compare::Lt => "lt",
            Compare::Le => "le",
            Compare::Gt => "gt",
            Compare::Ge => "ge",
        }
    }
    /// How elements of `dtype` compare with a number, exactly: integers with one that they cannot hold all alike, with a fraction as
    /// with the whole number below it; floats with one that they round to infinity in float64.
    fn beside(self, number: Scalar, dtype: DType) -> Beside {
        // Bool is stored as bytes 0 and 1.
        let range = if dtype == DType::Bool { Some((0, 255)) } else { dtype.whole_range() };
        let Some((least, most)) = range else {
            let v = number.to_f64();
            let wide = if v.is_finite() && !held(v, dtype) { DType::F64 } else { dtype };
            return Beside::Element(self, number, wide);
        };
        let (this, v) = match (number.whole(), number) {
            (Some(v), _) => (self, v),
            (None, Scalar::Float(v)) if !v.is_nan() => match self {
                Compare::Eq => return Beside::Always(false),
                Compare::Ne => return Beside::Always(true),
                // Nothing lies between the fraction and the whole number below it.
                Compare::Lt | Compare::Le => (Compare::Le, v.floor() as i128),
                Compare::Gt | Compare::Ge => (Compare::Gt, v.floor() as i128),
            },
            _ => return Beside::Always(matches!(self, Compare::Ne)),
        };
        if v > most {
            return Beside::Always(matches!(this, Compare::Lt | Compare::Le | Compare::Ne));
        }
        if v < least {
            return Beside::Always(matches!(this, Compare::Gt | Compare::Ge | Compare::Ne));
        }
        Beside::Element(this, Scalar::Int(v), dtype)
    }
    fn apply(self, a: &Tensor, b: Side<'_>) -> Result<Tensor> {
        let left = Side::Tensor(a);
        let (this, b, dtype) = match b {
            Side::Value(v) => match self.beside(v, a.dtype()) {
                Beside::Always(answer) => return Tensor::full(a.shape(), i64::from(answer), DType::Bool, a.device()),
                Beside::Element(this, v, dtype) => (this, Side::Value(v), dtype),
            },
            b => (self, b, meet(left, b)),
        };
        let shape = meet_shape(self.name(), left, b)?;
        let path = a.path(self.name());
        if !path.by_kernel() {
            let (x, y) = (left.general(dtype, &shape, a.device())?, b.general(dtype, &shape, a.device())?);
            let out = match this {
                Compare::Eq => x.eq(&y)?,
                Compare::Ne => x.ne(&y)?,
                Compare::Lt => x.lt(&y)?,
                Compare::Le => x.le(&y)?,
                Compare::Gt => x.gt(&y)?,
                Compare::Ge => x.ge(&y)?,
            };
            return Ok(Tensor::from_raw(out, DType::Bool));
        }
        let (x, y) = (cast_side(left, dtype)?, cast_side(b, dtype)?);
        for_any!(dtype, T => {
            let x: Operand<'_, T> = Operand::Tensor(x.as_ref().unwrap_or(a).raw());
            let y: Operand<'_, T> = match (&y, b) {
                (Some(t), _) | (None, Side::Tensor(t)) => Operand::Tensor(t.raw()),
                (None, Side::Value(v)) => Operand::Value(v.element()),
            };
            let values = match this {
                Compare::Eq => zip(&shape, x, y, |x: T, y: T| (x == y) as u8),
                Compare::Ne => zip(&shape, x, y, |x: T, y: T| (x != y) as u8),
                Compare::Lt => zip(&shape, x, y, |x: T, y: T| (x < y) as u8),
                Compare::Le => zip(&shape, x, y, |x: T, y: T| (x <= y) as u8),
                Compare::Gt => zip(&shape, x, y, |x: T, y: T| (x > y) as u8),
                Compare::Ge => zip(&shape, x, y, |x: T, y: T| (x >= y) as u8),
            }?;
            Ok(Tensor::from_raw(Raw::from_vec(values, &shape[..], a.device())?, DType::Bool))
        })
    }
}

/// What a comparison with a number comes to.
enum Beside {
    /// The same answer for every element.
    Always(bool),
    /// This comparison with this number, at this dtype.
    Element(Compare, Scalar, DType),
}

/// Whether a finite number stays finite as a float of `dtype`.
fn held(v: f64, dtype: DType) -> bool {
    match dtype {
        DType::F16 => half::f16::nearest(v).is_finite(),
        DType::BF16 => half::bf16::nearest(v).is_finite(),
        DType::F32 => (v as f32).is_finite(),
        _ => true,
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* fn $name:ident, $scalar:ident = $op:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
                Compare::$op.apply(self, Side::Tensor(other))
            }
            #[doc = concat!("[`Tensor::", stringify!($name), "`] with a number.")]
            ///
            /// # Errors
            /// Those of the device.
            pub fn $scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
                Compare::$op.apply(self, Side::Value(value.into()))
            }
        )*}
    };
}
comparisons! {
    /// Tells where this tensor equals `other`, element by element.
    ///
    /// NaN equals nothing.
    ///
    /// Formula: `y = x == other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn eq, eq_scalar = Eq;
    /// Tells where this tensor differs from `other`, element by element.
    ///
    /// NaN differs from everything.
    ///
    /// Formula: `y = x != other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn ne, ne_scalar = Ne;
    /// Tells where this tensor is less than `other`, element by element.
    ///
    /// Formula: `y = x < other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn lt, lt_scalar = Lt;
    /// Tells where this tensor is at most `other`, element by element.
    ///
    /// Formula: `y = x <= other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn le, le_scalar = Le;
    /// Tells where this tensor is greater than `other`, element by element.
    ///
    /// Formula: `y = x > other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn gt, gt_scalar = Gt;
    /// Tells where this tensor is at least `other`, element by element.
    ///
    /// Formula: `y = x >= other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any two, compared at the dtype that they promote to; a number is compared exactly. The result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    fn ge, ge_scalar = Ge;
}

/// Combines two tensors as truth values, given as 0 and 1.
fn logic(
    op: &str,
    a: &Tensor,
    b: &Tensor,
    f: fn(u8, u8) -> u8,
    general: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    same_device(op, a, b)?;
    let shape = broadcast_shape(op, a.shape(), b.shape())?;
    let (a, b) = (a.detach().cast(DType::Bool)?, b.detach().cast(DType::Bool)?);
    let path = a.path(op);
    if !path.by_kernel() {
        let as_bytes = |t: &Tensor| t.with_dtype_tag(DType::U8);
        return Ok(general(&as_bytes(&a), &as_bytes(&b))?.with_dtype_tag(DType::Bool));
    }
    let values = zip(&shape, Operand::Tensor(a.raw()), Operand::Tensor(b.raw()), f)?;
    Ok(Tensor::from_raw(Raw::from_vec(values, &shape[..], a.device())?, DType::Bool))
}

impl Tensor {
    /// Tells where both operands are true; what is not zero counts as true.
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    pub fn logical_and(&self, other: &Tensor) -> Result<Tensor> {
        logic("logical_and", self, other, |a, b| a & b, |a, b| a.minimum(b))
    }
    /// Tells where at least one operand is true; what is not zero counts as true.
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    pub fn logical_or(&self, other: &Tensor) -> Result<Tensor> {
        logic("logical_or", self, other, |a, b| a | b, |a, b| a.maximum(b))
    }
    /// Tells where exactly one operand is true; what is not zero counts as true.
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    pub fn logical_xor(&self, other: &Tensor) -> Result<Tensor> {
        logic("logical_xor", self, other, |a, b| a ^ b, |a, b| a.ne(b))
    }
    /// Tells where elements are zero, or false.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// Those of the device.
    pub fn logical_not(&self) -> Result<Tensor> {
        self.eq_scalar(0)
    }
    /// Tells where elements are NaN ("not a number").
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// Those of the device.
    pub fn isnan(&self) -> Result<Tensor> {
        self.ne(self)
    }
    /// Tells where elements are neither NaN nor infinite.
    ///
    /// Dtypes: any; the result is bool.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// Those of the device.
    pub fn isfinite(&self) -> Result<Tensor> {
        if !self.dtype().is_float() {
            return Tensor::ones(self.shape(), DType::Bool, self.device());
        }
        let path = self.path("isfinite");
        if !path.by_kernel() {
            let wide = self.detach().cast(if self.dtype() == DType::F64 { DType::F64 } else { DType::F32 })?;
            // x - x is 0 for finite values, else NaN.
            return wide.sub(&wide)?.eq_scalar(0.0);
        }
        crate::for_float!(self.dtype(), "isfinite", T => {
            let values = map(self.raw(), |v: T| v.up().is_finite() as u8)?;
            Ok(Tensor::from_raw(Raw::from_vec(values, self.shape(), self.device())?, DType::Bool))
        })
    }
    /// Picks each element from `a` where the condition is true, else from `b`; what is not zero counts as true.
    ///
    /// Formula: `y[i] = condition[i] ? a[i] : b[i]`
    ///
    /// Shapes: all three broadcast together, as in NumPy.
    ///
    /// Dtypes: the dtype that `a` and `b` promote to; the condition may have any.
    ///
    /// Gradient: `dy` goes to the operand that each element was picked from, and is summed over the axes that were
    /// broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `Device`: the operands are on different devices.
    pub fn where_(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        same_device("where", condition, a)?;
        same_device("where", a, b)?;
        let values = broadcast_shape("where", a.shape(), b.shape())?;
        let shape = broadcast_shape("where", condition.shape(), &values)?;
        let condition = condition.detach().cast(DType::Bool)?;
        let dtype = a.dtype().promote(b.dtype());
        let (x, y) = (a.detach().cast(dtype)?, b.detach().cast(dtype)?);
        let path = condition.path("where");
        let out = if path.by_kernel() {
            for_any!(dtype, T => {
                let values = select::<T>(&shape, condition.raw(), x.raw(), y.raw())?;
                Tensor::from_raw(Raw::from_vec(values, &shape[..], a.device())?, dtype)
            })
        } else {
            let wide = |t: &Tensor| Result::Ok(t.raw().broadcast_as(&shape[..])?.contiguous()?);
            Tensor::from_raw(wide(&condition)?.where_cond(&wide(&x)?, &wide(&y)?)?, dtype)
        };
        drop((x, y));
        let homes = [a, b].map(|t| (smallvec::SmallVec::<[usize; 6]>::from(t.shape()), t.dtype()));
        Ok(record(out, &[a, b], move |ct, need| {
            let zero = Tensor::zeros(&[], ct.dtype(), ct.device())?;
            let mut grads: Grads = smallvec![None, None];
            for (i, (shape, dtype)) in homes.iter().enumerate().filter(|(i, _)| need[*i]) {
                let g =
                    if i == 0 { Tensor::where_(&condition, ct, &zero) } else { Tensor::where_(&condition, &zero, ct) };
                grads[i] = Some(g?.sum_to(shape)?.cast(*dtype)?);
            }
            Ok(grads)
        }))
    }
    /// Replaces the elements where `mask` is true by `value`; what is not zero counts as true.
    ///
    /// Formula: `y[i] = mask[i] ? value : x[i]`
    ///
    /// Shapes: the tensor and the mask broadcast as in NumPy.
    ///
    /// Dtypes: this tensor's; the mask may have any.
    ///
    /// Gradient: `dx = dy` where the mask is false, else 0.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `InvalidArgument`: an integer dtype does not hold the value.
    /// - `Device`: the mask is on another device.
    pub fn mask_fill(&self, mask: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        Tensor::where_(mask, &value.into().tensor("mask_fill", self.dtype(), self.device())?, self)
    }
}
