//! What LSH attention with and without weights have in common: hashing, its state, and prediction.
use super::{
    attend::{attend_from, length_normalized, SelfMask},
    hashing::{hash_rounds, Buckets},
    memory::{self, Window},
    positions::Positions,
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{Error, ErrorKind, Filled, Mode, Result, Tree};
use tallow_tensor::{
    memory::collect,
    ops::{chunked_attention, chunked_attention_joint, ChunkedAttentionOptions},
    random::Key,
    DType, Device, Tensor,
};

/// The attention that options ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lsh<'a> {
    attention: &'a EfficientAttentionOptions,
    lsh: &'a LSHOptions,
}

/// Queries, which are the keys, and values.
#[derive(Clone, Copy)]
pub(super) enum Vectors<'a> {
    /// `[…, length, d_qk]` and `[…, length, d_v]`.
    Apart(&'a Tensor, &'a Tensor),
    /// `[…, length, d_qk + d_v]`, with `d_qk`.
    Joint(&'a Tensor, usize),
}

impl Vectors<'_> {
    /// The queries, without their gradients.
    fn queries(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Apart(q, _) => q.detach(),
            Self::Joint(x, d_qk) => x.detach().narrow(-1, 0, *d_qk)?,
        })
    }
}

/// Keys of all heads of all examples, as the state has them: uint32 `[rows, 2]`.
fn keys_of(t: &Tensor) -> Result<Vec<Key>> {
    if t.rank() != 2 || t.shape()[1] != 2 || t.dtype() != DType::U32 {
        return Err(Error::new(ErrorKind::WeightsMismatch, format!("expected keys as uint32[rows, 2], got {t:?}")));
    }
    Ok(t.to_vec::<u32>()?.chunks_exact(2).map(|k| Key([k[0], k[1]])).collect())
}

fn keys_tensor(keys: &[Key]) -> Result<Tensor> {
    Ok(Tensor::from_vec(collect(keys.iter().map(|k| k.0))?.into_flattened(), &[keys.len(), 2])?)
}

/// A key for each of `rows` heads: those of the state, for a larger batch also ones folded out of the first.
fn keys_for(mut keys: Vec<Key>, rows: usize) -> Result<Vec<Key>> {
    if rows > keys.len() {
        let first = *keys.first().unwrap_or(&Key::new(0));
        keys.extend((keys.len()..rows).map(|i| first.fold_in(i as u32)));
    }
    Ok(keys)
}

fn ints(values: Vec<i32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape)?)
}

/// What one new position sees of the window of one row: raw keys `[n, d_qk]` and values `[n, d_v]` at the places given, which ascend.
pub(super) type Look<'a> = &'a dyn Fn(usize, &[i32]) -> Result<(Tensor, Tensor)>;

