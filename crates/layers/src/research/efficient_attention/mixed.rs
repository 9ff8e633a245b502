//! LSH attention for long sequences, exact attention for short ones.
use super::{
    pure_lsh::pure_lsh_given,
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{
    attention::{
        dot_product_attention, dot_product_causal_attention, DotProductAttentionOptions,
        DotProductCausalAttentionOptions,
    },
    combinators::serial,
    composite,
    framework::pure::pure_layer,
    options,
    options::Given,
    Base, Composite, Count, Cx, Dim, Error, InitCx, LayerRef, Nesting, Parts, Rate, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Attends by hashing where a sequence is longer than `stdLength`, and exactly where it is not; for vectors that are already split
    /// into heads.
    ///
    /// Long sequences go through `PureLSHSelfAttention`; others through `DotProductCausalAttention` or, if not `causal`,
    /// `DotProductAttention`, with the first input as queries and keys. Without `stdLength` it is always the former. Options of
    /// `PureLSHSelfAttention` that are given are handed on; `dQk`, `dV`, `outputDropout` and `useReferenceCode` change nothing.
    ///
    /// Shapes: queries `[batch · nHeads, length, dQk]`, values `[batch · nHeads, length, dV]`, unless `causal` also
    /// `bool[batch, length]` → `[batch · nHeads, length, dV]`. The mask is true at valid positions. With `useSegments` also segment ids
    /// `int32[batch, length]`, the last input, which are an output too.
    /// Weights: none.
    /// State: that of the two layers, a pair.
    /// Modes: drops attention strengths in `'train'` only; `'predict'` as the two layers.
    /// Errors:
    /// - `InvalidOption`: it is `causal` with a mask, or not `causal` without one.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// Example:
    /// ```ts
    /// const layer = tl.MixedLSHSelfAttention({ nHeads: 2, stdLength: 16, chunkLen: 4, nBuckets: 4, causal: true });
    /// const x = tl.ones([2, 8, 4]);
    /// layer.init(tl.signature([x, x]));
    /// layer([x, x]).shape; // → [ 2, 8, 4 ]
    /// ```
    pub struct MixedLSHSelfAttentionOptions for "MixedLSHSelfAttention" () with (attention: EfficientAttentionOptions, lsh: Given<LSHOptions>) {
        /// Number of heads that share the leading axis with the batch.
        n_heads "nHeads": Dim = Dim(1),
        /// Longest sequence that attention is exact for; null: none.
        std_length "stdLength": Option<Count> = None,
        /// Whether to have no dropout, whatever the rates.
        force_no_dropout "forceNoDropout": bool = false,
    }
}

/// See [`MixedLSHSelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn mixed_lsh_self_attention(o: MixedLSHSelfAttentionOptions) -> Result<LayerRef> {
    let mut own = o.attention;
    if own.causal == own.masked {
        return Err(Error::option(
            "MixedLSHSelfAttention: exact attention takes a mask unless it is causal, so exactly one of `causal` and `masked` must be true",
        ));
    }
    if o.force_no_dropout {
        own.attention_dropout = Rate(0.0);
    }
    let mut lsh = o.lsh.pairs;
    lsh.push(("nHeads", o.n_heads.0.into()));
    lsh.extend(own.pairs());
    let lsh = pure_lsh_given(lsh)?;
    let (dropout, use_segments, mode) = (own.attention_dropout, own.use_segments, own.mode);
    let exact = if own.causal {
        let twice = pure_layer(
            "dup_shared_qk",
            2,
            3,
            |s| Ok(vec![s[0].clone(), s[0].clone(), s[1].clone()]),
            |xs| Ok(vec![xs[0].clone(), xs[0].clone(), xs[1].clone()]),
        );
        serial(vec![
            twice,
            dot_product_causal_attention(DotProductCausalAttentionOptions {
                dropout,
                use_segments,
                mode,
                ..DotProductCausalAttentionOptions::new()
            })?,
        ])
    } else {
        let heads = o.n_heads.0;
        let twice = pure_layer(
            "dup_shared_qk_and_make_mask",
            3,
            4,
            move |s| {
                let &[batch, length] = &s[2].shape[..] else {
                    return Err(Error::shape(format!("the mask must be (batch, length), got {}", s[2])));
                };
                let mask = s[2].with_shape([batch * heads, 1, length]);
                Ok(vec![s[0].clone(), s[0].clone(), s[1].clone(), mask])
            },
            move |xs| {
                let mask = xs[2].repeat(heads, 0)?.expand_dims(1)?;
                Ok(vec![xs[0].clone(), xs[0].clone(), xs[1].clone(), mask])
            },
        );
        serial(vec![twice, dot_product_attention(DotProductAttentionOptions { dropout, use_segments, mode })?])
    };
    let base = Base { to_print: Some(Vec::new()), ..Base::new("MixedLSHSelfAttention") };
    let arity = lsh.arity();
    Ok(composite(Parts { base, layers: vec![lsh, exact], arity }, Mixed { std_length: o.std_length.map(|n| n.0) }))
}

/// Of its layers the first is for long sequences, the second for others.
#[derive(Debug, Clone)]
struct Mixed {
    std_length: Option<usize>,
}

impl Mixed {
    fn chosen(&self, length: usize) -> usize {
        usize::from(self.std_length.is_some_and(|n| length <= n))
    }
}

/// In mode `'predict'` the layer that a sequence began with, which alone remembers it; `None` before its first position.
fn begun(parts: &Parts, cx: &Cx) -> Option<usize> {
    // Of both the state tells how many positions there were: first in the memory of the one, last in that of the other.
    let first = |t: &Tree<Tensor>| t.leaves().first().and_then(|t| t.item().ok());
    let last = |t: &Tree<Tensor>| match t {
        Tree::Past(past) => Some(past.len() as f64),
        t => t.leaves().last().and_then(|t| t.item().ok()),
    };
    let exact = &parts.layers[1].sublayers()[1];
    let remembers = |layer: &LayerRef, n: Option<f64>| layer.goes_on() && n.is_some_and(|n| n > 0.0);
    if remembers(&parts.layers[0], first(&cx.state(parts.layers[0].base().id))) {
        return Some(0);
    }
    remembers(exact, last(&cx.state(exact.base().id))).then_some(1)
}

impl Composite for Mixed {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::signature(&parts.layers[0], inputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init(&parts.layers[0], inputs)?;
        cx.init(&parts.layers[1], inputs)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.signature(parts, &xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let chosen = begun(parts, cx).unwrap_or_else(|| self.chosen(xs[0].shape()[1]));
        let dtype = xs[1].dtype();
        let key = cx.split(key, 2)[chosen];
        let mut ys = cx.apply(&parts.layers[chosen], xs, key)?;
        // Segments may stand behind it.
        if let Some(y) = ys.first_mut() {
            *y = y.cast(dtype)?;
        }
        Ok(ys)
    }
    fn traits(&self) -> Traits {
        // Which layer a stream goes on with hangs on the stream.
        Traits { alone: true, ..Traits::COMPOSITE }
    }
    // Neither layer has weights, and Trax's has no place for them.
    fn nesting(&self) -> Nesting<'_> {
        Nesting::NoWeights
    }
}
