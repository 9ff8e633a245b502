//! Rows gathered by id, and the gradient: rows added up by id.
use super::{
    fill::{build, Unfilled},
    real::Float,
};
use crate::{memory, threads::GRAIN, Result};

/// Row `ids[i]` of `table` for each i.
pub(crate) fn gather<T: Float>(table: &[T], ids: &[usize], cols: usize) -> Result<Vec<T>> {
    let part = |start: usize, part: &mut Unfilled<T>| {
        for (row, &id) in part.chunks_exact_mut(cols).zip(&ids[start / cols..]) {
            copy_row(&table[id * cols..][..cols], row);
        }
    };
    // SAFETY: the parts are whole rows, there is an id for each, and `copy_row` writes all of it.
    unsafe { build(ids.len() * cols, (GRAIN / cols).max(1) * cols, part) }
}

#[inline(always)]
fn copy_row<T: Copy>(from: &[T], to: &mut Unfilled<T>) {
    for (t, &f) in to.iter_mut().zip(from) {
        t.write(f);
    }
}

/// A table of `rows` whose row r is the sum of `g`'s rows i with `ids[i] == r`, added in order of i.
pub(crate) fn scatter_add<T: Float>(g: &[T], ids: &[usize], rows: usize, cols: usize) -> Result<Vec<T>> {
    // A stable counting sort: the positions of each id, in order.
    let mut ends: Vec<usize> = memory::zeros(rows + 1)?;
    for &id in ids {
        ends[id + 1] += 1;
    }
    for r in 0..rows {
        ends[r + 1] += ends[r];
    }
    let mut next = memory::copy(&ends)?;
    let mut positions: Vec<usize> = memory::zeros(ids.len())?;
    for (i, &id) in ids.iter().enumerate() {
        positions[next[id]] = i;
        next[id] += 1;
    }
    let part = |start: usize, part: &mut Unfilled<T>| {
        let mut sum: Vec<T::Wide> = memory::zeros(cols)?;
        for (row, r) in part.chunks_exact_mut(cols).zip(start / cols..) {
            match &positions[ends[r]..ends[r + 1]] {
                [] => row.iter_mut().for_each(|o| {
                    o.write(T::default());
                }),
                [i] => copy_row(&g[i * cols..][..cols], row),
                [i, rest @ ..] => {
                    for (s, &v) in sum.iter_mut().zip(&g[i * cols..][..cols]) {
                        *s = v.up();
                    }
                    for i in rest {
                        for (s, &v) in sum.iter_mut().zip(&g[i * cols..][..cols]) {
                            *s += v.up();
                        }
                    }
                    for (o, &s) in row.iter_mut().zip(&sum) {
                        o.write(T::down(s));
                    }
                }
            }
        }
        Ok(())
    };
    // SAFETY: the parts are whole rows, and each arm writes all of its row.
    unsafe { build(rows * cols, (GRAIN / cols).max(1) * cols, part) }
}
