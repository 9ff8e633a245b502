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
    /// Encodes the distances between queries and keys by sines and cosines.
    ///
    /// Distances are counted in positions of the input of the whole model: a key is `totalKvPooling` of them, unless there are more
    /// queries than keys.
    ///
    /// Formula: distance `t` becomes `[sin(t θ[0]), …, sin(t θ[m]), cos(t θ[0]), …, cos(t θ[m])]`, with
    /// `θ[i] = 10000^(-2i / dFeature)`.
    /// Shapes: queries `[batch, q, ...]`, keys `[batch, k, ...]` → `float32[distances, dFeature]`. There are `k` distances if `q = k`,
    /// else one less than twice the longer length. An odd `dFeature` gives one feature more.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: neither length is a multiple of the other.
    /// - `InvalidOption`: `separateCls` is true.
    /// Source: Trax; Dai et al. 2019, arXiv:1901.02860.
    /// See: `RelativeAttention`.
    /// Example:
    /// ```ts
    /// const layer = tl.PositionalEmbeddings(4, false, 1);
    /// const x = tl.ones([1, 3, 4]);
    /// layer.init(tl.signature([x, x]));
    /// layer([x, x]).shape; // → [ 3, 4 ]
    /// ```
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
    /// Puts a causal mask behind queries, keys and values.
    ///
    /// A query sees the keys up to its own position. Where one of them stands for several of the others, it sees those of its own group
    /// and of the groups before.
    ///
    /// Shapes: queries `[batch, q, d]`, keys `[batch, k, d]`, values `[batch, v, d]` → the same, and `bool[batch, 1, q, k]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: neither length is a multiple of the other.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.CreateAttentionMaskLayer();
    /// const x = tl.ones([1, 2, 4]);
    /// layer.init(tl.signature([x, x, x]));
    /// layer([x, x, x]).at(-1)!; // → Tensor bool[1,1,2,2] [[[[true,false],[true,true]]]]
    /// ```
    pub struct CreateAttentionMaskLayerOptions for "CreateAttentionMaskLayer" () {}
}

options! {
    /// Shifts a sequence one position to the right: the token of a class comes in at the start, and the end falls off.
    ///
    /// Shapes: `[batch, length, ...]` → `[batch, length, ...]`, the same.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes.
    /// - `InvalidArgument`: the type of the input does not hold `clsId`.
    /// Source: Trax.
    /// See: `ShiftRight`.
    /// Example:
    /// ```ts
    /// const layer = tl.ShiftRightCls(9);
    /// layer.init({ shape: [1, 4], dtype: 'int32' });
    /// layer([[5, 6, 7, 8]]); // → Tensor int32[1,4] [[9,5,6,7]]
    /// ```
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
