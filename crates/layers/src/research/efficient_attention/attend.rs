//! Dot-product attention as Trax writes it: on whole matrices, chunked if asked for, masked by information on positions.
use crate::{Error, Result};
use tallow_tensor::{
    ops::{dropout, rms_norm},
    random::Key,
    DType, Tensor,
};

/// What is taken from the product with a later, a masked, and the query's own key.
const LATER: f64 = 1e9;
const MASKED: f64 = 1e9;
const OWN: f64 = 1e5;

/// `x / √(mean(x²) + epsilon)` over the last axis; integers become float32.
///
/// # Errors
/// `ShapeMismatch` for a 0-d tensor.
pub fn length_normalized(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    Ok(rms_norm(&x.cast(x.dtype().to_float())?, None, epsilon)?)
}

/// Each chunk (axis 0 of `[n_chunks, chunk_len, …]`) with those before and after it beside it along axis 1, around the ends.
///
/// # Errors
/// `ShapeMismatch` for fewer than two axes where there is something to look at.
pub fn look_adjacent(x: &Tensor, before: usize, after: usize) -> Result<Tensor> {
    if before == 0 && after == 0 {
        return Ok(x.clone());
    }
    if x.rank() < 2 {
        return Err(Error::shape(format!("lookAdjacent takes [nChunks, chunkLen, ...], got {:?}", x.shape())));
    }
    let offsets = -(before as isize)..=after as isize;
    let chunks = offsets.map(|i| x.roll(-i, 0)).collect::<tallow_tensor::Result<Vec<_>>>()?;
    Ok(Tensor::concat(&chunks, 1)?)
}

/// What [`mask_self_attention`] masks.
#[derive(Debug, Clone, Copy)]
pub struct SelfMask {
    /// Later positions.
    pub causal: bool,
    /// The position itself, more weakly.
    pub exclude_self: bool,
    /// Keys whose information is negative.
    pub masked: bool,
}

/// Takes 10⁹ from products with later positions, 10⁵ from those of a position with itself, 10⁹ where a key's information is negative.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not broadcast.
pub fn mask_self_attention(dots: &Tensor, q_info: &Tensor, kv_info: &Tensor, how: SelfMask) -> Result<Tensor> {
    let (q, k) = (q_info.cast(DType::F32)?, kv_info.cast(DType::F32)?);
    let mut dots = dots.clone();
    let mut take = |which: Tensor, much: f64| -> Result<()> {
        dots = dots.sub(&which.cast(dots.dtype())?.mul_scalar(much)?)?;
        Ok(())
    };
    if how.causal {
        take(q.lt(&k)?, LATER)?;
    }
    if how.exclude_self {
        take(q.eq(&k)?, OWN)?;
    }
    if how.masked {
        take(k.lt_scalar(0.0)?, MASKED)?;
    }
    Ok(dots)
}

/// Arguments of [`attend`].
pub struct Attend<'a> {
    /// Queries `[q_len, d_qk]`.
    pub q: &'a Tensor,
    /// Keys `[kv_len, d_qk]`; without them, queries of length 1.
    pub k: Option<&'a Tensor>,
    /// Values `[kv_len, d_v]`.
    pub v: &'a Tensor,
    /// Queries per chunk.
    pub q_chunk_len: Option<usize>,
    /// Keys per chunk.
    pub kv_chunk_len: Option<usize>,
    /// Chunks seen before the query's own.
    pub n_chunks_before: usize,
    /// Chunks seen after it.
    pub n_chunks_after: usize,
    /// Information on queries, for masks; their positions by default.
    pub q_info: Option<&'a Tensor>,
    /// Information on keys.
    pub kv_info: Option<&'a Tensor>,
    /// Dropout of attention strengths.
    pub dropout: Option<(f64, Key)>,
}

/// Maps products, information on queries and on keys to masked products.
pub type MaskFn<'a> = &'a dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;

