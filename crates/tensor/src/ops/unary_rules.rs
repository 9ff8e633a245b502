//! The functions of [`super::unary`] and their derivatives.
use crate::{
    kernels::{number::Number, unary::Function, vecmath::Real},
    tensor::Raw,
    Result, Tensor,
};
use std::f64::consts::FRAC_2_SQRT_PI;

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

macro_rules! rules {
    ($(
        $name:ident, $op:literal, $saves:ident $(, $flag:ident)?;
        |$x:ident| $value:expr;
        |$c:ident, $s:ident| $slope:expr;
        general |$gx:ident| $general:expr;
        |$gc:ident, $gs:ident| $general_slope:expr;
        $(=> far |$fx:ident| $far:expr, |$fs:ident| $far_slope:expr;)?
    )*) => {$(
        #[derive(Clone, Copy)]
        pub(super) struct $name;
        impl Function for $name {
            #[inline(always)]
            fn value<R: Real + Number>(self, $x: R) -> R { $value }
            #[inline(always)]
            fn slope<R: Real + Number>(self, $c: R, $s: R) -> R { $slope }
            $(
                #[inline(always)]
                fn is_far<R: Real + Number>(self, x: R) -> bool { x.is_far() }
                fn far_value<R: Real + Number>(self, $fx: R) -> R { $far }
                fn far_slope<R: Real + Number>(self, c: R, $fs: R) -> R { c * $far_slope }
            )?
        }
        impl Rule for $name {
            const NAME: &'static str = $op;
            const SAVES: Saves = Saves::$saves;
            $(const DIFFERENTIABLE: bool = !stringify!($flag).is_empty() && false;)?
            fn general(self, $gx: &Raw) -> Result<Raw> { Ok($general) }
            fn general_slope(self, $gc: &Tensor, $gs: &Tensor) -> Result<Tensor> { $general_slope }
        }
    )*};
}

/// `a` where `condition` holds, else `b`, without a branch.
#[inline(always)]
fn pick<R>(condition: bool, a: R, b: R) -> R {
    if condition {
        a
    } else {
        b
    }
}

