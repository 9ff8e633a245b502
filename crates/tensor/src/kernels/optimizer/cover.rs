//! SM3's sums: the second moment of each weight is bounded by what is kept for its row and for its column.
use crate::{
    kernels::{
        fill::{filled, Unfilled},
        real::{rows_per_partial, simd, sum, Float, Real},
    },
    memory,
    threads::for_tasks,
    Result,
};

/// The bounds of a matrix, and how squares join them: `keep · bound + share · g²`.
#[derive(Clone, Copy)]
pub(crate) struct Cover<'a, A> {
    /// One bound a row.
    pub(crate) rows: &'a [A],
    /// One bound a column.
    pub(crate) cols: &'a [A],
    pub(crate) keep: A,
    pub(crate) share: A,
}

/// What [`covered`] gives.
pub(crate) struct Covered<A> {
    /// The gradient over the root of its second moment.
    pub(crate) direction: Vec<A>,
    /// The sum of its squares.
    pub(crate) square_sum: f64,
    /// The largest second moment of each row.
    pub(crate) rows: Vec<A>,
    /// The largest second moment of each column.
    pub(crate) cols: Vec<A>,
}

/// The direction of a gradient, and the new bounds.
///
/// # Errors
/// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
///
/// # Panics
/// Unless there is a bound for each row and each column of `g`.
pub(crate) fn covered<A: Real + Float<Wide = A>>(g: &[A], scale: A, cover: Cover<'_, A>) -> Result<Covered<A>> {
    let (rows, cols) = (cover.rows.len(), cover.cols.len());
    assert!(g.len() == rows * cols, "a bound for each row and column");
    let step = rows_per_partial(rows, cols);
    let count = rows.div_ceil(step);
    let mut row_max: Vec<A> = memory::zeros(rows)?;
    let mut partials: Vec<A> = memory::zeros(count * cols)?;
    let mut sums: Vec<f64> = memory::zeros(count)?;
    let fill = |out: &mut Unfilled<A>| {
        let parts = g.chunks(step * cols).zip(out.chunks_mut(step * cols));
        let bounds = cover.rows.chunks(step).zip(row_max.chunks_mut(step));
        let found = partials.chunks_exact_mut(cols).zip(&mut sums);
        let tasks = memory::collect(parts.zip(bounds).zip(found))?;
        for_tasks(tasks, g.len(), |(((g, out), (bounds, row_max)), (col_max, total))| {
            let cover = Cover { rows: bounds, ..cover };
            *total = cover_rows::<A>(g, out, scale, cover, row_max, col_max).wide();
        })
    };
    // SAFETY: the tasks cover all rows (as many as the bounds, asserted above), and `cover_rows` writes all of each.
    let direction = unsafe { filled(g.len(), fill) }?;
    let mut col_max: Vec<A> = memory::zeros(cols)?;
    for partial in partials.chunks_exact(cols) {
        for (most, &p) in col_max.iter_mut().zip(partial) {
            *most = if p > *most { p } else { *most };
        }
    }
    Ok(Covered { direction, square_sum: sums.iter().sum(), rows: row_max, cols: col_max })
}

simd! {
fn cover_rows<A: Real + Float<Wide = A>>(
    g: &[A],
    out: &mut Unfilled<A>,
    scale: A,
    cover: Cover<'_, A>,
    row_max: &mut [A],
    col_max: &mut [A],
) -> A {
    let (cols, zero) = (cover.cols.len(), A::default());
    let mut total = zero;
    let rows = g.chunks_exact(cols).zip(out.chunks_exact_mut(cols));
    for ((g, out), (&bound, row_max)) in rows.zip(cover.rows.iter().zip(row_max)) {
        for (((out, &g), &col), col_max) in out.iter_mut().zip(g).zip(cover.cols).zip(col_max.iter_mut()) {
            let g = g * scale;
            let moment = cover.keep * (if col < bound { col } else { bound }) + cover.share * g * g;
            let y = g / (moment.sqrt() + A::of(1e-16));
            out.write(if moment > zero { y } else { zero });
            *col_max = if moment > *col_max { moment } else { *col_max };
            *row_max = if moment > *row_max { moment } else { *row_max };
        }
        // SAFETY: the loop above has written the row, which is as long as `g` and the columns' bounds. Tested below.
        let written = unsafe { &*(std::ptr::from_ref::<Unfilled<A>>(out) as *const [A]) };
        total += sum(written, |v| v * v);
    }
    total
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_bound_counts_and_the_largest_moment_is_kept() {
        let g = [1.0f64, 2.0, 0.0, -3.0];
        let cover = Cover { rows: &[4.0, 0.0], cols: &[1.0, 9.0], keep: 1.0, share: 1.0 };
        let found = covered(&g, 1.0, cover).expect("a direction");
        // Second moments: [1 + 1, 4 + 4], [0, 9].
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&found.direction, &[1.0 / 2f64.sqrt(), 2.0 / 8f64.sqrt(), 0.0, -1.0]), "{:?}", found.direction);
        assert!((found.square_sum - 2.0).abs() < 1e-12);
        assert_eq!((found.rows, found.cols), (vec![8.0, 9.0], vec![2.0, 9.0]));
    }
}
