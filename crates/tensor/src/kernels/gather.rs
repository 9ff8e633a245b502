//! Reading and writing at listed places of one axis.
use crate::{
    memory,
    threads::{self, GRAIN},
    Element, Result,
};

/// Which places: the tensor is seen as `[outer, size, inner]`, the list picks `count` places of the middle axis.
#[derive(Clone, Copy)]
pub(crate) struct Picks<'a> {
    /// Sizes before, along and after the axis.
    pub(crate) outer: usize,
    /// See `outer`.
    pub(crate) size: usize,
    /// See `outer`.
    pub(crate) inner: usize,
    /// Picked places per outer position.
    pub(crate) count: usize,
    /// The places, all below `size`.
    pub(crate) places: &'a [u32],
    /// What the places are told apart by.
    pub(crate) spread: Spread,
}

/// The shape of a list of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// `[count]`: the same for every outer and inner position.
    Shared,
    /// `[outer, count]`: the same for every inner position.
    Rows,
    /// `[outer, count, inner]`.
    Elements,
}

impl Picks<'_> {
    /// Whether each inner position has a place of its own.
    fn elementwise(&self) -> bool {
        self.spread == Spread::Elements && self.inner > 1
    }
    /// The places for one outer position.
    fn at(&self, outer: usize) -> &[u32] {
        let n = match self.spread {
            Spread::Shared => return self.places,
            Spread::Rows => self.count,
            Spread::Elements => self.count * self.inner,
        };
        &self.places[outer * n..][..n]
    }
}

/// Fills `out`, of shape `[outer, count, inner]`, with the picked `values`.
pub(crate) fn gather<T: Copy + Send + Sync>(values: &[T], picks: Picks<'_>, out: &mut [T]) -> Result<()> {
    let Picks { size, inner, count, .. } = picks;
    if out.is_empty() {
        return Ok(());
    }
    let elementwise = picks.elementwise();
    // Parts are whole rows of `inner`; a part may span outer positions.
    threads::for_chunks(out, inner * (GRAIN / inner).max(1), |start, mut out| {
        let mut row = start / inner;
        while !out.is_empty() {
            let (o, first) = (row / count, row % count);
            let rows = (count - first).min(out.len() / inner);
            let (now, later) = out.split_at_mut(rows * inner);
            let (values, places) = (&values[o * size * inner..][..size * inner], picks.at(o));
            if elementwise {
                let places = places[first * inner..].chunks_exact(inner);
                for (out, places) in now.chunks_exact_mut(inner).zip(places) {
                    for (i, (out, &p)) in out.iter_mut().zip(places).enumerate() {
                        *out = values[p as usize * inner + i];
                    }
                }
            } else if inner == 1 {
                now.iter_mut().zip(&places[first..]).for_each(|(out, &p)| *out = values[p as usize]);
            } else {
                for (out, &p) in now.chunks_exact_mut(inner).zip(&places[first..]) {
                    out.copy_from_slice(&values[p as usize * inner..][..inner]);
                }
            }
            row += rows;
            out = later;
        }
    })
}

/// What a write does to the value that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// Replaces it; of several writes to a place the last one stays.
    Set,
    /// Adds to it, in the order of the list.
    Add,
}

/// Writes `updates`, of shape `[outer, count, inner]`, to the picked places of `out`, of shape `[outer, size, inner]`.
pub(crate) fn scatter<T: Element>(out: &mut [T], picks: Picks<'_>, updates: &[T], write: Write) -> Result<()> {
    match write {
        Write::Set => scatter_by(out, picks, updates, |to, value| *to = value),
        Write::Add => scatter_by(out, picks, updates, |to, value| {
            let mut sum = to.up();
            sum += value.up();
            *to = T::down(sum);
        }),
    }
}

/// `put(place, update)` for each update.
///
/// Threads share out the places written to, and each goes through the whole list: the order of writes to a place, and so
/// every bit, is the same on any number of threads.
pub(crate) fn scatter_by<T: Copy + Send + Sync>(
    out: &mut [T],
    picks: Picks<'_>,
    updates: &[T],
    put: impl Fn(&mut T, T) + Sync,
) -> Result<()> {
    let Picks { outer, size, inner, count, .. } = picks;
    if out.is_empty() || updates.is_empty() {
        return Ok(());
    }
    let work = updates.len();
    let shares = if work < 2 * GRAIN { 1 } else { threads::num_threads().div_ceil(outer).min(size) };
    let rows = size.div_ceil(shares);
    let mut parts = memory::room(outer * shares)?;
    for (o, out) in out.chunks_mut(size * inner).enumerate() {
        for (s, part) in out.chunks_mut(rows * inner).enumerate() {
            parts.push((o, s * rows, part));
        }
    }
    let run = |(o, first, part): (usize, usize, &mut [T])| {
        let updates = &updates[o * count * inner..][..count * inner];
        scatter_part(part, first, picks.at(o), picks.elementwise(), inner, updates, &put);
    };
    threads::for_tasks(parts, work, run)
}

/// The writes to the rows of `part`, which start at place `first`.
fn scatter_part<T: Copy>(
    part: &mut [T],
    first: usize,
    places: &[u32],
    elementwise: bool,
    inner: usize,
    updates: &[T],
    put: impl Fn(&mut T, T),
) {
    let rows = part.len() / inner;
    if elementwise {
        for (updates, places) in updates.chunks_exact(inner).zip(places.chunks_exact(inner)) {
            for (i, (&value, &place)) in updates.iter().zip(places).enumerate() {
                let row = (place as usize).wrapping_sub(first);
                if row < rows {
                    put(&mut part[row * inner + i], value);
                }
            }
        }
    } else {
        for (updates, &place) in updates.chunks_exact(inner).zip(places) {
            let row = (place as usize).wrapping_sub(first);
            if row < rows {
                part[row * inner..][..inner].iter_mut().zip(updates).for_each(|(to, &value)| put(to, value));
            }
        }
    }
}
