//! Arithmetic of two tensors, or of a tensor and a number.
use super::args::Scalar;
use crate::{
    autodiff::{record, Grads},
    device_path::on_host,
    for_any,
    kernels::{
        inplace,
        map::{zip, Operand},
        number::Number,
        plan::{broadcast_shape, Dims},
    },
    tensor::Raw,
    DType, Element, Error, ErrorKind, Result, Tensor,
};
use smallvec::smallvec;

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arith {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    Max,
    Min,
}

/// An operand: a tensor or a weak number.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    Tensor(&'a Tensor),
    Value(Scalar),
}

impl<'a> Side<'a> {
    fn kernel<T: Element>(self, cast: &'a Option<Tensor>) -> Operand<'a, T> {
        match (cast, self) {
            (Some(t), _) | (None, Side::Tensor(t)) => Operand::Tensor(t.raw()),
            (None, Side::Value(v)) => Operand::Value(v.element()),
        }
    }
    /// This operand as a candle tensor of `dtype`, broadcast to `shape`.
    pub(super) fn general(self, dtype: DType, shape: &[usize], device: &crate::Device) -> Result<Raw> {
        let t = match self {
            Side::Tensor(t) => t.detach().cast(dtype)?,
            Side::Value(v) => Tensor::full(&[], v, dtype, device)?,
        };
        Ok(t.raw().broadcast_as(shape)?)
    }
    pub(super) fn tensor(self) -> Option<&'a Tensor> {
        match self {
            Side::Tensor(t) => Some(t),
            Side::Value(_) => None,
        }
    }
    fn keep(self) -> Kept {
        match self {
            Side::Tensor(t) => Kept::Tensor(t.detach()),
            Side::Value(v) => Kept::Value(v),
        }
    }
}

/// A [`Side`] that a gradient rule holds.
enum Kept {
    Tensor(Tensor),
    Value(Scalar),
}
impl Kept {
    fn side(&self) -> Side<'_> {
        match self {
            Kept::Tensor(t) => Side::Tensor(t),
            Kept::Value(v) => Side::Value(*v),
        }
    }
}

/// The dtype operands meet at.
pub(super) fn meet(a: Side<'_>, b: Side<'_>) -> DType {
    match (a, b) {
        (Side::Tensor(a), Side::Tensor(b)) => a.dtype().promote(b.dtype()),
        (Side::Tensor(t), Side::Value(v)) | (Side::Value(v), Side::Tensor(t)) => v.promote(t.dtype()),
        (Side::Value(_), Side::Value(_)) => DType::F32,
    }
}

/// The shape operands broadcast to, after a check that they are on one device.
pub(super) fn meet_shape(op: &str, a: Side<'_>, b: Side<'_>) -> Result<Dims> {
    match (a.tensor(), b.tensor()) {
        (Some(x), Some(y)) => {
            same_device(op, x, y)?;
            broadcast_shape(op, x.shape(), y.shape())
        }
        (Some(t), None) | (None, Some(t)) => Ok(t.shape().into()),
        (None, None) => Ok(Dims::new()),
    }
}

/// Refuses operands on different devices.
pub(super) fn same_device(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.device().is_cpu() && b.device().is_cpu() || a.device().same_device(b.device()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Device,
        format!(
            "{op}: operands are on different devices, {:?} and {:?}; move one with to_device",
            a.device(),
            b.device()
        ),
    ))
}

/// A cast copy of a tensor operand of another dtype.
pub(super) fn cast_side(side: Side<'_>, dtype: DType) -> Result<Option<Tensor>> {
    match side {
        Side::Tensor(t) if t.dtype() != dtype => Ok(Some(t.detach().cast(dtype)?)),
        _ => Ok(None),
    }
}

/// A function, not a closure: a long closure is not inlined into a loop that is compiled for wide registers.
#[inline(always)]
fn power<T: Element<Acc: Number>>(x: T, y: T) -> T {
    T::down(x.up().power(y.up()))
}

