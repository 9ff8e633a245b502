//! Functions of one tensor, element by element.
use super::unary_rules as rules;
use crate::{
    autodiff::record,
    for_float,
    kernels::unary::{slopes, values, Function},
    ops::{bias_activation, Activation},
    tensor::Raw,
    DType, Error, Result, Tensor,
};
use smallvec::smallvec;

/// What a gradient rule needs to see again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saves {
    Nothing,
    Input,
    Output,
}

/// A function of one number with its derivative, as kernel and as general expression.
pub(super) trait Rule: Function {
    const NAME: &'static str;
    const SAVES: Saves;
    /// The value by candle's operations, of float32 or float64.
    fn general(self, x: &Raw) -> Result<Raw>;
    /// `c` times the derivative by tensor operations.
    fn general_slope(self, c: &Tensor, saved: &Tensor) -> Result<Tensor>;
    /// Whether the derivative is not zero everywhere.
    const DIFFERENTIABLE: bool = true;
}

/// Applies `rule` to a float tensor and records its gradient.
pub(super) fn apply<P: Rule>(x: &Tensor, rule: P) -> Result<Tensor> {
    let dtype = x.dtype();
    let y = if x.use_kernels() {
        for_float!(dtype, P::NAME, T => {
            Tensor::from_vec(values(rule, &x.values::<T>()?), x.shape())?
        })
    } else {
        // Halves compute in float32.
        let inner = if dtype == DType::F64 { dtype } else { DType::F32 };
        let wide = x.detach().cast(inner)?;
        Tensor::from_raw(rule.general(&wide.raw().contiguous()?)?, inner).cast(dtype)?
    };
    if !P::DIFFERENTIABLE || !x.is_tracked() {
        return Ok(y);
    }
    let saved = match P::SAVES {
        Saves::Input => Some(x.detach()),
        Saves::Output => Some(y.detach()),
        Saves::Nothing => None,
    };
    Ok(record(y, &[x], move |ct, _| {
        let saved = saved.as_ref().unwrap_or(ct);
        Ok(smallvec![Some(slope(ct, saved, rule)?)])
    }))
}

fn slope<P: Rule>(ct: &Tensor, saved: &Tensor, rule: P) -> Result<Tensor> {
    if !ct.use_kernels() || ct.dtype() != saved.dtype() {
        let inner = if ct.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        return rule.general_slope(&ct.cast(inner)?, &saved.cast(inner)?)?.cast(saved.dtype());
    }
    for_float!(ct.dtype(), P::NAME, T => {
        Tensor::from_vec(slopes(rule, &ct.values::<T>()?, &saved.values::<T>()?), ct.shape())
    })
}

macro_rules! functions {
    ($($name:ident, $rule:ident, $doc:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            /// Whole numbers and bools are cast to float32 first.
            ///
            /// # Errors
            /// Those of the device.
            pub fn $name(&self) -> Result<Tensor> {
                if self.dtype().is_float() {
                    apply(self, rules::$rule)
                } else {
                    apply(&self.cast(DType::F32)?, rules::$rule)
                }
            }
        )*}
    };
}
functions! {
    exp, Exp, "e^x.";
    expm1, Expm1, "e^x - 1, exact near 0.";
    log, Log, "Natural logarithm.";
    log1p, Log1p, "ln(1 + x), exact near 0.";
    sqrt, Sqrt, "Square root.";
    rsqrt, Rsqrt, "1 / sqrt(x).";
    recip, Recip, "1 / x.";
    sin, Sin, "Sine.";
    cos, Cos, "Cosine.";
    tanh, Tanh, "Hyperbolic tangent.";
    sigmoid, Sigmoid, "1 / (1 + e^-x).";
    erf, Erf, "The error function.";
    softplus, Softplus, "ln(1 + e^x), without overflow.";
    swish, Swish, "x times its sigmoid.";
}

/// `f` of each element of a tensor of whole numbers.
fn of_integers(x: &Tensor, op: &str, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::dtype(format!(
            "{op}: arithmetic on a bool tensor is not defined; cast it to int32 or float32"
        )));
    }
    f(x)
}

impl Tensor {
    /// -x. Unsigned numbers wrap around.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool.
    pub fn neg(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Neg)
        } else {
            of_integers(self, "neg", |x| x.rsub_scalar(0))
        }
    }
    /// Absolute value; derivative 1 at 0, as in JAX.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool.
    pub fn abs(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Abs)
        } else {
            of_integers(self, "abs", |x| match x.dtype() {
                DType::I32 | DType::I64 => x.maximum(&x.rsub_scalar(0)?),
                _ => Ok(x.clone()),
            })
        }
    }
    /// -1, 0 or 1 (NaN for NaN).
    ///
    /// # Errors
    /// `DTypeMismatch` for bool.
    pub fn sign(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Sign)
        } else {
            of_integers(self, "sign", |x| match x.dtype() {
                DType::I32 | DType::I64 => x.maximum_scalar(-1)?.minimum_scalar(1),
                _ => x.minimum_scalar(1),
            })
        }
    }
    /// x times x.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool.
    pub fn square(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Square)
        } else {
            of_integers(self, "square", |x| x.mul(x))
        }
    }
    /// max(x, 0); derivative 0 at 0.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool.
    pub fn relu(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Relu)
        } else {
            of_integers(self, "relu", |x| x.maximum_scalar(0))
        }
    }
    /// The largest whole number not above; no gradient. Whole numbers stay as they are.
    ///
    /// # Errors
    /// Those of the device.
    pub fn floor(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Floor)
        } else {
            Ok(self.clone())
        }
    }
    /// The smallest whole number not below; no gradient. Whole numbers stay as they are.
    ///
    /// # Errors
    /// Those of the device.
    pub fn ceil(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Ceil)
        } else {
            Ok(self.clone())
        }
    }
    /// The nearest whole number, halves to the even one; no gradient. Whole numbers stay as they are.
    ///
    /// # Errors
    /// Those of the device.
    pub fn round(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Round)
        } else {
            Ok(self.clone())
        }
    }
    /// min(max(x, lo), hi). Whole numbers are compared with the bounds truncated.
    ///
    /// The gradient is halved at a bound, as ties of `maximum` share theirs.
    ///
    /// # Errors
    /// `InvalidArgument` when `lo > hi` or either is NaN; `DTypeMismatch` for bool.
    pub fn clip(&self, lo: f64, hi: f64) -> Result<Tensor> {
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return Err(Error::argument(format!("clip: the bounds must be lo <= hi, got {lo} and {hi}")));
        }
        if self.dtype().is_float() {
            return apply(self, rules::Clip { lo, hi });
        }
        let range = match self.dtype() {
            DType::I32 => (i32::MIN as i64, i32::MAX as i64),
            DType::U32 => (0, u32::MAX as i64),
            DType::U8 => (0, 255),
            _ => (i64::MIN, i64::MAX),
        };
        let within = |v: f64| (v as i64).clamp(range.0, range.1);
        of_integers(self, "clip", |x| x.maximum_scalar(within(lo))?.minimum_scalar(within(hi)))
    }
    /// Gaussian error linear unit: x Φ(x), or its tanh approximation.
    ///
    /// Hendrycks and Gimpel, <https://arxiv.org/abs/1606.08415>.
    ///
    /// # Errors
    /// Those of the device.
    pub fn gelu(&self, approximate: bool) -> Result<Tensor> {
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F32)? };
        bias_activation(&x, None, if approximate { Activation::FastGelu } else { Activation::Gelu })
    }
}
