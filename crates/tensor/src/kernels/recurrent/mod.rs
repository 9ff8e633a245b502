//! Recurrences over whole sequences, time first: `[steps, batch, …]`.
//!
//! What does not depend on the step before (inputs times weights, the gradients of weights) is one product over all steps,
//! made by the callers. Here is what does: a product of a few rows with the recurrent weights, packed once, and the gates. Rows
//! of a batch do not depend on each other, so a task takes some of them through all steps and threads never wait for one another.
pub(crate) mod gru;
pub(crate) mod lstm;
pub(crate) mod sru;

use super::{
    gemm::{multiply_ready, Batched, Mat, Multiply, Out, Ready},
    real::Float,
    vecmath::Real,
};
use crate::{memory, threads, threads::Piece, Result};
use smallvec::SmallVec;

/// Most rows of a batch that a task takes: enough for the product's inner loops, few enough for several threads.
const ROWS: usize = 8;

/// Elements of a cotangent that are packed at a time: they stay in the last cache while the rows of the weights pass over them.
const SLAB: usize = 1 << 20;

/// Floats that recurrences are computed in.
pub(crate) trait Wide: Real + Multiply + Float<Wide = Self> {}
impl Wide for f32 {}
impl Wide for f64 {}

/// Sizes of a sequence.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub steps: usize,
    pub batch: usize,
    /// Size of an input.
    pub depth: usize,
    /// Size of the hidden state.
    pub units: usize,
}

impl Extent {
    /// Rows of all steps.
    pub(crate) fn rows(&self) -> usize {
        self.steps * self.batch
    }
    /// Runs `f(first row, rows)` for parts of the batch, cut by its size alone.
    fn for_rows<P: Piece>(&self, f: impl Fn(usize, usize) -> P + Sync) -> Result<()> {
        let rows = self.batch.div_ceil(2).clamp(1, ROWS);
        let work = self.rows() * self.units * self.units.max(8);
        threads::for_each_index(self.batch.div_ceil(rows), work, |i| f(i * rows, rows.min(self.batch - i * rows)))
    }
}

/// Vectors of these lengths that `fill` writes. They are not zeroed first, which would cost a pass over memory.
///
/// # Errors
/// `OutOfMemory`, and those of `fill`.
///
/// # Safety
/// Unless it fails, `fill` must write every element of each.
unsafe fn written<T, const N: usize>(
    lengths: [usize; N],
    fill: impl FnOnce(&[Out<T>; N]) -> Result<()>,
) -> Result<[Vec<T>; N]> {
    let mut all = [const { Vec::new() }; N];
    for (vector, length) in all.iter_mut().zip(lengths) {
        *vector = memory::room(length)?;
    }
    fill(&all.each_mut().map(Out::new))?;
    for (vector, length) in all.iter_mut().zip(lengths) {
        // SAFETY: there is room for as many, and the caller vouches that `fill` wrote them. Tested in `tests/recurrent.rs`.
        unsafe { vector.set_len(length) };
    }
    Ok(all)
}

/// Some rows of one step in a buffer `[steps, batch, width]`.
///
/// # Safety
/// They lie in the vector, which outlives the use, and nobody else uses them meanwhile.
#[allow(clippy::mut_from_ref)]
unsafe fn rows_of<'a, T>(
    buffer: &'a Out<T>,
    e: &Extent,
    step: usize,
    (first, rows): (usize, usize),
    width: usize,
) -> &'a mut [T] {
    // SAFETY: as above.
    unsafe { buffer.part((step * e.batch + first) * width, rows * width) }
}

/// `x · w + bias` for rows of `x`.
pub(crate) fn project<T: Multiply>(x: &[T], w: &[T], bias: &[T], [rows, inner]: [usize; 2]) -> Result<Vec<T>> {
    let cols = bias.len();
    run(x, [inner, 1], w, [cols, 1], [rows, cols, inner], Some(bias))
}

/// `dy · wᵀ` for rows of `dy`, where `w` is `[inner, cols]`.
pub(crate) fn project_back<T: Multiply>(dy: &[T], w: &[T], [rows, inner, cols]: [usize; 3]) -> Result<Vec<T>> {
    run(dy, [cols, 1], w, [1, cols], [rows, inner, cols], None)
}

