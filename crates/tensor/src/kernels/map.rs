//! Elementwise kernels of one, two and three operands, over any strides.
pub(crate) use super::fill::Unfilled;
use super::{
    copy,
    fill::build,
    plan::{broadcast_strides, read, Plan},
};
use crate::{element_count, raw::Raw, threads::GRAIN, DType, Element, Result};
use multiversion::multiversion;

#[inline(always)]
fn map_body<A: Copy, O, F: Fn(A) -> O>(a: &[A], out: &mut Unfilled<O>, f: &F) {
    for (o, &x) in out.iter_mut().zip(a) {
        o.write(f(x));
    }
}

/// Defines a kernel in two forms: compiled for wide registers too where it computes in float32 or float64, once otherwise
/// (each further form costs compile time for every operation and dtype).
macro_rules! kernel {
    ($name:ident, $wide:ident = $body:ident<$($t:ident),*>($($arg:ident: $type:ty),*)) => {
        #[multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
            "x86_64+avx2+fma+bmi1+bmi2"
        ))]
        fn $wide<$($t: Copy,)* O, F: Fn($($t),*) -> O>($($arg: $type,)* out: &mut Unfilled<O>, f: &F) {
            $body($($arg,)* out, f);
        }
        fn $name<$($t: Element,)* O, F: Fn($($t),*) -> O>($($arg: $type,)* out: &mut Unfilled<O>, f: &F) {
            if const { true $(&& matches!($t::DT, DType::F32 | DType::F64))* } {
                $wide($($arg,)* out, f);
            } else {
                $body($($arg,)* out, f);
            }
        }
    };
}
kernel!(map_part, map_wide = map_body<A>(a: &[A]));
kernel!(pair_part, pair_wide = pair_body<A, B>(a: &[A], b: &[B]));
kernel!(zip_part, zip_wide = zip_body<A, B>(plan: &Plan<2>, a: &[A], b: &[B], start: usize));

/// `f` of each element, in row-major order.
pub(crate) fn map<A: Element, O: Element>(a: &Raw, f: impl Fn(A) -> O + Sync) -> Result<Vec<O>> {
    let a = copy::contiguous(a)?;
    let (n, source) = (a.elem_count(), read(&a));
    let a = &source.slice::<A>()?[..n];
    // SAFETY: `map_part` writes as many elements as the parts have; `a[start..]` is at least as long.
    unsafe { build(source.layout.dims(), GRAIN, |start, out| map_part(&a[start..start + out.len()], out, &f)) }
}

#[inline(always)]
fn pair_body<A: Copy, B: Copy, O, F: Fn(A, B) -> O>(a: &[A], b: &[B], out: &mut Unfilled<O>, f: &F) {
    for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
        o.write(f(x, y));
    }
}

/// Whether `a` has this shape and lies in row-major order.
fn flat(a: &Raw, shape: &[usize]) -> bool {
    a.dims() == shape && a.is_contiguous()
}

/// One operand of [`zip`].
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a, T> {
    /// A tensor.
    Tensor(&'a Raw),
    /// One value.
    Value(T),
}

#[inline(always)]
fn zip_body<A: Copy, B: Copy, O, F: Fn(A, B) -> O>(
    plan: &Plan<2>,
    a: &[A],
    b: &[B],
    start: usize,
    out: &mut Unfilled<O>,
    f: &F,
) {
    let inner = plan.inner();
    plan.runs(start, out.len(), |at, len, [i, j]| {
        let out = &mut out[at..at + len];
        match inner {
            [1, 1] => {
                for ((o, &x), &y) in out.iter_mut().zip(&a[i..i + len]).zip(&b[j..j + len]) {
                    o.write(f(x, y));
                }
            }
            [1, 0] => {
                let y = b[j];
                for (o, &x) in out.iter_mut().zip(&a[i..i + len]) {
                    o.write(f(x, y));
                }
            }
            [0, 1] => {
                let x = a[i];
                for (o, &y) in out.iter_mut().zip(&b[j..j + len]) {
                    o.write(f(x, y));
                }
            }
            [s, t] => {
                for (k, o) in out.iter_mut().enumerate() {
                    o.write(f(a[i + k * s], b[j + k * t]));
                }
            }
        }
    });
}

/// `f` of each pair of elements of two operands broadcast to `shape`, in row-major order.
pub(crate) fn zip<A: Element, B: Element, O: Element>(
    shape: &[usize],
    a: Operand<'_, A>,
    b: Operand<'_, B>,
    f: impl Fn(A, B) -> O + Sync,
) -> Result<Vec<O>> {
    let n = element_count(shape)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    // What most calls are, and small ones should not pay for plans.
    match (&a, &b) {
        (&Operand::Tensor(x), &Operand::Tensor(y)) if flat(x, shape) && flat(y, shape) => {
            let (x, y) = (read(x), read(y));
            let (x, y) = (&x.slice::<A>()?[..n], &y.slice::<B>()?[..n]);
            // SAFETY: `pair_part` writes as many elements as the parts have; the operands are at least as long.
            return unsafe {
                build(shape, GRAIN, |start, out| {
                    let end = start + out.len();
                    pair_part(&x[start..end], &y[start..end], out, &f);
                })
            };
        }
        _ => {}
    }
    let none = vec_of_zeros(shape.len());
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = (settle(a, n)?, settle(b, n)?);
            let (a, b) = (read(&a), read(&b));
            let (s, t) = (a.layout.stride(), b.layout.stride());
            let plan = if a.layout.dims() == shape && b.layout.dims() == shape {
                Plan::new(shape, [s, t])
            } else {
                let s = broadcast_strides(a.layout.dims(), s, shape);
                let t = broadcast_strides(b.layout.dims(), t, shape);
                Plan::new(shape, [&s, &t])
            };
            run(&plan, shape, a.slice()?, b.slice()?, f)
        }
        (Operand::Tensor(a), Operand::Value(y)) => {
            let a = settle(a, n)?;
            let a = read(&a);
            let plan = Plan::new(shape, [&broadcast_strides(a.layout.dims(), a.layout.stride(), shape), &none]);
            run(&plan, shape, a.slice()?, &[y], f)
        }
        (Operand::Value(x), Operand::Tensor(b)) => {
            let b = settle(b, n)?;
            let b = read(&b);
            let plan = Plan::new(shape, [&none, &broadcast_strides(b.layout.dims(), b.layout.stride(), shape)]);
            run(&plan, shape, &[x], b.slice()?, f)
        }
        (Operand::Value(x), Operand::Value(y)) => run(&Plan::new(shape, [&none, &none]), shape, &[x], &[y], f),
    }
}

