//! Chunked attention forward: rounds are merged as they come, weighed by what their rows sum to.
use super::{log_sum, multiply_by, Block, Problem, Ring, ROWS};
use crate::{
    kernels::{
        attention::{Place, Scalar},
        gemm::{multiply, Mat, Out},
        real::simd,
    },
    threads,
};

/// The result, and what backward needs beside the operands.
pub(crate) struct Forward<T> {
    pub out: Vec<T>,
    /// The largest log-sum-exp that a round has at each position.
    pub top: Vec<T>,
    /// The sum over rounds of exp(log-sum-exp − top) at each position.
    pub total: Vec<T>,
}

/// Attention, its result laid out as `place` says.
pub(crate) fn forward<T: Scalar>(p: &Problem<'_, T>, place: &Place) -> Forward<T> {
    let items = p.items();
    let mut out = vec![T::default(); items * p.length * p.value_depth];
    let mut top = vec![T::LOWEST; items * p.length];
    let mut total = vec![T::default(); items * p.length];
    let schedule = p.schedule();
    let work = (items * p.length).saturating_mul(p.window() * p.chunk);
    {
        let shared = Shared { out: Out::new(&mut out), top: Out::new(&mut top), total: Out::new(&mut total), place };
        for round in 0..schedule.rounds {
            threads::for_each_index(items * schedule.walks(), work, |task| {
                let (item, walk) = (task / schedule.walks(), task % schedule.walks());
                walk_over(p, &shared, item, schedule.range(round, walk));
            });
        }
        if p.rounds > 1 {
            let blocks = p.length.div_ceil(ROWS);
            threads::for_each_index(items * blocks, items * p.length * p.value_depth, |task| {
                let (item, row) = (task / blocks, task % blocks * ROWS);
                for at in row..(row + ROWS).min(p.length) {
                    // SAFETY: each task has its own rows.
                    let (row, [top], [total]) = (unsafe { shared.row(p, item, at) }) else { continue };
                    let factor = (*top - log_sum(*top, *total)).power();
                    row.iter_mut().for_each(|x| *x *= factor);
                }
            });
        }
    }
    Forward { out, top, total }
}

/// Outputs of all tasks.
struct Shared<'a, T> {
    out: Out<T>,
    top: Out<T>,
    total: Out<T>,
    place: &'a Place,
}

impl<T: Scalar> Shared<'_, T> {
    /// Result, top and total of one position.
    ///
    /// # Safety
    /// The position lies within the problem, and nobody else uses it meanwhile.
    #[allow(clippy::mut_from_ref)]
    unsafe fn row(&self, p: &Problem<'_, T>, item: usize, at: usize) -> (&mut [T], &mut [T], &mut [T]) {
        let i = item * p.length + at;
        // SAFETY: as the caller vouches; `place` sends different rows to different elements.
        unsafe {
            (
                self.out.part(self.place.offset(&p.batch, item, at), p.value_depth),
                self.top.part(i, 1),
                self.total.part(i, 1),
            )
        }
    }
}

fn walk_over<T: Scalar>(p: &Problem<'_, T>, shared: &Shared<'_, T>, item: usize, chunks: std::ops::Range<usize>) {
    let cols = p.window() * p.chunk;
    let (mut ring, mut block) = (Ring::new(p, item, chunks.start, false), Block::new(p));
    let mut sums = vec![T::default(); ROWS.min(p.chunk) * p.value_depth];
    for chunk in chunks.clone() {
        if chunk > chunks.start {
            ring.advance(p, item, chunk);
        }
        let size = p.size(chunk);
        for row in (0..size).step_by(ROWS) {
            let rows = ROWS.min(size - row);
            let positions = &ring.at(p.before).positions[row..row + rows];
            block.attend(p, &ring, row, rows);
            if p.dropout.is_some() {
                block.draw(p, row, rows);
                multiply_by(&mut block.strengths[..rows * cols], &block.factors[..rows * cols]);
            }
            for place in 0..p.window() {
                let keys = ring.at(place);
                if keys.len() > 0 {
                    let from = &block.strengths[place * p.chunk..];
                    let strengths = Mat::new(from, [rows, keys.len()], [cols, 1]);
                    let v = Mat::dense(&keys.v, keys.len(), p.value_depth);
                    multiply(&mut sums, p.value_depth, strengths, v, T::ONE, place > 0);
                }
            }
            let first_slot = chunk * p.chunk + row;
            for (i, &at) in positions.iter().enumerate() {
                // SAFETY: positions lie within the problem. Tasks of a round have different positions, and where chunks
                // reach over rounds one task has all of a matrix.
                let (to, [top], [total]) = (unsafe { shared.row(p, item, at as usize) }) else { continue };
                let from = &sums[i * p.value_depth..(i + 1) * p.value_depth];
                let log = log_sum(block.top[i], block.total[i]);
                let share = (block.top[i] - log).power();
                if (first_slot + i) / p.length == 0 {
                    (*top, *total) = (log, T::ONE);
                    weighed(to, T::default(), from, share);
                } else {
                    let new = if log > *top { log } else { *top };
                    let (old_weight, weight) = ((*top - new).power(), (log - new).power());
                    (*top, *total) = (new, *total * old_weight + weight);
                    weighed(to, old_weight, from, share * weight);
                }
            }
        }
    }
}

simd! {
/// `to · a + from · b` into `to`; `to` is not read if `a` is zero.
fn weighed<T: Scalar>(to: &mut [T], a: T, from: &[T], b: T) {
    if a == T::default() {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from * b;
        }
        return;
    }
    for (to, &from) in to.iter_mut().zip(from) {
        *to = *to * a + from * b;
    }
}
}
