//! LSH attention for long sequences, exact attention for short ones.
use super::hashing::Buckets;
use crate::{
    base::pure_layer, combinators::serial, options, options::OptionType, registry::construct, Arity, Base, Count, Cx,
    Dim, Error, InitCx, Layer, LayerRef, Loader, Mode, Rate, Rebuild, Result, TensorSpec, Tree, View,
};
use serde_json::{json, Map, Value};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

options! {
    /// LSH attention for sequences longer than `stdLength`, exact attention for others; for vectors already split into heads: `(qk, v) -> o`.
    ///
    /// Long sequences go through `PureLSHSelfAttention`, others through `DotProductCausalAttention` (or, if not `causal`, `DotProductAttention`) with
    /// `qk` as queries and keys. Without `stdLength` it is always the former. The options of `PureLSHSelfAttention` are handed on.
    /// Shapes: `(batch·nHeads, length, d_qk), (batch·nHeads, length, d_v)`, unless `causal` also `(batch, length)`, true for valid positions
    /// `-> (batch·nHeads, length, d_v)`. No weights. State: the pair of the two layers' states.
    /// Mode: dropout of attention strengths only in `'train'`; `'predict'` as the two layers.
    /// Errors: `InvalidOption` unless there is a mask exactly if it is not `causal`.
    /// Source: Kitaev et al. 2020, arXiv:2001.04451.
    pub struct MixedLSHSelfAttentionOptions for "MixedLSHSelfAttention" () {
        /// Number of heads that share the leading axis with the batch.
        n_heads "nHeads": Dim = Dim(1),
        /// Size of a query; not read, the input decides.
        d_qk "dQk": Dim = Dim(64),
        /// Size of a value; not read, the input decides.
        d_v "dV": Dim = Dim(64),
        /// Whether positions see earlier ones only.
        causal "causal": bool = false,
        /// Whether there is a third input that tells valid positions from padding.
        masked "masked": bool = false,
        /// Longest sequence that attention is exact for; null: none.
        std_length "stdLength": Option<Count> = None,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Not read, as in Trax.
        output_dropout "outputDropout": Rate = Rate(0.0),
        /// Probability of dropping an attention strength.
        attention_dropout "attentionDropout": Rate = Rate(0.0),
        /// Whether to have no dropout, whatever the rates.
        force_no_dropout "forceNoDropout": bool = false,
        /// Positions per chunk; null: that of `PureLSHSelfAttention`, as for all that follow.
        chunk_len "chunkLen": Option<Dim> = None,
        /// Chunks seen before a position's own.
        n_chunks_before "nChunksBefore": Option<Count> = None,
        /// Chunks seen after a position's own.
        n_chunks_after "nChunksAfter": Option<Count> = None,
        /// Rounds of hashing.
        n_hashes "nHashes": Option<Dim> = None,
        /// Number of buckets, or numbers whose product it is; even.
        n_buckets "nBuckets": Option<Buckets> = None,
        /// Positions that predict mode remembers.
        predict_mem_len "predictMemLen": Option<Dim> = None,
        /// Positions forgotten when the memory is full.
        predict_drop_len "predictDropLen": Option<Dim> = None,
        /// Length that the buckets in the state have room for.
        max_length_for_buckets "maxLengthForBuckets": Option<Dim> = None,
        /// How many heads Trax computes at a time.
        n_parallel_heads "nParallelHeads": Option<Dim> = None,
        /// Changes nothing.
        use_python_loop "usePythonLoop": bool = false,
        /// Changes nothing.
        use_reference_code "useReferenceCode": bool = false,
    }
}

/// The options of [`PureLSHSelfAttention`](super::PureLSHSelfAttentionOptions) that other layers hand on, where given.
pub(super) struct HandedOn<'a> {
    pub chunk_len: Option<Dim>,
    pub n_chunks_before: Option<Count>,
    pub n_chunks_after: Option<Count>,
    pub n_hashes: Option<Dim>,
    pub n_buckets: &'a Option<Buckets>,
    pub predict_mem_len: Option<Dim>,
    pub predict_drop_len: Option<Dim>,
    pub max_length_for_buckets: Option<Dim>,
    pub n_parallel_heads: Option<Dim>,
}

