//! Products of a few rows, as a step of decoding has them for many streams.
use super::{
    block::{block, copy_rows_apart, in_place, room, within, Scratch, COPY_ROWS, LENGTH, NEAR_ROWS},
    element::{Pointer, Start},
    micro::{Kernels, Soon},
};

/// Rows up to which the right operand is read where it lies, and not packed.
pub(super) const FEW: usize = 48;

/// A few rows, which wait for the right operand as long as they multiply: it is read where it lies, one sliver of columns for all rows, and
/// while they are multiplied the next one is asked for.
///
/// # Safety
/// As [`super::blocked::tile`].
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn few(
    kernels: &Kernels,
    scratch: &mut Scratch,
    [m, cols, inner]: [usize; 3],
    out: Pointer<*mut f32>,
    a: Pointer<*const f32>,
    b: Pointer<*const f32>,
    factor: f32,
    start: Start<f32>,
) {
    let slivers = m.div_ceil(kernels.rows);
    let a = if a.cols == 1 && a.rows <= NEAR_ROWS || cols < COPY_ROWS {
        a
    } else {
        let copied = room(&mut scratch.rows, m * LENGTH);
        // SAFETY: rows of the operand; there is room for each.
        unsafe { copy_rows_apart(a, [m, inner], copied) };
        Pointer::new(copied.cast_const(), LENGTH, 1)
    };
    for col in (0..cols).step_by(kernels.width()) {
        let used = kernels.width().min(cols - col);
        let vectors = used.div_ceil(kernels.lanes);
        let stride = b.rows as usize;
        // SAFETY: within the columns.
        let (at, b_inner) = unsafe { in_place(kernels, &mut scratch.rest, b.at.add(col), stride, [inner, used]) };
        for s in 0..slivers {
            let (first, last) = (m * s / slivers, m * (s + 1) / slivers);
            // Each of the first slivers asks for its part of a line in a row.
            let next = at.wrapping_add(kernels.width() + s % 2 * 16);
            let soon = Soon { at: next, inner: stride, lanes: 0 };
            // SAFETY: a block within the tile.
            unsafe {
                let (out, start) = within(out, start, first, col);
                let a = a.moved(first, 0);
                block(kernels, [last - first, used, inner], vectors, out, a, (at, b_inner), Some(soon), factor, start);
            }
        }
    }
}
