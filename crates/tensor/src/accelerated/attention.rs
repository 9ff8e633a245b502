//! Attention in tiles, and attention within chunks.
use super::launch::{
    Array::{self, Begun, In, Out, Strided},
    Kernels, Value,
};
use crate::{tensor::Raw, Result};

/// Which strengths are dropped: by a draw of so many words of a key, where a word is not below a threshold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped {
    pub(crate) key: [u32; 2],
    pub(crate) draw: usize,
    pub(crate) threshold: u32,
    pub(crate) factor: f64,
}

/// Key, draw, threshold and factor, as kernels take them.
fn draw_of(dropped: Option<Dropped>) -> [Value; 5] {
    let none = Dropped { key: [0; 2], draw: 0, threshold: 0, factor: 1.0 };
    let d = dropped.unwrap_or(none);
    [d.key[0].into(), d.key[1].into(), d.draw.into(), d.threshold.into(), d.factor.into()]
}

/// Sizes and numbers of attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) depth: usize,
    pub(crate) value_depth: usize,
    pub(crate) scale: f64,
    pub(crate) causal: bool,
    pub(crate) mask_value: f64,
    pub(crate) dropped: Option<Dropped>,
}

/// Sizes and numbers of attention within chunks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkNumbers {
    pub(crate) length: usize,
    pub(crate) rounds: usize,
    pub(crate) chunk: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) depth: usize,
    pub(crate) value_depth: usize,
    pub(crate) causal: bool,
    pub(crate) exclude_self: bool,
    pub(crate) dropped: Option<Dropped>,
}

/// Operands, each `[batches, heads, rows, size]` with adjacent columns, and a mask of four axes.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) q: Raw,
    /// Absent where keys are the queries.
    pub(crate) k: Option<Raw>,
    pub(crate) v: Raw,
    pub(crate) mask: Option<Raw>,
}

impl Seen {
    /// Strides of the operands, the cotangent and the mask; none where one has more than 32 bits.
    fn strides(&self, ct: Option<&Raw>) -> Option<[u32; 16]> {
        let mut at = [0; 16];
        for (i, raw) in [Some(&self.q), self.k.as_ref(), Some(&self.v), ct].into_iter().enumerate() {
            for (to, &from) in at[3 * i..3 * i + 3].iter_mut().zip(raw.map_or(&[][..], Raw::stride)) {
                *to = u32::try_from(from).ok()?;
            }
        }
        for (to, &from) in at[12..].iter_mut().zip(self.mask.as_ref().map_or(&[][..], Raw::stride)) {
            *to = u32::try_from(from).ok()?;
        }
        Some(at)
    }
    /// Queries, keys, values and mask, as kernels take them.
    fn arrays(&self) -> [Array<'_>; 4] {
        [Strided(Some(&self.q)), Strided(self.k.as_ref()), Strided(Some(&self.v)), Strided(self.mask.as_ref())]
    }
    fn items(&self) -> [usize; 2] {
        [self.q.dims()[0], self.q.dims()[1]]
    }
}

/// What attention keeps: the result, and of each row the largest product and the sum of exponentials.
pub(crate) type Strengths = [Raw; 3];

