//! Copies of operands in the order in which the kernels read them.
use super::{
    element::Pointer,
    micro::Kernels,
    out::Out,
    pieces::{cut, pieces},
};
use crate::{kernels::prefetch::prefetch, memory, planted, threads, Result};

/// Rows ahead whose cache lines are asked for while others are copied.
const SOON: usize = 16;
/// Columns of the right operand that are packed by one task.
const PACK_COLS: usize = 128;

/// A right operand in the order the kernels read it: by pieces of the inner axis, in each by slivers of columns.
pub(crate) struct PackedB {
    pub(super) values: Vec<f32>,
    pub(super) inner: usize,
    pub(super) cols: usize,
}

impl PackedB {
    /// Packs a matrix, by several threads where it pays.
    ///
    /// # Errors
    /// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
    ///
    /// # Safety
    /// All its elements are in bounds.
    pub(super) unsafe fn new(kernels: &Kernels, b: Pointer<*const f32>, [inner, cols]: [usize; 2]) -> Result<Self> {
        let room = inner * cols.next_multiple_of(kernels.lanes);
        let mut values = memory::room(room - usize::from(planted::fault("kernels")).min(room))?;
        let out = Out::new(&mut values);
        let (pieces, across) = (pieces(inner), cols.div_ceil(PACK_COLS));
        let b = Shared(b);
        let b = &b;
        threads::for_each_index(pieces * across, room, |i| {
            let (piece, col) = (i / across, i % across * PACK_COLS);
            let (from, to) = (cut(inner, pieces, piece), cut(inner, pieces, piece + 1));
            let part = PACK_COLS.min(cols - col);
            // SAFETY: pieces and columns within the matrix; each task writes its own slivers of the vector, all of them.
            unsafe {
                let at = from * cols.next_multiple_of(kernels.lanes) + col * (to - from);
                let part_room = (to - from) * part.next_multiple_of(kernels.lanes);
                pack(
                    kernels,
                    b.0.moved(from, col),
                    [to - from, part],
                    kernels.lanes,
                    out.part(at, part_room).as_mut_ptr(),
                );
            }
        })?;
        // SAFETY: the tasks wrote all of it.
        unsafe { values.set_len(room) };
        Ok(Self { values, inner, cols })
    }
}

/// A pointer that several threads read through.
struct Shared(Pointer<*const f32>);
// SAFETY: it is only read from, and what it points to is borrowed by who made it.
unsafe impl Sync for Shared {}

/// Copies a matrix into slivers of columns, filled up with 0 to a multiple of `pad`; each is as wide as a kernel, the last one may be
/// narrower. A `pad` is whole registers.
///
/// # Safety
/// The matrix is in bounds, `to` has room for all slivers, and the kernels run on this processor.
pub(super) unsafe fn pack(
    kernels: &Kernels,
    b: Pointer<*const f32>,
    [inner, cols]: [usize; 2],
    pad: usize,
    to: *mut f32,
) {
    let padded = cols.next_multiple_of(pad);
    for col in (0..padded).step_by(kernels.width()) {
        let width = kernels.width().min(padded - col);
        let used = width.min(cols.saturating_sub(col));
        // SAFETY: within the matrix, and within the room of this sliver.
        unsafe {
            let to = to.add(col * inner);
            if used < width {
                to.write_bytes(0, inner * width);
            }
            if used == 0 {
                continue;
            }
            let b = b.moved(0, col);
            match (b.rows, b.cols, used) {
                (_, 1, 32) if width == 32 => copy_rows::<32>(kernels, b, inner, to),
                (_, 1, 16) if width == 16 => copy_rows::<16>(kernels, b, inner, to),
                (_, 1, 8) if width == 8 => copy_rows::<8>(kernels, b, inner, to),
                (1, _, _) => transpose(kernels, b, inner, used, to, width),
                _ => each(b, 0..inner, 0..used, to, width),
            }
        }
    }
}

/// Rows of `N` elements, one after the other.
///
/// # Safety
/// Both sides are in bounds, and the kernels run on this processor.
#[inline(always)]
unsafe fn copy_rows<const N: usize>(kernels: &Kernels, b: Pointer<*const f32>, inner: usize, to: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    if kernels.avx2 {
        // SAFETY: the caller's promise.
        return unsafe { copy_rows_avx2::<N>(b, inner, to) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = kernels;
    // SAFETY: the caller's promise.
    unsafe { copy_rows_anywhere::<N>(b, inner, to) }
}

/// # Safety
/// Both sides are in bounds, and the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn copy_rows_avx2<const N: usize>(b: Pointer<*const f32>, inner: usize, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { copy_rows_anywhere::<N>(b, inner, to) }
}

/// # Safety
/// Both sides are in bounds.
#[inline(always)]
unsafe fn copy_rows_anywhere<const N: usize>(b: Pointer<*const f32>, inner: usize, to: *mut f32) {
    for l in 0..inner {
        if N >= LINE {
            let soon = b.at.wrapping_offset((l + SOON) as isize * b.rows);
            (0..N / LINE).for_each(|line| prefetch::<true, _>(soon.wrapping_add(line * LINE)));
        }
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(b.moved(l, 0).at, to.add(l * N), N) };
    }
}

