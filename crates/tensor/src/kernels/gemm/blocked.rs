//! Float32 products by blocks: which parts of the operands are copied together, and in which order the kernels run over them.
//!
//! The inner axis is cut into pieces of about [`super::pieces::INNER`]; for each, columns of the right operand are packed into slivers as wide
//! as a kernel (or read where they lie, if they lie side by side and few rows use them), and rows of the left one are copied where
//! their strides would make them fight for the same cache lines. Where the cuts are depends on the shape only.
use super::{
    block::{
        block, copy_rows_apart, room, within, Columns, Scratch, COPY_COLS, COPY_ROWS, LENGTH, NEAR_BLOCK, NEAR_ROWS,
        ROWS,
    },
    element::{Pointer, Right, Start},
    few::{few, FEW},
    micro::{Kernels, WIDEST},
    outer::{is_near, is_outer, outer},
    pack::{copy_slivers, each, pack, Ahead},
    pieces::{cut, pieces},
};
use std::cell::Cell;

/// Columns that are packed at a time and then worked on: so many slivers of the right operand stay in the second-level cache.
const COLS: usize = 512;
/// Columns worked on at a time where they are packed already: the more, the fewer copies of rows of the left operand.
const PACKED_COLS: usize = 1024;
/// The most elements that a left operand spans whose columns lie side by side, to be read where it lies: it is in the second-level cache.
const NEAR_COLS: usize = 1 << 17;
/// Rows up to which the right operand is read where it lies.
const DIRECT: usize = 24;
/// The same for a right operand that spans at most [`NEAR_BLOCK`] elements: copying it would wait for memory where products need not.
const DIRECT_NEAR: usize = 192;

/// Rows up to which a right operand that spans so many elements is read where it lies.
fn direct_rows(span: usize) -> usize {
    if span <= NEAR_BLOCK {
        DIRECT_NEAR
    } else {
        DIRECT
    }
}

thread_local!(static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { columns: vec![], rows: vec![], rest: vec![] }) });

/// `out = factor · a · b` on one thread, added to what `start` says.
///
/// # Safety
/// As [`super::Multiply::tile`]; the kernels run on this processor. A packed right operand starts at a whole sliver.
pub(super) unsafe fn tile(
    kernels: &Kernels,
    [m, n, inner]: [usize; 3],
    out: Pointer<*mut f32>,
    a: Pointer<*const f32>,
    b: Right<'_, f32>,
    factor: f32,
    start: Start<f32>,
) {
    let mut scratch = SCRATCH.take();
    let pieces = pieces(inner);
    let near = matches!(b, Right::Strided(b) if is_near(&b)) && is_outer([m, n, inner], &a);
    let most = if matches!(b, Right::Packed(..)) { PACKED_COLS } else { COLS };
    for col in (0..n).step_by(most) {
        let cols = most.min(n - col);
        for piece in 0..pieces {
            let (from, to) = (cut(inner, pieces, piece), cut(inner, pieces, piece + 1));
            let size = [m, cols, to - from];
            // SAFETY: parts of the operands and of the result.
            unsafe {
                let out = Pointer { at: out.at.add(col), ..out };
                let start = match start {
                    _ if piece > 0 => Start::Keep,
                    Start::Row(row) => Start::Row(row.add(col)),
                    other => other,
                };
                if let Right::Strided(b) = b {
                    if b.cols == 1 && m > DIRECT && m <= FEW && (to - from) * b.rows as usize > NEAR_BLOCK {
                        few(kernels, &mut scratch, size, out, a.moved(0, from), b.moved(from, col), factor, start);
                        continue;
                    }
                }
                let columns = match b {
                    Right::Packed(b, first) => {
                        let at = from * b.cols.next_multiple_of(kernels.lanes) + (first + col) * (to - from);
                        debug_assert!(b.inner == inner && first % kernels.width() == 0);
                        Columns { at: b.values.as_ptr().add(at), rows: None }
                    }
                    Right::Strided(b) if b.cols == 1 && (near || m <= direct_rows((to - from) * b.rows as usize)) => {
                        Columns { at: b.moved(from, col).at, rows: Some(b.rows as usize) }
                    }
                    Right::Strided(b) => {
                        let at = room(&mut scratch.columns, (to - from) * cols.next_multiple_of(kernels.lanes));
                        pack(kernels, b.moved(from, col), [to - from, cols], kernels.lanes, at);
                        Columns { at, rows: None }
                    }
                };
                if is_outer([m, cols, inner], &a) {
                    outer(kernels, &mut scratch, size, out, a.moved(0, from), columns, factor, start);
                    continue;
                }
                let (row, inner) = match piece + 1 < pieces {
                    true => (0, to),
                    false if col + cols < n => (0, 0),
                    // What comes after the tile is often the next one.
                    false => (m, 0),
                };
                let after = a.at.wrapping_offset(row as isize * a.rows + inner as isize * a.cols);
                rows(kernels, &mut scratch, size, out, a.moved(0, from), columns, after, factor, start);
            }
        }
    }
    SCRATCH.set(scratch);
}

