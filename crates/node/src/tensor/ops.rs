//! Tensor operations, one export each: handles in, a new handle out. What they do and refuse is written at `Tensor`'s methods.
use crate::{
    bridge::{
        args::{scalar, Arg, AxisSet, Handle, Int, Ints, Numeric, Pairs, Place, Shape, Size, TypeCode},
        environment::run,
        error::Outcome,
    },
    tensor::devices::device_or_default,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::fmt;
use tallow_tensor::{DType, Device, Error, ErrorKind, Scalar, Tensor};

/// Names the operation that there is no memory for; other errors name it themselves.
fn of(op: &'static str) -> impl Fn(Error) -> Error {
    move |e| match e.kind() {
        ErrorKind::OutOfMemory => Error::new(e.kind(), format!("{op}: {}", e.message())),
        _ => e,
    }
}

/// Runs an operation on one tensor.
fn on_one(env: &Env, x: f64, op: impl FnOnce(&Tensor) -> Outcome<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(&e.tensor(x)?)?)))
}

/// Makes a tensor of nothing but numbers, on a named device.
fn make(
    env: &Env,
    what: impl fmt::Display,
    device: Arg<Option<String>>,
    op: impl FnOnce(&Device) -> Outcome<Tensor>,
) -> Result<f64> {
    run(env, |e| {
        let device = device.named(format_args!("{what}: device"))?;
        let device = device_or_default(device)?;
        Ok(e.insert(env, op(&device)?))
    })
}

/// The dtype given under this name, or the one that tensors have by default.
fn of_type(dtype: Arg<Option<TypeCode>>, name: &str) -> Outcome<DType> {
    Ok(dtype.named(name)?.map_or_else(DType::default, |t| t.0))
}

/// Exports of operations on a tensor and plain arguments.
macro_rules! unary {
    ($($name:ident($($arg:ident: $type:ty => $value:expr),*);)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: Handle $(, $arg: Arg<$type>)*) -> Result<f64> {
            run(&env, |e| {
                $(let $arg = $arg.named(Place(stringify!($name), stringify!($arg)))?;)*
                Ok(e.insert(&env, e.tensor(x.0)?.$name($($value),*).map_err(of(stringify!($name)))?))
            })
        }
    )*};
}

/// Exports of operations on two tensors and plain arguments.
macro_rules! binary {
    ($($name:ident($($arg:ident: $type:ty => $value:expr),*);)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: Handle, y: f64 $(, $arg: Arg<$type>)*) -> Result<f64> {
            run(&env, |e| {
                $(let $arg = $arg.named(Place(stringify!($name), stringify!($arg)))?;)*
                let made = e.tensor(x.0)?.$name(&e.tensor(y)? $(, { let _ = &$arg; $value })*);
                Ok(e.insert(&env, made.map_err(of(stringify!($name)))?))
            })
        }
    )*};
}

/// Exports of operations on a tensor and a number.
macro_rules! with_scalar {
    ($($name:ident)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: Handle, value: Arg<Numeric>) -> Result<f64> {
            run(&env, |e| {
                let (x, value) = (e.tensor(x.0)?, value.named(Place(stringify!($name), "value"))?);
                Ok(e.insert(&env, x.$name(scalar(&x, value)?).map_err(of(stringify!($name)))?))
            })
        }
    )*};
}

