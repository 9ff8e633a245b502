//! Products whose left operand has its columns side by side, as in gradients of weights.
use super::{
    block::{block, in_place, room, within, Columns, Scratch, COPY_COLS, COPY_ROWS, NEAR_BLOCK, NEAR_ROWS, ROWS},
    element::{Pointer, Start},
    micro::Kernels,
    pack::copy_slivers,
};

/// Rows of the left operand copied at a time by [`outer`]: with one piece of the inner axis they take a quarter of a second-level cache.
const OUTER_ROWS: usize = 240;

/// Whether a product of so many rows, columns and inner indices is one for [`outer`]: not where few columns use a left operand that is
/// small.
pub(super) fn is_outer<P>([m, n, inner]: [usize; 3], a: &Pointer<P>) -> bool {
    let copied = n >= COPY_COLS || n >= COPY_ROWS && inner * a.cols as usize > NEAR_BLOCK / 4;
    a.rows == 1 && a.cols > 1 && m >= ROWS && copied
}

/// Whether [`outer`] reads a right operand where it lies.
pub(super) fn is_near<P>(b: &Pointer<P>) -> bool {
    b.cols == 1 && b.rows <= NEAR_ROWS
}

/// All rows against some columns and one piece of the inner axis: one sliver of columns after the other for all rows,
/// which are copied once.
///
/// # Safety
/// As [`super::blocked::tile`].
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn outer(
    kernels: &Kernels,
    scratch: &mut Scratch,
    [m, cols, inner]: [usize; 3],
    out: Pointer<*mut f32>,
    a: Pointer<*const f32>,
    columns: Columns,
    factor: f32,
    start: Start<f32>,
) {
    for row in (0..m).step_by(OUTER_ROWS) {
        let rows = OUTER_ROWS.min(m - row);
        let slivers = rows.div_ceil(kernels.rows);
        let cuts = |s: usize| rows * s / slivers;
        let copied = room(&mut scratch.rows, rows * inner);
        // SAFETY: the operand's rows, and room for each sliver.
        unsafe { copy_slivers(kernels, a.moved(row, 0), inner, rows, slivers, copied) };
        for col in (0..cols).step_by(kernels.width()) {
            let used = kernels.width().min(cols - col);
            let vectors = used.div_ceil(kernels.lanes);
            // SAFETY: within the columns.
            let (at, b_inner) = unsafe {
                match columns.rows {
                    None => (columns.at.add(col * inner), vectors * kernels.lanes),
                    Some(stride) => in_place(kernels, &mut scratch.rest, columns.at.add(col), stride, [inner, used]),
                }
            };
            for s in 0..slivers {
                let (first, count) = (cuts(s), cuts(s + 1) - cuts(s));
                // SAFETY: a block within the tile.
                unsafe {
                    let a = Pointer::new(copied.add(first * inner).cast_const(), 1, count);
                    let (out, start) = within(out, start, row + first, col);
                    block(kernels, [count, used, inner], vectors, out, a, (at, b_inner), None, factor, start);
                }
            }
        }
    }
}
