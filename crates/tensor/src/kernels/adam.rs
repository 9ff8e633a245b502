//! Adam's update of weights and moments, and sums of squares, each in one pass.
use super::real::{simd, sum, Float, Real};
use crate::threads::{for_each_index, for_tasks, GRAIN};
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

/// Writes new weights and moments over the old ones.
pub(crate) fn update<T: Float>(
    p: &mut [T],
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) {
    let n = p.len();
    let tasks: Vec<_> =
        (p.chunks_mut(GRAIN).zip(g.chunks(GRAIN))).zip(m.chunks_mut(GRAIN).zip(v.chunks_mut(GRAIN))).collect();
    for_tasks(tasks, n, |((p, g), (m, v))| update_part::<T>(p, g, m, v, c));
}

simd! {
fn update_part<T: Float>(
    p: &mut [T],
    g: &[T::Wide],
    m: &mut [T::Wide],
    v: &mut [T::Wide],
    c: Coefficients<T::Wide>,
) {
    let one = T::Wide::of(1.0);
    let (fresh1, fresh2) = (one - c.b1, one - c.b2);
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * c.gradient_scale;
        *m = fresh1 * g + c.b1 * *m;
        *v = fresh2 * (g * g) + c.b2 * *v;
        let step = c.lr * (*m / c.correction1) / ((*v / c.correction2).sqrt() + c.eps);
        *p = T::down(c.keep * p.up() - step);
    }
}
}

/// Σ x², summed in parts of fixed size; the parts are added in float64.
pub(crate) fn square_sum<T: Float>(x: &[T]) -> f64 {
    let parts: Vec<AtomicU64> = x.chunks(GRAIN).map(|_| AtomicU64::new(0)).collect();
    for_each_index(parts.len(), x.len(), |i| {
        let part = &x[i * GRAIN..((i + 1) * GRAIN).min(x.len())];
        parts[i].store(square_sum_part::<T>(part).wide().to_bits(), Relaxed);
    });
    parts.into_iter().map(|p| f64::from_bits(p.into_inner())).sum()
}

simd! {
fn square_sum_part<T: Float>(x: &[T]) -> T::Wide {
    sum(x, |v| v * v)
}
}