fn vec_of_zeros(n: usize) -> super::plan::Dims {
    smallvec::smallvec![0; n]
}

/// A big operand whose last axis takes strides through memory is cheaper to transpose first.
fn settle(a: &Raw, n: usize) -> Result<Raw> {
    let strided = a.dims().iter().zip(a.stride()).rev().find(|(&d, _)| d != 1).is_some_and(|(_, &s)| s > 1);
    if strided && n >= GRAIN && a.elem_count() >= GRAIN {
        copy::contiguous(a)
    } else {
        Ok(a.clone())
    }
}

fn run<A: Element, B: Element, O: Element>(
    plan: &Plan<2>,
    shape: &[usize],
    a: &[A],
    b: &[B],
    f: impl Fn(A, B) -> O + Sync,
) -> Result<Vec<O>> {
    // SAFETY: the runs of a plan cover `out`, and each branch of `zip_part` writes its whole run.
    unsafe { build(shape, GRAIN, |start, out| zip_part(plan, a, b, start, out, &f)) }
}

/// `a` where `condition` is not zero, else `b`; all broadcast to `shape`, in row-major order.
pub(crate) fn select<T: Element>(shape: &[usize], condition: &Raw, a: &Raw, b: &Raw) -> Result<Vec<T>> {
    if element_count(shape)? == 0 {
        return Ok(Vec::new());
    }
    let (c, a, b) = (read(condition), read(a), read(b));
    let [r, s, t] = [c.layout, a.layout, b.layout].map(|l| broadcast_strides(l.dims(), l.stride(), shape));
    let plan = Plan::new(shape, [&r, &s, &t]);
    let (c, a, b) = (c.slice::<u8>()?, a.slice::<T>()?, b.slice::<T>()?);
    // SAFETY: the runs of a plan cover `out`, and `select_part` writes each whole run.
    unsafe { build(shape, GRAIN, |start, out| select_part(&plan, c, a, b, start, out)) }
}

fn select_part<T: Copy>(plan: &Plan<3>, c: &[u8], a: &[T], b: &[T], start: usize, out: &mut Unfilled<T>) {
    let inner = plan.inner();
    plan.runs(start, out.len(), |at, len, [h, i, j]| {
        let out = &mut out[at..at + len];
        match inner {
            [1, 1, 1] => {
                let values = a[i..i + len].iter().zip(&b[j..j + len]);
                for ((o, &c), (&x, &y)) in out.iter_mut().zip(&c[h..h + len]).zip(values) {
                    o.write(if c != 0 { x } else { y });
                }
            }
            [1, 1, 0] => {
                let y = b[j];
                for ((o, &c), &x) in out.iter_mut().zip(&c[h..h + len]).zip(&a[i..i + len]) {
                    o.write(if c != 0 { x } else { y });
                }
            }
            [1, 0, 1] => {
                let x = a[i];
                for ((o, &c), &y) in out.iter_mut().zip(&c[h..h + len]).zip(&b[j..j + len]) {
                    o.write(if c != 0 { x } else { y });
                }
            }
            [r, s, t] => {
                for (k, o) in out.iter_mut().enumerate() {
                    o.write(if c[h + k * r] != 0 { a[i + k * s] } else { b[j + k * t] });
                }
            }
        }
    });
}