impl Kernels<'_> {
    /// Attention, as kernels/attention.h has it.
    pub(crate) fn attention(self, seen: &Seen, n: &Numbers) -> Result<Option<Strengths>> {
        let Some(at) = seen.strides(None) else { return Ok(None) };
        let values = attention_values(seen, n);
        if !self.takes("attention_dq", &values)? || !self.takes("attention_dkv", &values)? {
            return Ok(None);
        }
        let at = Raw::new(&at, seen.q.device())?;
        let [q, k, v, mask] = seen.arrays();
        let arrays = [In(Some(&at)), q, k, v, mask, Out, Out, Out];
        let Some([out, tops, totals]) = self.exactly("attention", &values, &arrays)? else { return Ok(None) };
        let [batches, heads] = seen.items();
        Ok(Some([out.reshape((batches, heads, n.queries, n.value_depth))?, tops, totals]))
    }
    /// The gradients of queries, keys and values, of the cotangent `[batches, heads, queries, value_depth]` with adjacent columns.
    pub(crate) fn attention_back(
        self,
        seen: &Seen,
        n: &Numbers,
        kept: &Strengths,
        ct: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let Some(at) = seen.strides(Some(ct)) else { return Ok(None) };
        let at = Raw::new(&at, seen.q.device())?;
        let [out, tops, totals] = kept;
        let [batches, heads] = seen.items();
        let Some(inner) = self.inner(&at, out, ct, [batches, heads, n.queries, n.value_depth])? else {
            return Ok(None);
        };
        let values = attention_values(seen, n);
        let [q, k, v, mask] = seen.arrays();
        let [a, b, c, d] = [In(Some(tops)), In(Some(totals)), In(Some(&inner)), Strided(Some(ct))];
        let arrays = [In(Some(&at)), q, k, v, mask, a, b, c, d, Out];
        let Some(dq) = self.one("attention_dq", &values, &arrays, &[batches, heads, n.queries, n.depth])? else {
            return Ok(None);
        };
        let arrays = [In(Some(&at)), q, k, v, mask, a, b, c, d, Out, Out];
        let Some([dk, dv]) = self.exactly("attention_dkv", &values, &arrays)? else { return Ok(None) };
        let dk = dk.reshape((batches, heads, n.keys, n.depth))?;
        Ok(Some([dq, dk, dv.reshape((batches, heads, n.keys, n.value_depth))?]))
    }
    /// The sum of result times cotangent over each row.
    fn inner(self, at: &Raw, out: &Raw, ct: &Raw, [batches, heads, rows, size]: [usize; 4]) -> Result<Option<Raw>> {
        let values = [batches.into(), heads.into(), rows.into(), size.into()];
        self.one(
            "attention_inner",
            &values,
            &[at.into(), out.into(), Strided(Some(ct)), Out],
            &[batches * heads * rows],
        )
    }
    /// Attention within chunks, as kernels/lsh_attention.h has it. `order` are the positions of each round.
    pub(crate) fn chunked(self, seen: &Seen, order: Option<&Raw>, n: &ChunkNumbers) -> Result<Option<Strengths>> {
        let Some(at) = seen.strides(None) else { return Ok(None) };
        let at = Raw::new(&at, seen.q.device())?;
        let [batches, heads] = seen.items();
        let [q, k, v, mask] = seen.arrays();
        let mut kept: Option<Strengths> = None;
        for round in 0..n.rounds {
            let values = chunk_values(seen, order, n, round);
            let [a, b, c] = match &kept {
                None => [Out, Out, Out],
                Some([out, tops, totals]) => [Begun(out), Begun(tops), Begun(totals)],
            };
            let arrays = [In(Some(&at)), q, k, v, mask, In(order), a, b, c];
            kept = match self.exactly("lsh_attention", &values, &arrays)? {
                None => return Ok(None),
                found => found,
            };
        }
        let Some([out, tops, totals]) = kept else { return Ok(None) };
        Ok(Some([out.reshape((batches, heads, n.length, n.value_depth))?, tops, totals]))
    }
    /// The gradients of queries, keys (nothing of use where they are the queries) and values.
    pub(crate) fn chunked_back(
        self,
        seen: &Seen,
        order: Option<&Raw>,
        n: &ChunkNumbers,
        kept: &Strengths,
        ct: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let Some(at) = seen.strides(Some(ct)) else { return Ok(None) };
        let at = Raw::new(&at, seen.q.device())?;
        let [out, tops, totals] = kept;
        let [batches, heads] = seen.items();
        let Some(inner) = self.inner(&at, out, ct, [batches, heads, n.length, n.value_depth])? else {
            return Ok(None);
        };
        let [q, k, v, mask] = seen.arrays();
        let [a, b, c, d] = [In(Some(tops)), In(Some(totals)), In(Some(&inner)), Strided(Some(ct))];
        let mut found: Option<[Raw; 3]> = None;
        for round in 0..n.rounds {
            let values = chunk_values(seen, order, n, round);
            let [dq, dk, dv] = match &found {
                None => [Out, Out, Out],
                Some([dq, dk, dv]) => [Begun(dq), Begun(dk), Begun(dv)],
            };
            let arrays = [In(Some(&at)), q, k, v, mask, In(order), a, b, c, d, dq];
            let Some([of_queries]) = self.exactly("lsh_attention_dq", &values, &arrays)? else { return Ok(None) };
            // Gradients of keys that are queries are added to those of these.
            let of_keys = if seen.k.is_none() { Begun(&of_queries) } else { dk };
            let arrays = [In(Some(&at)), q, k, v, mask, In(order), a, b, c, d, of_keys, dv];
            let Some([dk, dv]) = self.exactly("lsh_attention_dkv", &values, &arrays)? else { return Ok(None) };
            let dq = if seen.k.is_none() { dk.clone() } else { of_queries };
            found = Some([dq, dk, dv]);
        }
        let Some([dq, dk, dv]) = found else { return Ok(None) };
        let like = (batches, heads, n.length, n.depth);
        Ok(Some([dq.reshape(like)?, dk.reshape(like)?, dv.reshape((batches, heads, n.length, n.value_depth))?]))
    }
}

fn attention_values(seen: &Seen, n: &Numbers) -> [Value; 15] {
    let [batches, heads] = seen.items();
    let [key0, key1, draw, threshold, factor] = draw_of(n.dropped);
    [
        batches.into(),
        heads.into(),
        n.queries.into(),
        n.keys.into(),
        n.depth.into(),
        n.value_depth.into(),
        n.scale.into(),
        n.causal.into(),
        seen.mask.is_some().into(),
        n.mask_value.into(),
        key0,
        key1,
        draw,
        threshold,
        factor,
    ]
}

fn chunk_values(seen: &Seen, order: Option<&Raw>, n: &ChunkNumbers, round: usize) -> [Value; 16] {
    let [batches, heads] = seen.items();
    let flags = [n.causal, n.exclude_self, seen.mask.is_some(), seen.k.is_none(), order.is_some()];
    let flags: u32 = flags.iter().enumerate().map(|(i, &on)| u32::from(on) << i).sum();
    let [key0, key1, draw, threshold, factor] = draw_of(n.dropped);
    [
        batches.into(),
        heads.into(),
        n.length.into(),
        n.rounds.into(),
        round.into(),
        n.chunk.into(),
        n.before.into(),
        n.after.into(),
        n.depth.into(),
        n.value_depth.into(),
        flags.into(),
        key0,
        key1,
        draw,
        threshold,
        factor,
    ]
}
