//! Attention by kernels of an accelerator: what operands they are handed, and where their results go.
use super::problem::{AttentionOptions, Shape};
use crate::{
    accelerated::{missing, Dropped, Numbers, Seen},
    autodiff::record,
    device_path::Path,
    random::{bernoulli_threshold, Key},
    tensor::Raw,
    DType, Result, Tensor,
};
use candle_core::D;
use smallvec::smallvec;

/// `x` as `[batches, heads, rows, size]`: leading axes as `batch` broadcasts them, the last of them as heads. With `adjacent` columns.
pub(in crate::ops) fn four(x: &Raw, batch: &[usize], last: [usize; 2], adjacent: bool) -> Result<Raw> {
    let full: Vec<usize> = batch.iter().copied().chain(last).collect();
    let mut x = x.broadcast_as(&full[..])?;
    if adjacent && last[1] > 1 && x.stride().last() != Some(&1) {
        x = x.contiguous()?;
    }
    Ok(match batch.len() {
        0 => x.unsqueeze(0)?.unsqueeze(0)?,
        1 => x.unsqueeze(0)?,
        2 => x,
        n => x.contiguous()?.reshape((batch[..n - 1].iter().product::<usize>(), batch[n - 1], last[0], last[1]))?,
    })
}

/// What is dropped of `draw` strengths.
pub(in crate::ops) fn dropped(dropout: Option<(f64, Key)>, draw: usize) -> Option<Dropped> {
    let (rate, key) = dropout.filter(|d| d.0 > 0.0)?;
    Some(Dropped { key: key.0, draw, threshold: bernoulli_threshold(1.0 - rate), factor: 1.0 / (1.0 - rate) })
}

/// A gradient of all matrices as that of an operand, whose axes may have been broadcast.
pub(in crate::ops) fn given_back(d: &Raw, batch: &[usize], operand: &Tensor) -> Result<Tensor> {
    let rank = operand.rank();
    let full: Vec<usize> = batch.iter().copied().chain(operand.shape()[rank - 2..].iter().copied()).collect();
    Tensor::from_raw(d.reshape(full)?, DType::F32).sum_to(operand.shape())
}

/// [`attention`](super::attention()) of float32 operands; nothing where no kernel computes it.
pub(super) fn tiled(inputs: &[Tensor; 3], shape: &Shape, o: &AttentionOptions, path: &Path) -> Result<Option<Tensor>> {
    let matrices: usize = shape.batch.iter().product();
    let sizes = [matrices, shape.queries, shape.keys, shape.depth, shape.value_depth];
    if sizes.contains(&0) || o.segments.is_some() {
        return Ok(None);
    }
    let draw = matrices.saturating_mul(shape.queries * shape.keys);
    let numbers = Numbers {
        queries: shape.queries,
        keys: shape.keys,
        depth: shape.depth,
        value_depth: shape.value_depth,
        scale: o.scale,
        causal: o.causal,
        mask_value: o.mask_value,
        dropped: dropped(o.dropout, draw),
    };
    let [q, k, v] = inputs;
    let found = path.accelerated(q, |kernels| {
        let seen = Seen {
            q: four(q.raw(), &shape.batch, [shape.queries, shape.depth], true)?,
            k: Some(four(k.raw(), &shape.batch, [shape.keys, shape.depth], true)?),
            v: four(v.raw(), &shape.batch, [shape.keys, shape.value_depth], true)?,
            mask: match &o.mask {
                None => None,
                Some(m) => {
                    Some(four(&m.raw().to_device(q.device())?, &shape.batch, [shape.queries, shape.keys], false)?)
                }
            },
        };
        Ok(kernels.attention(&seen, &numbers)?.map(|kept| (seen, kept)))
    })?;
    let Some((seen, kept)) = found else { return Ok(None) };
    let full = shape.with([shape.queries, shape.value_depth]);
    let value = Tensor::from_raw(kept[0].reshape(full)?, DType::F32);
    let (saved, batch) = (inputs.clone().map(|t| t.detach()), shape.batch.clone());
    let ct_size = [shape.queries, shape.value_depth];
    Ok(Some(record(value, &[q, k, v], move |ct, need| {
        let path = ct.path("gradient of attention");
        let grads = path.accelerated(ct, |kernels| {
            kernels.attention_back(&seen, &numbers, &kept, &four(ct.raw(), &batch, ct_size, true)?)
        })?;
        let grads = grads.ok_or_else(missing)?;
        let mut out = smallvec![];
        for ((d, operand), &needed) in grads.iter().zip(&saved).zip(need) {
            out.push(if needed { Some(given_back(d, &batch, operand)?) } else { None });
        }
        Ok(out)
    })))
}

/// Positions of the last two axes exchanged, without gaps.
pub(in crate::ops) fn turned(x: &Raw) -> Result<Raw> {
    Ok(x.transpose(D::Minus2, D::Minus1)?.contiguous()?)
}
