//! Causal convolution of each feature with a kernel of its own: a row at a time, all features at once.
use super::{
    fill::{build, Unfilled},
    real::{add_partials, rows_per_partial, rows_per_task, simd, Float},
};
use crate::{memory, threads::for_tasks, Result};

/// `out[t] = Σᵢ w[i] · x[t − i]` for each item of `length` rows of `cols`, with nothing before the first row; `later`: `x[t + i]`
/// instead, with nothing behind the last.
pub(crate) fn convolve<T: Float>(x: &[T], w: &[T], length: usize, cols: usize, later: bool) -> Result<Vec<T>> {
    if x.is_empty() {
        return Ok(Vec::new());
    }
    let chunk = rows_per_task(cols) * cols;
    // SAFETY: parts are whole rows, and `convolve_rows` writes all of each.
    unsafe { build(x.len(), chunk, |start, out| convolve_rows::<T>(x, w, (length, cols), start / cols, later, out)) }
}

simd! {
fn convolve_rows<T: Float>(
    x: &[T],
    w: &[T],
    (length, cols): (usize, usize),
    first: usize,
    later: bool,
    out: &mut Unfilled<T>,
) -> Result<()> {
    let mut sums: Vec<T::Wide> = memory::zeros(cols)?;
    for (i, out) in out.chunks_exact_mut(cols).enumerate() {
        let row = first + i;
        let reach = if later { length - row % length } else { row % length + 1 };
        sums.fill(T::Wide::default());
        for (place, w) in w.chunks_exact(cols).enumerate().take(reach) {
            let source = if later { row + place } else { row - place };
            for ((s, &v), &w) in sums.iter_mut().zip(&x[source * cols..][..cols]).zip(w) {
                *s += v.up() * w.up();
            }
        }
        for (o, &s) in out.iter_mut().zip(&sums) {
            o.write(T::down(s));
        }
    }
    Ok(())
}
}

/// The gradient of the kernels, `[places, cols]`, for cotangents `g`.
pub(crate) fn weight_gradient<T: Float>(x: &[T], g: &[T], places: usize, length: usize, cols: usize) -> Result<Vec<T>> {
    if x.is_empty() || places == 0 {
        return memory::zeros(places * cols);
    }
    let step = rows_per_partial(x.len() / cols, cols * places);
    let parts = (x.len() / cols).div_ceil(step);
    let mut partials: Vec<T::Wide> = memory::zeros(parts * places * cols)?;
    let tasks: Vec<_> = partials.chunks_exact_mut(places * cols).enumerate().collect();
    for_tasks(tasks, x.len() * places, |(i, sums)| {
        let rows = i * step..((i + 1) * step).min(x.len() / cols);
        gradient_rows::<T>(x, g, (length, cols), rows, sums);
    })?;
    add_partials(&partials, places * cols)
}

simd! {
fn gradient_rows<T: Float>(
    x: &[T],
    g: &[T],
    (length, cols): (usize, usize),
    rows: std::ops::Range<usize>,
    sums: &mut [T::Wide],
) {
    for row in rows {
        let g = &g[row * cols..][..cols];
        for (place, sums) in sums.chunks_exact_mut(cols).enumerate().take(row % length + 1) {
            for ((s, &v), &g) in sums.iter_mut().zip(&x[(row - place) * cols..][..cols]).zip(g) {
                *s += v.up() * g.up();
            }
        }
    }
}
}