impl Arith {
    fn name(self) -> &'static str {
        match self {
            Arith::Add => "add",
            Arith::Sub => "sub",
            Arith::Mul => "mul",
            Arith::Div => "div",
            Arith::Rem => "rem",
            Arith::Pow => "pow",
            Arith::Max => "maximum",
            Arith::Min => "minimum",
        }
    }
    /// The untracked result.
    fn value(self, a: Side<'_>, b: Side<'_>) -> Result<Tensor> {
        let mut dtype = meet(a, b);
        if dtype == DType::Bool && !matches!(self, Arith::Max | Arith::Min) {
            return Err(Error::dtype(format!(
                "{}: arithmetic of two bool tensors is not defined; cast one to int32 or float32",
                self.name()
            )));
        }
        if self == Arith::Div {
            dtype = dtype.to_float();
        }
        let shape = meet_shape(self.name(), a, b)?;
        let Some(lead) = a.tensor().or(b.tensor()) else {
            return Err(Error::internal("arithmetic needs a tensor"));
        };
        if !lead.use_kernels() {
            return self.general(a, b, dtype, &shape, lead);
        }
        let (x, y) = (cast_side(a, dtype)?, cast_side(b, dtype)?);
        for_any!(dtype, T => {
            let values = self.kernel::<T>(&shape, a.kernel(&x), b.kernel(&y))?;
            Ok(Tensor::from_raw(Raw::from_vec(values, &shape[..], lead.device())?, dtype))
        })
    }
    fn kernel<T: Element>(self, shape: &[usize], a: Operand<'_, T>, b: Operand<'_, T>) -> Result<Vec<T>>
    where
        T::Acc: Number,
    {
        if let (Arith::Pow, true, &Operand::Value(e)) = (self, T::DT.is_float(), &b) {
            // Small whole powers, by products.
            let e = candle_core::WithDType::to_f64(e);
            if e == 3.0 {
                return zip(shape, a, b, |x: T, _: T| T::down(x.up() * x.up() * x.up()));
            }
            if e == 2.0 {
                return zip(shape, a, b, |x: T, _: T| T::down(x.up() * x.up()));
            }
        }
        match self {
            Arith::Add => zip(shape, a, b, |x: T, y: T| T::down(x.up().plus(y.up()))),
            Arith::Sub => zip(shape, a, b, |x: T, y: T| T::down(x.up().minus(y.up()))),
            Arith::Mul => zip(shape, a, b, |x: T, y: T| T::down(x.up().times(y.up()))),
            Arith::Div => zip(shape, a, b, |x: T, y: T| T::down(x.up().over(y.up()))),
            Arith::Rem => zip(shape, a, b, |x: T, y: T| T::down(x.up().floor_mod(y.up()))),
            Arith::Pow => zip(shape, a, b, power::<T>),
            Arith::Max => zip(shape, a, b, |x: T, y: T| T::down(x.up().larger(y.up()))),
            Arith::Min => zip(shape, a, b, |x: T, y: T| T::down(x.up().smaller(y.up()))),
        }
    }
    fn general(self, a: Side<'_>, b: Side<'_>, dtype: DType, shape: &[usize], lead: &Tensor) -> Result<Tensor> {
        if matches!(self, Arith::Rem | Arith::Pow) {
            // candle has no remainder, and its power is NaN for negative bases.
            return match (a, b) {
                (Side::Tensor(x), Side::Tensor(y)) => {
                    on_host(&[x, y], |t| self.value(Side::Tensor(&t[0]), Side::Tensor(&t[1])))
                }
                (Side::Tensor(x), v) => on_host(&[x], |t| self.value(Side::Tensor(&t[0]), v)),
                (v, Side::Tensor(y)) => on_host(&[y], |t| self.value(v, Side::Tensor(&t[0]))),
                _ => Err(Error::internal("arithmetic needs a tensor")),
            };
        }
        // Halves compute in float32.
        let inner = if dtype.is_float() && dtype.size() == 2 { DType::F32 } else { dtype };
        let device = lead.device();
        let (x, y) = (a.general(inner, shape, device)?, b.general(inner, shape, device)?);
        let out = match self {
            Arith::Add => (&x + &y)?,
            Arith::Sub => (&x - &y)?,
            Arith::Mul => (&x * &y)?,
            Arith::Div => (&x / &y)?,
            Arith::Max | Arith::Min => {
                let (x, y) = (x.contiguous()?, y.contiguous()?);
                let best = if self == Arith::Max { x.ge(&y)? } else { x.le(&y)? }.where_cond(&x, &y)?;
                // A comparison with NaN is false, which picks `y`; a NaN in `x` is put back.
                x.eq(&x)?.where_cond(&best, &x)?
            }
            Arith::Rem | Arith::Pow => return Err(Error::internal("remainder and power go through the host")),
        };
        Tensor::from_raw(out, inner).cast(dtype)
    }
    fn tracked(self, a: Side<'_>, b: Side<'_>) -> Result<Tensor> {
        let out = self.value(a, b)?;
        let tracked = |s: Side<'_>| s.tensor().is_some_and(Tensor::is_tracked);
        if !out.dtype().is_float() || !(tracked(a) || tracked(b)) {
            return Ok(out);
        }
        match (a, b) {
            (Side::Tensor(x), Side::Tensor(y)) => Ok(self.record(out, &[x, y], a, b, [Some(0), Some(1)])),
            (Side::Tensor(x), _) => Ok(self.record(out, &[x], a, b, [Some(0), None])),
            (_, Side::Tensor(y)) => Ok(self.record(out, &[y], a, b, [None, Some(0)])),
            _ => Ok(out),
        }
    }
    /// Records `out`; `at` says which of `inputs` each operand is.
    fn record(self, out: Tensor, inputs: &[&Tensor], a: Side<'_>, b: Side<'_>, at: [Option<usize>; 2]) -> Tensor {
        let homes: smallvec::SmallVec<[(Dims, DType); 2]> =
            inputs.iter().map(|t| (t.shape().into(), t.dtype())).collect();
        if matches!(self, Arith::Add | Arith::Sub) {
            // Needs no operand.
            return record(out, inputs, move |ct, need| {
                let mut grads: Grads = smallvec![None; homes.len()];
                for (side, i) in at.into_iter().enumerate() {
                    let Some(i) = i.filter(|&i| need[i]) else { continue };
                    let g = if side == 1 && self == Arith::Sub { ct.neg()? } else { ct.clone() };
                    grads[i] = Some(home(g, &homes[i])?);
                }
                Ok(grads)
            });
        }
        let (a, b) = (a.keep(), b.keep());
        record(out, inputs, move |ct, need| {
            let mut grads: Grads = smallvec![None; homes.len()];
            for (side, i) in at.into_iter().enumerate() {
                let Some(i) = i.filter(|&i| need[i]) else { continue };
                let g = if side == 0 { self.left_grad(ct, &a, &b)? } else { self.right_grad(ct, &a, &b)? };
                grads[i] = Some(home(g, &homes[i])?);
            }
            Ok(grads)
        })
    }
    fn left_grad(self, ct: &Tensor, a: &Kept, b: &Kept) -> Result<Tensor> {
        let (a, b, c) = (a.side(), b.side(), Side::Tensor(ct));
        match self {
            Arith::Add | Arith::Sub | Arith::Rem => Ok(ct.clone()),
            Arith::Mul => Arith::Mul.value(c, b),
            Arith::Div => Arith::Div.value(c, b),
            Arith::Pow => {
                // b a^(b-1), and 0 where b = 0 even at a = 0.
                let slope = match b {
                    Side::Value(v) if v.to_f64() == 0.0 => return ct.zeros_like(),
                    Side::Value(v) => {
                        let power = Arith::Pow.value(a, Side::Value(Scalar::Float(v.to_f64() - 1.0)))?;
                        Arith::Mul.value(Side::Tensor(&power), b)?
                    }
                    Side::Tensor(b) => {
                        let one = b.ones_like()?;
                        let less = Tensor::where_(&b.eq_scalar(0)?, &one, &b.sub_scalar(1)?)?;
                        Arith::Pow.value(a, Side::Tensor(&less))?.mul(b)?
                    }
                };
                ct.mul(&slope)
            }
            Arith::Max => share(ct, a, b),
            Arith::Min => share(ct, b, a),
        }
    }
    fn right_grad(self, ct: &Tensor, a: &Kept, b: &Kept) -> Result<Tensor> {
        let (a, b, c) = (a.side(), b.side(), Side::Tensor(ct));
        match self {
            Arith::Add => Ok(ct.clone()),
            Arith::Sub => ct.neg(),
            Arith::Mul => Arith::Mul.value(c, a),
            Arith::Div => {
                let (quotient, g) = (Arith::Div.value(a, b)?, Arith::Div.value(c, b)?);
                g.mul(&quotient)?.neg()
            }
            Arith::Rem => ct.mul(&Arith::Div.value(a, b)?.floor()?)?.neg(),
            Arith::Pow => {
                // a^b ln a, and 0 at a = 0.
                let power = Arith::Pow.value(a, b)?;
                let log = match a {
                    Side::Value(v) if v.to_f64() == 0.0 => return ct.zeros_like(),
                    Side::Value(v) => return ct.mul(&power)?.mul_scalar(libm::log(v.to_f64())),
                    Side::Tensor(a) => Tensor::where_(&a.eq_scalar(0)?, &a.ones_like()?, a)?.log()?,
                };
                ct.mul(&power)?.mul(&log)
            }
            Arith::Max => share(ct, b, a),
            Arith::Min => share(ct, a, b),
        }
    }
}