impl<'a> Lsh<'a> {
    pub(super) fn new(attention: &'a EfficientAttentionOptions, lsh: &'a LSHOptions) -> Self {
        Self { attention, lsh }
    }
    /// What the layer `kind` remembers in mode `'predict'`; `None` in other modes.
    ///
    /// # Errors
    /// `InvalidOption` in mode `'predict'` for options that do not allow it.
    pub(super) fn window(&self, kind: &str) -> Result<Option<Window>> {
        let (a, l) = (&self.attention, &self.lsh);
        let chunks = (Some(l.chunk_len), l.n_chunks_before.0);
        memory::of_options(kind, a.mode, a.causal, chunks, (l.predict_mem_len, l.predict_drop_len))
    }
    /// State of `rows` heads: `(buckets, keys)`, in mode `'predict'` `(buckets, end, keys)`.
    pub(super) fn init(&self, rows: usize, length: usize, window: Option<&Window>, key: Key) -> Result<Tree<Tensor>> {
        let keys = keys_tensor(&key.try_split(rows)?)?;
        let zeros = |n: usize| Tensor::zeros(&[rows, self.lsh.n_hashes.0.saturating_mul(n)], DType::I32, &Device::Cpu);
        Ok(match window {
            None => Tree::tuple([zeros(self.lsh.max_length_for_buckets.map_or(length, |n| n.0))?, keys]),
            Some(w) => {
                let none = Tensor::zeros(&[rows, self.lsh.n_hashes.0, 0], DType::I32, &Device::Cpu)?;
                self.remembered(none, Tensor::zeros(&[rows], DType::I32, &Device::Cpu)?, keys, w)
            }
        })
    }
    /// The state in mode `'predict'`, of buckets `[rows, n_hashes, positions]`.
    fn remembered(&self, buckets: Tensor, ends: Tensor, keys: Tensor, window: &Window) -> Tree<Tensor> {
        let buckets = Tree::Filled(Filled::new(buckets, 2, window.len).joined());
        Tree::Tuple(vec![buckets, Tree::Leaf(ends), Tree::Leaf(keys)])
    }
    /// The parts of that state, of so many rows: `(buckets, ends, keys)`. Buckets as Trax has them are those of all places of the window.
    ///
    /// # Errors
    /// `WeightsMismatch` for a state of another structure, or of other rows.
    fn recalled<'t>(
        &self,
        state: &'t Tree<Tensor>,
        rows: usize,
        window: &Window,
    ) -> Result<(Tensor, &'t Tensor, &'t Tensor)> {
        let wrong = || state.wrong("the state of as many examples as the input has: (buckets, ends, keys)");
        let Tree::Tuple(parts) = state else { return Err(wrong()) };
        let [buckets, ends, keys] = &parts[..] else { return Err(wrong()) };
        let n = self.lsh.n_hashes.0;
        let buckets = match buckets {
            Tree::Filled(buckets) => buckets.held()?,
            buckets => match buckets.one()? {
                t if t.size() == rows.saturating_mul(n).saturating_mul(window.len) => {
                    t.reshape(&[rows, n, window.len])?
                }
                _ => return Err(wrong()),
            },
        };
        let ends = ends.one()?;
        if buckets.rank() != 3 || buckets.shape()[..2] != [rows, n] || ends.size() != rows {
            return Err(wrong());
        }
        Ok((buckets, ends, keys.one()?))
    }
    fn hash(&self, q: &Tensor, keys: &[Key], mask: Option<&Tensor>) -> Result<Tensor> {
        let length = q.shape()[q.rank() - 2];
        let buckets = self.lsh.n_buckets.clone().unwrap_or_else(|| Buckets::for_length(length, self.lsh.chunk_len.0));
        let seen = match mask {
            None => None,
            // One row of the mask for all heads of an example.
            Some(m) => {
                let (batch, heads) = (m.shape()[0], keys.len() / m.shape()[0].max(1));
                let all = m.expand_dims(1)?.broadcast_to(&[batch, heads, length])?;
                Some(all.cast(DType::U8)?.to_vec::<u8>()?)
            }
        };
        hash_rounds(q, &buckets, self.lsh.n_hashes.0, keys, seen.as_deref())
    }
    fn attend(&self, x: Vectors<'_>, positions: &Positions, buckets: &Tensor, key: Key) -> Result<Tensor> {
        let (Vectors::Apart(q, _) | Vectors::Joint(q, _)) = x;
        let rate = if self.attention.mode == Mode::Train { self.attention.attention_dropout.0 } else { 0.0 };
        let mut lead = q.shape()[..q.rank() - 2].to_vec();
        lead.push(buckets.shape()[1]);
        // Without a head axis, what is known of the positions of an example is repeated for its heads.
        let Positions { mask, segments } = positions.map(|t| match q.rank() {
            4 => t.expand_dims(1),
            _ => t.repeat(q.shape()[0] / t.shape()[0].max(1), 0),
        })?;
        let options = ChunkedAttentionOptions {
            chunk_len: self.lsh.chunk_len.0,
            n_chunks_before: self.lsh.n_chunks_before.0,
            n_chunks_after: self.lsh.n_chunks_after.0,
            causal: self.attention.causal,
            exclude_self: true,
            mask,
            segments,
            buckets: Some(buckets.reshape(&lead)?),
            dropout: (rate > 0.0).then_some((rate, key)),
        };
        Ok(match x {
            Vectors::Apart(q, v) => chunked_attention(q, None, v, &options)?,
            Vectors::Joint(x, d_qk) => chunked_attention_joint(x, d_qk, &options)?,
        })
    }
    /// Attention of whole sequences, and the new state.
    pub(super) fn whole(
        &self,
        x: Vectors<'_>,
        positions: &Positions,
        state: &Tree<Tensor>,
        key: Key,
    ) -> Result<(Tensor, Tree<Tensor>)> {
        let [_, keys] = state.many()?;
        let q = x.queries()?;
        let (rows, length) = (q.shape()[..q.rank() - 2].iter().product(), q.shape()[q.rank() - 2]);
        let mut keys = keys_for(keys_of(keys)?, rows)?;
        let mut used = tallow_tensor::memory::room(rows)?;
        for key in &mut keys[..rows] {
            let (next, now) = key.split_pair();
            *key = next;
            used.push(now);
        }
        let buckets = self.hash(&q, &used, positions.mask.as_ref())?;
        let out = self.attend(x, positions, &buckets, key)?;
        let room = self.lsh.n_hashes.0 * self.lsh.max_length_for_buckets.map_or(0, |n| n.0.saturating_sub(length));
        let kept = if room > 0 { buckets.pad(&[(0, 0), (0, room)], 0.0)? } else { buckets };
        Ok((out, Tree::tuple([kept, keys_tensor(&keys)?])))
    }
    /// Attention of whole sequences again, by the buckets that [`Lsh::whole`] left in the state: nothing is hashed, and rounding
    /// of repeated inputs moves nothing to another bucket.
    pub(super) fn again(
        &self,
        x: Vectors<'_>,
        positions: &Positions,
        left: &Tree<Tensor>,
        key: Key,
    ) -> Result<(Tensor, Tree<Tensor>)> {
        let [buckets, _] = left.many()?;
        let (Vectors::Apart(q, _) | Vectors::Joint(q, _)) = x;
        let (rows, length) = (q.shape()[..q.rank() - 2].iter().product::<usize>(), q.shape()[q.rank() - 2]);
        let n = self.lsh.n_hashes.0 * length;
        if buckets.rank() != 2 || buckets.shape()[0] != rows || buckets.shape()[1] < n {
            return Err(left.wrong("the state that the same call left: buckets of all positions"));
        }
        Ok((self.attend(x, positions, &buckets.narrow(1, 0, n)?, key)?, left.clone()))
    }
    /// Attention of the first `new` positions in mode `'predict'`, as of a whole sequence: `q` and `v […, n, ·]` of all that is seen,
    /// `positions` likewise.
    pub(super) fn first(
        &self,
        q: &Tensor,
        v: &Tensor,
        positions: &Positions,
        state: &Tree<Tensor>,
        (window, new): (&Window, usize),
    ) -> Result<(Tensor, Tree<Tensor>)> {
        let rows = q.shape()[..q.rank() - 2].iter().product();
        let (_, ends, keys) = self.recalled(state, rows, window)?;
        let keys_now = keys_for(keys_of(keys)?, rows)?;
        // Empty places of the memory would fill chunks, and keep what hashes alike from being seen.
        let (q, v) = (q.narrow(-2, 0, new)?, v.narrow(-2, 0, new)?);
        let positions = positions.map(|t| t.narrow(1, 0, new))?;
        let found = self.hash(&q, &keys_now[..rows], positions.mask.as_ref())?;
        let out = self.attend(Vectors::Apart(&q, &v), &positions, &found, Key::new(0))?;
        let kept = new.min(window.len);
        let found = found.reshape(&[rows, self.lsh.n_hashes.0, new])?.narrow(2, new - kept, kept)?.contiguous()?;
        Ok((out, self.remembered(found, ends.add_scalar(new as i64)?, keys.clone(), window)))
    }
    /// Attention of one new position, at `at`, of each row: `q [rows, d_qk]`. Returns `[rows, d_v]` and the new state.
    ///
    /// It sees the positions that share a bucket with it, and the latest others, `n_hashes · chunk_len · (1 + before)` in all, of its own
    /// segment. `positions` are those up to it.
    pub(super) fn step(
        &self,
        q: &Tensor,
        at: usize,
        (state, window): (&Tree<Tensor>, &Window),
        positions: &Positions,
        look: Look<'_>,
    ) -> Result<(Tensor, Tree<Tensor>)> {
        let (rows, rounds, filled) = (q.shape()[0], self.lsh.n_hashes.0, at + 1);
        let (buckets, ends, keys) = self.recalled(state, rows, window)?;
        // Of the positions of an example for each of its heads.
        let told = positions.map(|t| t.repeat(rows / t.shape()[0].max(1), 0))?;
        let seen = told.mask.map(|m| m.cast(DType::U8)?.to_vec::<u8>()).transpose()?;
        let segments = told.segments.map(|ids| ids.cast(DType::I64)?.to_vec::<i64>()).transpose()?;
        let keys_now = keys_for(keys_of(keys)?, rows)?;
        let (old, ends, held) = (buckets.to_vec::<i32>()?, ends.to_vec::<i32>()?, buckets.shape()[2]);
        let mut all: Vec<i32> = tallow_tensor::memory::zeros(&[rows, rounds, filled])?;
        // Trax hashes two copies of the vector, which decides the number of buckets where it is not given.
        let pair = Tensor::stack(&[q.clone(), q.clone()], 1)?;
        let row_seen: Option<Vec<u8>> =
            seen.as_ref().map(|s| (0..rows).flat_map(|row| [s[row * filled + at]; 2]).collect());
        let two = self.lsh.n_buckets.clone().unwrap_or_else(|| Buckets::for_length(2, self.lsh.chunk_len.0));
        let found = hash_rounds(&pair, &two, rounds, &keys_now[..rows], row_seen.as_deref())?.to_vec::<i32>()?;
        let attended = rounds * self.lsh.chunk_len.0 * (1 + self.lsh.n_chunks_before.0);
        let mut outs = tallow_tensor::memory::room(rows)?;
        for row in 0..rows {
            let mine = &mut all[row * rounds * filled..][..rounds * filled];
            let shift = (ends[row] as usize).saturating_sub(at).min(window.drop);
            for (round, line) in mine.chunks_exact_mut(filled).enumerate() {
                let before = old[(row * rounds + round) * held..][..held].iter().skip(shift);
                line[..at].iter_mut().zip(before).for_each(|(to, &bucket)| *to = bucket);
                line[at] = found[(row * rounds + round) * 2];
            }
            // An empty place has bucket 0.
            let shares =
                |place: usize| mine.chunks_exact(filled).any(|line| line.get(place).copied().unwrap_or(0) == line[at]);
            // What shares no bucket comes by age. The first empty place takes part in the choice, as in Trax, and then is not seen.
            let own = |place: usize| {
                place > at || segments.as_ref().is_none_or(|s| s[row * filled + place] == s[row * filled + at])
            };
            let places = (0..window.len.min(at + 2)).filter(|&place| own(place));
            let mut order: Vec<(bool, usize)> = places.map(|place| (shares(place), place)).collect();
            order.sort_unstable();
            let chosen = order[order.len().saturating_sub(attended)..].iter().map(|&(_, place)| place);
            // In the order in which they lie in the window.
            let mut places: Vec<i32> = chosen.filter(|&place| place <= at).map(|place| place as i32).collect(); // few
            places.sort_unstable();
            let (k, v) = look(row, &places)?;
            let n_places = places.len();
            let places = ints(places, &[n_places])?;
            let k = length_normalized(&k, 1e-6)?;
            let info = places.add_scalar(1)?;
            let info = match &seen {
                None => info,
                Some(s) => {
                    let row_mask: Vec<u8> = s[row * filled..][..filled].to_vec();
                    let mask = Tensor::from_bools(row_mask, &[filled])?.take(&places, 0)?;
                    Tensor::where_(&mask, &info, &info.neg()?)?
                }
            };
            let own = ints(vec![at as i32 + 1], &[1])?;
            let how = SelfMask { causal: true, exclude_self: true, masked: true };
            outs.push(attend_from([&q.narrow(0, row, 1)?, &k, &v], (&own, &info), None, how)?);
        }
        let out = Tensor::concat(&outs, 0)?;
        let ends = tallow_tensor::memory::full(rows, at as i32 + 1)?;
        let all = ints(all, &[rows, rounds, filled])?;
        Ok((out, self.remembered(all, ints(ends, &[rows])?, keys.clone(), window)))
    }
}
