//! Normalisation of the columns of a matrix, with its gradients: one pass over memory for the statistics, one for the rest.
use super::{
    fill::{filled, Unfilled},
    real::{add_partials, rows_per_partial, simd, Float, Real},
};
use crate::{memory, threads::for_tasks, Result};

/// The types that normalisation computes in.
pub(crate) trait Wide: Real + Float<Wide = Self> {}
impl Wide for f32 {}
impl Wide for f64 {}

/// Mean and population variance of each column. Blocks of rows have both taken in the cache, and are combined in order.
pub(crate) fn statistics<T: Wide>(x: &[T], cols: usize) -> Result<(Vec<T>, Vec<T>)> {
    let rows = x.len() / cols;
    let step = rows_per_partial(rows, cols);
    let blocks = rows.div_ceil(step);
    let (mut means, mut squares): (Vec<T>, Vec<T>) = (memory::zeros(blocks * cols)?, memory::zeros(blocks * cols)?);
    let tasks: Vec<_> =
        x.chunks(step * cols).zip(means.chunks_exact_mut(cols).zip(squares.chunks_exact_mut(cols))).collect();
    for_tasks(tasks, 2 * x.len(), |(x, (mean, square))| block_statistics::<T>(x, mean, square))?;
    let n = T::of(rows as f64);
    // Weighted by the sizes of the blocks, of which the last may be smaller.
    let weight = |b: usize| T::of((step.min(rows - b * step)) as f64);
    let mut mean: Vec<T> = memory::zeros(cols)?;
    for (b, part) in means.chunks_exact(cols).enumerate() {
        mean.iter_mut().zip(part).for_each(|(m, &p)| *m += p * (weight(b) / n));
    }
    let mut var: Vec<T> = memory::zeros(cols)?;
    for (b, (part, square)) in means.chunks_exact(cols).zip(squares.chunks_exact(cols)).enumerate() {
        for (((v, &p), &s), &m) in var.iter_mut().zip(part).zip(square).zip(&mean) {
            *v += (s + (p - m) * (p - m) * weight(b)) / n;
        }
    }
    Ok((mean, var))
}

simd! {
fn block_statistics<T: Wide>(x: &[T], mean: &mut [T], square: &mut [T]) {
    let cols = mean.len();
    for row in x.chunks_exact(cols) {
        for (m, &v) in mean.iter_mut().zip(row) {
            *m += v;
        }
    }
    let share = T::of(1.0) / T::of((x.len() / cols) as f64);
    mean.iter_mut().for_each(|m| *m *= share);
    for row in x.chunks_exact(cols) {
        for ((s, &m), &v) in square.iter_mut().zip(mean.iter()).zip(row) {
            let d = v - m;
            *s += d * d;
        }
    }
}
}

/// `(x − mean) · factor + shift`, each by column.
pub(crate) fn apply<T: Wide>(x: &[T], mean: &[T], factor: &[T], shift: &[T]) -> Result<Vec<T>> {
    let cols = mean.len();
    let step = rows_per_partial(x.len() / cols, cols) * cols;
    let fill = |out: &mut Unfilled<T>| {
        let tasks: Vec<_> = x.chunks(step).zip(out.chunks_mut(step)).collect();
        for_tasks(tasks, x.len(), |(x, out)| apply_rows::<T>(x, mean, factor, shift, out))
    };
    // SAFETY: `x` is whole rows, the tasks cover it, and `apply_rows` writes an element for each of its.
    unsafe { filled(x.len(), fill) }
}

simd! {
fn apply_rows<T: Wide>(x: &[T], mean: &[T], factor: &[T], shift: &[T], out: &mut Unfilled<T>) {
    let cols = mean.len();
    for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        for ((((o, &v), &m), &f), &s) in out.iter_mut().zip(x).zip(mean).zip(factor).zip(shift) {
            o.write((v - m) * f + s);
        }
    }
}
}

/// `Σ g` and `Σ g · (x − mean)` over the rows.
pub(crate) fn sums<T: Wide>(x: &[T], g: &[T], mean: &[T]) -> Result<(Vec<T>, Vec<T>)> {
    let cols = mean.len();
    let step = rows_per_partial(x.len() / cols, cols) * cols;
    let parts = x.len().div_ceil(step);
    let (mut plain, mut along): (Vec<T>, Vec<T>) = (memory::zeros(parts * cols)?, memory::zeros(parts * cols)?);
    let tasks: Vec<_> = (x.chunks(step).zip(g.chunks(step)))
        .zip(plain.chunks_exact_mut(cols).zip(along.chunks_exact_mut(cols)))
        .collect();
    for_tasks(tasks, 2 * x.len(), |((x, g), (plain, along))| sum_rows::<T>(x, g, mean, plain, along))?;
    Ok((add_partials::<T>(&plain, cols)?, add_partials::<T>(&along, cols)?))
}

simd! {
fn sum_rows<T: Wide>(x: &[T], g: &[T], mean: &[T], plain: &mut [T], along: &mut [T]) {
    let cols = mean.len();
    for (x, g) in x.chunks_exact(cols).zip(g.chunks_exact(cols)) {
        for ((((p, a), &v), &g), &m) in plain.iter_mut().zip(along.iter_mut()).zip(x).zip(g).zip(mean) {
            *p += g;
            *a += g * (v - m);
        }
    }
}
}

/// `g · factor − (x − mean) · slope − shift`, each by column: the gradient of the input.
pub(crate) fn input_gradient<T: Wide>(
    x: &[T],
    g: &[T],
    mean: &[T],
    [factor, slope, shift]: [&[T]; 3],
) -> Result<Vec<T>> {
    let cols = mean.len();
    let step = rows_per_partial(x.len() / cols, cols) * cols;
    let fill = |out: &mut Unfilled<T>| {
        let tasks: Vec<_> = (x.chunks(step).zip(g.chunks(step))).zip(out.chunks_mut(step)).collect();
        for_tasks(tasks, 2 * x.len(), |((x, g), out)| gradient_rows::<T>(x, g, mean, [factor, slope, shift], out))
    };
    // SAFETY: `x` and `g` are equally long and whole rows, and `gradient_rows` writes an element for each of theirs.
    unsafe { filled(x.len().min(g.len()), fill) }
}

simd! {
fn gradient_rows<T: Wide>(
    x: &[T],
    g: &[T],
    mean: &[T],
    [factor, slope, shift]: [&[T]; 3],
    out: &mut Unfilled<T>,
) {
    let cols = mean.len();
    for ((x, g), out) in x.chunks_exact(cols).zip(g.chunks_exact(cols)).zip(out.chunks_exact_mut(cols)) {
        let by_column = mean.iter().zip(factor).zip(slope.iter().zip(shift));
        for (((o, &v), &g), ((&m, &f), (&sl, &sh))) in out.iter_mut().zip(x).zip(g).zip(by_column) {
            o.write(g * f - (v - m) * sl - sh);
        }
    }
}
}
