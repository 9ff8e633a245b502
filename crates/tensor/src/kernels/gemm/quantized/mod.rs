//! Products by weights that are held in fewer bits than float32, which they become where they are multiplied.
//!
//! Weights lie in slivers of columns, so that a product of few rows reads them once, from the first to the last. Many rows are multiplied by
//! the kernels for float32, sliver by sliver widened first. Both compute each element by the same sums in the same order.
mod micro;
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::{
    element::{Multiply, Pointer, Right, Start},
    kind, micro as single,
    out::Out,
    pack::PackedB,
    pieces::{cut, pieces},
};
use crate::{element_count, memory, threads, Result};
pub(crate) use micro::Kernels;
use micro::{Block, PAD, ROWS, SLIVER};
pub(crate) use narrow::Narrow;
use std::ops::Range;

/// Rows up to which weights are widened as they are read.
const FEW: usize = 64;
/// Elements of weights that are widened together: they stay in the second-level cache.
const PANEL: usize = 1 << 17;
/// What is worth handing to another thread: so many weights, each read and multiplied for a row.
const PIECE: usize = 1 << 16;
/// At most so many pieces: enough to balance.
const PIECES: usize = 16;
/// To read and widen a weight takes as long as to multiply it for so many rows.
const READING: usize = 3;

/// A matrix in slivers of columns, each with its rows one after the other.
#[derive(Debug)]
pub(crate) struct Slivers<T> {
    values: Vec<T>,
    inner: usize,
    cols: usize,
}

impl<T: Narrow> Slivers<T> {
    /// The matrix with `at(l, j)` in row `l` and column `j`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new([inner, cols]: [usize; 2], at: impl Fn(usize, usize) -> T + Sync) -> Result<Self> {
        let mut values: Vec<T> = memory::zeros(&[inner, cols.next_multiple_of(PAD)])?;
        threads::for_chunks(&mut values, inner * SLIVER, |start, part| {
            let (first, width) = (start / inner, part.len() / inner);
            for (l, row) in part.chunks_exact_mut(width).enumerate() {
                for (to, j) in row.iter_mut().zip(first..cols) {
                    *to = at(l, j);
                }
            }
        })?;
        Ok(Self { values, inner, cols })
    }
    /// The element in row `l` and column `j`.
    pub(crate) fn get(&self, l: usize, j: usize) -> T {
        let (first, width) = self.sliver(j / SLIVER);
        self.values[first * self.inner + l * width + j - first]
    }
    /// The first column of a sliver, and its columns with those that pad it.
    fn sliver(&self, s: usize) -> (usize, usize) {
        (s * SLIVER, SLIVER.min(self.cols - s * SLIVER).next_multiple_of(PAD))
    }
    /// Bytes of its elements.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len() * size_of::<T>()
    }
}

/// The kernels for float32, and those for weights held in another way.
struct Both<T: 'static> {
    single: &'static single::Kernels,
    own: &'static Kernels<T>,
}

/// `y = (x · w) · scales + bias`, or `y = x · w + bias` without scales: `x [rows, inner]`, one scale and one bias for each column.
pub(crate) struct Product<'a, T> {
    pub x: &'a [f32],
    pub rows: usize,
    pub weights: &'a Slivers<T>,
    pub scales: Option<&'a [f32]>,
    pub bias: Option<&'a [f32]>,
}