/// `ct` where `a > b`, half of it where they are equal.
fn share(ct: &Tensor, a: Side<'_>, b: Side<'_>) -> Result<Tensor> {
    let (over, tie) = match (a, b) {
        (Side::Tensor(a), Side::Tensor(b)) => (a.gt(b)?, a.eq(b)?),
        (Side::Tensor(a), Side::Value(v)) => (a.gt_scalar(v)?, a.eq_scalar(v)?),
        (Side::Value(v), Side::Tensor(b)) => (b.lt_scalar(v)?, b.eq_scalar(v)?),
        _ => return Err(Error::internal("arithmetic needs a tensor")),
    };
    let weight = over.cast(ct.dtype())?.add(&tie.cast(ct.dtype())?.mul_scalar(0.5)?)?;
    ct.mul(&weight)
}

/// A gradient brought back to the shape and dtype of its input.
fn home(grad: Tensor, (shape, dtype): &(Dims, DType)) -> Result<Tensor> {
    grad.sum_to(shape)?.cast(*dtype)
}

macro_rules! arithmetic {
    ($($op:ident, $name:ident, $scalar:ident, $what:literal, $note:literal;)*) => {
        impl Tensor {$(
            #[doc = concat!($what, " of two tensors, broadcast as NumPy does, at the dtype they promote to. ", $note)]
            ///
            /// # Errors
            /// `ShapeMismatch` for shapes that do not broadcast; `DTypeMismatch` for two bool tensors in arithmetic.
            pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
                Arith::$op.tracked(Side::Tensor(self), Side::Tensor(other))
            }
            #[doc = concat!($what, " of this tensor and a number, which takes the tensor's dtype where it can. ", $note)]
            ///
            /// # Errors
            /// Those of the device.
            pub fn $scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
                Arith::$op.tracked(Side::Tensor(self), Side::Value(value.into()))
            }
        )*}
    };
}
arithmetic! {
    Add, add, add_scalar, "Sum", "";
    Sub, sub, sub_scalar, "Difference", "";
    Mul, mul, mul_scalar, "Product", "";
    Div, div, div_scalar, "True quotient", "Whole numbers give float32.";
    Rem, rem, rem_scalar, "Remainder", "It has the sign of the divisor; whole numbers by 0 give 0.";
    Pow, pow, pow_scalar, "Power", "Negative bases take whole exponents; whole numbers to a negative power truncate.";
    Max, maximum, maximum_scalar, "Maximum", "NaN if either is; equal operands share the gradient.";
    Min, minimum, minimum_scalar, "Minimum", "NaN if either is; equal operands share the gradient.";
}

