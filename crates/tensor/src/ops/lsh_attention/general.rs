//! Chunked attention composed of tensor operations, for devices without a kernel. What is computed on the way is kept.
use super::problem::{order, ChunkedAttentionOptions, Inputs, Shape};
use crate::{memory, ops::dropout, DType, Result, Tensor};

/// What was not sorted by anything: positions in order.
fn slots(shape: &Shape, o: &ChunkedAttentionOptions) -> Result<Vec<u32>> {
    if let Some(order) = order(shape, o)? {
        return Ok(order);
    }
    let mut plain = memory::room(&[shape.items(), shape.length])?;
    (0..shape.items()).for_each(|_| plain.extend(0..shape.length as u32));
    Ok(plain)
}

/// [`chunked_attention`](super::chunked_attention) of float32 or float64 operands on any device.
pub(super) fn composed(inputs: &Inputs, shape: &Shape, o: &ChunkedAttentionOptions) -> Result<Tensor> {
    let (items, slots_each) = (shape.items(), shape.rounds * shape.length);
    let full = shape.with(&[shape.length, shape.value_depth]);
    let device = inputs.q.device();
    let slots = slots(shape, o)?;
    let chunks = shape.chunks(o.chunk_len);
    let padded = chunks * o.chunk_len;
    let mask = match &o.mask {
        None => None,
        Some(m) => Some(m.broadcast_to(&shape.with(&[shape.length]))?.values::<u8>()?),
    };
    let ids = match &o.segments {
        None => None,
        Some(ids) => Some(ids.broadcast_to(&shape.with(&[shape.length]))?.values::<i32>()?),
    };
    let room = || memory::room::<i32>(&[items, padded]);
    let (mut places, mut info, mut inverse) = (room()?, room()?, memory::zeros::<i32>(slots.len())?);
    let mut segments = memory::room::<i32>(&[if ids.is_some() { items } else { 0 }, padded])?;
    for (item, slots) in slots.chunks_exact(slots_each).enumerate() {
        for (slot, &at) in slots.iter().enumerate() {
            let seen = mask.as_ref().is_none_or(|m| m[item * shape.length + at as usize] != 0);
            places.push(at as i32);
            info.push(if seen { at as i32 } else { -1 });
            segments.extend(ids.as_ref().map(|ids| ids[item * shape.length + at as usize])); // within its room
            inverse[item * slots_each + slot / shape.length * shape.length + at as usize] = slot as i32;
        }
        places.resize((item + 1) * padded, 0); // within its room
        info.resize((item + 1) * padded, -2); // within its room
        if ids.is_some() {
            segments.resize((item + 1) * padded, 0); // within its room
        }
    }
    let ints = |v: Vec<i32>, s: &[usize]| Tensor::from_vec(v, s)?.to_device(device);
    let q_info = ints(memory::copy(&places)?, &[items, chunks, o.chunk_len, 1])?;
    let info = ints(info, &[items, chunks, o.chunk_len])?;
    let apart = match &ids {
        None => None,
        Some(_) => {
            let ids = ints(segments, &[items, chunks, o.chunk_len])?;
            let apart = ids.expand_dims(-1)?.ne(&adjacent(&ids, o)?.expand_dims(2)?)?;
            // What is no position sees something, so that its strengths are numbers.
            Some(apart.logical_and(&info.ge_scalar(-1)?.expand_dims(-1)?)?)
        }
    };
    let k_info = adjacent(&info, o)?.expand_dims(2)?;
    let places = ints(places, &[items, padded, 1])?;
    let inverse = ints(inverse, &[items, slots_each, 1])?;

    let cut = |x: &Tensor, depth: usize| -> Result<Tensor> {
        let x = x.broadcast_to(&shape.with(&[shape.length, depth]))?.reshape(&[items, shape.length, depth])?;
        x.gather(&places, 1)?.reshape(&[items, chunks, o.chunk_len, depth])
    };
    let q = cut(&inputs.q, shape.depth)?;
    let k = match &inputs.k {
        Some(k) => cut(k, shape.depth)?,
        None => q.div(&q.square()?.mean(-1, true)?.add_scalar(1e-6)?.sqrt()?)?,
    };
    let k = adjacent(&k.div_scalar((shape.depth as f64).sqrt())?, o)?;
    let v = adjacent(&cut(&inputs.v, shape.value_depth)?, o)?;
    let mut dots = q.matmul(&k.swap_axes(-1, -2)?)?;
    let take = |dots: Tensor, which: Tensor, much: f64| dots.sub(&which.cast(dots.dtype())?.mul_scalar(much)?);
    if o.causal {
        dots = take(dots, q_info.lt(&k_info)?, 1e9)?;
    }
    if o.exclude_self {
        dots = take(dots, q_info.eq(&k_info)?, 1e5)?;
    }
    if o.mask.is_some() {
        dots = take(dots, k_info.eq_scalar(-1)?, 1e9)?;
    }
    if let Some(apart) = &apart {
        dots = dots.mask_fill(apart, f64::NEG_INFINITY)?;
    }
    if padded > slots_each {
        dots = dots.mask_fill(&k_info.eq_scalar(-2)?, f64::NEG_INFINITY)?;
    }
    // No logarithm of a sum is taken: beside a product that 10⁵ or 10⁹ was taken from, float32 would lose it.
    let top = dots.detach().max(-1, true)?;
    let mut strengths = dots.sub(&top)?.exp()?;
    let total = strengths.sum(-1, true)?;
    if let Some((rate, key)) = o.dropout {
        let window = (o.n_chunks_before + 1 + o.n_chunks_after) * o.chunk_len;
        strengths = dropout(&strengths, rate, key, &[o.chunk_len, window])?;
    }
    let restore = |x: Tensor, depth: usize| -> Result<Tensor> {
        let x = x.reshape(&[items, padded, depth])?.gather(&inverse, 1)?;
        x.reshape(&[items, shape.rounds, shape.length, depth])
    };
    let out = restore(strengths.matmul(&v)?, shape.value_depth)?;
    let (top, total) = (restore(top, 1)?, restore(total, 1)?);
    let weights = top.sub(&top.max(1, true)?)?.exp()?;
    let (out, total) = (out.mul(&weights)?.sum(1, false)?, total.mul(&weights)?.sum(1, false)?);
    out.div(&total)?.reshape(&full)
}