impl<T: Narrow> Product<'_, T> {
    /// The product `[rows, cols]`.
    ///
    /// # Errors
    /// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
    pub(crate) fn run(&self) -> Result<Vec<f32>> {
        let &Slivers { inner, cols, .. } = self.weights;
        let shape = [self.rows, cols];
        let len = element_count(&shape)?;
        assert!(self.rows * inner <= self.x.len(), "a left operand lies within its slice");
        assert!(
            [self.scales, self.bias].into_iter().flatten().all(|row| row.len() == cols),
            "one value for each column"
        );
        let mut out: Vec<f32> = memory::room(&shape)?;
        if len > 0 {
            let to = Out::new(&mut out);
            let (single, own) = (kind::kernels(), T::kernels());
            if self.rows > FEW && inner > 0 {
                self.many(&Both { single, own }, &to)?;
            } else {
                self.few(own, &to)?;
            }
        }
        // SAFETY: each sliver of columns was written, in all rows.
        unsafe { out.set_len(len) };
        Ok(out)
    }

    /// Sliver by sliver, all rows for each.
    fn few(&self, kernels: &Kernels<T>, out: &Out<f32>) -> Result<()> {
        let slivers = self.weights.cols.div_ceil(SLIVER);
        let cost = self.weights.values.len().saturating_mul(self.rows + READING) / (1 + READING);
        let tasks = (cost / PIECE).clamp(1, PIECES.min(slivers));
        threads::for_each_index(tasks, if tasks > 1 { usize::MAX } else { 0 }, |task| {
            for s in slivers * task / tasks..slivers * (task + 1) / tasks {
                threads::check()?;
                // SAFETY: slivers are of different columns, and `out` has room for all.
                unsafe { self.sliver(kernels, s, out) };
            }
            Ok(())
        })
    }

    /// The columns of one sliver, some rows at a time.
    ///
    /// # Safety
    /// `out` has room for the result, nobody else writes these columns, and `kernels` are those of this processor.
    unsafe fn sliver(&self, kernels: &Kernels<T>, s: usize, out: &Out<f32>) {
        let w = self.weights;
        let (first, width) = w.sliver(s);
        let used = width.min(w.cols - first);
        let (blocks, pieces) = (self.rows.div_ceil(kernels.rows), pieces(w.inner));
        let begins = if self.scales.is_none() { self.bias } else { None };
        let mut tile = [0f32; ROWS * SLIVER];
        for block in 0..blocks {
            let (row, end) = (self.rows * block / blocks, self.rows * (block + 1) / blocks);
            if let Some(bias) = begins {
                tile.chunks_exact_mut(SLIVER)
                    .take(end - row)
                    .for_each(|t| t[..used].copy_from_slice(&bias[first..first + used]));
            }
            for piece in 0..pieces {
                let (from, to) = (cut(w.inner, pieces, piece), cut(w.inner, pieces, piece + 1));
                let mut part = Block {
                    inner: to - from,
                    // Where there is nothing, there is nothing to point at.
                    a: self.x.as_ptr().wrapping_add(row * w.inner + from),
                    a_rows: w.inner,
                    b: w.values.as_ptr().wrapping_add(first * w.inner + from * width),
                    b_inner: width,
                    out: tile.as_mut_ptr(),
                    add: piece > 0 || begins.is_some(),
                };
                let mut left = width / kernels.lanes;
                while left > 0 {
                    let (vectors, kernel) = kernels.get(end - row, left);
                    // SAFETY: rows of `x` and columns of the sliver, and a tile that has room for them; `kernels` are those of this processor.
                    unsafe { kernel(&part) };
                    (part.b, part.out) =
                        (part.b.wrapping_add(vectors * kernels.lanes), part.out.wrapping_add(vectors * kernels.lanes));
                    left -= vectors;
                }
            }
            for (row, tile) in (row..end).zip(tile.chunks_exact(SLIVER)) {
                // SAFETY: columns of a row of the result; only written here.
                let to = unsafe { out.0.add(row * w.cols + first) };
                for (j, &sum) in tile[..used].iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { to.add(j).write(self.finished(sum, first + j)) };
                }
            }
        }
    }

    /// An element of the result: its sum, scaled, and the bias added unless the sum began with it.
    #[inline(always)]
    fn finished(&self, sum: f32, col: usize) -> f32 {
        match (self.scales, self.bias) {
            (None, _) => sum,
            (Some(scales), None) => sum * scales[col],
            (Some(scales), Some(bias)) => sum * scales[col] + bias[col],
        }
    }

    /// By the kernels for float32: some columns are widened at a time.
    fn many(&self, kernels: &Both<T>, out: &Out<f32>) -> Result<()> {
        let w = self.weights;
        let wide = (PANEL / w.inner).max(SLIVER) / SLIVER;
        let slivers = w.cols.div_ceil(SLIVER);
        let panels = slivers.div_ceil(wide).max(slivers.min(PIECES));
        // Few columns and many rows: the rows are cut, too, and each part widens the columns for itself.
        let parts = (PIECES / panels).min(self.rows / (2 * FEW)).max(self.rows * w.inner / (1 << 24)).max(1);
        let tasks = panels * parts;
        threads::for_each_index(tasks, if tasks > 1 { usize::MAX } else { 0 }, |i| {
            let (panel, part) = (i / parts, i % parts);
            let (from, to) = (slivers * panel / panels, slivers * (panel + 1) / panels);
            let rows = self.rows * part / parts..self.rows * (part + 1) / parts;
            threads::check()?;
            // SAFETY: each call writes columns and rows of its own.
            unsafe { self.panel(kernels, from..to, rows, out) }
        })
    }

    /// Some rows of the columns of some slivers.
    ///
    /// # Safety
    /// `out` has room for the result, nobody else writes these elements, and `kernels` are those of this processor.
    unsafe fn panel(&self, kernels: &Both<T>, slivers: Range<usize>, rows: Range<usize>, out: &Out<f32>) -> Result<()> {
        let w = self.weights;
        let first = slivers.start * SLIVER;
        let cols = w.cols.min(slivers.end * SLIVER) - first;
        let packed = self.widened(kernels, slivers, cols)?;
        let start = match (self.scales, self.bias) {
            (None, Some(bias)) => Start::Row(bias[first..].as_ptr()),
            _ => Start::Zero,
        };
        // SAFETY: the rows lie within `x`, the panel holds `cols` columns, and the result has room for both.
        unsafe {
            let to = Pointer::new(out.0.add(rows.start * w.cols + first), w.cols, 1);
            let x = Pointer::new(self.x[rows.start * w.inner..].as_ptr(), w.inner, 1);
            f32::tile([rows.len(), cols, w.inner], to, x, Right::Packed(&packed, 0), 1.0, start);
            if self.scales.is_some() {
                for row in rows {
                    let to = out.part(row * w.cols + first, cols);
                    for (y, col) in to.iter_mut().zip(first..) {
                        *y = self.finished(*y, col);
                    }
                }
            }
        }
        Ok(())
    }

    /// The columns of some slivers as the kernels for float32 read them.
    fn widened(&self, kernels: &Both<T>, slivers: Range<usize>, cols: usize) -> Result<PackedB> {
        let (&Both { single, own }, w) = (kernels, self.weights);
        let padded = cols.next_multiple_of(single.lanes);
        let mut values: Vec<f32> = memory::room(&[w.inner, padded])?;
        let pieces = pieces(w.inner);
        for piece in 0..pieces {
            let (from, to) = (cut(w.inner, pieces, piece), cut(w.inner, pieces, piece + 1));
            for s in slivers.clone() {
                let (first, width) = w.sliver(s);
                let before = first - slivers.start * SLIVER;
                let end = width.min(padded - before);
                for col in (0..end).step_by(single.width()) {
                    let part = single.width().min(end - col);
                    let source = &w.values[first * w.inner + from * width + col..];
                    assert!((to - from - 1) * width + part <= source.len(), "a piece of a sliver lies within it");
                    // SAFETY: checked above; pieces, and slivers within them, lie one after the other in the room.
                    unsafe {
                        let to_values = values.as_mut_ptr().add(from * padded + (before + col) * (to - from));
                        (own.widen)(source.as_ptr(), width, to_values, [part, to - from]);
                    }
                }
            }
        }
        // SAFETY: all of it was written.
        unsafe { values.set_len(w.inner * padded) };
        Ok(PackedB { values, inner: w.inner, cols })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::kind::tests::{fuses, on_each_kind},
        *,
    };
    use half::bf16;

    /// A product in the order of sums that is promised: by pieces of the inner axis, each one chain of multiply-adds.
    fn expected(p: &Product<'_, impl Narrow>) -> Vec<f32> {
        let multiply_add = |x: f32, y: f32, sum: f32| {
            if fuses(kind::Kind::here()) {
                x.mul_add(y, sum)
            } else {
                x * y + sum
            }
        };
        let w = p.weights;
        let n = pieces(w.inner);
        let mut out = Vec::new();
        for (i, j) in (0..p.rows * w.cols).map(|at| (at / w.cols, at % w.cols)) {
            let mut sum = if p.scales.is_none() { p.bias.map_or(0.0, |b| b[j]) } else { 0.0 };
            for piece in 0..n {
                let inner = cut(w.inner, n, piece)..cut(w.inner, n, piece + 1);
                sum += inner.fold(0.0, |s: f32, l| multiply_add(p.x[i * w.inner + l], w.get(l, j).widen(), s));
            }
            out.push(p.finished(sum, j));
        }
        out
    }

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 6101) as f32 / 3001.0 - 1.0).collect()
    }

    fn holds<T: Narrow>(narrow: fn(f32) -> T) {
        let sizes = [
            [1, 64, 16],
            [1, 5, 70],
            [3, 600, 130],
            [7, 33, 64],
            [13, 8, 17],
            [64, 9, 80],
            [70, 40, 40],
            [131, 520, 48],
            [2, 0, 3],
        ];
        for [rows, inner, cols] in sizes.into_iter().filter(|s| !cfg!(miri) || s.iter().product::<usize>() < 8000) {
            let (x, w, bias) = (numbers(rows * inner, 1), numbers(inner * cols, 2), numbers(cols, 3));
            let scales = numbers(cols, 4);
            let weights =
                Slivers::new([inner, cols], |l, j| narrow(w[l * cols + j])).expect("memory for a small matrix");
            for (scales, bias) in
                [(None, None), (None, Some(&bias[..])), (Some(&scales[..]), None), (Some(&scales[..]), Some(&bias[..]))]
            {
                let product = Product { x: &x, rows, weights: &weights, scales, bias };
                let got = product.run().expect("memory for a small product");
                assert_eq!(got, expected(&product), "{rows} {inner} {cols} {} {}", scales.is_some(), bias.is_some());
            }
        }
    }

    #[test]
    fn each_element_is_the_same_sums_in_any_number_of_rows() {
        holds(|v| (v * 127.0) as i8);
        holds(bf16::from_f32);
    }

    #[test]
    fn and_on_each_kind_of_processor() {
        on_each_kind(|_| {
            holds(|v| (v * 127.0) as i8);
            holds(bf16::from_f32);
        });
    }
}
