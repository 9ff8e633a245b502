//! Attention forward: blocks of query rows, each on one thread, with a running maximum and sum.
use super::{scale_by, Kind, Place, Problem, Scalar, COLS, ROWS};
use crate::{
    kernels::{
        gemm::{multiply, Mat, Out, Ready},
        real::{max, simd, sum},
    },
    memory, threads, Result,
};

/// The result, and what backward needs beside the operands.
pub(crate) struct Forward<T> {
    pub out: Vec<T>,
    /// The largest masked product of each query row.
    pub top: Vec<T>,
    /// The sum of exp(product − top) of each query row.
    pub total: Vec<T>,
}

/// Memory of one task.
struct Scratch<T> {
    dots: Vec<T>,
    sums: Vec<T>,
    factors: Vec<T>,
    allowed: Vec<u8>,
    words: Vec<u32>,
}

/// Attention, its result laid out as `place` says.
pub(crate) fn forward<T: Scalar>(p: &Problem<'_, T>, place: &Place) -> Result<Forward<T>> {
    let (items, blocks) = (p.items(), p.queries.div_ceil(ROWS));
    let mut out: Vec<T> = memory::zeros(items * p.queries * p.value_depth)?;
    let mut top = memory::full(items * p.queries, T::LOWEST)?;
    let mut total: Vec<T> = memory::zeros(items * p.queries)?;
    let shared = (Out::new(&mut out), Out::new(&mut top), Out::new(&mut total));
    let work = out.len().saturating_mul(p.keys);
    // Keys that several blocks of queries see are packed once for all of them.
    let tiles = p.keys.div_ceil(COLS);
    let mut packed: Vec<Option<Ready<'_, T>>> = Vec::new();
    if blocks > 1 {
        packed = memory::collect((0..items * tiles).map(|_| None))?;
        threads::for_chunks_of(&mut packed, 1, items * p.keys * p.depth, |tile, ready| {
            ready[0] = Some(Ready::new(p.keys(tile / tiles, tile % tiles * COLS))?);
            Ok(())
        })?;
    }
    threads::for_each_index(items * blocks, work, |task| {
        let (item, row) = (task / blocks, task % blocks * ROWS);
        let rows = ROWS.min(p.queries - row);
        let mut scratch = Scratch {
            dots: memory::zeros(ROWS * COLS.min(p.keys))?,
            sums: memory::zeros(rows * p.value_depth)?,
            factors: memory::zeros(if p.dropout.is_some() { ROWS * COLS } else { 0 })?,
            allowed: memory::zeros(if p.causal || p.mask.is_some() { ROWS * COLS } else { 0 })?,
            words: memory::zeros(COLS)?,
        };
        // SAFETY: each task has its own rows of each output, and the vectors outlive the loop.
        let (top, total) =
            unsafe { (shared.1.part(item * p.queries + row, rows), shared.2.part(item * p.queries + row, rows)) };
        let keys = packed.get(item * tiles..(item + 1) * tiles).unwrap_or_default();
        block(p, keys, item, row, top, total, &mut scratch);
        for (i, (top, &total)) in top.iter_mut().zip(total.iter()).enumerate() {
            // SAFETY: as above; `place` sends different rows to different elements.
            let to = unsafe { shared.0.part(place.offset(&p.batch, item, row + i), p.value_depth) };
            let share = p.share(*top, total);
            if p.sees_nothing(total) {
                // Backward takes it from −∞, which is to stay that.
                *top = T::default();
            }
            for (o, &s) in to.iter_mut().zip(&scratch.sums[i * p.value_depth..]) {
                *o = s * share;
            }
        }
        Ok(())
    })?;
    Ok(Forward { out, top, total })
}

/// One block of query rows: the tiles in which something may be attended to, then, if it matters, the others.
fn block<T: Scalar>(
    p: &Problem<'_, T>,
    keys: &[Option<Ready<'_, T>>],
    item: usize,
    row: usize,
    top: &mut [T],
    total: &mut [T],
    s: &mut Scratch<T>,
) {
    let mut skipped = false;
    let mut first = true;
    for masked in [false, true] {
        if masked && !(skipped && p.masked_count(top)) {
            break;
        }
        for col in (0..p.keys).step_by(COLS) {
            let tile = p.tile(item, row, col);
            let kind = p.kind(tile, &mut s.allowed);
            if kind == Kind::Apart {
                continue;
            }
            if masked != (kind == Kind::None) {
                skipped = true;
                continue;
            }
            let n = tile.rows * tile.cols;
            let once;
            let keys = match keys.get(col / COLS) {
                Some(Some(ready)) => ready,
                _ => {
                    once = Ready::once(p.keys(item, col));
                    &once
                }
            };
            p.dots(tile, kind, keys, &s.allowed, &mut s.dots);
            update(&mut s.dots[..n], tile.cols, top, total, &mut s.sums, p.value_depth);
            if let Some(dropout) = &p.dropout {
                p.keep_factors(dropout, tile, &mut s.words, &mut s.factors);
                scale_by(&mut s.dots[..n], &s.factors[..n]);
            }
            let v = p.v.rows(&p.batch, item, col, [tile.cols, p.value_depth]);
            multiply(&mut s.sums, p.value_depth, Mat::dense(&s.dots, tile.rows, tile.cols), v, T::ONE, !first);
            first = false;
        }
    }
}

simd! {
/// Turns products into exp(product − maximum), with the maximum over all tiles so far, and brings the sums so far to it.
fn update<T: Scalar>(dots: &mut [T], cols: usize, top: &mut [T], total: &mut [T], sums: &mut [T], depth: usize) {
    for (i, row) in dots.chunks_exact_mut(cols).enumerate() {
        let here = max(row);
        let new = if here > top[i] { here } else { top[i] };
        // A row of −∞ so far: its sums are zero whatever they are measured from.
        let from = if new == T::LOWEST { T::default() } else { new };
        if new > top[i] {
            let shrink = (top[i] - from).power();
            total[i] *= shrink;
            for s in &mut sums[i * depth..(i + 1) * depth] {
                *s *= shrink;
            }
            top[i] = new;
        }
        for x in row.iter_mut() {
            *x = (*x - from).power();
        }
        total[i] += sum(row, |x| x);
    }
}
}
