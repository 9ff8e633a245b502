//! Rows gathered by id, and the gradient: rows added up by id.
use super::real::{Float, Real};
use crate::threads::{for_chunks, for_tasks, GRAIN};

/// Row `ids[i]` of `table` for each i.
pub(crate) fn gather<T: Float>(table: &[T], ids: &[usize], cols: usize) -> Vec<T> {
    let mut out = vec![T::default(); ids.len() * cols];
    let step = (GRAIN / cols).max(1);
    for_chunks(&mut out, step * cols, |start, part| {
        for (row, &id) in part.chunks_exact_mut(cols).zip(&ids[start / cols..]) {
            row.copy_from_slice(&table[id * cols..][..cols]);
        }
    });
    out
}

/// A table of `rows` whose row r is the sum of `g`'s rows i with `ids[i] == r`, added in order of i.
pub(crate) fn scatter_add<T: Float>(g: &[T], ids: &[usize], rows: usize, cols: usize) -> Vec<T> {
    // Zeroed memory straight from the system: rows that no id names are never touched.
    let mut table = vec![T::default(); rows * cols];
    // A stable counting sort: the positions of each id, in order.
    let mut ends = vec![0usize; rows + 1];
    for &id in ids {
        ends[id + 1] += 1;
    }
    for r in 0..rows {
        ends[r + 1] += ends[r];
    }
    let mut next = ends.clone();
    let mut positions = vec![0usize; ids.len()];
    for (i, &id) in ids.iter().enumerate() {
        positions[next[id]] = i;
        next[id] += 1;
    }
    // Tasks of equally many ids, whole rows each.
    let mut tasks = Vec::new();
    let (mut left, mut first) = (&mut table[..], 0);
    let share = (GRAIN / cols).max(1).max(ids.len() / 64);
    while first < rows {
        let target = ends[first] + share;
        let last = ends.partition_point(|&e| e < target).clamp(first + 1, rows);
        let (part, rest) = std::mem::take(&mut left).split_at_mut((last - first) * cols);
        tasks.push((first, part));
        (left, first) = (rest, last);
    }
    for_tasks(tasks, 2 * g.len(), |(first, part)| {
        let mut sum = vec![T::Wide::of(0.0); cols];
        for (r, row) in part.chunks_exact_mut(cols).enumerate() {
            let hits = &positions[ends[first + r]..ends[first + r + 1]];
            match hits {
                [] => {}
                [i] => row.copy_from_slice(&g[i * cols..][..cols]),
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
                        *o = T::down(s);
                    }
                }
            }
        }
    });
    table
}
