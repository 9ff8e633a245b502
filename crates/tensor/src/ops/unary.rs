//! Functions of one tensor, element by element.
use super::{
    args::Scalar,
    binary::{limited, negated},
    general::{is_half, wide_dtype},
    unary_rules as rules,
};
use crate::{
    autodiff::record,
    for_float,
    kernels::{
        number::Number,
        unary::{slopes, values, Function},
        vecmath::Real,
    },
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
            Tensor::from_vec(values(rule, &x.values::<T>()?)?, x.shape())?
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
    // The output as a half is rounded: a slope is taken from the output as it was before, made again from the input.
    let again = P::SAVES == Saves::Output && is_half(dtype);
    let saved = match P::SAVES {
        Saves::Output if !again => Some(y.detach()),
        Saves::Output | Saves::Input => Some(x.detach()),
        Saves::Nothing => None,
    };
    Ok(record(y, &[x], move |ct, _| {
        let saved = saved.as_ref().unwrap_or(ct);
        Ok(smallvec![Some(if again { slope(ct, saved, OfInput(rule))? } else { slope(ct, saved, rule)? })])
    }))
}

/// A function whose slope is computed from its output, as one whose slope is computed from its input.
#[derive(Clone, Copy)]
struct OfInput<P>(P);
impl<P: Rule> Function for OfInput<P> {
    #[inline(always)]
    fn value<R: Real + Number>(self, x: R) -> R {
        self.0.value(x)
    }
    #[inline(always)]
    fn slope<R: Real + Number>(self, c: R, input: R) -> R {
        self.0.slope(c, self.0.value(input))
    }
}
impl<P: Rule> Rule for OfInput<P> {
    const NAME: &'static str = P::NAME;
    const SAVES: Saves = Saves::Input;
    fn general(self, x: &Raw) -> Result<Raw> {
        self.0.general(x)
    }
    fn general_slope(self, c: &Tensor, input: &Tensor) -> Result<Tensor> {
        let output = self.0.general(&input.raw().contiguous()?)?;
        self.0.general_slope(c, &Tensor::from_raw(output, input.dtype()))
    }
}

fn slope<P: Rule>(ct: &Tensor, saved: &Tensor, rule: P) -> Result<Tensor> {
    if !ct.use_kernels() || ct.dtype() != saved.dtype() {
        let inner = wide_dtype(ct.dtype());
        return rule.general_slope(&ct.cast(inner)?, &saved.cast(inner)?)?.cast(saved.dtype());
    }
    for_float!(ct.dtype(), P::NAME, T => {
        Tensor::from_vec(slopes(rule, &ct.values::<T>()?, &saved.values::<T>()?)?, ct.shape())
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
    /// -x.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool; `InvalidArgument` where an integer type does not hold the result.
    pub fn neg(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Neg)
        } else {
            of_integers(self, "neg", |x| negated("neg", x))
        }
    }
    /// Absolute value; derivative 1 at 0, as in JAX.
    ///
    /// # Errors
    /// `DTypeMismatch` for bool; `InvalidArgument` for the least number of an integer type.
    pub fn abs(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Abs)
        } else {
            of_integers(self, "abs", |x| match x.dtype() {
                DType::I32 | DType::I64 => x.maximum(&negated("abs", x)?),
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
    /// `DTypeMismatch` for bool; `InvalidArgument` where an integer type does not hold the result.
    pub fn square(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Square)
        } else {
            of_integers(self, "square", |x| x.pow_scalar(2))
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
    /// min(max(x, lo), hi). A bound that is a fraction makes whole numbers float32, as in arithmetic.
    ///
    /// The gradient is halved at a bound, as ties of `maximum` share theirs.
    ///
    /// # Errors
    /// `InvalidArgument` when `lo > hi` or either is NaN, and where a bound takes the place of a value but an integer type does not
    /// hold it; `DTypeMismatch` for bool.
    pub fn clip(&self, lo: impl Into<Scalar>, hi: impl Into<Scalar>) -> Result<Tensor> {
        let (low, high) = (lo.into(), hi.into());
        let (lo, hi) = (low.to_f64(), high.to_f64());
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return Err(Error::argument(format!("clip: the bounds must be lo <= hi, got {low} and {high}")));
        }
        if self.dtype().is_float() {
            return apply(self, rules::Clip { lo, hi });
        }
        of_integers(self, "clip", |x| {
            if [lo, hi].iter().any(|v| v.is_finite() && v.fract() != 0.0) {
                return apply(&x.cast(DType::F32)?, rules::Clip { lo, hi });
            }
            limited(x, whole_bound(low), whole_bound(high))
        })
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

/// A bound of integers; an infinite one is beyond all of them.
fn whole_bound(bound: Scalar) -> Scalar {
    Scalar::Int(bound.whole().unwrap_or(if bound.to_f64() > 0.0 { i128::MAX } else { i128::MIN }))
}
