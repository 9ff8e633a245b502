//! Cross-entropy of rows of logits against whole-number targets; neither one-hot rows nor probabilities are stored.
use super::{
    fill::{build, Unfilled},
    real::{max, rows_per_task, simd, sum, Float, Real},
};
use crate::{memory, threads::for_tasks, Result};

/// The target distribution: weight `1 − smoothing` on the target, `smoothing / C` on each of the C categories.
#[derive(Clone, Copy)]
pub(crate) struct Smoothing(pub(crate) f64);

/// A target that names no category: its one-hot row is all zero.
pub(crate) const NO_CATEGORY: usize = usize::MAX;

/// Losses, and what backward needs to recompute probabilities as exp((logit − top) − log_sum).
pub(crate) struct Losses<A> {
    pub(crate) loss: Vec<A>,
    pub(crate) top: Vec<A>,
    pub(crate) log_sum: Vec<A>,
}

/// −Σ target · log softmax for each row of `cols` logits.
pub(crate) fn forward<T: Float>(x: &[T], targets: &[usize], cols: usize, s: Smoothing) -> Result<Losses<T::Wide>> {
    let rows = targets.len();
    let new = || memory::zeros::<T::Wide>(rows);
    let (mut loss, mut top, mut log_sum) = (new()?, new()?, new()?);
    let step = rows_per_task(cols);
    let tasks: Vec<_> = (x.chunks(step * cols).zip(targets.chunks(step)))
        .zip(loss.chunks_mut(step).zip(top.chunks_mut(step).zip(log_sum.chunks_mut(step))))
        .collect();
    for_tasks(tasks, x.len(), |((x, targets), (loss, (top, log_sum)))| {
        forward_rows::<T>(x, targets, s, loss, top, log_sum);
    })?;
    Ok(Losses { loss, top, log_sum })
}

/// Exponentials are summed this many at a time, from a buffer that stays in the nearest cache.
const BLOCK: usize = 512;

simd! {
fn forward_rows<T: Float>(
    x: &[T],
    targets: &[usize],
    Smoothing(s): Smoothing,
    loss: &mut [T::Wide],
    tops: &mut [T::Wide],
    log_sums: &mut [T::Wide],
) {
    let cols = x.len() / targets.len();
    let mut buffer = [T::Wide::default(); BLOCK];
    for (i, (x, &target)) in x.chunks_exact(cols).zip(targets).enumerate() {
        let top = max(x);
        let mut total = T::Wide::default();
        for block in x.chunks(BLOCK) {
            let e = &mut buffer[..block.len()];
            for (e, &v) in e.iter_mut().zip(block) {
                *e = (v.up() - top).exp_negative();
            }
            total += sum(&*e, |e| e);
        }
        let log_sum = total.ln();
        // The terms of a zero weight are left out, so that a logit of −∞ elsewhere does no harm.
        let mut value = T::Wide::default();
        if target < cols && s < 1.0 {
            value += T::Wide::of(1.0 - s) * (log_sum - (x[target].up() - top));
        }
        if s > 0.0 {
            let rest = sum(x, |v| v - top);
            value += T::Wide::of(s) * (log_sum - rest / T::Wide::of(cols as f64));
        }
        // NaN and a row of −∞ show in every loss, also where the target names no category.
        if log_sum.wide().is_nan() {
            value = log_sum;
        }
        (loss[i], tops[i], log_sums[i]) = (value, top, log_sum);
    }
}
}

/// What the backward of one call reads.
pub(crate) struct Saved<'a, T: Float> {
    pub(crate) x: &'a [T],
    pub(crate) targets: &'a [usize],
    pub(crate) top: &'a [T::Wide],
    pub(crate) log_sum: &'a [T::Wide],
    pub(crate) smoothing: Smoothing,
}

/// g (Σ target · softmax − target) for each row.
pub(crate) fn backward<T: Float>(saved: &Saved<'_, T>, g: &[T::Wide], cols: usize) -> Result<Vec<T>> {
    let part = |start: usize, part: &mut Unfilled<T>| backward_rows::<T>(saved, g, cols, start / cols, part);
    // SAFETY: the parts are whole rows, and `backward_rows` writes all of each row.
    unsafe { build(g.len() * cols, rows_per_task(cols) * cols, part) }
}

simd! {
fn backward_rows<T: Float>(saved: &Saved<'_, T>, g: &[T::Wide], cols: usize, first: usize, out: &mut Unfilled<T>) {
    let Smoothing(s) = saved.smoothing;
    let even = T::Wide::of(s / cols as f64);
    for (i, out) in out.chunks_exact_mut(cols).enumerate() {
        let row = first + i;
        let x = &saved.x[row * cols..][..cols];
        let (g, top, log_sum, target) = (g[row], saved.top[row], saved.log_sum[row], saved.targets[row]);
        let hot = if target < cols { 1.0 - s } else { 0.0 };
        let whole = T::Wide::of(hot + s);
        for (o, &v) in out.iter_mut().zip(x) {
            o.write(T::down(g * (whole * (v.up() - top - log_sum).exp_negative() - even)));
        }
        if target < cols {
            let v = x[target].up();
            out[target].write(T::down(g * (whole * (v - top - log_sum).exp() - even - T::Wide::of(hot))));
        }
    }
}
}
