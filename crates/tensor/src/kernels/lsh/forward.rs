//! Chunked attention forward: rounds are merged as they come, weighed by what their rows sum to.
use super::{
    ask,
    block::{sums, Block},
    log_sum, Problem, Ring, ROWS,
};
use crate::{
    kernels::{
        attention::{Place, Scalar},
        gemm::Out,
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
    let of = |n| Vec::<T>::with_capacity(items * p.length * n);
    let (mut out, mut top, mut total) = (of(p.value_depth), of(1), of(1));
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
    }
    // SAFETY: the first round wrote every position, and `place` covers the result.
    unsafe {
        out.set_len(items * p.length * p.value_depth);
        top.set_len(items * p.length);
        total.set_len(items * p.length);
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
    unsafe fn row(&self, p: &Problem<'_, T>, item: usize, at: usize) -> (&mut [T], &mut T, &mut T) {
        let i = item * p.length + at;
        // SAFETY: as the caller vouches; `place` sends different rows to different elements.
        unsafe {
            let out = self.out.part(self.place.offset(&p.batch, item, at), p.value_depth);
            (out, &mut self.top.part(i, 1)[0], &mut self.total.part(i, 1)[0])
        }
    }
    /// Adds what a round found for a position: its result, to be multiplied by `share`, and its log-sum-exp.
    ///
    /// # Safety
    /// As [`Self::row`].
    unsafe fn merge(&self, p: &Problem<'_, T>, (item, at, round): (usize, usize, usize), from: &[T], share: T, log: T) {
        // SAFETY: as the caller vouches.
        let (to, top, total) = unsafe { self.row(p, item, at) };
        let (mut old, mut new) = (T::default(), share);
        if round == 0 {
            (*top, *total) = (log, T::ONE);
        } else {
            let most = if log > *top { log } else { *top };
            let weight = (log - most).power();
            old = (*top - most).power();
            new *= weight;
            (*top, *total) = (most, *total * old + weight);
        }
        if p.rounds > 1 && round + 1 == p.rounds {
            let all = (*top - log_sum(*top, *total)).power();
            old *= all;
            new *= all;
        }
        weighed(to, old, from, new);
    }
}

fn walk_over<T: Scalar>(p: &Problem<'_, T>, shared: &Shared<'_, T>, item: usize, chunks: std::ops::Range<usize>) {
    let (cols, [_, v_row, _]) = (p.cols(), p.strides());
    let (mut ring, mut block) = (Ring::new(p, item, chunks.start, false), Block::new(p));
    let mut attended = vec![T::default(); ROWS.min(p.chunk) * v_row];
    for chunk in chunks.clone() {
        if chunk > chunks.start {
            ring.advance(p, item, chunk);
        }
        let size = p.size(chunk);
        for row in (0..size).step_by(ROWS) {
            let rows = ROWS.min(size - row);
            let positions = &ring.at(p.before).positions[row..row + rows];
            if p.order.is_some() {
                for &at in positions {
                    // SAFETY: rows of this task, as below.
                    ask(unsafe { shared.row(p, item, at as usize) }.0);
                }
            }
            block.look(p, &ring, row, rows);
            block.draw(p, row, rows);
            for step in 0..block.sight.steps() {
                block.products(p, &ring, row, step);
                block.exponentials(p, &ring, step);
                if p.dropout.is_some() {
                    let part = block.sight.rows(step);
                    let part = part.start * cols..part.end * cols;
                    multiply_by(&mut block.strengths[part.clone()], &block.factors[part]);
                }
                sums(&mut attended, p, &block.sight, step, &block.strengths, v_row, |place| &ring.at(place).v);
            }
            let first_slot = chunk * p.chunk + row;
            for (i, &at) in positions.iter().enumerate() {
                let from = &attended[i * v_row..][..p.value_depth];
                let log = log_sum(block.top[i], block.total[i]);
                let share = (block.top[i] - log).power();
                // SAFETY: positions lie within the problem. Tasks of a round have different positions, and where chunks
                // reach over rounds one task has all of a matrix.
                unsafe { shared.merge(p, (item, at as usize, (first_slot + i) / p.length), from, share, log) };
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

simd! {
/// Element-wise product into the first.
fn multiply_by<T: Scalar>(x: &mut [T], factors: &[T]) {
    for (x, &f) in x.iter_mut().zip(factors) {
        *x *= f;
    }
}
}
