//! Softmax and log-softmax over rows, and their gradients from the output alone.
use super::{
    fill::{build, Unfilled},
    real::{max, rows_per_task, simd, sum, sum2, Float, Real},
};
use crate::{memory, Result};

/// exp(x − max) / Σ, or with `log` x − max − ln Σ, for each row of `cols`.
pub(crate) fn forward<T: Float>(x: &[T], cols: usize, log: bool) -> Result<Vec<T>> {
    let part = |start: usize, part: &mut Unfilled<T>| forward_rows::<T>(&x[start..start + part.len()], part, cols, log);
    // SAFETY: `x` and the parts are whole rows, and `forward_rows` writes all of each row.
    unsafe { build(x.len(), rows_per_task(cols) * cols, part) }
}

simd! {
fn forward_rows<T: Float>(x: &[T], out: &mut Unfilled<T>, cols: usize, log: bool) -> Result<()> {
    let mut row: Vec<T::Wide> = memory::zeros(cols)?;
    for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        let top = max(x);
        for (e, &v) in row.iter_mut().zip(x) {
            *e = (v.up() - top).exp_negative();
        }
        let total = sum(&row, |e| e);
        if log {
            let total = total.ln();
            for (o, &v) in out.iter_mut().zip(x) {
                o.write(T::down(v.up() - top - total));
            }
        } else {
            for (o, &e) in out.iter_mut().zip(&row) {
                o.write(T::down(e / total));
            }
        }
    }
    Ok(())
}
}

/// The gradient: y (g − Σ g y), or with `log` g − exp(y) Σ g.
pub(crate) fn backward<T: Float>(y: &[T], g: &[T], cols: usize, log: bool) -> Result<Vec<T>> {
    let part = |start: usize, part: &mut Unfilled<T>| {
        let range = start..start + part.len();
        backward_rows::<T>(&y[range.clone()], &g[range], part, cols, log);
    };
    // SAFETY: `y`, `g` (equally long) and the parts are whole rows, and `backward_rows` writes all of each row.
    unsafe { build(y.len().min(g.len()), rows_per_task(cols) * cols, part) }
}

simd! {
fn backward_rows<T: Float>(y: &[T], g: &[T], out: &mut Unfilled<T>, cols: usize, log: bool) {
    for ((y, g), out) in y.chunks_exact(cols).zip(g.chunks_exact(cols)).zip(out.chunks_exact_mut(cols)) {
        if log {
            let total = sum(g, |g| g);
            for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                o.write(T::down(g.up() - y.up().exp_negative() * total));
            }
        } else {
            let total = sum2(y, g, |y, g| y * g);
            for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                o.write(T::down(y.up() * (g.up() - total)));
            }
        }
    }
}
}
