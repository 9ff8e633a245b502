//! Arguments of exports: JavaScript numbers and arrays, checked, with a `TypeError` or `RangeError` that names them when they do not fit.
use super::{
    environment::find,
    error::{Failure, Outcome},
};
use napi::{bindgen_prelude::*, sys, Env, JsValue, ValueType};
use smallvec::SmallVec;
use std::fmt;
use tallow_tensor::{ops::Axes, ops::Scalar, random::Key, DType, Error as TensorError, Tensor};

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
/// For each axis, how many elements come before it and after it.
pub struct Pairs(pub Vec<(usize, usize)>);
/// `null` for all axes, one axis, or several.
pub struct AxisSet(pub Axes);
/// An index into [`DType::ALL`], which `native.ts` looks up by name.
#[derive(Clone, Copy)]
pub struct TypeCode(pub DType);

/// A word of a random key, or what is mixed into one.
#[derive(Clone, Copy)]
pub struct Word(pub u32);
/// A random key, which JavaScript has as its two words.
#[derive(Clone, Copy)]
pub struct Words(pub Key);

/// The handle of the tensor that a method is called on.
#[derive(Clone, Copy)]
pub struct Handle(pub f64);

/// Why a value is not of the type that an argument has.
pub enum Refusal {
    /// It has another type: what was found.
    Type(String),
    /// It is outside the domain: what was found.
    Domain(String),
    /// JavaScript threw while it was read.
    Thrown(Error),
}
type Read<T> = std::result::Result<T, Refusal>;

/// A type that an argument can have.
pub trait Argument: Sized {
    /// What is expected, after "must be".
    const EXPECTED: &'static str;
    /// The value; called only from `from_napi_value`, whose caller vouches for `env` and `value`.
    fn read(env: sys::napi_env, value: sys::napi_value) -> Read<Self>;
}

/// An argument as it came: a wrong one is refused by its name, which the export knows.
pub struct Arg<T>(Read<T>);

impl<T: Argument> FromNapiValue for Arg<T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        Ok(Arg(T::read(env, value)))
    }
}

impl<T: Argument> Arg<T> {
    /// The value, or the error that it is refused with under this name.
    pub(crate) fn named(self, name: impl fmt::Display) -> Outcome<T> {
        self.0.map_err(|refusal| match refusal {
            Refusal::Type(found) => Failure::Type(format!("{name} must be {}, got {found}", T::EXPECTED)),
            Refusal::Domain(found) => {
                Failure::Tensor(TensorError::argument(format!("{name} must be {}, got {found}", T::EXPECTED)))
            }
            Refusal::Thrown(e) => Failure::Js(e),
        })
    }
}

/// The name of an argument of a method, from those of the export and its parameter.
pub(crate) struct Place(pub &'static str, pub &'static str);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.0.trim_end_matches("_scalar") {
            "reshape_infer" => "reshape",
            "logsumexp" => "logSumExp",
            "gather" => "takeAlongAxis",
            "rem" => "mod",
            other => other,
        };
        let mut words = method.split('_');
        f.write_str(words.next().unwrap_or_default())?;
        for word in words {
            f.write_str(&word[..1].to_uppercase())?;
            f.write_str(&word[1..])?;
        }
        write!(f, ": {}", self.1)
    }
}

/// The most characters of a string that a message shows.
const SHOWN: usize = 40;

/// What a value is, in the words that `found.ts` has for it.
fn found(env: sys::napi_env, value: sys::napi_value) -> String {
    // SAFETY: called only by `Argument::read`, whose caller vouches for `env` and `value`.
    let value = unsafe { Unknown::from_raw_unchecked(env, value) };
    let raw = value.raw();
    match value.get_type() {
        Ok(ValueType::Null) => "null".to_owned(),
        Ok(ValueType::Undefined) => "undefined".to_owned(),
        // SAFETY: as above, here and in the next two.
        Ok(ValueType::Boolean) => unsafe { bool::from_napi_value(env, raw) }.unwrap_or_default().to_string(),
        // SAFETY: as above.
        Ok(ValueType::Number) => shown(unsafe { f64::from_napi_value(env, raw) }.unwrap_or_default()),
        Ok(ValueType::String) => {
            // SAFETY: as above.
            let text = unsafe { String::from_napi_value(env, raw) }.unwrap_or_default();
            let cut: String = text.chars().take(SHOWN).collect();
            format!("the string {cut:?}{}", if cut.len() < text.len() { "…" } else { "" })
        }
        Ok(ValueType::Object) if value.is_array().unwrap_or_default() => "an array".to_owned(),
        Ok(ValueType::Object) if value.is_typedarray().unwrap_or_default() => "a typed array".to_owned(),
        Ok(ValueType::Object) => "an object".to_owned(),
        Ok(other) => format!("a {}", other.to_string().to_lowercase()),
        Err(_) => "something else".to_owned(),
    }
}

