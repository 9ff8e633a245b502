//! Attention composed of candle operations, for devices without a kernel. The strengths are kept for backward.
use super::problem::{AttentionOptions, Shape};
use crate::{
    autodiff::record,
    memory,
    ops::matmul::{batch_dims, finish, product},
    random::bernoulli,
    tensor::Raw,
    Device, Result, Tensor,
};
use candle_core::D;
use smallvec::smallvec;

/// What becomes of the products of queries and keys.
struct Strengths {
    /// After softmax.
    whole: Raw,
    /// 0 or 1 / (1 − rate) for each.
    factors: Option<Raw>,
    /// u8, nonzero = attend.
    mask: Option<Raw>,
}

impl Strengths {
    fn dropped(&self) -> Result<Raw> {
        Ok(match &self.factors {
            Some(f) => (&self.whole * f)?,
            None => self.whole.clone(),
        })
    }
}

/// The bool mask of both options, at the full shape.
fn full_mask(shape: &Shape, options: &AttentionOptions, device: &Device) -> Result<Option<Raw>> {
    let full = shape.with([shape.queries, shape.keys]);
    let given = match &options.mask {
        Some(m) => Some(m.raw().to_device(device)?.ne(0u8)?.broadcast_as(&full[..])?),
        None => None,
    };
    if !options.causal {
        return Ok(given);
    }
    let (rows, cols) = (shape.queries, shape.keys);
    let seen: Vec<u8> = memory::collect((0..rows * cols).map(|i| u8::from(i % cols <= i / cols)))?;
    let causal = Raw::from_vec(seen, (rows, cols), device)?.broadcast_as(&full[..])?;
    Ok(Some(match given {
        Some(m) => (m * causal)?,
        None => causal,
    }))
}

/// Nonzero where a query and a key are of one segment, at the full shape.
fn own_segment(shape: &Shape, options: &AttentionOptions, device: &Device) -> Result<Option<Raw>> {
    let Some([q, k]) = &options.segments else { return Ok(None) };
    let full = shape.with([shape.queries, shape.keys]);
    let q = q.raw().to_device(device)?.unsqueeze(D::Minus1)?.broadcast_as(&full[..])?;
    let k = k.raw().to_device(device)?.unsqueeze(D::Minus2)?.broadcast_as(&full[..])?;
    Ok(Some(q.eq(&k)?))
}

fn strengths(dots: Raw, shape: &Shape, options: &AttentionOptions) -> Result<Strengths> {
    let device = dots.device().clone();
    let mask = full_mask(shape, options, &device)?;
    let dots = match &mask {
        Some(m) => m.where_cond(&dots, &(dots.zeros_like()? + options.mask_value)?)?,
        None => dots,
    };
    let whole = if dots.elem_count() == 0 {
        dots
    } else {
        match own_segment(shape, options, &device)? {
            None => {
                let e = dots.broadcast_sub(&dots.max_keepdim(D::Minus1)?)?.exp()?;
                e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?
            }
            Some(own) => {
                let dots = own.where_cond(&dots, &(dots.zeros_like()? + f64::NEG_INFINITY)?)?;
                // A row that sees nothing has a largest product and a sum of its own, so that its strengths are 0; other sums are at least 1.
                let e = dots.broadcast_sub(&dots.max_keepdim(D::Minus1)?.maximum(-1e30)?)?.exp()?;
                e.broadcast_div(&e.sum_keepdim(D::Minus1)?.maximum(1.0)?)?
            }
        }
    };
    let factors = match options.dropout {
        Some((rate, key)) if rate > 0.0 => {
            let keep = bernoulli(key, 1.0 - rate, &shape.with([shape.queries, shape.keys]))?;
            Some((keep.raw().to_device(&device)?.to_dtype(whole.dtype())? * (1.0 / (1.0 - rate)))?)
        }
        _ => None,
    };
    Ok(Strengths { whole, factors, mask })
}

/// [`attention`](super::attention) of float32 or float64 operands on any device.
pub(super) fn composed(inputs: &[Tensor; 3], shape: &Shape, options: &AttentionOptions) -> Result<Tensor> {
    let dtype = inputs[0].dtype();
    let saved = inputs.clone().map(|t| t.detach());
    let t = |x: &Raw| x.transpose(D::Minus2, D::Minus1);
    let square = shape.with([shape.queries, shape.keys]);
    // Broadcast first: values may have leading axes that queries and keys lack.
    let q = saved[0].raw().broadcast_as(shape.with([shape.queries, shape.depth]))?;
    let dots = product(&q, &t(saved[1].raw())?, &shape.batch, None, false)?;
    let dots = (dots.reshape(&square[..])? * options.scale)?;
    let s = strengths(dots, shape, options)?;
    let out = product(&s.dropped()?, saved[2].raw(), &shape.batch, None, false)?;
    let value = finish(out, &shape.with([shape.queries, shape.value_depth]), dtype)?;
    let scale = options.scale;
    Ok(record(value, &[&inputs[0], &inputs[1], &inputs[2]], move |ct, need| {
        let [q, k, v] = [0, 1, 2].map(|i| saved[i].raw());
        let grad = |a: &Raw, b: &Raw, like: &Tensor| {
            finish(product(a, b, batch_dims(like.raw()), None, false)?, like.shape(), dtype)
        };
        let dv = if need[2] { Some(grad(&t(&s.dropped()?)?, ct.raw(), &saved[2])?) } else { None };
        if !(need[0] || need[1]) {
            return Ok(smallvec![None, None, dv]);
        }
        let mut g = product(ct.raw(), &t(v)?, batch_dims(ct.raw()), None, false)?.reshape(s.whole.shape())?;
        if let Some(f) = &s.factors {
            g = (g * f)?;
        }
        let inner = (&g * &s.whole)?.sum_keepdim(D::Minus1)?;
        let mut g = ((g.broadcast_sub(&inner)? * &s.whole)? * scale)?;
        if let Some(m) = &s.mask {
            g = m.where_cond(&g, &g.zeros_like()?)?;
        }
        let dq = if need[0] { Some(grad(&g, k, &saved[0])?) } else { None };
        let dk = if need[1] { Some(grad(&t(&g)?, q, &saved[1])?) } else { None };
        Ok(smallvec![dq, dk, dv])
    }))
}
