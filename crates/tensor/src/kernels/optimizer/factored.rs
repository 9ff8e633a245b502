//! Adafactor's sums: mean squares of rows and columns, and the gradient over the root of their product.
use crate::{
    cancel::shielded,
    kernels::{
        fill::{filled, Unfilled},
        real::{rows_per_partial, simd, sum, Float, Real},
    },
    memory,
    threads::{for_tasks, GRAIN},
    Result,
};

/// A tensor seen as matrices: along its last two axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// Means of `(scale g)²` over each row and over each column of each matrix.
///
/// # Errors
/// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
pub(crate) fn square_means<A: Real + Float<Wide = A>>(
    g: &[A],
    Blocks { rows, cols }: Blocks,
    scale: A,
) -> Result<(Vec<A>, Vec<A>)> {
    let (size, step) = (rows * cols, rows_per_partial(rows, cols));
    let matrices = g.len() / size;
    let count = rows.div_ceil(step);
    let mut row_means: Vec<A> = memory::zeros(matrices * rows)?;
    let mut partials: Vec<A> = memory::zeros(matrices * count * cols)?;
    let tasks = memory::room(matrices * count).map(|mut tasks: Vec<_>| {
        let (mut means_left, mut partials_left) = (&mut row_means[..], partials.chunks_exact_mut(cols));
        for matrix in g.chunks_exact(size) {
            for part in matrix.chunks(step * cols) {
                let (means, rest) = std::mem::take(&mut means_left).split_at_mut(part.len() / cols);
                means_left = rest;
                tasks.extend(partials_left.next().map(|sums| (part, means, sums)));
            }
        }
        tasks
    })?;
    for_tasks(tasks, g.len(), |(part, means, sums)| square_rows::<A>(part, means, sums, scale))?;
    let mut sums: Vec<A> = memory::zeros(matrices * cols)?;
    for (sums, partials) in sums.chunks_exact_mut(cols).zip(partials.chunks_exact(count * cols)) {
        for partial in partials.chunks_exact(cols) {
            for (sum, &p) in sums.iter_mut().zip(partial) {
                *sum += p;
            }
        }
    }
    let n = A::of(rows as f64);
    let col_means = memory::collect(sums.into_iter().map(|sum| sum / n))?;
    Ok((row_means, col_means))
}

simd! {
fn square_rows<A: Real + Float<Wide = A>>(g: &[A], means: &mut [A], sums: &mut [A], scale: A) {
    let cols = sums.len();
    let n = A::of(cols as f64);
    let square = |v: A| (v * scale) * (v * scale);
    for (row, mean) in g.chunks_exact(cols).zip(means) {
        *mean = sum(row, square) / n;
        for (total, &v) in sums.iter_mut().zip(row) {
            *total += square(v);
        }
    }
}
}

/// `scale g · row · col`, for a factor of each row and one of each column, and the sum of its squares.
///
/// # Errors
/// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
///
/// # Panics
/// Unless there are a row's and a column's factors for each row and column of `g`.
pub(crate) fn direction<A: Real + Float<Wide = A>>(
    g: &[A],
    Blocks { rows, cols }: Blocks,
    scale: A,
    row_factors: &[A],
    col_factors: &[A],
) -> Result<(Vec<A>, f64)> {
    let size = rows * cols;
    let matrices = g.len() / size;
    assert!(g.len() == matrices * size && row_factors.len() == matrices * rows && col_factors.len() == matrices * cols);
    let step = rows_per_partial(rows, cols);
    let mut sums: Vec<f64> = memory::zeros(matrices * rows.div_ceil(step))?;
    let fill = |out: &mut Unfilled<A>| {
        let mut tasks = memory::room(sums.len())?;
        let mut left = sums.iter_mut();
        let matrices = g.chunks_exact(size).zip(out.chunks_exact_mut(size));
        for ((g, out), (row, col)) in matrices.zip(row_factors.chunks_exact(rows).zip(col_factors.chunks_exact(cols))) {
            let parts = g.chunks(step * cols).zip(out.chunks_mut(step * cols)).zip(row.chunks(step));
            tasks.extend(parts.zip(&mut left).map(|(((g, out), row), total)| (g, out, row, col, total)));
        }
        for_tasks(tasks, g.len(), |(g, out, row, col, total)| {
            *total = direct_rows::<A>(g, out, scale, row, col).wide();
        })
    };
    // SAFETY: the tasks cover all rows of all matrices, as the factors are as many as these (asserted above), and
    // `direct_rows` writes all of each row. Tested below.
    let out = unsafe { filled(g.len(), fill) }?;
    Ok((out, sums.iter().sum()))
}

