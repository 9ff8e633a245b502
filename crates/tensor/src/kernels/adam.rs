//! Adam's update of weights and moments, and sums of squares, each in one pass.
use super::{
    fill::{filled, Unfilled},
    real::{simd, sum, Float, Real},
};
use crate::{
    cancel::shielded,
    memory,
    threads::{for_each_index, for_tasks, GRAIN},
    Result,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers of one step, in the type weights are computed in.
#[derive(Clone, Copy)]
pub(crate) struct Coefficients<A> {
    pub(crate) lr: A,
    pub(crate) b1: A,
    pub(crate) b2: A,
    pub(crate) eps: A,
    /// 1 − weight decay.
    pub(crate) keep: A,
    /// 1 − b1^(step + 1).
    pub(crate) correction1: A,
    /// 1 − b2^(step + 1).
    pub(crate) correction2: A,
    pub(crate) gradient_scale: A,
}

/// Writes new weights and moments over the old ones: all of them, whatever is cancelled meanwhile.
///
/// # Errors
/// `OutOfMemory`, before anything is written.
pub(crate) fn update<T: Float>(
    p: &mut [T],
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) -> Result<()> {
    run(p.chunks_mut(GRAIN).map(Weights::Over), g, m, v, c)
}

/// The new weights; new moments are written over the old ones, as in [`update`].
///
/// # Errors
/// `OutOfMemory`, before anything is written.
///
/// # Panics
/// Unless all are equally long.
pub(crate) fn renewed<T: Float>(
    p: &[T],
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) -> Result<Vec<T>> {
    assert!([g.len(), m.len(), v.len()] == [p.len(); 3], "a moment and a gradient for each weight");
    let fill = |new: &mut Unfilled<T>| {
        run(p.chunks(GRAIN).zip(new.chunks_mut(GRAIN)).map(|(old, new)| Weights::Beside(old, new)), g, m, v, c)
    };
    // SAFETY: the parts cover the weights, all operands are equally long, and `update_part` writes each weight.
    unsafe { filled(p.len(), fill) }
}

/// Weights, and where the new ones go.
enum Weights<'a, T> {
    Over(&'a mut [T]),
    Beside(&'a [T], &'a mut Unfilled<T>),
}

fn run<'a, T: Float>(
    weights: impl ExactSizeIterator<Item = Weights<'a, T>>,
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) -> Result<()> {
    let n = g.len();
    let tasks = memory::collect((weights.zip(g.chunks(GRAIN))).zip(m.chunks_mut(GRAIN).zip(v.chunks_mut(GRAIN))))?;
    shielded(|| for_tasks(tasks, n, |((p, g), (m, v))| update_part::<T>(p, g, m, v, c)))
}

simd! {
fn update_part<T: Float>(
    p: Weights<'_, T>,
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) {
    match p {
        Weights::Over(p) => {
            for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                *p = step(*p, g, m, v, c);
            }
        }
        Weights::Beside(old, new) => {
            for ((((&p, new), &g), m), v) in old.iter().zip(new).zip(g).zip(m).zip(v) {
                new.write(step(p, g, m, v, c));
            }
        }
    }
}
}

/// A new weight; its moments are written.
#[inline(always)]
fn step<T: Float>(p: T, g: T::Wide, m: &mut T::Wide, v: &mut T::Wide, c: Coefficients<T::Wide>) -> T {
    let one = T::Wide::of(1.0);
    let g = g * c.gradient_scale;
    *m = (one - c.b1) * g + c.b1 * *m;
    *v = (one - c.b2) * (g * g) + c.b2 * *v;
    let step = c.lr * (*m / c.correction1) / ((*v / c.correction2).sqrt() + c.eps);
    T::down(c.keep * p.up() - step)
}

/// Σ x², summed in parts of fixed size; the parts are added in float64.
pub(crate) fn square_sum<T: Float>(x: &[T]) -> Result<f64> {
    let parts: Vec<AtomicU64> = memory::collect(x.chunks(GRAIN).map(|_| AtomicU64::new(0)))?;
    for_each_index(parts.len(), x.len(), |i| {
        let part = &x[i * GRAIN..((i + 1) * GRAIN).min(x.len())];
        parts[i].store(square_sum_part::<T>(part).wide().to_bits(), Relaxed);
    })?;
    Ok(parts.into_iter().map(|p| f64::from_bits(p.into_inner())).sum())
}

simd! {
fn square_sum_part<T: Float>(x: &[T]) -> T::Wide {
    sum(x, |v| v * v)
}
}