/// Attention of one head, and the log-sum-exp of the products of each query: `([q_len, d_v], [q_len])`.
///
/// # Errors
/// `ShapeMismatch` when lengths are no multiples of the chunks', `InvalidOption` for chunks on one side only.
pub fn attend(a: &Attend<'_>, mask: Option<MaskFn<'_>>) -> Result<(Tensor, Tensor)> {
    let chunked = a.q_chunk_len.is_some() || a.kv_chunk_len.is_some();
    if !chunked && (a.n_chunks_before > 0 || a.n_chunks_after > 0) {
        return Err(Error::option("attend: `nChunksBefore` and `nChunksAfter` need `qChunkLen`"));
    }
    let share = a.k.is_none();
    if a.q_chunk_len != a.kv_chunk_len && (a.kv_chunk_len.is_some() || !share) {
        let both = a.q_chunk_len.is_some() && a.kv_chunk_len.is_some();
        if share || !both {
            return Err(Error::option(
                "attend: `qChunkLen` and `kvChunkLen` must be given together, and be equal without keys",
            ));
        }
    }
    let kv_chunk = if share { a.q_chunk_len } else { a.kv_chunk_len };
    // Counted from 1, so that position 0 has a negative too.
    let counted = |given: Option<&Tensor>, of: &Tensor| -> Result<Tensor> {
        Ok(match given {
            Some(info) => info.add_scalar(1)?,
            None => Tensor::iota(axis_from_end(of, 2)?, DType::I32, of.device())?.add_scalar(1)?,
        })
    };
    let q_info = counted(a.q_info, a.q)?;
    let kv_info = match (a.kv_info, share) {
        (None, true) => q_info.clone(),
        (given, _) => counted(given, a.v)?,
    };
    let (q, q_info) = (cut(a.q, a.q_chunk_len)?, cut_info(&q_info, a.q_chunk_len)?);
    let k = match a.k {
        Some(k) => cut(k, kv_chunk)?,
        None => length_normalized(&q, 1e-6)?,
    };
    let (v, kv_info) = (cut(a.v, kv_chunk)?, cut_info(&kv_info, kv_chunk)?);
    let k = k.div_scalar((axis_from_end(&k, 1)? as f64).sqrt())?;
    let see = |x: &Tensor| look_adjacent(x, a.n_chunks_before, a.n_chunks_after);
    let (k, v, kv_info) = (see(&k)?, see(&v)?, see(&kv_info)?);
    let mut dots = q.matmul(&k.swap_axes(-1, -2)?)?;
    if let Some(mask) = mask {
        dots = mask(&dots, &q_info.expand_dims(-1)?, &kv_info.expand_dims(-2)?)?;
    }
    let (out, logs) = (softmax_values(&dots, &v, a.dropout)?, dots.logsumexp(-1, true)?);
    let d_v = axis_from_end(&out, 1)?;
    Ok((out.reshape(&[out.size().checked_div(d_v).unwrap_or(0), d_v])?, logs.reshape(&[logs.size()])?))
}

/// `softmax(dots) · v`, dropout by one mask for all leading axes. Softmax, and not exp(dots − log-sum-exp) as in Trax: beside a product
/// that 10⁵ or 10⁹ was taken from, float32 would lose the logarithm.
fn softmax_values(dots: &Tensor, v: &Tensor, drop: Option<(f64, Key)>) -> Result<Tensor> {
    let mut strengths = dots.softmax(-1)?;
    if let Some((rate, key)) = drop.filter(|d| d.0 > 0.0) {
        let shape = [axis_from_end(dots, 2)?, axis_from_end(dots, 1)?];
        strengths = dropout(&strengths, rate, key, &shape)?;
    }
    Ok(strengths.matmul(v)?)
}

/// Queries `[…, n, d]` against keys at positions `0..`, the queries' own from `start` on; `seen […, keys]` is true for keys not
/// masked. What is `apart`, `[…, n, keys]`, is not seen at all. For a few queries: the matrix of products is made.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not fit.
pub fn attend_from(
    [q, k, v]: [&Tensor; 3],
    positions: (&Tensor, &Tensor),
    apart: Option<&Tensor>,
    how: SelfMask,
) -> Result<Tensor> {
    let k = k.div_scalar((axis_from_end(k, 1)? as f64).sqrt())?;
    let dots = q.matmul(&k.swap_axes(-1, -2)?)?;
    let mut dots = mask_self_attention(&dots, &positions.0.expand_dims(-1)?, &positions.1.expand_dims(-2)?, how)?;
    if let Some(apart) = apart {
        dots = dots.mask_fill(apart, f64::NEG_INFINITY)?;
    }
    softmax_values(&dots, v, None)
}

fn axis_from_end(x: &Tensor, i: usize) -> Result<usize> {
    let at = x.rank().checked_sub(i);
    at.map(|at| x.shape()[at]).ok_or_else(|| Error::shape(format!("attend takes matrices, got {:?}", x.shape())))
}

/// `[n, d]` as `[n / len, len, d]`.
fn cut(x: &Tensor, len: Option<usize>) -> Result<Tensor> {
    let Some(len) = len else { return Ok(x.clone()) };
    let d = axis_from_end(x, 1)?;
    let rows = x.size().checked_div(d).unwrap_or(0);
    if !rows.is_multiple_of(len) {
        return Err(Error::shape(format!("attend: {rows} positions are no multiple of the chunk length {len}")));
    }
    Ok(x.reshape(&[rows / len, len, d])?)
}

fn cut_info(x: &Tensor, len: Option<usize>) -> Result<Tensor> {
    let Some(len) = len else { return Ok(x.clone()) };
    if !x.size().is_multiple_of(len) {
        return Err(Error::shape(format!("attend: {} positions are no multiple of the chunk length {len}", x.size())));
    }
    Ok(x.reshape(&[x.size() / len, len])?)
}
