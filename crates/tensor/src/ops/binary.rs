//! How arithmetic of two tensors, or of a tensor and a number, is done.
use super::{
    args::{wider, Scalar},
    general::wide_dtype,
};
use crate::{
    autodiff::{record, Grads},
    candle_error::on_two_devices,
    device_path::on_host,
    dtype::{Whole, Wide},
    for_any, for_whole,
    host_trips::Hosted,
    kernels::{
        inplace,
        map::{zip, Operand},
        number::Number,
        plan::{broadcast_shape, Dims},
    },
    tensor::Raw,
    DType, DeviceName, Element, Error, Result, Tensor,
};
use smallvec::smallvec;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arith {
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
            Side::Value(v) => v.tensor("an operand", dtype, device)?,
        };
        Ok(t.raw().broadcast_as(shape)?)
    }
    pub(super) fn tensor(self) -> Option<&'a Tensor> {
        match self {
            Side::Tensor(t) => Some(t),
            Side::Value(_) => None,
        }
    }
    /// The number, if it is one and whole.
    fn whole(self) -> Option<i128> {
        match self {
            Side::Tensor(_) => None,
            Side::Value(v) => v.whole(),
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
    /// This operand of an operation on halves of `dtype`, in the type that its slopes are computed in.
    fn widened(&self, dtype: DType, wide: DType) -> Result<Kept> {
        Ok(match self {
            Kept::Tensor(t) if dtype != wide => Kept::Tensor(t.cast(dtype)?.cast(wide)?),
            Kept::Tensor(t) => Kept::Tensor(t.clone()),
            Kept::Value(v) if dtype == DType::F16 => Kept::Value(half::f16::nearest(v.to_f64()).to_f64().into()),
            Kept::Value(v) if dtype == DType::BF16 => Kept::Value(half::bf16::nearest(v.to_f64()).to_f64().into()),
            Kept::Value(v) => Kept::Value(*v),
        })
    }
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
    Err(on_two_devices(op, DeviceName::of(a.device()), DeviceName::of(b.device())))
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
        let outside = [a, b].into_iter().any(|s| matches!(s, Side::Value(v) if v.outside(dtype).is_some()));
        let path = lead.path(self.name());
        if !path.by_kernel() {
            return self.general(a, b, dtype, &shape, lead, outside);
        }
        if outside || self == Arith::Pow && !dtype.is_float() {
            return self.exact_value(self.name(), a, b);
        }
        let (x, y) = (cast_side(a, dtype)?, cast_side(b, dtype)?);
        for_any!(dtype, T => {
            let values = self.kernel::<T>(&shape, a.kernel(&x), b.kernel(&y))?;
            Ok(Tensor::from_raw(Raw::from_vec(values, &shape[..], lead.device())?, dtype))
        })
    }
    /// Whole numbers computed exactly, on the CPU; a result that does not fit is an error that names `op`.
    fn exact_value(self, op: &str, a: Side<'_>, b: Side<'_>) -> Result<Tensor> {
        let dtype = meet(a, b);
        let shape = meet_shape(self.name(), a, b)?;
        let (x, y) = (cast_side(a, dtype)?, cast_side(b, dtype)?);
        let numbers = [a, b].map(Side::whole);
        let good = AtomicBool::new(true);
        let out = for_whole!(dtype, self.name(), T => {
            let values = zip(&shape, a.kernel::<T>(&x), b.kernel::<T>(&y), |x: T, y: T| {
                let (x, y) = (numbers[0].unwrap_or(x.wide().exact()), numbers[1].unwrap_or(y.wide().exact()));
                let fitting = self.of_whole(x, y).and_then(T::fit);
                if fitting.is_none() {
                    good.store(false, Relaxed);
                }
                fitting.unwrap_or_default()
            })?;
            Tensor::from_raw(Raw::from_vec(values, &shape[..], &crate::Device::Cpu)?, dtype)
        });
        if good.into_inner() {
            return Ok(out);
        }
        let shown = |s: Side<'_>| match s {
            Side::Tensor(t) => format!("{}{:?}", t.dtype(), t.shape()),
            Side::Value(v) => v.to_string(),
        };
        let operands = if matches!(op, "neg" | "abs") { shown(b) } else { format!("{}, {}", shown(a), shown(b)) };
        let way = wider(dtype, true);
        Err(Error::argument(format!("{op}({operands}): a result does not fit {dtype}; cast the tensor to {way} first")))
    }
    /// The result for two whole numbers, as the kernels define it for those that fit; `None` beyond 128 bits.
    fn of_whole(self, x: i128, y: i128) -> Option<i128> {
        match self {
            Arith::Add => x.checked_add(y),
            Arith::Sub => x.checked_sub(y),
            Arith::Mul => x.checked_mul(y),
            Arith::Max => Some(x.max(y)),
            Arith::Min => Some(x.min(y)),
            Arith::Rem => match x.checked_rem(y).unwrap_or(0) {
                r if r != 0 && (r < 0) != (y < 0) => r.checked_add(y),
                r => Some(r),
            },
            Arith::Pow => match (x, y) {
                (1, _) => Some(1),
                (-1, y) => Some(if y % 2 == 0 { 1 } else { -1 }),
                (_, 0) => Some(1),
                // 1 / x^|y|, cut off.
                (_, y) if y < 0 => Some(0),
                (0, _) => Some(0),
                (x, 2) => x.checked_mul(x),
                (x, y) => x.checked_pow(u32::try_from(y).ok()?),
            },
            Arith::Div => None,
        }
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
    fn general(
        self,
        a: Side<'_>,
        b: Side<'_>,
        dtype: DType,
        shape: &[usize],
        lead: &Tensor,
        outside: bool,
    ) -> Result<Tensor> {
        if outside || matches!(self, Arith::Rem | Arith::Pow) {
            // candle has no remainder, its power is NaN for negative bases, and it wraps numbers around.
            return match (a, b) {
                (Side::Tensor(x), Side::Tensor(y)) => {
                    on_host(Hosted::Arithmetic, &[x, y], |t| self.value(Side::Tensor(&t[0]), Side::Tensor(&t[1])))
                }
                (Side::Tensor(x), v) => on_host(Hosted::Arithmetic, &[x], |t| self.value(Side::Tensor(&t[0]), v)),
                (v, Side::Tensor(y)) => on_host(Hosted::Arithmetic, &[y], |t| self.value(v, Side::Tensor(&t[0]))),
                _ => Err(Error::internal("arithmetic needs a tensor")),
            };
        }
        // Halves compute in float32.
        let inner = if dtype.is_float() && dtype.size() == 2 { DType::F32 } else { dtype };
        crate::memory::admit_tensor(shape, inner)?;
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
    /// The result, with its gradient recorded.
    pub(super) fn tracked(self, a: Side<'_>, b: Side<'_>) -> Result<Tensor> {
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
        let (a, b, dtype) = (a.keep(), b.keep(), out.dtype());
        record(out, inputs, move |ct, need| {
            // Slopes of several steps are computed in float32 for halves, and rounded once.
            let wide = if self == Arith::Mul { dtype } else { wide_dtype(dtype) };
            let (a, b, ct) = (a.widened(dtype, wide)?, b.widened(dtype, wide)?, ct.cast(wide)?);
            let mut grads: Grads = smallvec![None; homes.len()];
            for (side, i) in at.into_iter().enumerate() {
                let Some(i) = i.filter(|&i| need[i]) else { continue };
                let g = if side == 0 { self.left_grad(&ct, &a, &b)? } else { self.right_grad(&ct, &a, &b)? };
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
                // b a^(b-1), and 0 where b = 0 whatever a is.
                match b {
                    Side::Value(v) if v.to_f64() == 0.0 => ct.zeros_like(),
                    Side::Value(v) => {
                        let power = Arith::Pow.value(a, Side::Value(Scalar::Float(v.to_f64() - 1.0)))?;
                        ct.mul(&Arith::Mul.value(Side::Tensor(&power), b)?)
                    }
                    Side::Tensor(b) => {
                        let flat = b.eq_scalar(0)?;
                        let less = Tensor::where_(&flat, &b.ones_like()?, &b.sub_scalar(1)?)?;
                        let slope = ct.mul(&Arith::Pow.value(a, Side::Tensor(&less))?.mul(b)?)?;
                        Tensor::where_(&flat, &slope.zeros_like()?, &slope)
                    }
                }
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
            Arith::Rem => {
                // How often the divisor was taken off: a / b itself may round up to the next whole number.
                let left = Arith::Sub.value(a, Side::Tensor(&Arith::Rem.value(a, b)?))?;
                ct.mul(&Arith::Div.value(Side::Tensor(&left), b)?.round()?)?.neg()
            }
            Arith::Pow => {
                let base = match a {
                    Side::Value(v) if v.to_f64() == 0.0 => return ct.zeros_like(),
                    Side::Value(v) => Tensor::full(&[], v, ct.dtype(), ct.device())?,
                    Side::Tensor(a) => a.cast(ct.dtype())?,
                };
                // a^b ln a, and 0 at a = 0 and where a^b is 0: the logarithm may be infinite there.
                let power = Arith::Pow.value(a, b)?;
                let flat = base.eq_scalar(0)?.logical_or(&power.eq_scalar(0)?)?;
                let slope = ct.mul(&power)?.mul(&base.log()?)?;
                Tensor::where_(&flat, &slope.zeros_like()?, &slope)
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

/// `-x` of integers, exact: a result that does not fit is an error of `op`.
pub(super) fn negated(op: &str, x: &Tensor) -> Result<Tensor> {
    on_host(Hosted::Negative, &[x], |t| Arith::Sub.exact_value(op, Side::Value(Scalar::Int(0)), Side::Tensor(&t[0])))
}

/// Integers limited to whole bounds; an error where a bound takes a value's place but does not fit.
pub(super) fn limited(x: &Tensor, low: Scalar, high: Scalar) -> Result<Tensor> {
    let limit = |x: &Tensor, op: Arith, bound: Scalar| match bound.outside(x.dtype()) {
        None => op.value(Side::Tensor(x), Side::Value(bound)),
        Some(_) => on_host(Hosted::Clip, &[x], |t| op.exact_value("clip", Side::Tensor(&t[0]), Side::Value(bound))),
    };
    limit(&limit(x, Arith::Max, low)?, Arith::Min, high)
}

impl Tensor {
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
                })
            })??;
        });
        Ok(sum)
    }
}