/// Element by element.
///
/// # Safety
/// Both sides are in bounds.
pub(super) unsafe fn each(
    b: Pointer<*const f32>,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    to: *mut f32,
    width: usize,
) {
    for l in rows {
        for j in cols.clone() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(l * width + j) = *b.moved(l, j).at };
        }
    }
}

/// Columns that each lie in one piece, by blocks that are transposed in registers.
///
/// # Safety
/// Both sides are in bounds, and the kernels run on this processor.
unsafe fn transpose(kernels: &Kernels, b: Pointer<*const f32>, inner: usize, used: usize, to: *mut f32, width: usize) {
    let transpose8 = kernels.transpose8;
    let (whole_rows, whole_cols) = (inner / 8 * 8, used / 8 * 8);
    // SAFETY: the caller's promise.
    unsafe {
        // Two blocks of a column at a time: a whole cache line.
        for l in (0..whole_rows).step_by(16) {
            for j in (0..whole_cols).step_by(8) {
                transpose8(b.moved(l, j).at, b.cols as usize, to.add(l * width + j), width);
                if l + 8 < whole_rows {
                    transpose8(b.moved(l + 8, j).at, b.cols as usize, to.add((l + 8) * width + j), width);
                }
            }
        }
        each(b, 0..whole_rows, whole_cols..used, to, width);
        each(b, whole_rows..inner, 0..used, to, width);
    }
}

/// `rows` neighbouring elements of each of `inner` columns, one after the other.
///
/// # Safety
/// Both sides are in bounds, and the kernels run on this processor.
unsafe fn copy_sliver(kernels: &Kernels, a: Pointer<*const f32>, inner: usize, rows: usize, to: *mut f32) {
    let a = Pointer { rows: a.cols, cols: a.rows, ..a };
    macro_rules! of {
        ($($n:literal)*) => {
            match rows {
                // SAFETY: the caller's promise.
                $($n => unsafe { copy_rows::<$n>(kernels, a, inner, to) },)*
                _ => unreachable!("a kernel has at most twelve rows"),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// `rows` neighbouring elements of each of `inner` columns as so many slivers of [`copy_sliver`], a few of them at a time: whole cache
/// lines are read while they are near.
///
/// # Safety
/// As there, for all slivers.
pub(super) unsafe fn copy_slivers(
    kernels: &Kernels,
    a: Pointer<*const f32>,
    inner: usize,
    rows: usize,
    slivers: usize,
    to: *mut f32,
) {
    for from in (0..inner).step_by(SOON) {
        let part = SOON.min(inner - from);
        for s in 0..slivers {
            let (first, last) = (rows * s / slivers, rows * (s + 1) / slivers);
            // SAFETY: the caller's promise.
            unsafe {
                let to = to.add(first * inner + from * (last - first));
                copy_sliver(kernels, a.moved(first, from), part, last - first, to);
            }
        }
    }
}

/// Elements in a cache line.
const LINE: usize = 16;

/// Rows that will be read soon: their cache lines, asked for little by little.
pub(super) struct Ahead {
    at: *const f32,
    stride: isize,
    rows: usize,
    /// Lines of a row, and those of the first one that were asked for.
    lines: usize,
    done: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { at: std::ptr::null(), stride: 0, rows: 0, lines: 0, done: 0 }
    }
}

impl Ahead {
    /// Rows of `cols` neighbouring elements, `stride` apart. They may lie anywhere.
    pub(super) fn new(at: *const f32, stride: isize, [rows, cols]: [usize; 2]) -> Self {
        Self { at, stride, rows, lines: cols.div_ceil(LINE), done: 0 }
    }
    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.rows * self.lines
    }
    /// Asks for the next `count` lines.
    #[inline]
    pub(super) fn fetch(&mut self, count: usize) {
        for _ in 0..count {
            if self.rows == 0 {
                return;
            }
            prefetch::<false, _>(self.at.wrapping_add(self.done * LINE));
            self.done += 1;
            if self.done == self.lines {
                (self.at, self.rows, self.done) = (self.at.wrapping_offset(self.stride), self.rows - 1, 0);
            }
        }
    }
}
