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
use crate::threads;
use smallvec::SmallVec;

/// Most rows of a batch that a task takes: enough for the product's inner loops, few enough for several threads.
const ROWS: usize = 8;

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
    fn for_rows(&self, f: impl Fn(usize, usize) + Sync) {
        let rows = self.batch.div_ceil(2).clamp(1, ROWS);
        let work = self.rows() * self.units * self.units.max(8);
        threads::for_each_index(self.batch.div_ceil(rows), work, |i| f(i * rows, rows.min(self.batch - i * rows)));
    }
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
pub(crate) fn project<T: Multiply>(x: &[T], w: &[T], bias: &[T], [rows, inner]: [usize; 2]) -> Vec<T> {
    let cols = bias.len();
    run(x, [inner, 1], w, [cols, 1], [rows, cols, inner], Some(bias))
}

/// `dy · wᵀ` for rows of `dy`, where `w` is `[inner, cols]`.
pub(crate) fn project_back<T: Multiply>(dy: &[T], w: &[T], [rows, inner, cols]: [usize; 3]) -> Vec<T> {
    run(dy, [cols, 1], w, [1, cols], [rows, inner, cols], None)
}

/// `xᵀ · dy`: the gradient of weights, over all rows.
pub(crate) fn weight_gradient<T: Multiply>(x: &[T], dy: &[T], [rows, inner, cols]: [usize; 3]) -> Vec<T> {
    run(x, [1, inner], dy, [cols, 1], [inner, cols, rows], None)
}

fn run<T: Multiply>(
    a: &[T],
    a_strides: [usize; 2],
    b: &[T],
    b_strides: [usize; 2],
    size: [usize; 3],
    bias: Option<&[T]>,
) -> Vec<T> {
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
    fn new(w: &'a [T], [rows, cols]: [usize; 2], transpose: bool, steps: usize) -> Self {
        let matrix = Mat::dense(w, rows, cols);
        let (matrix, inner, cols) = if transpose { (matrix.t(), cols, rows) } else { (matrix, rows, cols) };
        Self { matrix: if steps < 2 { Ready::once(matrix) } else { Ready::new(matrix) }, inner, cols }
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
