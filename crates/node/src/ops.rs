//! Tensor operations, one export each: handles in, a new handle out. What they do and refuse is written at `Tensor`'s methods.
use crate::{
    args::{scalar, AxisSet, Int, Ints, Real, Shape, Size, TypeCode},
    data::parse_device,
    environment::run,
    error::Outcome,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{ops::Scalar, DType, Device, Error, Tensor};

/// Runs an operation on one tensor.
fn on_one(env: &Env, x: f64, op: impl FnOnce(&Tensor) -> tallow_tensor::Result<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(&e.tensor(x)?)?)))
}

/// Runs an operation on two tensors.
fn on_two(env: &Env, x: f64, y: f64, op: impl FnOnce(&Tensor, &Tensor) -> tallow_tensor::Result<Tensor>) -> Result<f64> {
    run(env, |e| Ok(e.insert(env, op(&e.tensor(x)?, &e.tensor(y)?)?)))
}

/// Makes a tensor of nothing but numbers, on a named device.
fn make(env: &Env, device: Option<String>, op: impl FnOnce(&Device) -> tallow_tensor::Result<Tensor>) -> Result<f64> {
    run(env, |e| {
        let device = device.map_or(Ok(Device::Cpu), |name| parse_device(&name))?;
        Ok(e.insert(env, op(&device)?))
    })
}

/// Exports of operations on a tensor and plain arguments.
macro_rules! unary {
    ($($name:ident($($arg:ident: $type:ty => $value:expr),*);)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: f64 $(, $arg: $type)*) -> Result<f64> {
            on_one(&env, x, |x| x.$name($($value),*))
        }
    )*};
}

/// Exports of operations on two tensors and plain arguments.
macro_rules! binary {
    ($($name:ident($($arg:ident: $type:ty => $value:expr),*);)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: f64, y: f64 $(, $arg: $type)*) -> Result<f64> {
            on_two(&env, x, y, |x, y| x.$name(y $(, { let _ = &$arg; $value })*))
        }
    )*};
}

/// Exports of operations on a tensor and a number.
macro_rules! with_scalar {
    ($($name:ident)*) => {$(
        #[doc = concat!("`Tensor::", stringify!($name), "`.")]
        #[napi]
        pub fn $name(env: Env, x: f64, value: f64) -> Result<f64> {
            on_one(&env, x, |x| x.$name(scalar(x, value)))
        }
    )*};
}

unary! {
    cast(dtype: TypeCode => dtype.0);
    reshape_infer(shape: Ints => &shape.0);
    swap_axes(a: Int => a.0, b: Int => b.0);
    move_axis(from: Int => from.0, to: Int => to.0);
    expand_dims(axis: Int => axis.0);
    squeeze(axes: AxisSet => axes.0);
    broadcast_to(shape: Shape => &shape.0);
    index(axis: Int => axis.0, i: Int => i.0);
    flip(axes: AxisSet => axes.0);
    roll(shift: Int => shift.0, axis: Int => axis.0);
    tile(repeats: Shape => &repeats.0);
    repeat(n: Size => n.0, axis: Int => axis.0);
    slice(starts: Ints => &starts.0, ends: Ints => &ends.0, steps: Ints => &steps.0);
}

binary! {
    matmul();
}


/// `Tensor::transpose`; `null` reverses the axes. Negative axes count from the end.
#[napi]
pub fn transpose(env: Env, x: f64, perm: Option<Ints>) -> Result<f64> {
    on_one(&env, x, |x| match perm {
        None => x.transpose(None),
        Some(Ints(axes)) => {
            let wrap = |a: isize| if a < 0 { a.wrapping_add_unsigned(x.rank()) } else { a };
            // What stays negative is out of range, and is refused as such.
            let perm: Vec<usize> = axes.into_iter().map(|a| usize::try_from(wrap(a)).unwrap_or(usize::MAX)).collect();
            x.transpose(Some(&perm))
        }
    })
}

/// `Tensor::pad`; `widths` alternates before and after.
#[napi]
pub fn pad(env: Env, x: f64, widths: Shape, value: Real) -> Result<f64> {
    let pairs: Vec<(usize, usize)> = widths.0.chunks_exact(2).map(|p| (p[0], p[1])).collect();
    on_one(&env, x, |x| x.pad(&pairs, value.0))
}

/// `Tensor::split` into equal parts.
#[napi]
pub fn split(env: Env, x: f64, parts: Size, axis: Int) -> Result<Vec<f64>> {
    several(&env, x, |x| x.split(parts.0, axis.0))
}

/// `Tensor::split_at` places.
#[napi]
pub fn split_at(env: Env, x: f64, places: Shape, axis: Int) -> Result<Vec<f64>> {
    several(&env, x, |x| x.split_at(&places.0, axis.0))
}

fn several(env: &Env, x: f64, op: impl FnOnce(&Tensor) -> tallow_tensor::Result<Vec<Tensor>>) -> Result<Vec<f64>> {
    run(env, |e| Ok(e.insert_all(env, op(&e.tensor(x)?)?)))
}

fn combine(env: &Env, ids: &[f64], op: impl FnOnce(&[Tensor]) -> tallow_tensor::Result<Tensor>) -> Result<f64> {
    run(env, |e| -> Outcome<f64> { Ok(e.insert(env, op(&e.tensors(ids)?)?)) })
}

/// `Tensor::concat`.
#[napi]
pub fn concat(env: Env, ids: Vec<f64>, axis: Int) -> Result<f64> {
    combine(&env, &ids, |xs| Tensor::concat(xs, axis.0))
}

/// `Tensor::stack`.
#[napi]
pub fn stack(env: Env, ids: Vec<f64>, axis: Int) -> Result<f64> {
    combine(&env, &ids, |xs| Tensor::stack(xs, axis.0))
}

