//! Tensor operations, one export each: handles in, a new handle out. What they do and refuse is written at `Tensor`'s methods.
use crate::{
    bridge::{
        args::{scalar, Arg, AxisSet, Handle, Int, Ints, Name, Numeric, Place, Shape, Size, TypeCode},
        environment::run,
        error::Outcome,
    },
    tensor::data::parse_device,
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
        let device = device.map_or(Ok(Device::Cpu), |name| parse_device(&name))?;
        Ok(e.insert(env, op(&device)?))
    })
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
    cumsum(axis: Int => axis.0);
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
    roll(shift: Int => shift.0, axis: Int => axis.0);
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
    take(axis: Int => axis.0);
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

/// `Tensor::transpose`; `null` reverses the axes. Negative axes count from the end.
#[napi]
pub fn transpose(env: Env, x: f64, perm: Arg<Option<Ints>>) -> Result<f64> {
    on_one(&env, x, |x| match perm.named("transpose: perm")? {
        None => Ok(x.transpose(None)?),
        Some(Ints(axes)) => {
            let wrap = |a: isize| if a < 0 { a.wrapping_add_unsigned(x.rank()) } else { a };
            // What stays negative is out of range, and is refused as such.
            let perm: Vec<usize> = axes.into_iter().map(|a| usize::try_from(wrap(a)).unwrap_or(usize::MAX)).collect();
            Ok(x.transpose(Some(&perm))?)
        }
    })
}

/// `Tensor::pad`; `widths` alternates before and after.
#[napi]
pub fn pad(env: Env, x: f64, widths: Arg<Shape>, value: Arg<Numeric>) -> Result<f64> {
    on_one(&env, x, |x| {
        let widths = widths.named("pad: widths")?;
        let pairs: Vec<(usize, usize)> = widths.0.chunks_exact(2).map(|p| (p[0], p[1])).collect();
        Ok(x.pad(&pairs, value.named("pad: value")?)?)
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
        // Two numbers meet as they would at a bool: whole ones int32, with a BigInt int64, others float32.
        let like = match (a_is_number, b_is_number) {
            (false, _) => handle(a)?,
            (true, false) => handle(b)?,
            (true, true) if [a, b].iter().any(|x| matches!(x, Numeric::BigInt(_))) => Tensor::scalar(0i64),
            (true, true) if [a, b].iter().all(|&x| Scalar::from(x).to_f64().fract() == 0.0) => Tensor::scalar(0i32),
            (true, true) => Tensor::scalar(0f32),
        };
        let operand = |x: Numeric, is_number: bool| -> Outcome<Tensor> {
            Ok(if is_number { scalar(&like, x)?.beside("where", &like)? } else { handle(x)? })
        };
        let (a, b) = (operand(a, a_is_number)?, operand(b, b_is_number)?);
        Ok(e.insert(&env, Tensor::where_(&e.tensor(condition)?, &a, &b)?))
    })
}

/// `Tensor::to_device`.
#[napi]
pub fn to_device(env: Env, x: f64, device: Arg<String>) -> Result<f64> {
    on_one(&env, x, |x| Ok(x.to_device(&parse_device(&device.named("to: device")?)?)?))
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

/// `Tensor::full`; `what` is the function that a wrong shape is reported by.
#[napi]
pub fn full(
    env: Env,
    shape: Arg<Shape>,
    value: Arg<Numeric>,
    dtype: Arg<TypeCode>,
    device: Arg<Option<String>>,
    what: Name,
) -> Result<f64> {
    make(&env, &what, device, |d| {
        let shape = shape.named(format_args!("{what}: shape"))?;
        Ok(Tensor::full(&shape.0, value.named("full: value")?, dtype.named("full: dtype")?.0, d)?)
    })
}

/// `Tensor::arange`.
#[napi]
pub fn arange(
    env: Env,
    start: Arg<Numeric>,
    stop: Arg<Numeric>,
    step: Arg<Numeric>,
    dtype: Arg<Option<TypeCode>>,
    device: Arg<Option<String>>,
) -> Result<f64> {
    make(&env, "arange", device, |d| {
        let (start, stop) = (start.named("arange: start")?, stop.named("arange: stop")?);
        let (step, dtype) = (step.named("arange: step")?, dtype.named("arange: dtype")?.map(|t| t.0));
        let given = [start, stop, step].iter().any(|x| matches!(x, Numeric::BigInt(_))).then_some(DType::I64);
        Ok(Tensor::arange(start, stop, step, dtype.or(given), d)?)
    })
}

/// `Tensor::eye`.
#[napi]
pub fn eye(env: Env, n: Arg<Size>, m: Arg<Size>, dtype: Arg<TypeCode>, device: Arg<Option<String>>) -> Result<f64> {
    make(&env, "eye", device, |d| {
        Ok(Tensor::eye(n.named("eye: n")?.0, m.named("eye: m")?.0, dtype.named("eye: dtype")?.0, d)?)
    })
}

/// `Tensor::tril_mask`.
#[napi]
pub fn tril_mask(env: Env, n: Arg<Size>, m: Arg<Size>, k: Arg<Int>, device: Arg<Option<String>>) -> Result<f64> {
    make(&env, "tri", device, |d| {
        Ok(Tensor::tril_mask(n.named("tri: n")?.0, m.named("tri: m")?.0, k.named("tri: k")?.0, d)?)
    })
}