impl HandedOn<'_> {
    pub(super) fn pairs(&self) -> Vec<(&'static str, Value)> {
        let dims = [
            ("chunkLen", self.chunk_len.map(|d| d.0)),
            ("nChunksBefore", self.n_chunks_before.map(|d| d.0)),
            ("nChunksAfter", self.n_chunks_after.map(|d| d.0)),
            ("nHashes", self.n_hashes.map(|d| d.0)),
            ("predictMemLen", self.predict_mem_len.map(|d| d.0)),
            ("predictDropLen", self.predict_drop_len.map(|d| d.0)),
            ("maxLengthForBuckets", self.max_length_for_buckets.map(|d| d.0)),
            ("nParallelHeads", self.n_parallel_heads.map(|d| d.0)),
        ];
        let mut out: Vec<_> = dims.into_iter().filter_map(|(name, d)| Some((name, json!(d?)))).collect();
        out.extend(self.n_buckets.as_ref().map(|b| ("nBuckets", json!(b.0))));
        out
    }
}

/// A mode as options have it.
pub(super) fn mode_json(mode: Mode) -> Value {
    json!(mode.show().trim_matches('\''))
}

/// See [`MixedLSHSelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn mixed_lsh_self_attention(o: MixedLSHSelfAttentionOptions) -> Result<LayerRef> {
    if o.causal == o.masked {
        return Err(Error::option(
            "MixedLSHSelfAttention: exact attention takes a mask unless it is causal, so exactly one of `causal` and `masked` must be true",
        ));
    }
    let dropout = if o.force_no_dropout { 0.0 } else { o.attention_dropout.0 };
    let mut lsh: Map<String, Value> = HandedOn {
        chunk_len: o.chunk_len,
        n_chunks_before: o.n_chunks_before,
        n_chunks_after: o.n_chunks_after,
        n_hashes: o.n_hashes,
        n_buckets: &o.n_buckets,
        predict_mem_len: o.predict_mem_len,
        predict_drop_len: o.predict_drop_len,
        max_length_for_buckets: o.max_length_for_buckets,
        n_parallel_heads: o.n_parallel_heads,
    }
    .pairs()
    .into_iter()
    .map(|(k, v)| (k.to_string(), v))
    .collect();
    lsh.extend([
        ("nHeads".into(), json!(o.n_heads.0)),
        ("causal".into(), json!(o.causal)),
        ("masked".into(), json!(o.masked)),
        ("mode".into(), mode_json(o.mode)),
        ("attentionDropout".into(), json!(dropout)),
    ]);
    let lsh = construct("PureLSHSelfAttention", &Value::Object(lsh))?;
    let exact = json!({"dropout": dropout, "mode": mode_json(o.mode)});
    let exact = if o.causal {
        let twice = pure_layer(
            "dup_shared_qk",
            2,
            3,
            |s| Ok(vec![s[0].clone(), s[0].clone(), s[1].clone()]),
            |xs| Ok(vec![xs[0].clone(), xs[0].clone(), xs[1].clone()]),
        );
        serial(vec![twice, construct("DotProductCausalAttention", &exact)?])
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
        serial(vec![twice, construct("DotProductAttention", &exact)?])
    };
    let base = Base { to_print: Some(Vec::new()), ..Base::new("MixedLSHSelfAttention") };
    Ok(Arc::new(Mixed { base, layers: [lsh, exact], std_length: o.std_length.map(|n| n.0) }))
}

#[derive(Debug)]
struct Mixed {
    base: Base,
    /// For long sequences, for others.
    layers: [LayerRef; 2],
    std_length: Option<usize>,
}

impl Mixed {
    fn chosen(&self, length: usize) -> usize {
        usize::from(self.std_length.is_some_and(|n| length <= n))
    }
}

impl Layer for Mixed {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.layers[0].arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.layers
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::signature(&self.layers[0], inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        cx.init(&self.layers[0], inputs)?;
        cx.init(&self.layers[1], inputs)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let chosen = self.chosen(xs[0].shape()[1]);
        let dtype = xs[1].dtype();
        let key = cx.split(key, 2)[chosen];
        let ys = cx.apply(&self.layers[chosen], xs, key)?;
        Ok(ys.into_iter().map(|y| y.cast(dtype)).collect::<tallow_tensor::Result<_>>()?)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let layers = self.layers.each_ref().map(|l| r.layer(l));
        Arc::new(Self { base: self.base.rebuilt(r), layers, std_length: self.std_length })
    }
    // Neither layer has weights, and Trax's has no place for them.
    fn view_weights(&self, _: &mut View) -> Tree<Tensor> {
        Tree::EMPTY
    }
    fn load_weights(&self, tree: &Tree<Tensor>, _: &mut Loader) -> Result<()> {
        if tree.is_empty() {
            return Ok(());
        }
        Err(Error::new("WeightsMismatch", format!("{} has no weights, got {}", self.base.name, tree.describe())))
    }
}