/// Beside each chunk (axis 1) those before and after it, along axis 2.
fn adjacent(x: &Tensor, o: &ChunkedAttentionOptions) -> Result<Tensor> {
    if o.n_chunks_before == 0 && o.n_chunks_after == 0 {
        return Ok(x.clone());
    }
    let offsets = -(o.n_chunks_before as isize)..=o.n_chunks_after as isize;
    Tensor::concat(&offsets.map(|i| x.roll(-i, 1)).collect::<Result<Vec<_>>>()?, 2)
}

/// [`hash_buckets`](super::hash_buckets) on any device.
pub(super) fn buckets(vectors: &Tensor, rotations: &Tensor, factors: &[usize]) -> Result<Tensor> {
    // […, hashes, L, directions].
    let rotated = vectors.expand_dims(-3)?.matmul(&rotations.move_axis(-2, -3)?)?;
    let (mut from, mut unit) = (0, 1);
    let mut bucket: Option<Tensor> = None;
    for &factor in factors {
        let here = rotated.narrow(-1, from, factor / 2)?;
        let digit = Tensor::concat(&[here.clone(), here.neg()?], -1)?.argmax(Some(-1), false)?;
        let digit = digit.cast(DType::I32)?.mul_scalar(unit as i64)?;
        bucket = Some(match bucket {
            None => digit,
            Some(b) => b.add(&digit)?,
        });
        from += factor / 2;
        unit *= factor;
    }
    bucket.map_or_else(|| Tensor::zeros(&[0], DType::I32, vectors.device()), Ok)
}