unary! {
    neg(); abs(); sign(); exp(); expm1(); log(); log1p(); sqrt(); rsqrt(); square(); recip(); sin(); cos(); tanh(); sigmoid(); erf();
    relu(); floor(); ceil(); round(); softplus(); swish(); isnan(); isfinite(); logical_not();
    gelu(approximate: bool => approximate);
    cast(dtype: TypeCode => dtype.0);
    cast_within(dtype: TypeCode => dtype.0);
    sum(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    mean(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    max(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    min(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    prod(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    logsumexp(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    any(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    all(axis: AxisSet => axis.0, keepdims: bool => keepdims);
    argmax(axis: Option<Int> => axis.map(|a| a.0), keepdims: bool => keepdims);
    argmin(axis: Option<Int> => axis.map(|a| a.0), keepdims: bool => keepdims);
    zeros_like(); ones_like();
    softmax(axis: Int => axis.0);
    log_softmax(axis: Int => axis.0);
    reshape_infer(shape: Ints => &shape.0);
    swap_axes(a: Int => a.0, b: Int => b.0);
    move_axis(from: Int => from.0, to: Int => to.0);
    expand_dims(axis: Int => axis.0);
    squeeze(axis: AxisSet => axis.0);
    broadcast_to(shape: Shape => &shape.0);
    index(axis: Int => axis.0, i: Int => i.0);
    flip(axis: AxisSet => axis.0);
    tile(repeats: Shape => &repeats.0);
    repeat(n: Size => n.0, axis: Int => axis.0);
    slice(starts: Ints => &starts.0, ends: Ints => &ends.0, steps: Ints => &steps.0);
    one_hot(n: Size => n.0, dtype: TypeCode => dtype.0);
    sort(axis: Int => axis.0, descending: bool => descending);
    argsort(axis: Int => axis.0, descending: bool => descending);
}

binary! {
    add(); sub(); mul(); div(); rem(); pow(); maximum(); minimum(); eq(); ne(); lt(); le(); gt(); ge();
    logical_and(); logical_or(); logical_xor(); matmul();
    gather(axis: Int => axis.0);
}

with_scalar! {
    add_scalar sub_scalar mul_scalar div_scalar rem_scalar pow_scalar maximum_scalar minimum_scalar
    rsub_scalar rdiv_scalar rpow_scalar eq_scalar ne_scalar lt_scalar le_scalar gt_scalar ge_scalar
}

/// `Tensor::var`, a reserved word in JavaScript.
#[napi]
pub fn variance(env: Env, x: f64, axis: Arg<AxisSet>, keepdims: Arg<bool>) -> Result<f64> {
    on_one(&env, x, |x| Ok(x.var(axis.named("variance: axis")?.0, keepdims.named("variance: keepdims")?)?))
}

/// `Tensor::cumsum_over`; `null` is no axis, here and in the next two.
#[napi]
pub fn cumsum(env: Env, x: Handle, axis: Arg<Option<Int>>) -> Result<f64> {
    on_one(&env, x.0, |x| Ok(x.cumsum_over(axis.named("cumsum: axis")?.map(|a| a.0)).map_err(of("cumsum"))?))
}

/// `Tensor::roll_over`.
#[napi]
pub fn roll(env: Env, x: Handle, shift: Arg<Int>, axis: Arg<Option<Int>>) -> Result<f64> {
    on_one(&env, x.0, |x| {
        let (shift, axis) = (shift.named("roll: shift")?.0, axis.named("roll: axis")?.map(|a| a.0));
        Ok(x.roll_over(shift, axis).map_err(of("roll"))?)
    })
}

/// `Tensor::take_over`.
#[napi]
pub fn take(env: Env, x: Handle, indices: f64, axis: Arg<Option<Int>>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("take: axis")?.map(|a| a.0);
        Ok(e.insert(&env, e.tensor(x.0)?.take_over(&e.tensor(indices)?, axis).map_err(of("take"))?))
    })
}

/// `Tensor::transpose_axes`; `null` reverses the axes.
#[napi]
pub fn transpose(env: Env, x: f64, perm: Arg<Option<Ints>>) -> Result<f64> {
    on_one(&env, x, |x| Ok(x.transpose_axes(perm.named("transpose: perm")?.as_ref().map(|p| &p.0[..]))?))
}

/// `Tensor::pad`.
#[napi]
pub fn pad(env: Env, x: f64, widths: Arg<Pairs>, value: Arg<Numeric>) -> Result<f64> {
    on_one(&env, x, |x| {
        let widths = widths.named("pad: widths")?;
        Ok(x.pad(&widths.0, value.named("pad: value")?)?)
    })
}

/// `Tensor::mask_fill`.
#[napi]
pub fn mask_fill(env: Env, x: Handle, mask: f64, value: Arg<Numeric>) -> Result<f64> {
    run(&env, |e| {
        let value = value.named("maskFill: value")?;
        Ok(e.insert(&env, e.tensor(x.0)?.mask_fill(&e.tensor(mask)?, value)?))
    })
}

/// `Tensor::clip`; `null` is no bound.
#[napi]
pub fn clip(env: Env, x: Handle, lo: Arg<Option<Numeric>>, hi: Arg<Option<Numeric>>) -> Result<f64> {
    on_one(&env, x.0, |x| {
        let bound = |value: Option<Numeric>, none: f64| value.map_or(Ok(none.into()), |v| scalar(x, v));
        let (lo, hi) = (lo.named("clip: lo")?, hi.named("clip: hi")?);
        Ok(x.clip(bound(lo, f64::NEG_INFINITY)?, bound(hi, f64::INFINITY)?)?)
    })
}

/// `Tensor::scatter_add`.
#[napi]
pub fn scatter_add(env: Env, x: f64, indices: f64, updates: f64, axis: Arg<Int>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("scatterAdd: axis")?.0;
        Ok(e.insert(&env, e.tensor(x)?.scatter_add(&e.tensor(indices)?, &e.tensor(updates)?, axis)?))
    })
}

/// `Tensor::scatter`.
#[napi]
pub fn scatter(env: Env, x: f64, indices: f64, updates: f64, axis: Arg<Int>) -> Result<f64> {
    run(&env, |e| {
        let axis = axis.named("scatter: axis")?.0;
        Ok(e.insert(&env, e.tensor(x)?.scatter(&e.tensor(indices)?, &e.tensor(updates)?, axis)?))
    })
}

/// `Tensor::where_`; `a` and `b` are handles, or numbers that take the other's dtype.
#[napi(js_name = "where")]
pub fn where_(
    env: Env,
    condition: f64,
    a: Arg<Numeric>,
    a_is_number: bool,
    b: Arg<Numeric>,
    b_is_number: bool,
) -> Result<f64> {
    run(&env, |e| {
        let (a, b) = (a.named("where: a")?, b.named("where: b")?);
        let handle = |x: Numeric| e.tensor(Scalar::from(x).to_f64());
        let like = match (a_is_number, b_is_number) {
            (false, _) => handle(a)?,
            (true, false) => handle(b)?,
            (true, true) => Tensor::zeros(&[], Scalar::natural(&[a.into(), b.into()]), &Device::Cpu)?,
        };
        let operand = |x: Numeric, is_number: bool| -> Outcome<Tensor> {
            Ok(if is_number { scalar(&like, x)?.beside("where", &like)? } else { handle(x)? })
        };
        let (a, b) = (operand(a, a_is_number)?, operand(b, b_is_number)?);
        Ok(e.insert(&env, Tensor::where_(&e.tensor(condition)?, &a, &b)?))
    })
}

/// `Tensor::split` into equal parts.
#[napi]
pub fn split(env: Env, x: f64, parts: Arg<Size>, axis: Arg<Int>) -> Result<Vec<f64>> {
    several(&env, x, |x| Ok(x.split(parts.named("split: parts")?.0, axis.named("split: axis")?.0)?))
}

/// `Tensor::split_at` places.
#[napi]
pub fn split_at(env: Env, x: f64, places: Arg<Shape>, axis: Arg<Int>) -> Result<Vec<f64>> {
    several(&env, x, |x| Ok(x.split_at(&places.named("split: parts")?.0, axis.named("split: axis")?.0)?))
}

/// `Tensor::top_k`: values and indices.
#[napi]
pub fn top_k(env: Env, x: f64, k: Arg<Size>) -> Result<Vec<f64>> {
    several(&env, x, |x| {
        let (values, indices) = x.top_k(k.named("topK: k")?.0)?;
        Ok(vec![values, indices])
    })
}

fn several(env: &Env, x: f64, op: impl FnOnce(&Tensor) -> Outcome<Vec<Tensor>>) -> Result<Vec<f64>> {
    run(env, |e| Ok(e.insert_all(env, op(&e.tensor(x)?)?)))
}

fn combine(env: &Env, ids: &[f64], op: impl FnOnce(&[Tensor]) -> Outcome<Tensor>) -> Result<f64> {
    run(env, |e| -> Outcome<f64> { Ok(e.insert(env, op(&e.tensors(ids)?)?)) })
}

/// `Tensor::concat`.
#[napi]
pub fn concat(env: Env, ids: Vec<f64>, axis: Arg<Int>) -> Result<f64> {
    combine(&env, &ids, |xs| Ok(Tensor::concat(xs, axis.named("concat: axis")?.0)?))
}

/// `Tensor::stack`.
#[napi]
pub fn stack(env: Env, ids: Vec<f64>, axis: Arg<Int>) -> Result<f64> {
    combine(&env, &ids, |xs| Ok(Tensor::stack(xs, axis.named("stack: axis")?.0)?))
}

/// `Tensor::einsum`.
#[napi]
pub fn einsum(env: Env, spec: String, ids: Vec<f64>) -> Result<f64> {
    combine(&env, &ids, |xs| Ok(Tensor::einsum(&spec, &xs.iter().collect::<Vec<_>>())?))
}

/// `Tensor::full`.
#[napi]
pub fn full(
    env: Env,
    shape: Arg<Shape>,
    value: Arg<Numeric>,
    dtype: Arg<Option<TypeCode>>,
    device: Arg<Option<String>>,
) -> Result<f64> {
    make(&env, "full", device, |d| {
        let (shape, value) = (shape.named("full: shape")?, Scalar::from(value.named("full: value")?));
        let dtype = dtype.named("full: dtype")?.map_or_else(|| Scalar::natural(&[value]), |t| t.0);
        Ok(Tensor::full(&shape.0, value, dtype, d)?)
    })
}

/// `Tensor::zeros`.
#[napi]
pub fn zeros(env: Env, shape: Arg<Shape>, dtype: Arg<Option<TypeCode>>, device: Arg<Option<String>>) -> Result<f64> {
    make(&env, "zeros", device, |d| {
        Ok(Tensor::zeros(&shape.named("zeros: shape")?.0, of_type(dtype, "zeros: dtype")?, d)?)
    })
}

/// `Tensor::ones`.
#[napi]
pub fn ones(env: Env, shape: Arg<Shape>, dtype: Arg<Option<TypeCode>>, device: Arg<Option<String>>) -> Result<f64> {
    make(&env, "ones", device, |d| Ok(Tensor::ones(&shape.named("ones: shape")?.0, of_type(dtype, "ones: dtype")?, d)?))
}

/// `Tensor::arange_of`.
#[napi]
pub fn arange(
    env: Env,
    start: Arg<Numeric>,
    stop: Arg<Option<Numeric>>,
    step: Arg<Option<Numeric>>,
    dtype: Arg<Option<TypeCode>>,
    device: Arg<Option<String>>,
) -> Result<f64> {
    make(&env, "arange", device, |d| {
        let stop = stop.named("arange: stop")?.map(Scalar::from);
        // The only number is where the range stops, and is named so.
        let name = if stop.is_some() { "arange: start" } else { "arange: stop" };
        let start = start.named(name)?.into();
        let (step, dtype) = (step.named("arange: step")?.map(Scalar::from), dtype.named("arange: dtype")?.map(|t| t.0));
        Ok(Tensor::arange_of(start, stop, step, dtype, d)?)
    })
}

/// `Tensor::eye`.
#[napi]
pub fn eye(
    env: Env,
    n: Arg<Size>,
    m: Arg<Size>,
    dtype: Arg<Option<TypeCode>>,
    device: Arg<Option<String>>,
) -> Result<f64> {
    make(&env, "eye", device, |d| {
        Ok(Tensor::eye(n.named("eye: n")?.0, m.named("eye: m")?.0, of_type(dtype, "eye: dtype")?, d)?)
    })
}

/// `Tensor::tril_mask`.
#[napi]
pub fn tril_mask(env: Env, n: Arg<Size>, m: Arg<Size>, k: Arg<Int>, device: Arg<Option<String>>) -> Result<f64> {
    make(&env, "tri", device, |d| {
        Ok(Tensor::tril_mask(n.named("tri: n")?.0, m.named("tri: m")?.0, k.named("tri: k")?.0, d)?)
    })
}