rules! {
    Neg, "neg", Nothing;
        |x| -x;
        |c, _s| -c;
        general |x| x.neg()?;
        |c, _s| c.neg();
    Abs, "abs", Input;
        |x| x.abs();
        |c, s| pick(s >= R::of(0.0), c, -c);
        general |x| x.abs()?;
        |c, s| Tensor::where_(&s.ge_scalar(0.0)?, c, &c.neg()?);
    Sign, "sign", Nothing, flat;
        |x| sign(x);
        |c, _s| c;
        // candle's sign of NaN is not NaN; NaN - NaN is.
        general |x| (x.gt(0.0)?.to_dtype(x.dtype())? - x.lt(0.0)?.to_dtype(x.dtype())?)?.add(&nan_or_zero(x)?)?;
        |c, _s| c.zeros_like();
    Exp, "exp", Output;
        |x| x.exp();
        |c, s| c * s;
        general |x| x.exp()?;
        |c, s| c.mul(s);
    Expm1, "expm1", Output;
        |x| x.expm1();
        |c, s| c * (s + R::of(1.0));
        // 2 e^(x/2) sinh(x/2) loses nothing near 0 when sinh is a series there.
        general |x| expm1_general(x)?;
        |c, s| c.mul(&s.add_scalar(1.0)?);
    Log, "log", Input;
        |x| x.ln();
        |c, s| c / s;
        general |x| x.log()?;
        |c, s| c.div(s);
    Log1p, "log1p", Input;
        |x| x.ln_1p();
        |c, s| c / (s + R::of(1.0));
        general |x| log1p_general(x)?;
        |c, s| c.div(&s.add_scalar(1.0)?);
    Sqrt, "sqrt", Output;
        |x| x.sqrt();
        |c, s| c * R::of(0.5) / s;
        general |x| x.sqrt()?;
        |c, s| c.mul_scalar(0.5)?.div(s);
    Rsqrt, "rsqrt", Output;
        |x| R::of(1.0) / x.sqrt();
        |c, s| -R::of(0.5) * c * s * s * s;
        general |x| x.sqrt()?.recip()?;
        |c, s| c.mul_scalar(-0.5)?.mul(&s.mul(s)?.mul(s)?);
    Square, "square", Input;
        |x| x * x;
        |c, s| c * (s + s);
        general |x| x.sqr()?;
        |c, s| c.mul(&s.add(s)?);
    Recip, "recip", Output;
        |x| R::of(1.0) / x;
        |c, s| -(c * s * s);
        general |x| x.recip()?;
        |c, s| c.mul(s)?.mul(s)?.neg();
    Sin, "sin", Input;
        |x| x.sin_near();
        |c, s| c * s.cos_near();
        general |x| x.sin()?;
        |c, s| c.mul(&s.cos()?);
        => far |x| x.sin(), |s| s.cos();
    Cos, "cos", Input;
        |x| x.cos_near();
        |c, s| -(c * s.sin_near());
        general |x| x.cos()?;
        |c, s| c.mul(&s.sin()?)?.neg();
        => far |x| x.cos(), |s| -s.sin();
    Tanh, "tanh", Output;
        |x| x.tanh();
        |c, s| c * (R::of(1.0) - s * s);
        general |x| x.tanh()?;
        |c, s| c.mul(&s.mul(s)?.rsub_scalar(1.0)?);
    Sigmoid, "sigmoid", Output;
        |x| x.sigmoid();
        |c, s| c * (s * (R::of(1.0) - s));
        general |x| (x.neg()?.exp()? + 1.0)?.recip()?;
        |c, s| c.mul(&s.mul(&s.rsub_scalar(1.0)?)?);
    Erf, "erf", Input;
        |x| x.erf();
        |c, s| c * (R::of(FRAC_2_SQRT_PI) * (-(s * s)).exp());
        general |x| x.erf()?;
        |c, s| c.mul(&s.mul(s)?.neg()?.exp()?.mul_scalar(FRAC_2_SQRT_PI)?);
    Relu, "relu", Output;
        |x| pick(x <= R::of(0.0), R::of(0.0), x);
        |c, s| pick(s > R::of(0.0), c, R::of(0.0));
        // candle's relu turns NaN into 0.
        general |x| x.le(0.0)?.where_cond(&x.zeros_like()?, x)?;
        |c, s| Tensor::where_(&s.gt_scalar(0.0)?, c, &c.zeros_like()?);
    Floor, "floor", Nothing, flat;
        |x| x.floor();
        |c, _s| c;
        general |x| x.floor()?;
        |c, _s| c.zeros_like();
    Ceil, "ceil", Nothing, flat;
        |x| x.ceil();
        |c, _s| c;
        general |x| x.ceil()?;
        |c, _s| c.zeros_like();
    Round, "round", Nothing, flat;
        |x| x.round_even();
        |c, _s| c;
        general |x| round_general(x)?;
        |c, _s| c.zeros_like();
    Softplus, "softplus", Input;
        |x| x.softplus();
        |c, s| c * s.sigmoid();
        general |x| (log1p_general(&x.abs()?.neg()?.exp()?)? + x.le(0.0)?.where_cond(&x.zeros_like()?, x)?)?;
        |c, s| c.mul(&s.sigmoid()?);
    Swish, "swish", Input;
        |x| x * x.sigmoid();
        |c, s| {
            let p = s.sigmoid();
            c * (p + s * p * (R::of(1.0) - p))
        };
        general |x| (x * (x.neg()?.exp()? + 1.0)?.recip()?)?;
        |c, s| {
            let p = s.sigmoid()?;
            c.mul(&p.add(&s.mul(&p)?.mul(&p.rsub_scalar(1.0)?)?)?)
        };
}