/// All rows against some columns and one piece of the inner axis. After them, the left operand is read from `after` on.
///
/// # Safety
/// As [`tile`].
#[allow(clippy::too_many_arguments)]
unsafe fn rows(
    kernels: &Kernels,
    scratch: &mut Scratch,
    [m, cols, inner]: [usize; 3],
    out: Pointer<*mut f32>,
    a: Pointer<*const f32>,
    columns: Columns,
    after: *const f32,
    factor: f32,
    start: Start<f32>,
) {
    let whole = cols / kernels.lanes * kernels.lanes;
    let mut rest = std::ptr::null();
    if let (Some(stride), true) = (columns.rows, whole < cols) {
        let to = room(&mut scratch.rest, inner * kernels.lanes);
        rest = to.cast_const();
        // SAFETY: the columns from `whole` on.
        unsafe {
            let b = Pointer::new(columns.at.add(whole), stride, 1);
            to.write_bytes(0, inner * kernels.lanes);
            each(b, 0..inner, 0..cols - whole, to, kernels.lanes);
        }
    }
    let in_place = cols < COPY_ROWS
        || a.cols == 1 && a.rows <= NEAR_ROWS
        || a.rows == 1 && cols < COPY_COLS && inner * a.cols as usize <= NEAR_COLS;
    let copied = if in_place { std::ptr::null_mut() } else { room(&mut scratch.rows, ROWS * LENGTH) };
    for row in (0..m).step_by(ROWS) {
        let rows = ROWS.min(m - row);
        let slivers = rows.div_ceil(kernels.rows);
        for sliver in 0..slivers {
            let (first, last) = (rows * sliver / slivers, rows * (sliver + 1) / slivers);
            let count = last - first;
            let mut ahead = Ahead::default();
            // SAFETY: rows of the operand, in bounds by the caller's promise; the copy has room for each.
            let a = unsafe {
                let near = a.moved(row + first, 0);
                if a.cols == 1 && cols >= COPY_ROWS && m >= ROWS {
                    let next = row + last;
                    let next = if next < m { a.at.wrapping_offset(next as isize * a.rows) } else { after };
                    ahead = Ahead::new(next, a.rows, [count, inner]);
                }
                if in_place {
                    near
                } else if a.rows == 1 {
                    if sliver == 0 {
                        copy_slivers(kernels, near, inner, rows, slivers, copied);
                    }
                    let left = m - row - rows;
                    let (next, wide) = if left > 0 { (a.at.wrapping_add(row + rows), left) } else { (after, m) };
                    let (from, to) = (inner * sliver / slivers, inner * (sliver + 1) / slivers);
                    ahead =
                        Ahead::new(next.wrapping_offset(from as isize * a.cols), a.cols, [to - from, wide.min(ROWS)]);
                    Pointer::new(copied.add(first * inner).cast_const(), 1, count)
                } else {
                    copy_rows_apart(near, [count, inner], copied);
                    Pointer::new(copied.cast_const(), LENGTH, 1)
                }
            };
            let share = ahead.lines().div_ceil(cols.div_ceil(kernels.width()));
            let mut col = 0;
            while col < cols {
                ahead.fetch(share);
                let (vectors, b, b_inner) = match columns.rows {
                    None => {
                        let vectors = (cols - col).div_ceil(kernels.lanes).min(2);
                        // SAFETY: slivers before this one are whole.
                        (vectors, unsafe { columns.at.add(col * inner) }, vectors * kernels.lanes)
                    }
                    Some(_) if col == whole => (1, rest, kernels.lanes),
                    Some(stride) => {
                        let left = (whole - col) / kernels.lanes;
                        let most = if count <= kernels.wide_rows { WIDEST } else { 2 };
                        let vectors = if left >= most { most } else { left.min(2) };
                        // SAFETY: within the columns.
                        (vectors, unsafe { columns.at.add(col) }, stride)
                    }
                };
                let used = (vectors * kernels.lanes).min(cols - col);
                // SAFETY: a block within the tile.
                unsafe {
                    let (out, start) = within(out, start, row + first, col);
                    block(kernels, [count, used, inner], vectors, out, a, (b, b_inner), None, factor, start);
                }
                col += used;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        kind::{
            tests::{fuses, kinds},
            Kind,
        },
        pack::PackedB,
    };
    use super::*;

    /// Small whole numbers over 64: their products and sums are exact, so results must be equal, not close.
    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 61) as f32 / 64.0 - 0.5).collect()
    }

    /// A product by `kernels` with operands in row-major or column-major order, packed before or not, added to `start`.
    fn product(
        kernels: &Kernels,
        [m, n, k]: [usize; 3],
        [turn_a, turn_b, packed]: [bool; 3],
        (a, b, start): (&[f32], &[f32], Option<&[f32]>),
    ) -> Vec<f32> {
        let at = |x: &[f32], rows: usize, cols: usize, turned: bool| {
            if turned {
                Pointer::new(x.as_ptr(), 1, rows)
            } else {
                Pointer::new(x.as_ptr(), cols, 1)
            }
        };
        let (a, b) = (at(a, m, k, turn_a), at(b, k, n, turn_b));
        // Rows of the output are further apart than its columns need; what lies between stays as it is.
        let stride = n + 3;
        let mut out = vec![9f32; m * stride];
        let to = Pointer::new(out.as_mut_ptr(), stride, 1);
        let start = start.map_or(Start::Zero, |row| Start::Row(row.as_ptr()));
        // SAFETY: the sizes are those of the vectors.
        unsafe {
            if packed {
                let b = PackedB::new(kernels, b, [k, n]).expect("memory for a small matrix");
                // Twice, so that a tile starts within the packed columns.
                let first = (n / 2).next_multiple_of(kernels.width()).min(n);
                tile(kernels, [m, first, k], to, a, Right::Packed(&b, 0), 0.5, start);
                if first < n {
                    let to = Pointer { at: to.at.add(first), ..to };
                    let start = match start {
                        Start::Row(row) => Start::Row(row.add(first)),
                        other => other,
                    };
                    tile(kernels, [m, n - first, k], to, a, Right::Packed(&b, first), 0.5, start);
                }
            } else {
                tile(kernels, [m, n, k], to, a, Right::Strided(b), 0.5, start);
            }
        }
        for row in out.chunks(stride) {
            assert_eq!(row[n..], [9.0; 3], "nothing is written beside the result");
        }
        out.chunks(stride).flat_map(|row| row[..n].to_vec()).collect()
    }

    #[test]
    fn every_kernel_and_order_of_operands_gives_the_same_numbers() {
        let sizes = [
            [1, 1, 1],
            [1, 70, 9],
            [2, 129, 33],
            [5, 96, 40],
            [7, 16, 8],
            [12, 32, 256],
            [13, 33, 257],
            [24, 515, 20],
            [25, 31, 300],
            [25, 200, 300],
            [40, 515, 530],
            [48, 97, 700],
            [49, 97, 64],
            [60, 100, 17],
            [97, 200, 530],
            [13, 1100, 40],
            [50, 1060, 1030],
        ];
        // Miri interprets each step, so that the small ones take long enough.
        for [m, n, k] in sizes.into_iter().filter(|s| !cfg!(miri) || s.iter().product::<usize>() < 1000) {
            let (a, b, row) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
            for [turn_a, turn_b] in [[false, false], [false, true], [true, false], [true, true]] {
                let x = |i: usize, l: usize| f64::from(a[if turn_a { l * m + i } else { i * k + l }]);
                let y = |l: usize, j: usize| f64::from(b[if turn_b { j * k + l } else { l * n + j }]);
                let exact: Vec<f32> = (0..m * n)
                    .map(|at| (0..k).map(|l| x(at / n, l) * y(l, at % n)).sum::<f64>() as f32 * 0.5)
                    .collect();
                let shifted: Vec<f32> = exact.iter().enumerate().map(|(at, &v)| v + row[at % n]).collect();
                for kernels in kinds().into_iter().map(Kind::kernels) {
                    for packed in [false, true] {
                        let how = [turn_a, turn_b, packed];
                        assert_eq!(product(kernels, [m, n, k], how, (&a, &b, None)), exact, "{m} {n} {k} {how:?}");
                        assert_eq!(
                            product(kernels, [m, n, k], how, (&a, &b, Some(&row))),
                            shifted,
                            "{m} {n} {k} {how:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_row_has_the_same_bits_alone_and_among_others_by_all_kinds_of_kernels() {
        let root = |x: f32| x.abs().sqrt() - 0.4;
        let numbers = |n, seed| numbers(n, seed).into_iter().map(root).collect::<Vec<f32>>();
        let [n, k] = if cfg!(miri) { [40, 20] } else { [150, 600] };
        let (a, b) = (numbers(50 * k, 1), numbers(k * n, 2));
        let bits = |kernels: &Kernels, m: usize, a: &[f32]| -> Vec<u32> {
            product(kernels, [m, n, k], [false; 3], (a, &b, None)).into_iter().map(f32::to_bits).collect()
        };
        // Kinds that round between multiplying and adding have bits of their own.
        for fused in [true, false] {
            let kinds: Vec<_> = kinds().into_iter().filter(|&kind| fuses(kind) == fused).collect();
            let Some(first) = kinds.first() else { continue };
            let alone: Vec<u32> = a.chunks(k).flat_map(|row| bits(first.kernels(), 1, row)).collect();
            for m in [2, 12, 13, 24, 25, 36, 37, 48, 49, 50] {
                for kind in &kinds {
                    assert!(bits(kind.kernels(), m, &a[..m * k]) == alone[..m * n], "{m} rows, {kind:?}");
                }
            }
        }
    }
}
