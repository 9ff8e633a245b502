//! Chunked attention by kernels of an accelerator, which sort by bucket, too.
use super::problem::{ChunkedAttentionOptions, Inputs, Shape};
use crate::{
    accelerated::{missing, ChunkNumbers, Seen},
    autodiff::record,
    device_path::Path,
    ops::attention::{dropped, four, given_back},
    DType, Result, Tensor,
};
use smallvec::smallvec;

/// [`chunked_attention`](super::chunked_attention) of float32 operands; nothing where no kernel computes it.
pub(super) fn fused(
    inputs: &Inputs,
    shape: &Shape,
    o: &ChunkedAttentionOptions,
    path: &Path,
) -> Result<Option<Tensor>> {
    if shape.depth == 0 || shape.value_depth == 0 || o.segments.is_some() {
        return Ok(None);
    }
    let window = o.n_chunks_before.saturating_add(1).saturating_add(o.n_chunks_after);
    let numbers = ChunkNumbers {
        length: shape.length,
        rounds: shape.rounds,
        chunk: o.chunk_len,
        before: o.n_chunks_before,
        after: o.n_chunks_after,
        depth: shape.depth,
        value_depth: shape.value_depth,
        causal: o.causal,
        exclude_self: o.exclude_self,
        dropped: dropped(o.dropout, o.chunk_len.saturating_mul(o.chunk_len).saturating_mul(window)),
    };
    let Inputs { q, k, v } = inputs;
    let found = path.accelerated(q, |kernels| {
        let rows = |t: &Tensor, size: usize| four(t.raw(), &shape.batch, [shape.length, size], true);
        let seen = Seen {
            q: rows(q, shape.depth)?,
            k: k.as_ref().map(|k| rows(k, shape.depth)).transpose()?,
            v: rows(v, shape.value_depth)?,
            mask: match &o.mask {
                None => None,
                // One row, whatever the query.
                Some(m) => {
                    let m = m.raw().to_device(q.device())?.broadcast_as(shape.with(&[shape.length]))?;
                    Some(four(&m.unsqueeze(m.rank() - 1)?, &shape.batch, [1, shape.length], false)?)
                }
            },
        };
        let order = match &o.buckets {
            None => None,
            Some(buckets) => {
                let full = shape.with(&[shape.rounds * shape.length]);
                let buckets = buckets.raw().to_device(q.device())?.broadcast_as(full)?.contiguous()?.flatten_all()?;
                match kernels.sorted(&buckets, shape.length, u32::BITS)? {
                    None => return Ok(None),
                    Some([_, places]) => Some(places),
                }
            }
        };
        Ok(kernels.chunked(&seen, order.as_ref(), &numbers)?.map(|kept| (seen, order, kept)))
    })?;
    let Some((seen, order, kept)) = found else { return Ok(None) };
    let ct_size = [shape.length, shape.value_depth];
    let value = Tensor::from_raw(kept[0].reshape(shape.with(&ct_size))?, DType::F32);
    let (saved, batch) = (inputs.detach(), shape.batch.clone());
    let absent = saved.v.clone();
    Ok(Some(record(value, &[q, k.as_ref().unwrap_or(&absent), v], move |ct, need| {
        let path = ct.path("gradient of chunked_attention");
        let grads = path.accelerated(ct, |kernels| {
            kernels.chunked_back(&seen, order.as_ref(), &numbers, &kept, &four(ct.raw(), &batch, ct_size, true)?)
        })?;
        let [dq, dk, dv] = grads.ok_or_else(missing)?;
        let of = |d, operand: Option<&Tensor>, needed: bool| match operand {
            Some(operand) if needed => given_back(d, &batch, operand).map(Some),
            _ => Ok(None),
        };
        Ok(smallvec![
            of(&dq, Some(&saved.q), need[0])?,
            of(&dk, saved.k.as_ref(), need[1])?,
            of(&dv, Some(&saved.v), need[2])?
        ])
    })))
}