/// `[x, h]ᵀ · dy`, the gradient of weights over all `rows`, where `x` and `h` are given with how wide they are.
///
/// Both products read `dy` in the same order, so it is packed once for them, some rows at a time.
fn weight_gradient<T: Multiply>(inputs: [(&[T], usize); 2], dy: &[T], [rows, cols]: [usize; 2]) -> Result<Vec<T>> {
    let inner = inputs[0].1 + inputs[1].1;
    let mut dw: Vec<T> = memory::zeros(inner * cols)?;
    if dw.is_empty() {
        return Ok(dw);
    }
    // Enough pieces for several threads, each of whole blocks of the product's inner loops.
    let block = inner.div_ceil(12).next_multiple_of(12).min(48);
    let slab = (SLAB / cols).next_multiple_of(256);
    for from in (0..rows).step_by(slab) {
        let count = slab.min(rows - from);
        let dy = Ready::new(Mat::dense(&dy[from * cols..], count, cols))?;
        let mut below = &mut dw[..];
        for (input, width) in inputs {
            let part;
            (part, below) = below.split_at_mut(width * cols);
            let input = &input[from * width..];
            let work = count * part.len();
            threads::for_chunks_of(part, block * cols, work, |start, out| {
                let a = Mat::new(&input[start / cols..], [out.len() / cols, count], [1, width]);
                multiply_ready(out, cols, a, &dy, T::ONE, from > 0);
            })?;
        }
    }
    Ok(dw)
}

fn run<T: Multiply>(
    a: &[T],
    a_strides: [usize; 2],
    b: &[T],
    b_strides: [usize; 2],
    size: [usize; 3],
    bias: Option<&[T]>,
) -> Result<Vec<T>> {
    Batched { a, b, size, a_strides, b_strides, batch: SmallVec::new(), summed: SmallVec::new(), bias }.run()
}

/// The weights that rows of `inner` values are multiplied with at each step.
struct Recurrent<'a, T: Multiply> {
    matrix: Ready<'a, T>,
    inner: usize,
    cols: usize,
}

impl<'a, T: Multiply> Recurrent<'a, T> {
    /// The matrix `w`, row-major with `cols` columns, or its transpose; packed, unless it is used for one step alone.
    fn new(w: &'a [T], [rows, cols]: [usize; 2], transpose: bool, steps: usize) -> Result<Self> {
        let matrix = Mat::dense(w, rows, cols);
        let (matrix, inner, cols) = if transpose { (matrix.t(), cols, rows) } else { (matrix, rows, cols) };
        Ok(Self { matrix: if steps < 2 { Ready::once(matrix) } else { Ready::new(matrix)? }, inner, cols })
    }
    /// `out = a · matrix`, or added to what stands there; rows of both without gaps.
    fn product(&self, out: &mut [T], a: &[T], add: bool) {
        let rows = a.len() / self.inner.max(1);
        multiply_ready(out, self.cols, Mat::dense(a, rows, self.inner), &self.matrix, T::ONE, add);
    }
}

/// The parts of a row that lie one after another, `n` elements each.
#[inline(always)]
fn parts<T, const K: usize>(row: &[T], n: usize) -> [&[T]; K] {
    std::array::from_fn(|i| &row[i * n..(i + 1) * n])
}

/// [`parts`] to be written.
#[inline(always)]
fn parts_mut<T, const K: usize>(mut row: &mut [T], n: usize) -> [&mut [T]; K] {
    std::array::from_fn(|_| {
        let part;
        (part, row) = std::mem::take(&mut row).split_at_mut(n);
        part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers: their products and sums are exact, so results must be equal, not close.
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 13) as f64 - 6.0).collect()
    }

    #[test]
    fn gradients_of_weights_are_those_of_both_inputs_over_all_rows() {
        // One piece of rows, several of them, several blocks of weights, nothing at all.
        let sizes =
            [([7, 5], [3, 2]), ([600, 4096], [5, 1]), ([40, 12], [70, 101]), ([3, 4], [0, 2]), ([0, 4], [2, 2])];
        // Miri interprets each step, so that the small ones take long enough.
        let small = |[rows, cols]: [usize; 2]| rows * cols < 100;
        for ([rows, cols], widths) in sizes.into_iter().filter(|&(of, _)| !cfg!(miri) || small(of)) {
            let inputs = widths.map(|w| numbers(rows * w, w));
            let dy = numbers(rows * cols, 9);
            let mut exact = Vec::new();
            for (x, w) in inputs.iter().zip(widths) {
                for i in 0..w {
                    exact.extend((0..cols).map(|j| (0..rows).map(|r| x[r * w + i] * dy[r * cols + j]).sum::<f64>()));
                }
            }
            let of = [(&inputs[0][..], widths[0]), (&inputs[1][..], widths[1])];
            let found = weight_gradient(of, &dy, [rows, cols]).expect("memory for small gradients");
            assert_eq!(found, exact, "{rows} {cols} {widths:?}");
            let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let (x, h) = (narrow(&inputs[0]), narrow(&inputs[1]));
            let found = weight_gradient([(&x, widths[0]), (&h, widths[1])], &narrow(&dy), [rows, cols]);
            let found = found.expect("memory for small gradients");
            assert_eq!(found, narrow(&exact), "{rows} {cols} {widths:?}, f32");
        }
    }
}
