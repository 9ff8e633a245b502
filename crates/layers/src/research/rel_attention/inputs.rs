//! What relative attention takes beside queries, keys and values: encodings of distances, masks, tokens shifted behind a class token.
use super::funnel::Funnel;
use crate::{
    assert_shape::assert_function,
    combinators::{branch, select, serial},
    framework::pure::pure_layer,
    options, Dim, Error, LayerRef, Num, Positive, Result, TensorSpec,
};
use tallow_tensor::{DType, Tensor};

options! {
    /// Sinusoidal encodings of the distances between queries and keys: `(queries, keys) -> encodings`.
    ///
    /// Formula: distance `t` becomes `(sin tθ_0, …, sin tθ_m, cos tθ_0, …, cos tθ_m)` with `θ_i = 10000^(-2i / dFeature)`. Distances are
    /// counted in positions of the input of the whole model: a key is `totalKvPooling` of them, unless there are more queries than keys.
    /// Shapes: `(b,q,…), (b,k,…) -> float32 (distances, dFeature)`, where there are `k` distances if `q = k`, else one less than twice the longer
    /// length; an odd `dFeature` gives one feature more.
    /// No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` unless one length is a multiple of the other; `InvalidOption` for `separateCls: true`.
    /// Source: Dai et al. 2019, arXiv:1901.02860.
    pub struct PositionalEmbeddingsOptions for "PositionalEmbeddings" ("dFeature", "separateCls", "totalKvPooling") {
        /// Width of the encodings.
        d_feature "dFeature": Dim,
        /// Must be false: no encoding is defined for a class token.
        separate_cls "separateCls": bool,
        /// How many positions of the input of the model have become one key.
        total_kv_pooling "totalKvPooling": Positive,
    }
}

options! {
    /// Puts a causal mask behind queries, keys and values: `(queries, keys, values) -> (queries, keys, values, mask)`.
    ///
    /// A query sees the keys up to its own position; where one of them stands for several of the others, those of its own group and of groups before it.
    /// Shapes: `(b,q,d), (b,k,d), (b,v,d) -> (b,q,d), (b,k,d), (b,v,d), bool (b,1,q,k)`. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` unless one length is a multiple of the other.
    pub struct CreateAttentionMaskLayerOptions for "CreateAttentionMaskLayer" () {}
}

options! {
    /// Shifts a sequence one position to the right; the token of a class comes in at the start, the end falls off.
    ///
    /// Shapes: `(batch, length, ...)`, kept. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for less than two axes; `InvalidArgument` for an id that the type of the input does not hold.
    pub struct ShiftRightClsOptions for "ShiftRightCls" ("clsId") {
        /// Id of the token.
        cls_id "clsId": Num,
    }
}

/// Lengths of queries and keys, which have a batch and a length at least.
fn funnel(queries: &TensorSpec, keys: &TensorSpec) -> Result<Funnel> {
    let length = |x: &TensorSpec| match x.shape[..] {
        [.., length, _] => Ok(length),
        _ => {
            Err(Error::shape(format!("expected queries and keys (batch, length, features), got {queries} and {keys}")))
        }
    };
    Funnel::between(length(keys)?, length(queries)?)
}

/// See [`PositionalEmbeddingsOptions`].
///
/// # Errors
/// `InvalidOption` for a class token.
pub(super) fn positional_embeddings(o: &PositionalEmbeddingsOptions) -> Result<LayerRef> {
    if o.separate_cls {
        return Err(Error::option(
            "PositionalEmbeddings: `separateCls` must be false, as no encoding is defined for a class token, in Trax neither",
        ));
    }
    let pooling = o.total_kv_pooling.0;
    let distances = pure_layer(
        "Generate positions vectors",
        2,
        1,
        |s| Ok(vec![TensorSpec::new([funnel(&s[0], &s[1])?.rows()], DType::F32)]),
        move |xs| {
            let funnel = funnel(&TensorSpec::of(&xs[0]), &TensorSpec::of(&xs[1]))?;
            Ok(vec![funnel.distances(pooling, xs[0].device())?])
        },
    );
    let d = o.d_feature.0;
    let half = d.div_ceil(2);
    let encode = pure_layer(
        "Transform to sinusoidal encodings",
        1,
        1,
        move |s| match s[0].shape[..] {
            [n] => Ok(vec![TensorSpec::new([n, 2 * half], DType::F32)]),
            _ => Err(Error::shape(format!("expected one axis of distances, got {}", s[0]))),
        },
        move |xs| {
            let exponents = Tensor::iota(half, DType::F32, xs[0].device())?.mul_scalar(2.0)?.div_scalar(d as f64)?;
            let frequencies = exponents.rpow_scalar(10_000.0)?.rdiv_scalar(1.0)?;
            let angles = xs[0].cast(DType::F32)?.reshape(&[xs[0].size(), 1])?.mul(&frequencies)?;
            Ok(vec![Tensor::concat(&[angles.sin()?, angles.cos()?], 1)?])
        },
    );
    Ok(serial(vec![distances, encode]))
}

/// See [`CreateAttentionMaskLayerOptions`].
///
/// # Errors
/// None.
pub(super) fn create_attention_mask_layer() -> Result<LayerRef> {
    let mask_of = |s: &[TensorSpec]| -> Result<(Funnel, [usize; 4])> {
        let (&[batch, queries, _], &[_, keys, _]) = (&s[0].shape[..], &s[1].shape[..]) else {
            return Err(Error::shape(format!(
                "expected queries and keys (batch, length, features), got {} and {}",
                s[0], s[1]
            )));
        };
        Ok((Funnel::between(keys, queries)?, [batch, 1, queries, keys]))
    };
    let mask = pure_layer(
        "create attention mask layer",
        2,
        1,
        move |s| Ok(vec![TensorSpec::new(mask_of(s)?.1, DType::Bool)]),
        move |xs| {
            let (funnel, shape) = mask_of(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
            Ok(vec![funnel.mask(xs[0].device())?.broadcast_to(&shape)?])
        },
    );
    let keep = |i: usize| select(&[i], None);
    assert_function("bqd,bkd,bvd->bqd,bkd,bvd,b1qk", branch(vec![keep(0)?, keep(1)?, keep(2)?, mask])?)
}

/// See [`ShiftRightClsOptions`].
///
/// # Errors
/// None.
pub(super) fn shift_right_cls(o: &ShiftRightClsOptions) -> Result<LayerRef> {
    let id = o.cls_id.0;
    let check = |x: &TensorSpec| match x.rank() {
        0 | 1 => Err(Error::shape(format!("expected at least 2 axes (batch, length), got shape {:?}", x.shape))),
        _ => Ok(()),
    };
    let shift = pure_layer(
        "ShiftRightCls()",
        1,
        1,
        move |s| {
            check(&s[0])?;
            Ok(s.to_vec())
        },
        move |xs| {
            let x = &xs[0];
            check(&TensorSpec::of(x))?;
            let length = x.shape()[1];
            if length == 0 {
                return Ok(xs.to_vec());
            }
            let mut shape = x.shape().to_vec();
            shape[1] = 1;
            let tokens =
                Tensor::full(&shape, id, x.dtype(), x.device()).map_err(|e| Error::from(e).about("`clsId`"))?;
            Ok(vec![Tensor::concat(&[tokens, x.narrow(1, 0, length - 1)?], 1)?])
        },
    );
    assert_function("...d->...d", shift)
}
