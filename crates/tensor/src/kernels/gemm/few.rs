//! Products of a few rows, as a step of decoding has them for many streams.
use super::{
    block::{block, room, within, Scratch, COPY_ROWS, LENGTH, NEAR_ROWS},
    element::{Pointer, Start},
    micro::{Kernels, Soon},
    pack::pack,
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
        for i in 0..m {
            // SAFETY: rows of the operand; there is room for each.
            unsafe {
                let (from, to) = (a.moved(i, 0), copied.add(i * LENGTH));
                if a.cols == 1 {
                    std::ptr::copy_nonoverlapping(from.at, to, inner);
                } else {
                    (0..inner).for_each(|l| *to.add(l) = *from.moved(0, l).at);
                }
            }
        }
        Pointer::new(copied.cast_const(), LENGTH, 1)
    };
    for col in (0..cols).step_by(kernels.width()) {
        let used = kernels.width().min(cols - col);
        let vectors = used.div_ceil(kernels.lanes);
        let stride = b.rows as usize;
        // SAFETY: within the columns; where a kernel, which reads whole registers, would read beyond them, they are copied.
        let (at, b_inner) = unsafe {
            let at = b.at.add(col);
            if used == vectors * kernels.lanes {
                (at, stride)
            } else {
                let to = room(&mut scratch.rest, inner * vectors * kernels.lanes);
                pack(kernels, Pointer::new(at, stride, 1), [inner, used], kernels.lanes, to);
                (to.cast_const(), vectors * kernels.lanes)
            }
        };
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
