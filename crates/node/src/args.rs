//! Arguments of exports: JavaScript numbers and arrays, checked, with a `TypeError` or `RangeError` when they do not fit.
use crate::{
    environment::find,
    error::{pending, Failure},
};
use napi::{bindgen_prelude::*, sys, Env};
use smallvec::SmallVec;
use tallow_tensor::{ops::Axes, ops::Scalar, DType, Error as TensorError, Tensor};

/// A whole number: an axis, an index, a shift.
#[derive(Clone, Copy)]
pub struct Int(pub isize);
/// A whole number of at least 0.
#[derive(Clone, Copy)]
pub struct Size(pub usize);
/// Any number.
#[derive(Clone, Copy)]
pub struct Real(pub f64);
/// A number or a BigInt: an operand, or the value of elements.
#[derive(Clone, Copy)]
pub enum Numeric {
    /// A number.
    Number(f64),
    /// A BigInt: whole, or a float where it is beyond 128 bits, which no integer type reaches.
    BigInt(Scalar),
}
/// Whole numbers.
pub struct Ints(pub Vec<isize>);
/// The sizes of axes.
pub struct Shape(pub Vec<usize>);
/// `null` for all axes, one axis, or several.
pub struct AxisSet(pub Axes);
/// An index into [`DType::ALL`], which `native.ts` looks up by name.
#[derive(Clone, Copy)]
pub struct TypeCode(pub DType);

/// Throws `failure` from within an argument's conversion.
fn refuse(env: sys::napi_env, failure: Failure) -> Error {
    match find(env) {
        Some(environment) => environment.throw(&Env::from_raw(env), failure),
        None => Error::from_reason("tallow is not loaded in this environment"),
    }
}

fn wrong_type(env: sys::napi_env, value: sys::napi_value, expected: &str) -> Error {
    // SAFETY: called only from `from_napi_value`, whose caller vouches for `env` and `value`.
    let found = unsafe { Unknown::from_napi_value(env, value) }.and_then(|v| v.get_type());
    let found = found.map_or_else(|_| "something else".to_owned(), |t| t.to_string().to_lowercase());
    refuse(env, Failure::Type(format!("expected {expected}, got {found}")))
}

fn number(env: sys::napi_env, value: sys::napi_value, expected: &str) -> Result<f64> {
    let mut out = 0.0;
    // SAFETY: called only from `from_napi_value`, whose caller vouches for `env` and `value`; `out` outlives the call.
    match unsafe { sys::napi_get_value_double(env, value, &mut out) } {
        sys::Status::napi_ok => Ok(out),
        _ => Err(wrong_type(env, value, expected)),
    }
}

fn out_of_range(env: sys::napi_env, expected: &str, value: f64) -> Error {
    refuse(env, Failure::Tensor(TensorError::argument(format!("expected {expected}, got {value}"))))
}

fn whole(env: sys::napi_env, value: sys::napi_value, expected: &str) -> Result<isize> {
    let x = number(env, value, expected)?;
    if x.fract() == 0.0 && x.abs() <= MAX_SAFE {
        return Ok(x as isize);
    }
    Err(out_of_range(env, expected, x))
}

fn size(env: sys::napi_env, value: sys::napi_value, expected: &str) -> Result<usize> {
    let x = whole(env, value, expected)?;
    usize::try_from(x).map_err(|_| out_of_range(env, expected, x as f64))
}

/// JavaScript's largest exact whole number.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

fn each<T>(
    env: sys::napi_env,
    value: sys::napi_value,
    expected: &str,
    convert: impl Fn(sys::napi_env, sys::napi_value, &str) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut len, mut item) = (0, std::ptr::null_mut());
    // SAFETY: called only from `from_napi_value`, whose caller vouches for `env` and `value`; it fails for what is no array.
    if unsafe { sys::napi_get_array_length(env, value, &mut len) } != sys::Status::napi_ok {
        return Err(wrong_type(env, value, expected));
    }
    (0..len)
        .map(|i| {
            // SAFETY: as above; `item` outlives the call.
            match unsafe { sys::napi_get_element(env, value, i, &mut item) } {
                sys::Status::napi_ok => convert(env, item, expected),
                _ => Err(pending()),
            }
        })
        .collect()
}