simd! {
fn direct_rows<A: Real + Float<Wide = A>>(g: &[A], out: &mut Unfilled<A>, scale: A, row: &[A], col: &[A]) -> A {
    let mut total = A::default();
    for ((g, out), &r) in g.chunks_exact(col.len()).zip(out.chunks_exact_mut(col.len())).zip(row) {
        for ((out, &g), &c) in out.iter_mut().zip(g).zip(col) {
            out.write(scale * g * r * c);
        }
        // SAFETY: the loop above has written the row, which is as long as `g` and `col`. Tested below.
        let written = unsafe { &*(std::ptr::from_ref::<Unfilled<A>>(out) as *const [A]) };
        total += sum(written, |v| v * v);
    }
    total
}
}

/// `v ← (1 − mixing) v + mixing (scale g)²`, and `scale g / √(v + eps)` with the sum of its squares.
///
/// # Errors
/// `OutOfMemory`, before anything is written.
///
/// # Panics
/// Unless both are equally long.
pub(crate) fn rescaled<A: Real + Float<Wide = A>>(
    g: &[A],
    v: &mut [A],
    scale: A,
    mixing: A,
    eps: A,
) -> Result<(Vec<A>, f64)> {
    assert!(g.len() == v.len(), "a mean square for each gradient");
    let mut sums: Vec<f64> = memory::zeros(g.len().div_ceil(GRAIN))?;
    let fill = |out: &mut Unfilled<A>| {
        let parts = g.chunks(GRAIN).zip(v.chunks_mut(GRAIN)).zip(out.chunks_mut(GRAIN).zip(&mut sums));
        let tasks = memory::collect(parts)?;
        shielded(|| {
            for_tasks(tasks, g.len(), |((g, v), (out, total))| {
                *total = rescale_part::<A>(g, v, out, (scale, mixing, eps)).wide();
            })
        })
    };
    // SAFETY: the tasks cover the gradient, `v` is as long (asserted above), and `rescale_part` writes each element.
    let out = unsafe { filled(g.len(), fill) }?;
    Ok((out, sums.iter().sum()))
}

simd! {
fn rescale_part<A: Real + Float<Wide = A>>(
    g: &[A],
    v: &mut [A],
    out: &mut Unfilled<A>,
    (scale, mixing, eps): (A, A, A),
) -> A {
    let one = A::of(1.0);
    for ((&g, v), out) in g.iter().zip(v).zip(out.iter_mut()) {
        let g = g * scale;
        *v = (one - mixing) * *v + mixing * (g * g);
        out.write(g / (*v + eps).sqrt());
    }
    // SAFETY: the loop above has written the part, which is as long as `g` and `v`. Tested below.
    let written = unsafe { &*(std::ptr::from_ref::<Unfilled<A>>(out) as *const [A]) };
    sum(written, |v| v * v)
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_means_are_those_of_each_matrix() {
        // Two matrices; enough rows for several tasks outside Miri.
        let (rows, cols) = if cfg!(miri) { (3, 2) } else { (700, 130) };
        let g: Vec<f64> = (0..2 * rows * cols).map(|i| ((i * 37) % 101) as f64 / 50.0 - 1.0).collect();
        let blocks = Blocks { rows, cols };
        let (row, col) = square_means(&g, blocks, 0.5).expect("means");
        let at = |m: usize, i: usize, j: usize| 0.5 * g[(m * rows + i) * cols + j];
        for m in 0..2 {
            for i in 0..rows {
                let mean = (0..cols).map(|j| at(m, i, j).powi(2)).sum::<f64>() / cols as f64;
                assert!((row[m * rows + i] - mean).abs() < 1e-12);
            }
            for j in 0..cols {
                let mean = (0..rows).map(|i| at(m, i, j).powi(2)).sum::<f64>() / rows as f64;
                assert!((col[m * cols + j] - mean).abs() < 1e-12);
            }
        }
        let (y, total) = direction(&g, blocks, 0.5, &row, &col).expect("a direction");
        let mut squares = 0.0;
        for m in 0..2 {
            for i in 0..rows {
                for j in 0..cols {
                    let want = at(m, i, j) * row[m * rows + i] * col[m * cols + j];
                    assert!((y[(m * rows + i) * cols + j] - want).abs() < 1e-15);
                    squares += want * want;
                }
            }
        }
        assert!((total - squares).abs() < 1e-9 * squares);
    }

    #[test]
    fn a_gradient_is_rescaled_by_its_running_mean_square() {
        let g = [2.0f64, -4.0];
        let mut v = [1.0, 1.0];
        let (y, total) = rescaled(&g, &mut v, 0.5, 0.25, 0.0).expect("a direction");
        assert_eq!(v, [1.0, 1.75]);
        assert_eq!(y, [1.0, -2.0 / 1.75f64.sqrt()]);
        assert!((total - (1.0 + 4.0 / 1.75)).abs() < 1e-15);
    }
}
