//! Chunked attention forward: rounds are merged as they come, weighed by what their rows sum to.
use super::{
    ask,
    block::{sums, Block},
    merge::Merge,
    Problem, Ring, ROWS,
};
use crate::{
    kernels::{
        attention::{Place, Scalar},
        gemm::Out,
        real::simd,
    },
    memory, threads, Result,
};
use std::ops::Range;

/// The result, and what backward needs beside the operands.
pub(crate) struct Forward<T> {
    pub out: Vec<T>,
    /// The largest product of each position over all rounds.
    pub top: Vec<T>,
    /// The sum over all rounds of exp(product − top) of each position.
    pub total: Vec<T>,
}

/// Attention, its result laid out as `place` says.
pub(crate) fn forward<T: Scalar>(p: &Problem<'_, T>, place: &Place) -> Result<Forward<T>> {
    let items = p.items();
    let of = |n| memory::room::<T>(&[items, p.length, n]);
    let (mut out, mut top, mut total) = (of(p.value_depth)?, of(1)?, of(1)?);
    let schedule = p.schedule();
    let work = (items * p.length).saturating_mul(p.window() * p.chunk);
    {
        let shared = Shared { out: Out::new(&mut out), top: Out::new(&mut top), total: Out::new(&mut total), place };
        for round in 0..schedule.rounds {
            threads::for_each_index(items * schedule.walks(), work, |task| {
                let (item, walk) = (task / schedule.walks(), task % schedule.walks());
                walk_over(p, &shared, item, schedule.range(round, walk))
            })?;
        }
    }
    // SAFETY: the first round wrote every position, and `place` covers the result.
    unsafe {
        out.set_len(items * p.length * p.value_depth);
        top.set_len(items * p.length);
        total.set_len(items * p.length);
    }
    Ok(Forward { out, top, total })
}

/// Outputs of all tasks.
struct Shared<'a, T> {
    out: Out<T>,
    top: Out<T>,
    total: Out<T>,
    place: &'a Place,
}

impl<T: Scalar> Shared<'_, T> {
    /// Result of one position of the matrix that starts at `base`.
    ///
    /// # Safety
    /// The position lies within the problem, and nobody else uses it meanwhile.
    #[allow(clippy::mut_from_ref)]
    unsafe fn row(&self, p: &Problem<'_, T>, base: usize, at: u32) -> &mut [T] {
        // SAFETY: as the caller vouches; `place` sends different rows to different elements.
        unsafe { self.out.part(base + at as usize * self.place.row, p.value_depth) }
    }
    /// Adds what a round found for some rows of a block, whose positions differ, to what earlier rounds did.
    ///
    /// # Safety
    /// As [`Self::row`], for all of them.
    unsafe fn merge(
        &self,
        p: &Problem<'_, T>,
        (item, round): (usize, usize),
        (rows, positions): (Range<usize>, &[u32]),
        block: &Block<T>,
        merge: &mut Merge<T>,
    ) {
        let base = self.place.offset(&p.batch, item, 0);
        let index = |at: u32| item * p.length + at as usize;
        let places = rows.clone().zip(positions);
        // SAFETY: as the caller vouches; the first round writes what others read.
        unsafe {
            if round > 0 {
                for (row, &at) in places.clone() {
                    (merge.most[row], merge.sum[row]) =
                        (self.top.part(index(at), 1)[0], self.total.part(index(at), 1)[0]);
                }
            }
            merge.weigh(rows, (&block.top, &block.total), round == 0, round + 1 == p.rounds);
            for (row, &at) in places {
                merge.put(row, self.row(p, base, at));
                (self.top.part(index(at), 1)[0], self.total.part(index(at), 1)[0]) = (merge.most[row], merge.sum[row]);
            }
        }
    }
}

fn walk_over<T: Scalar>(p: &Problem<'_, T>, shared: &Shared<'_, T>, item: usize, chunks: Range<usize>) -> Result<()> {
    let (cols, [_, v_row, _]) = (p.cols(), p.strides());
    let (mut ring, mut block) = (Ring::new(p, item, chunks.start, false)?, Block::new(p)?);
    let mut merge = Merge::new(ROWS.min(p.chunk), v_row)?;
    for chunk in chunks.clone() {
        threads::check()?;
        if chunk > chunks.start {
            ring.advance(p, item, chunk)?;
        }
        let size = p.size(chunk);
        for row in (0..size).step_by(ROWS) {
            let rows = ROWS.min(size - row);
            let positions = &ring.at(p.before).positions[row..row + rows];
            if p.order.is_some() {
                let base = shared.place.offset(&p.batch, item, 0);
                for &at in positions {
                    // SAFETY: rows of this task, as below.
                    ask(unsafe { shared.row(p, base, at) });
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
                sums(&mut merge.found, p, &block.sight, step, &block.strengths, v_row, |place| &ring.at(place).v);
            }
            // A chunk that reaches over the end of a round has rows of several.
            let (first_slot, mut from) = (chunk * p.chunk + row, 0);
            while from < rows {
                let round = (first_slot + from) / p.length;
                let to = rows.min((round + 1) * p.length - first_slot);
                // SAFETY: positions lie within the problem. Tasks of a round have different positions, and where chunks
                // reach over rounds one task has all of a matrix.
                unsafe { shared.merge(p, (item, round), (from..to, &positions[from..to]), &block, &mut merge) };
                from = to;
            }
        }
    }
    Ok(())
}

simd! {
/// Element-wise product into the first.
fn multiply_by<T: Scalar>(x: &mut [T], factors: &[T]) {
    for (x, &f) in x.iter_mut().zip(factors) {
        *x *= f;
    }
}
}
