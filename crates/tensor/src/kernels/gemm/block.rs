//! One block of a float32 product, and what all ways to walk over blocks have in common.
use super::{
    element::{Pointer, Start},
    micro::{every_third, Block, Kernels, Micro, Soon},
    pack::pack,
    pieces::INNER,
};

/// Rows of the left operand copied at a time: whole cache lines where columns lie side by side.
pub(super) const ROWS: usize = 48;
/// Columns from which copying rows of the left operand pays.
pub(super) const COPY_ROWS: usize = 96;
/// The same where its columns lie side by side, and a piece of it is in the second-level cache.
pub(super) const COPY_COLS: usize = 160;
/// Distance of rows of an operand up to which they do not fight for cache lines, if their elements lie side by side.
pub(super) const NEAR_ROWS: isize = 384;
/// Distance of copied rows: longer than any piece, and not a multiple of a cache line's distance to itself.
pub(super) const LENGTH: usize = INNER + 24;
/// Elements whose pages and cache lines do not get in each other's way.
pub(super) const NEAR_BLOCK: usize = 1 << 15;

/// Memory for copies, kept for the next product: on the stack, every call would touch each of its pages.
#[derive(Default)]
pub(super) struct Scratch {
    /// Packed columns.
    pub columns: Vec<f32>,
    /// Rows of the left operand.
    pub rows: Vec<f32>,
    /// The few columns beside whole registers, of an operand that is not packed.
    pub rest: Vec<f32>,
}

/// Room for so many elements.
pub(super) fn room(memory: &mut Vec<f32>, len: usize) -> *mut f32 {
    memory.clear();
    memory.reserve(len); // few: blocks of fixed sizes
    memory.as_mut_ptr()
}

/// Copies rows of a left operand, each [`LENGTH`] behind the one before.
///
/// # Safety
/// The rows are in bounds, and `to` has room for all.
pub(super) unsafe fn copy_rows_apart(a: Pointer<*const f32>, [rows, inner]: [usize; 2], to: *mut f32) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (from, to) = (a.moved(i, 0), to.add(i * LENGTH));
            if a.cols == 1 {
                std::ptr::copy_nonoverlapping(from.at, to, inner);
            } else {
                (0..inner).for_each(|l| *to.add(l) = *from.moved(0, l).at);
            }
        }
    }
}

/// A sliver of a right operand where it lies, and the distance of its rows; a copy, where a kernel, which reads whole registers, would read beyond
/// its columns.
///
/// # Safety
/// The columns are in bounds, and the kernels run on this processor.
pub(super) unsafe fn in_place(
    kernels: &Kernels,
    rest: &mut Vec<f32>,
    at: *const f32,
    rows: usize,
    [inner, used]: [usize; 2],
) -> (*const f32, usize) {
    let width = used.next_multiple_of(kernels.lanes);
    if used == width {
        return (at, rows);
    }
    let to = room(rest, inner * width);
    // SAFETY: the caller's promise; there is room for whole registers.
    unsafe { pack(kernels, Pointer::new(at, rows, 1), [inner, used], kernels.lanes, to) };
    (to.cast_const(), width)
}

/// The columns worked on, and how they are read.
pub(super) struct Columns {
    pub at: *const f32,
    /// Whether they are packed; else the distance of their rows.
    pub rows: Option<usize>,
}

/// What a part of a result is written to and added to.
///
/// # Safety
/// The row and the column are in bounds.
pub(super) unsafe fn within(
    out: Pointer<*mut f32>,
    start: Start<f32>,
    row: usize,
    col: usize,
) -> (Pointer<*mut f32>, Start<f32>) {
    // SAFETY: the caller's promise.
    unsafe {
        let start = match start {
            Start::Row(at) => Start::Row(at.add(col)),
            other => other,
        };
        (Pointer { at: out.at.offset(row as isize * out.rows).add(col), ..out }, start)
    }
}

/// A block of a tile by the kernel of its rows and registers; where the registers are wider than the block, through [`edge`].
///
/// # Safety
/// All of it is in bounds, the right operand in whole registers.
#[allow(clippy::too_many_arguments)]
#[inline]
pub(super) unsafe fn block(
    kernels: &Kernels,
    [count, used, inner]: [usize; 3],
    vectors: usize,
    out: Pointer<*mut f32>,
    a: Pointer<*const f32>,
    (b, b_inner): (*const f32, usize),
    soon: Option<Soon>,
    factor: f32,
    start: Start<f32>,
) {
    let (start, start_rows) = match start {
        Start::Zero => (std::ptr::null(), 0),
        Start::Keep => (out.at.cast_const(), out.rows as usize),
        Start::Row(at) => (at, 0),
    };
    let mut block = Block {
        inner,
        a: every_third(a.at, a.rows as usize),
        a_rows: a.rows as usize,
        a_inner: a.cols as usize,
        b,
        b_inner,
        soon: soon.unwrap_or_else(|| Soon::ahead(b, b_inner, [count, vectors], kernels.lanes)),
        out: out.at,
        out_rows: out.rows as usize,
        start,
        start_rows,
        factor,
    };
    let (kernel, width) = (kernels.get(count, vectors), vectors * kernels.lanes);
    // SAFETY: the caller's promise.
    unsafe {
        if used == width {
            kernel(&block);
        } else {
            edge(kernel, &mut block, count, used, width);
        }
    }
}

/// A block of which only the first `used` columns belong to the result.
///
/// # Safety
/// As the kernel's, for the first `used` columns of `out` and `start`.
unsafe fn edge(kernel: Micro, block: &mut Block, rows: usize, used: usize, width: usize) {
    let mut own = [0f32; 12 * 32];
    let (out, out_rows) = (block.out, block.out_rows);
    // SAFETY: only used columns are read and written outside `own`, which holds the largest block.
    unsafe {
        if !block.start.is_null() {
            for i in 0..rows {
                let from = block.start.add(i * block.start_rows);
                std::ptr::copy_nonoverlapping(from, own.as_mut_ptr().add(i * width), used);
            }
            (block.start, block.start_rows) = (own.as_ptr(), width);
        }
        (block.out, block.out_rows) = (own.as_mut_ptr(), width);
        kernel(block);
        for i in 0..rows {
            std::ptr::copy_nonoverlapping(own.as_ptr().add(i * width), out.add(i * out_rows), used);
        }
    }
}