macro_rules! argument {
    ($type:ident, |$env:ident, $value:ident| $convert:expr) => {
        impl FromNapiValue for $type {
            unsafe fn from_napi_value($env: sys::napi_env, $value: sys::napi_value) -> Result<Self> {
                $convert
            }
        }
    };
}
argument!(Real, |env, value| number(env, value, "a number").map(Real));
argument!(Numeric, |env, value| {
    let (mut out, mut kind) = (0.0, 0);
    // SAFETY: the caller vouches for `env` and `value`; `out` outlives the call.
    if unsafe { sys::napi_get_value_double(env, value, &mut out) } == sys::Status::napi_ok {
        return Ok(Numeric::Number(out));
    }
    // SAFETY: as above, with `kind`.
    unsafe { sys::napi_typeof(env, value, &mut kind) };
    if kind != sys::ValueType::napi_bigint {
        return Err(wrong_type(env, value, "a number or a BigInt"));
    }
    // SAFETY: as above.
    let big = unsafe { BigInt::from_napi_value(env, value) }?;
    let word = |i: usize| u128::from(big.words.get(i).copied().unwrap_or_default());
    let is_large = big.words.iter().skip(2).any(|&w| w != 0);
    Ok(Numeric::BigInt(match i128::try_from(word(1) << 64 | word(0)) {
        Ok(magnitude) if !is_large => Scalar::Int(if big.sign_bit { -magnitude } else { magnitude }),
        _ => {
            let magnitude = big.words.iter().rev().fold(0.0, |sum, &w| sum * 18_446_744_073_709_551_616.0 + w as f64);
            Scalar::Float(if big.sign_bit { -magnitude } else { magnitude })
        }
    }))
});
argument!(Int, |env, value| whole(env, value, "a whole number").map(Int));
argument!(Size, |env, value| size(env, value, "a whole number of at least 0").map(Size));
argument!(Ints, |env, value| each(env, value, "an array of whole numbers", whole).map(Ints));
argument!(Shape, |env, value| each(env, value, "an array of whole numbers of at least 0", size).map(Shape));
argument!(AxisSet, |env, value| {
    const EXPECTED: &str = "an axis (a whole number), an array of axes, or null";
    let mut kind = 0;
    // SAFETY: the caller vouches for `env` and `value`; `kind` outlives the call.
    unsafe { sys::napi_typeof(env, value, &mut kind) };
    Ok(AxisSet(match kind {
        sys::ValueType::napi_null | sys::ValueType::napi_undefined => Axes::All,
        sys::ValueType::napi_number => Axes::Some(SmallVec::from_slice(&[whole(env, value, EXPECTED)?])),
        _ => Axes::Some(SmallVec::from_vec(each(env, value, EXPECTED, whole)?)),
    }))
});
argument!(TypeCode, |env, value| {
    let code = size(env, value, "a dtype")?;
    match DType::ALL.get(code) {
        Some(&dtype) => Ok(TypeCode(dtype)),
        None => Err(refuse(env, Failure::Tensor(TensorError::dtype(format!("there is no dtype number {code}"))))),
    }
});

impl From<Numeric> for Scalar {
    fn from(value: Numeric) -> Self {
        match value {
            Numeric::Number(v) => Scalar::Float(v),
            Numeric::BigInt(v) => v,
        }
    }
}

/// A number as the weak scalar that meets `tensor`: floats take any number, integers keep whole numbers whole.
///
/// # Errors
/// `DTypeMismatch` for a BigInt beside a tensor of anything but integers.
pub(crate) fn scalar(tensor: &Tensor, value: Numeric) -> tallow_tensor::Result<Scalar> {
    let dtype = tensor.dtype();
    if let (Numeric::BigInt(v), None) = (value, dtype.whole_range()) {
        return Err(TensorError::dtype(format!(
            "a BigInt, here {v}n, meets tensors of integers only, this one is {dtype}; give a number"
        )));
    }
    Ok(match Scalar::from(value) {
        Scalar::Float(v) if !dtype.is_float() && v.fract() == 0.0 => Scalar::Int(v as i128),
        other => other,
    })
}
