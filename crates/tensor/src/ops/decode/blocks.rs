//! Keys and values in blocks of positions, which several pasts may have in common.
use crate::{
    kernels::decode::{self, BLOCK},
    memory::{self, Allocation},
    threads, Result,
};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Sizes of the matrices of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub rows: usize,
    pub depth: usize,
    pub value_depth: usize,
}

/// A block of all matrices: keys `[rows, depth, BLOCK]`, values `[rows, BLOCK, value_depth]`.
#[derive(Debug)]
pub(super) struct Block<T> {
    held: RwLock<Held<T>>,
    /// What the values take, while there is anyone who holds them.
    _allocation: Arc<Allocation>,
}

#[derive(Debug)]
struct Held<T> {
    keys: Vec<T>,
    values: Vec<T>,
    /// Positions that somebody has written.
    filled: usize,
}

/// Matrices that one thread writes to at a time.
const TOGETHER: usize = 16;

/// The blocks of a past, in order.
pub(super) type Blocks<T> = Vec<Arc<Block<T>>>;

impl<T: bytemuck::Pod + Send + Sync> Held<T> {
    fn new(s: Sizes) -> Result<Self> {
        let (keys, values) =
            (memory::zeros(&[s.rows, s.depth, BLOCK])?, memory::zeros(&[s.rows, BLOCK, s.value_depth])?);
        Ok(Self { keys, values, filled: 0 })
    }
    /// Writes `count` positions from `place` on, which are those from `from` on of the `new` ones in `k` and `v`.
    fn write(&mut self, s: Sizes, [place, from, count, new]: [usize; 4], k: &[T], v: &[T]) -> Result<()> {
        let (of_keys, of_values) = (s.depth * BLOCK, s.value_depth * BLOCK);
        let mut parts = memory::room(s.rows.div_ceil(TOGETHER))?;
        let (mut keys, mut values) = (&mut self.keys[..], &mut self.values[..]);
        for first in (0..s.rows).step_by(TOGETHER) {
            let rows = first..s.rows.min(first + TOGETHER);
            let (own_keys, other_keys) = keys.split_at_mut(rows.len() * of_keys);
            let (own_values, other_values) = values.split_at_mut(rows.len() * of_values);
            parts.push((rows, own_keys, own_values));
            (keys, values) = (other_keys, other_values);
        }
        // A key is written to as many cache lines as it has elements.
        let work = s.rows * count * (16 * s.depth + s.value_depth);
        threads::for_tasks(parts, work, |(rows, keys, values)| {
            for (i, row) in rows.enumerate() {
                let (keys, values) = (&mut keys[i * of_keys..][..of_keys], &mut values[i * of_values..][..of_values]);
                for i in 0..count {
                    let at = row * new + from + i;
                    let key = &k[at * s.depth..][..s.depth];
                    keys.iter_mut().skip(place + i).step_by(BLOCK).zip(key).for_each(|(to, &x)| *to = x);
                    let to = (place + i) * s.value_depth;
                    values[to..to + s.value_depth].copy_from_slice(&v[at * s.value_depth..][..s.value_depth]);
                }
            }
        })?;
        self.filled = place + count;
        Ok(())
    }
}

impl<T: bytemuck::Pod> Block<T> {
    fn of(held: Held<T>) -> Arc<Self> {
        let bytes = (held.keys.len() + held.values.len()) * size_of::<T>();
        Arc::new(Self { held: RwLock::new(held), _allocation: Allocation::new(bytes) })
    }
    fn read(&self) -> RwLockReadGuard<'_, Held<T>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a block.
pub(super) fn bytes<T>(s: Sizes) -> usize {
    s.rows * BLOCK * (s.depth + s.value_depth) * size_of::<T>()
}

/// The blocks with `new` positions behind the first `len`: keys `k [rows, new, depth]`, values `v [rows, new, value_depth]`.
///
/// They are written where they belong, unless someone else wrote there, or reads just now: then into a copy of that block.
pub(super) fn append<T: bytemuck::Pod + Send + Sync>(
    blocks: &Blocks<T>,
    s: Sizes,
    (len, new): (usize, usize),
    k: &[T],
    v: &[T],
) -> Result<Blocks<T>> {
    let mut out: Blocks<T> = memory::room((len + new).div_ceil(BLOCK))?;
    out.extend(blocks.iter().cloned());
    let mut from = 0;
    while from < new {
        let (block, place) = ((len + from) / BLOCK, (len + from) % BLOCK);
        let count = (BLOCK - place).min(new - from);
        let part = [place, from, count, new];
        let mut here = out.get(block).and_then(|b| b.held.try_write().ok()).filter(|held| held.filled == place);
        if let Some(held) = &mut here {
            held.write(s, part, k, v)?;
        } else {
            let mut fresh = Held::new(s)?;
            if let Some(old) = out.get(block) {
                let old = old.read();
                fresh.keys.copy_from_slice(&old.keys);
                fresh.values.copy_from_slice(&old.values);
            }
            fresh.write(s, part, k, v)?;
            drop(here);
            out.truncate(block);
            out.push(Block::of(fresh));
        }
        from += count;
    }
    Ok(out)
}

/// Blocks that are being read: nobody writes into them meanwhile.
pub(super) struct Reading<'a, T>(Vec<RwLockReadGuard<'a, Held<T>>>);

impl<'a, T: bytemuck::Pod> Reading<'a, T> {
    pub(super) fn new(blocks: &'a Blocks<T>) -> Result<Self> {
        Ok(Self(memory::collect(blocks.iter().map(|b| b.read()))?))
    }
    /// What a kernel reads of the first `len` positions.
    pub(super) fn seen(&self, s: Sizes, len: usize) -> Result<decode::Seen<'_, T>> {
        let blocks = memory::collect(self.0.iter().map(|h| decode::Block { keys: &h.keys, values: &h.values }))?;
        Ok(decode::Seen { blocks, rows: s.rows, len })
    }
    /// Keys and values of the first `len` positions, `[rows, room, ·]`, zero behind them.
    pub(super) fn copied(&self, s: Sizes, len: usize, room: usize) -> Result<[Vec<T>; 2]> {
        let mut keys = memory::zeros(&[s.rows, room, s.depth])?;
        let mut values = memory::zeros(&[s.rows, room, s.value_depth])?;
        for row in 0..s.rows {
            for at in 0..len {
                let (held, place) = (&self.0[at / BLOCK], at % BLOCK);
                let from = &held.keys[row * s.depth * BLOCK..][..s.depth * BLOCK];
                let to = &mut keys[(row * room + at) * s.depth..][..s.depth];
                to.iter_mut().zip(from.iter().skip(place).step_by(BLOCK)).for_each(|(to, &x)| *to = x);
                let from = &held.values[(row * BLOCK + place) * s.value_depth..][..s.value_depth];
                values[(row * room + at) * s.value_depth..][..s.value_depth].copy_from_slice(from);
            }
        }
        Ok([keys, values])
    }
}