impl Tensor {
    /// `value - self`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn rsub_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Sub.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
    /// `value / self`; whole numbers give float32.
    ///
    /// # Errors
    /// Those of the device.
    pub fn rdiv_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Div.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
    /// `value` to the power of `self`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn rpow_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Pow.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
    /// The sum of two untracked tensors of the same shape and dtype, written into `self` when nobody else holds it.
    pub(crate) fn accumulate(self, other: Tensor) -> Result<Tensor> {
        if self.shape() != other.shape() || self.dtype() != other.dtype() {
            return Err(Error::internal(format!("gradients {self:?} and {other:?} of one value do not add up")));
        }
        // candle takes the strides of an empty view for overlapping.
        if self.size() == 0 {
            return Ok(self);
        }
        let kernels = self.use_kernels() && self.dtype().is_float();
        let (sum, other) = match (self, other) {
            (a, b) if kernels && a.is_unique() && a.is_contiguous() => (a, b),
            (a, b) if kernels && b.is_unique() && b.is_contiguous() => (b, a),
            (a, b) => return Arith::Add.value(Side::Tensor(&a), Side::Tensor(&b)),
        };
        crate::for_float!(sum.dtype(), "accumulate", T => {
            let values = other.values::<T>()?;
            inplace::with_mut::<T, _>(&sum, |out| {
                crate::threads::for_chunks(out, crate::threads::GRAIN, |start, out| {
                    let part = &values[start..start + out.len()];
                    out.iter_mut().zip(part).for_each(|(o, &v)| *o = T::down(o.up() + v.up()));
                });
            })?;
        });
        Ok(sum)
    }
}
