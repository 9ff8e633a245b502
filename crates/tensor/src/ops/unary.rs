//! Functions of one tensor, element by element.
use super::{
    args::Scalar,
    binary::{limited, negated},
    general::{is_half, wide_dtype},
    unary_rules::{self as rules, Rule, Saves},
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

/// Applies `rule` to a float tensor and records its gradient.
pub(super) fn apply<P: Rule>(x: &Tensor, rule: P) -> Result<Tensor> {
    let dtype = x.dtype();
    let path = x.path(P::NAME);
    let y = if path.by_kernel() {
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
    let path = ct.path("gradient of a function");
    if !path.by_kernel() || ct.dtype() != saved.dtype() {
        let inner = wide_dtype(ct.dtype());
        return rule.general_slope(&ct.cast(inner)?, &saved.cast(inner)?)?.cast(saved.dtype());
    }
    for_float!(ct.dtype(), P::NAME, T => {
        Tensor::from_vec(slopes(rule, &ct.values::<T>()?, &saved.values::<T>()?)?, ct.shape())
    })
}

macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident = $rule:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
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
    /// Raises e to the power of each element.
    ///
    /// Formula: `y = e^x`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = y · dy`
    fn exp = Exp;
    /// Raises e to the power of each element, less 1; it stays exact near 0.
    ///
    /// Formula: `y = e^x - 1`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = (y + 1) · dy`
    fn expm1 = Expm1;
    /// Takes the natural logarithm of each element; that of a negative number is NaN.
    ///
    /// Formula: `y = ln(x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = dy / x`
    fn log = Log;
    /// Takes the natural logarithm of 1 more than each element; it stays exact near 0.
    ///
    /// Formula: `y = ln(1 + x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = dy / (1 + x)`
    fn log1p = Log1p;
    /// Takes the square root of each element; that of a negative number is NaN.
    ///
    /// Formula: `y = √x`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = dy / (2 y)`
    fn sqrt = Sqrt;
    /// Takes the reciprocal of the square root of each element.
    ///
    /// Formula: `y = 1 / √x`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = -y³ / 2 · dy`
    fn rsqrt = Rsqrt;
    /// Takes the reciprocal of each element; that of 0 is infinite.
    ///
    /// Formula: `y = 1 / x`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = -y² · dy`
    fn recip = Recip;
    /// Takes the sine of each element, an angle in radians.
    ///
    /// Formula: `y = sin(x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = cos(x) · dy`
    fn sin = Sin;
    /// Takes the cosine of each element, an angle in radians.
    ///
    /// Formula: `y = cos(x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = -sin(x) · dy`
    fn cos = Cos;
    /// Takes the hyperbolic tangent of each element.
    ///
    /// Formula: `y = tanh(x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = (1 - y²) · dy`
    fn tanh = Tanh;
    /// Applies the logistic function to each element.
    ///
    /// Formula: `y = 1 / (1 + e^-x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = y (1 - y) · dy`
    fn sigmoid = Sigmoid;
    /// Takes the error function of each element.
    ///
    /// Formula: `y = 2/√π · ∫₀ˣ e^(-t²) dt`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = 2/√π · e^(-x²) · dy`
    fn erf = Erf;
    /// Applies a smooth form of relu to each element, without overflow.
    ///
    /// Formula: `y = ln(1 + e^x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = sigmoid(x) · dy`
    fn softplus = Softplus;
    /// Multiplies each element by its sigmoid.
    ///
    /// Formula: `y = x · sigmoid(x)`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = (s + x s (1 - s)) · dy` with `s = sigmoid(x)`
    fn swish = Swish;
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
    /// Changes the sign of each element.
    ///
    /// Formula: `y = -x`
    ///
    /// Dtypes: floats and integers keep theirs.
    ///
    /// Gradient: `dx = -dy`
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is bool.
    /// - `InvalidArgument`: an integer dtype does not hold the result.
    pub fn neg(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Neg)
        } else {
            of_integers(self, "neg", |x| negated("neg", x))
        }
    }
    /// Takes the absolute value of each element.
    ///
    /// Formula: `y = |x|`
    ///
    /// Dtypes: floats and integers keep theirs.
    ///
    /// Gradient: `dx = dy` where `x >= 0`, else `-dy`; at 0 it is `dy`, as in JAX.
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is bool.
    /// - `InvalidArgument`: an element is the least number of a signed integer dtype, which does not hold its absolute value.
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
    /// Tells the sign of each element: -1, 0 or 1, and NaN for NaN.
    ///
    /// Dtypes: floats and integers keep theirs.
    ///
    /// Gradient: 0.
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is bool.
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
    /// Multiplies each element by itself.
    ///
    /// Formula: `y = x²`
    ///
    /// Dtypes: floats and integers keep theirs.
    ///
    /// Gradient: `dx = 2 x dy`
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is bool.
    /// - `InvalidArgument`: an integer dtype does not hold the result.
    pub fn square(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Square)
        } else {
            of_integers(self, "square", |x| x.pow_scalar(2))
        }
    }
    /// Replaces negative elements by 0 (rectified linear unit).
    ///
    /// Formula: `y = max(x, 0)`
    ///
    /// Dtypes: floats and integers keep theirs.
    ///
    /// Gradient: `dx = dy` where `x > 0`, else 0.
    ///
    /// # Errors
    /// - `DTypeMismatch`: the tensor is bool.
    pub fn relu(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            apply(self, rules::Relu)
        } else {
            of_integers(self, "relu", |x| x.maximum_scalar(0))
        }
    }
    /// Rounds each element down to a whole number.
    ///
    /// Dtypes: floats keep theirs; integers and bool stay as they are.
    ///
    /// Gradient: 0.
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
    /// Rounds each element up to a whole number.
    ///
    /// Dtypes: floats keep theirs; integers and bool stay as they are.
    ///
    /// Gradient: 0.
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
    /// Rounds each element to the nearest whole number; one that lies midway goes to the even one, as in NumPy.
    ///
    /// Dtypes: floats keep theirs; integers and bool stay as they are.
    ///
    /// Gradient: 0.
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
    /// Limits each element to the range from `lo` to `hi`.
    ///
    /// Formula: `y = min(max(x, lo), hi)`
    ///
    /// Dtypes: floats and integers keep theirs; a bound that is a fraction makes integers float32.
    ///
    /// Gradient: `dx = dy` inside the range, half of it at a bound, 0 outside.
    ///
    /// # Errors
    /// - `InvalidArgument`: `lo > hi` or either is NaN, or a bound takes the place of an element but the integer dtype
    ///   does not hold it.
    /// - `DTypeMismatch`: the tensor is bool.
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
    /// Applies the Gaussian error linear unit to each element.
    ///
    /// Formula: `y = x · Φ(x)`, where Φ is the distribution function of the normal distribution; with `approximate` `y
    /// = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`
    ///
    /// Dtypes: floats keep theirs (float16 and bfloat16 compute in float32); integers and bool give float32.
    ///
    /// Gradient: `dx = y′(x) · dy`, the exact derivative of the formula that is used.
    ///
    /// Source: Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>.
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