/// A number as JavaScript writes it, or nearly so.
fn shown(x: f64) -> String {
    match x {
        _ if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        _ if x.abs() >= 1e21 => format!("{x:e}"),
        _ => x.to_string(),
    }
}

/// What JavaScript threw. Only objects can be kept for later.
fn thrown(env: sys::napi_env) -> Refusal {
    let mut exception = std::ptr::null_mut();
    // SAFETY: called where a call of Node-API has just failed in `env`; `exception` outlives the call.
    if unsafe { sys::napi_get_and_clear_last_exception(env, &mut exception) } != sys::Status::napi_ok {
        return Refusal::Type("what cannot be read".to_owned());
    }
    // SAFETY: the exception is a value of this environment.
    let value = unsafe { Unknown::from_raw_unchecked(env, exception) };
    match value.get_type() {
        Ok(ValueType::Object | ValueType::Function) => Refusal::Thrown(Error::from(value)),
        _ => Refusal::Type(format!("what throws {}", found(env, exception))),
    }
}

fn number(env: sys::napi_env, value: sys::napi_value) -> Read<f64> {
    let mut out = 0.0;
    // SAFETY: called only by `Argument::read`, whose caller vouches for `env` and `value`; `out` outlives the call.
    match unsafe { sys::napi_get_value_double(env, value, &mut out) } {
        sys::Status::napi_ok => Ok(out),
        _ => Err(Refusal::Type(found(env, value))),
    }
}

fn whole(env: sys::napi_env, value: sys::napi_value) -> Read<isize> {
    let x = number(env, value)?;
    if x.fract() == 0.0 && x.abs() <= MAX_SAFE {
        return Ok(x as isize);
    }
    Err(Refusal::Domain(shown(x)))
}

fn size(env: sys::napi_env, value: sys::napi_value) -> Read<usize> {
    let x = whole(env, value)?;
    usize::try_from(x).map_err(|_| Refusal::Domain(x.to_string()))
}

fn pair(env: sys::napi_env, value: sys::napi_value) -> Read<(usize, usize)> {
    match each(env, value, size)?[..] {
        [before, after] => Ok((before, after)),
        ref other => Err(Refusal::Type(format!("{} numbers", other.len()))),
    }
}

/// JavaScript's largest exact whole number.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

fn each<T>(
    env: sys::napi_env,
    value: sys::napi_value,
    read: impl Fn(sys::napi_env, sys::napi_value) -> Read<T>,
) -> Read<Vec<T>> {
    let (mut len, mut item) = (0, std::ptr::null_mut());
    // SAFETY: called only by `Argument::read`, whose caller vouches for `env` and `value`; it fails for what is no array.
    if unsafe { sys::napi_get_array_length(env, value, &mut len) } != sys::Status::napi_ok {
        return Err(Refusal::Type(found(env, value)));
    }
    let at = |i: u32, refusal| match refusal {
        Refusal::Type(found) => Refusal::Type(format!("{found} at [{i}]")),
        Refusal::Domain(found) => Refusal::Domain(format!("{found} at [{i}]")),
        thrown @ Refusal::Thrown(_) => thrown,
    };
    (0..len)
        .map(|i| {
            // SAFETY: as above; `item` outlives the call.
            match unsafe { sys::napi_get_element(env, value, i, &mut item) } {
                sys::Status::napi_ok => read(env, item).map_err(|refusal| at(i, refusal)),
                _ => Err(thrown(env)),
            }
        })
        .collect()
}

fn is_nothing(env: sys::napi_env, value: sys::napi_value) -> bool {
    let mut kind = 0;
    // SAFETY: called only by `Argument::read`, whose caller vouches for `env` and `value`; `kind` outlives the call.
    unsafe { sys::napi_typeof(env, value, &mut kind) };
    matches!(kind, sys::ValueType::napi_null | sys::ValueType::napi_undefined)
}