#[inline(always)]
fn sign<R: Real + Number>(x: R) -> R {
    let s = pick(x < R::of(0.0), R::of(-1.0), R::of(0.0));
    let s = pick(x > R::of(0.0), R::of(1.0), s);
    pick(x.not_a_number(), x, s)
}

/// Limits to an interval.
#[derive(Clone, Copy)]
pub(super) struct Clip {
    pub(super) lo: f64,
    pub(super) hi: f64,
}
impl Function for Clip {
    #[inline(always)]
    fn value<R: Real + Number>(self, x: R) -> R {
        let (lo, hi) = (R::of(self.lo), R::of(self.hi));
        let x = pick(x < lo, lo, x);
        pick(x > hi, hi, x)
    }
    #[inline(always)]
    fn slope<R: Real + Number>(self, c: R, s: R) -> R {
        let (lo, hi) = (R::of(self.lo), R::of(self.hi));
        let inside = pick(s > lo && s < hi, c, R::of(0.0));
        pick(s == lo || s == hi, R::of(0.5) * c, inside)
    }
}
impl Rule for Clip {
    const NAME: &'static str = "clip";
    const SAVES: Saves = Saves::Input;
    fn general(self, x: &Raw) -> Result<Raw> {
        let x = x.lt(self.lo)?.where_cond(&(x.zeros_like()? + self.lo)?, x)?;
        Ok(x.gt(self.hi)?.where_cond(&(x.zeros_like()? + self.hi)?, &x)?)
    }
    fn general_slope(self, c: &Tensor, s: &Tensor) -> Result<Tensor> {
        let inside = s.gt_scalar(self.lo)?.logical_and(&s.lt_scalar(self.hi)?)?;
        let edge = s.eq_scalar(self.lo)?.logical_or(&s.eq_scalar(self.hi)?)?;
        let weight = inside.cast(c.dtype())?.add(&edge.cast(c.dtype())?.mul_scalar(0.5)?)?;
        c.mul(&weight)
    }
}

/// NaN where `x` is, else 0.
fn nan_or_zero(x: &Raw) -> Result<Raw> {
    let zero = x.zeros_like()?;
    Ok(x.eq(x)?.where_cond(&zero, &(&zero + f64::NAN)?)?)
}

/// ln(1 + x) as ln(u) plus what rounding took from u = 1 + x.
fn log1p_general(x: &Raw) -> Result<Raw> {
    let u = (x + 1.0)?;
    let log = u.log()?;
    let exact = (&log + ((x - (&u - 1.0)?)? / &u)?)?;
    // At u = 0 and infinity the correction is NaN.
    let edge = (u.eq(0.0)? + u.eq(f64::INFINITY)?)?;
    Ok(edge.where_cond(&log, &exact)?)
}

/// e^x - 1: for small x by tanh, as 2 t / (1 - t) with t = tanh(x / 2).
fn expm1_general(x: &Raw) -> Result<Raw> {
    let t = (x * 0.5)?.tanh()?;
    let near = ((&t * 2.0)? / t.affine(-1.0, 1.0)?)?;
    Ok(x.abs()?.lt(0.5)?.where_cond(&near, &(x.exp()? - 1.0)?)?)
}

/// Halves to even: rounds half away from zero, then takes back 1 where that made an odd number of a half.
fn round_general(x: &Raw) -> Result<Raw> {
    let floor = x.floor()?;
    let fraction = (x - &floor)?;
    let odd = (&floor - ((&floor * 0.5)?.floor()? * 2.0)?)?;
    let dtype = x.dtype();
    let up = (fraction.gt(0.5)?.to_dtype(dtype)? + (fraction.eq(0.5)?.to_dtype(dtype)? * odd)?)?;
    // Infinite minus infinite is NaN: such values are whole already.
    Ok(x.eq(&floor)?.where_cond(x, &(floor + up)?)?)
}
