//! Attention that masks by taking amounts from products, as Trax's efficient attention does.
use super::{check, tiled, AttentionOptions, Shape, Taken};
use crate::{ops::dropout, random::Key, DType, Error, Result, Tensor};

/// What is taken from a product with a later key.
const LATER: f64 = 1e9;
/// What is taken from the product of a position with itself.
const OWN: f64 = 1e5;

/// What [`penalized_attention`] does beside softmax(q · kᵀ) · v.
#[derive(Debug, Clone)]
pub struct PenalizedAttentionOptions {
    /// Factor of the products of queries and keys; 1/√d in Trax.
    pub scale: f64,
    /// Takes 10⁹ from the products with later positions.
    pub causal: bool,
    /// Takes 10⁵ from the product of a position with itself.
    pub exclude_self: bool,
    /// Floats `[…, Lk]`, broadcast over the leading axes: taken from the products with each key. No gradient flows to them.
    pub key_penalties: Option<Tensor>,
    /// Ids of the segments of queries `[…, Lq]` and keys `[…, Lk]`, as in [`AttentionOptions`].
    pub segments: Option<[Tensor; 2]>,
    /// Rate at which strengths are dropped and the key of `random::bernoulli(key, 1 - rate, [Lq, Lk])`, which all matrices share.
    pub dropout: Option<(f64, Key)>,
    /// Whether the weights of a row sum to 1 also where its products are all lowered by 10⁹.
    pub sums_to_one: bool,
}

impl Default for PenalizedAttentionOptions {
    /// Scale 1, nothing taken, one segment, no dropout, sums rounded as in Trax.
    fn default() -> Self {
        let (key_penalties, segments, dropout) = (None, None, None);
        Self { scale: 1.0, causal: false, exclude_self: false, key_penalties, segments, dropout, sums_to_one: false }
    }
}

/// Softmax attention in tiles as [`attention`](super::attention()), but products are lowered where `attention` replaces them, so
/// that gradients reach masked products, and in float32 a row whose products are all lowered by 10⁹ weighs the values by 1 each:
/// 10⁹ swallows products and the logarithm of the sum, as in Trax. With `sums_to_one` it weighs n of them by 1/n each.
///
/// # Errors
/// Those of `attention`; `ShapeMismatch` for penalties that are not one for each key.
pub fn penalized_attention(q: &Tensor, k: &Tensor, v: &Tensor, options: &PenalizedAttentionOptions) -> Result<Tensor> {
    let dtype = q.dtype().promote(k.dtype()).promote(v.dtype());
    if !dtype.is_float() {
        return Err(Error::dtype(format!(
            "penalized_attention takes floats, got {}, {} and {}",
            q.dtype(),
            k.dtype(),
            v.dtype()
        )));
    }
    let plain = AttentionOptions {
        scale: options.scale,
        causal: options.causal,
        mask: None,
        mask_value: -LATER,
        segments: options.segments.clone(),
        dropout: options.dropout,
    };
    let shape = check(q, k, v, &plain)?;
    let plain = plain.with_segments()?;
    let work = if dtype == DType::F64 { dtype } else { DType::F32 };
    let mut keys = None;
    if let Some(taken) = &options.key_penalties {
        let full: Vec<usize> = shape.batch.iter().copied().chain([shape.keys]).collect();
        let last = taken.shape().last() == Some(&shape.keys);
        if !last || crate::ops::matmul::broadcast(taken.shape(), &full).as_deref() != Some(&full) {
            let (of, each) = (taken.shape(), shape.keys);
            return Err(Error::shape(format!("penalties of shape {of:?} are not one for each of {each} keys")));
        }
        keys = Some(taken.detach().cast(work)?);
    }
    let own = if options.exclude_self { OWN } else { 0.0 };
    let taken = Taken { own, keys, sums_to_one: options.sums_to_one };
    let inputs = [q.cast(work)?, k.cast(work)?, v.cast(work)?];
    let path = q.path("penalized_attention");
    if !path.by_kernel() {
        return composed(&inputs, &shape, &plain, &taken)?.cast(dtype);
    }
    match work {
        DType::F64 => tiled::<f64>(&inputs, shape, &plain, Some(taken)),
        _ => tiled::<f32>(&inputs, shape, &plain, Some(taken))?.cast(dtype),
    }
}

/// The same composed of tensor operations, for devices without a kernel.
fn composed([q, k, v]: &[Tensor; 3], shape: &Shape, o: &AttentionOptions, taken: &Taken) -> Result<Tensor> {
    let mut dots = q.matmul(&k.swap_axes(-1, -2)?)?.mul_scalar(o.scale)?;
    let square = |k: isize| Tensor::tril_mask(shape.queries, shape.keys, k, q.device());
    let take = |dots: &Tensor, which: &Tensor, much: f64| dots.sub(&which.cast(dots.dtype())?.mul_scalar(much)?);
    if o.causal {
        dots = take(&dots, &square(0)?.logical_not()?, LATER)?;
    }
    if taken.own != 0.0 {
        dots = take(&dots, &square(0)?.logical_xor(&square(-1)?)?, taken.own)?;
    }
    if let Some(keys) = &taken.keys {
        dots = dots.sub(&keys.expand_dims(-2)?)?;
    }
    let apart = match &o.segments {
        None => None,
        Some([of_q, of_k]) => Some(of_q.expand_dims(-1)?.ne(&of_k.expand_dims(-2)?)?),
    };
    if let Some(apart) = &apart {
        dots = dots.mask_fill(apart, f64::NEG_INFINITY)?;
    }
    if shape.keys == 0 {
        return dots.matmul(v);
    }
    let mut strengths =
        if taken.sums_to_one { dots.softmax(-1)? } else { dots.sub(&dots.logsumexp(-1, true)?)?.exp()? };
    if let Some(apart) = &apart {
        // A row that sees nothing has no softmax, and its strengths are all of other segments.
        strengths = strengths.mask_fill(apart, 0.0)?;
    }
    if let Some((rate, key)) = o.dropout {
        strengths = dropout(&strengths, rate, key, &[shape.queries, shape.keys])?;
    }
    strengths.matmul(v)
}
