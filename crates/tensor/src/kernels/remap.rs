//! Copies in which each axis is read through a list of source positions: slices, flips, rolls, pads and their inverses.
use crate::{
    memory,
    threads::{self, GRAIN},
    Result,
};

/// Where position `i` of an axis of the result comes from.
pub(crate) enum AxisMap {
    /// From position `i` of the source.
    Same(usize),
    /// From `places[i]` of the source, or from nowhere (the fill value) when that is [`NOWHERE`].
    From(Vec<usize>),
}

/// A place of the result that has no source.
pub(crate) const NOWHERE: usize = usize::MAX;

impl AxisMap {
    /// The size of the axis in the result.
    pub(crate) fn len(&self) -> usize {
        match self {
            AxisMap::Same(n) => *n,
            AxisMap::From(places) => places.len(),
        }
    }
    fn place(&self, i: usize) -> usize {
        match self {
            AxisMap::Same(_) => i,
            AxisMap::From(places) => places[i],
        }
    }
}

/// A stretch of the innermost mapped axis whose sources are consecutive, or that has none.
struct Run {
    at: usize,
    from: usize,
    len: usize,
}

/// Fills `out` (row-major, sizes as `maps` say) from the row-major `values` of shape `shape`.
pub(crate) fn remap<T: Copy + Send + Sync>(
    values: &[T],
    shape: &[usize],
    maps: &[AxisMap],
    fill: T,
    out: &mut [T],
) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    // Whole axes after the last mapped one are copied as blocks.
    let Some(last) = maps.iter().rposition(|m| matches!(m, AxisMap::From(_))) else {
        out.copy_from_slice(values);
        return Ok(());
    };
    let block: usize = shape[last + 1..].iter().product();
    let runs = runs(&maps[last])?;
    let row = maps[last].len() * block;
    let rows = |start: usize, out: &mut [T]| {
        let mut coordinate = split(start / row, maps[..last].iter().map(AxisMap::len));
        for out in out.chunks_mut(row) {
            match base(&coordinate, maps, shape, last) {
                None => out.fill(fill),
                Some(base) => fill_row(&values[base * shape[last] * block..], &runs, block, fill, out),
            }
            advance(&mut coordinate, maps);
        }
    };
    if row >= GRAIN && out.len() / row < 64 {
        // Few long rows: cut within each.
        for (i, out) in out.chunks_mut(row).enumerate() {
            let coordinate = split(i, maps[..last].iter().map(AxisMap::len));
            let base = base(&coordinate, maps, shape, last).map(|b| b * shape[last]);
            threads::for_chunks(out, block * (GRAIN / block).max(1), |start, out| {
                for (j, out) in out.chunks_mut(block).enumerate() {
                    match (base, maps[last].place(start / block + j)) {
                        (None, _) | (_, NOWHERE) => out.fill(fill),
                        (Some(b), p) => out.copy_from_slice(&values[(b + p) * block..][..block]),
                    }
                }
            })?;
        }
        Ok(())
    } else {
        threads::for_chunks(out, row * (GRAIN / row).max(1), rows)
    }
}

fn fill_row<T: Copy>(values: &[T], runs: &[Run], block: usize, fill: T, out: &mut [T]) {
    for run in runs {
        let out = &mut out[run.at * block..][..run.len * block];
        match run.from {
            NOWHERE => out.fill(fill),
            from if out.len() == 1 => out[0] = values[from],
            from => out.copy_from_slice(&values[from * block..][..out.len()]),
        }
    }
}

fn runs(map: &AxisMap) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for at in 0..map.len() {
        let from = map.place(at);
        match runs.last_mut() {
            Some(r)
                if (r.from == NOWHERE && from == NOWHERE)
                    || (from != NOWHERE && r.from.checked_add(r.len) == Some(from)) =>
            {
                r.len += 1;
            }
            _ => memory::push(&mut runs, Run { at, from, len: 1 })?,
        }
    }
    Ok(runs)
}

/// The row-major position over the axes before `last`, in the source; `None` when one of them has no source.
fn base(coordinate: &[usize], maps: &[AxisMap], shape: &[usize], last: usize) -> Option<usize> {
    let mut base = 0;
    for axis in 0..last {
        let place = maps[axis].place(coordinate[axis]);
        if place == NOWHERE {
            return None;
        }
        base = base * shape[axis] + place;
    }
    Some(base)
}

fn split(index: usize, sizes: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator) -> Vec<usize> {
    let mut coordinate = vec![0; sizes.len()];
    let mut index = index;
    for (c, n) in coordinate.iter_mut().rev().zip(sizes.rev()) {
        *c = index % n;
        index /= n;
    }
    coordinate
}

fn advance(coordinate: &mut [usize], maps: &[AxisMap]) {
    for (c, map) in coordinate.iter_mut().zip(maps).rev() {
        *c += 1;
        if *c < map.len() {
            return;
        }
        *c = 0;
    }
}