macro_rules! argument {
    ($type:ty, $expected:literal, |$env:ident, $value:ident| $read:expr) => {
        impl Argument for $type {
            const EXPECTED: &'static str = $expected;
            fn read($env: sys::napi_env, $value: sys::napi_value) -> Read<Self> {
                $read
            }
        }
    };
}
argument!(Real, "a number", |env, value| number(env, value).map(Real));
argument!(Numeric, "a number or a BigInt", |env, value| {
    let mut out = 0.0;
    // SAFETY: the caller vouches for `env` and `value`; `out` outlives the call.
    if unsafe { sys::napi_get_value_double(env, value, &mut out) } == sys::Status::napi_ok {
        return Ok(Numeric::Number(out));
    }
    // SAFETY: as above.
    if !matches!(unsafe { Unknown::from_raw_unchecked(env, value) }.get_type(), Ok(ValueType::BigInt)) {
        return Err(Refusal::Type(found(env, value)));
    }
    // SAFETY: as above.
    let big = unsafe { BigInt::from_napi_value(env, value) }.map_err(|_| thrown(env))?;
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
argument!(Int, "a whole number", |env, value| whole(env, value).map(Int));
argument!(Size, "a whole number of at least 0", |env, value| size(env, value).map(Size));
argument!(Ints, "an array of whole numbers", |env, value| each(env, value, whole).map(Ints));
argument!(Shape, "an array of whole numbers of at least 0", |env, value| each(env, value, size).map(Shape));
argument!(Pairs, "an array of pairs of whole numbers of at least 0", |env, value| each(env, value, pair).map(Pairs));
argument!(AxisSet, "an axis (a whole number), an array of axes, or null", |env, value| {
    if is_nothing(env, value) {
        return Ok(AxisSet(Axes::All));
    }
    Ok(AxisSet(Axes::Some(match number(env, value) {
        Ok(_) => SmallVec::from_slice(&[whole(env, value)?]),
        Err(_) => SmallVec::from_vec(each(env, value, whole)?),
    })))
});
argument!(TypeCode, "the number of a dtype", |env, value| {
    let code = size(env, value)?;
    DType::ALL.get(code).map(|&dtype| TypeCode(dtype)).ok_or_else(|| Refusal::Domain(code.to_string()))
});
argument!(Word, "a whole number of 32 bits", |env, value| {
    let x = whole(env, value)?;
    // Negative numbers stand for the words that end as they do, as in NumPy.
    let word = u32::try_from(x).or_else(|_| i32::try_from(x).map(|x| x as u32));
    word.map(Word).map_err(|_| Refusal::Domain(x.to_string()))
});
argument!(Words, "two words of 32 bits", |env, value| match each(env, value, size)?[..] {
    [a, b] if a.max(b) <= u32::MAX as usize => Ok(Words(Key([a as u32, b as u32]))),
    ref words => Err(Refusal::Domain(format!("{words:?}"))),
});
argument!(bool, "true or false", |env, value| {
    let mut out = false;
    // SAFETY: the caller vouches for `env` and `value`; `out` outlives the call.
    match unsafe { sys::napi_get_value_bool(env, value, &mut out) } {
        sys::Status::napi_ok => Ok(out),
        _ => Err(Refusal::Type(found(env, value))),
    }
});
argument!(String, "a string", |env, value| {
    // SAFETY: the caller vouches for `env` and `value`.
    match unsafe { Unknown::from_raw_unchecked(env, value) }.get_type() {
        // SAFETY: as above.
        Ok(ValueType::String) => unsafe { String::from_napi_value(env, value) }.map_err(|_| thrown(env)),
        _ => Err(Refusal::Type(found(env, value))),
    }
});

impl<T: Argument> Argument for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn read(env: sys::napi_env, value: sys::napi_value) -> Read<Self> {
        if is_nothing(env, value) {
            return Ok(None);
        }
        T::read(env, value).map(Some)
    }
}

impl FromNapiValue for Handle {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let wrong = || Failure::Type("a method of a tensor was called on something else".to_owned());
        number(env, value).map(Handle).map_err(|_| thrown_as(env, wrong()))
    }
}

impl FromNapiValue for Words {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        Arg(Words::read(env, value)).named("a random key").map_err(|failure| thrown_as(env, failure))
    }
}

impl ToNapiValue for Words {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Vec::<u32>::to_napi_value(env, value.0 .0.to_vec())
    }
}

/// The exception of a failure, where there is no export yet to throw it.
fn thrown_as(env: sys::napi_env, failure: Failure) -> Error {
    match find(env) {
        Some(environment) => environment.throw(&Env::from_raw(env), failure),
        None => Error::from_reason("tallow is not loaded in this environment"),
    }
}

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
