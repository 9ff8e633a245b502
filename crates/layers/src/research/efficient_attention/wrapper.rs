//! LSH attention without weights between projections of several kinds.
use super::{
    hashing::Buckets,
    mixed::{mode_json, HandedOn},
};
use crate::{
    base::pure_layer,
    choice,
    combinators::{branch, parallel, select, serial, serial_named},
    options,
    registry::construct,
    research::rotary_positional_embedding::rotate_layer,
    Count, Dim, Error, Factory, LayerNest, LayerRef, Mode, Rate, Result,
};
use serde_json::json;

choice! {
    /// How weights of projections are laid out.
    pub enum WeightsFormat: "'model' | 'sparse' | 'heads'", "'model', 'sparse' or 'heads'" {
        /// One matrix for all heads.
        Model = "model",
        /// A factored matrix and convolutions.
        Sparse = "sparse",
        /// A matrix for each head.
        Heads = "heads",
    }
}

options! {
    /// Self-attention from vectors (and a mask) to vectors around an attention without weights, such as `PureLSHSelfAttention`.
    ///
    /// Projections to vectors for queries, keys and values (with `numWeights: 3`; queries and keys are averaged) or for queries that are keys, and values
    /// (with 2); the attention; merged heads; with `weightsFormat: 'model'` a `Dense` after it. `'model'` projects by `Dense` layers, `'sparse'` by `FactoredDense` and
    /// `LocallyConvDense`; `'heads'` is not there in Trax either. The options of the attention that are not the wrapper's own are handed on.
    /// Shapes: `(batch, length, nHeads·dQk)`, with `masked` also `(batch, length)`, true for valid positions, kept.
    /// Weights and state: one element for each layer it is made of: projections, attention, `MergeHeads`, and `Dense`.
    /// Mode: as the layers it is made of.
    /// Errors: `InvalidOption` for `numWeights` other than 2 and 3, or `'heads'`.
    /// Source: Kitaev et al. 2020, arXiv:2001.04451; sparse projections: Jaszczur et al. 2021, arXiv:2111.12763.
    pub struct PureLSHSelfAttentionWrapperOptions for "PureLSHSelfAttentionWrapper" () {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Size of a query and a key.
        d_qk "dQk": Dim = Dim(64),
        /// Size of a value, handed to the attention.
        d_v "dV": Dim = Dim(64),
        /// Whether positions see earlier ones only.
        causal "causal": bool = false,
        /// Whether there is a second input that tells valid positions from padding.
        masked "masked": bool = false,
        /// Handed to the attention.
        output_dropout "outputDropout": Rate = Rate(0.0),
        /// Probability of dropping an attention strength.
        attention_dropout "attentionDropout": Rate = Rate(0.0),
        /// Factory of the attention; by default `PureLSHSelfAttention`.
        pure_lsh_implementation "pureLshImplementation": Option<Factory> = None,
        /// Whether dense projections have a bias.
        bias "bias": bool = true,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Number of projections: 3 for queries, keys and values, 2 if queries are the keys.
        num_weights "numWeights": Dim = Dim(3),
        /// Modules of sparse projections.
        sparsity "sparsity": Dim = Dim(16),
        /// How projections are made.
        weights_format "weightsFormat": WeightsFormat = WeightsFormat::Model,
        /// Whether queries and keys are turned by their positions (`Rotate`); `'model'` only.
        rotary_position_emb "rotaryPositionEmb": bool = false,
        /// Positions per chunk; null: that of the attention, as for all that follow.
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
        /// Handed to the attention.
        use_python_loop "usePythonLoop": Option<bool> = None,
        /// Handed to the attention.
        use_reference_code "useReferenceCode": Option<bool> = None,
        /// Longest sequence that a `MixedLSHSelfAttention` is exact for.
        std_length "stdLength": Option<Count> = None,
        /// Whether a `MixedLSHSelfAttention` has no dropout.
        force_no_dropout "forceNoDropout": Option<bool> = None,
    }
}

/// See [`PureLSHSelfAttentionWrapperOptions`].
///
/// # Errors
/// `InvalidOption` for options outside their domain, and those of the layers it is made of.
pub(super) fn pure_lsh_self_attention_wrapper(o: PureLSHSelfAttentionWrapperOptions) -> Result<LayerRef> {
    let projections = Projections {
        d_model: o.d_qk.0 * o.n_heads.0,
        n_heads: o.n_heads.0,
        bias: o.bias,
        sparsity: o.sparsity.0,
        rotary: o.rotary_position_emb,
        mode: o.mode,
    };
    let mut layers = vec![projections.layer(o.weights_format, o.num_weights.0)?, attention(&o)?];
    layers.push(construct("MergeHeads", &json!({"nHeads": o.n_heads.0}))?);
    if o.weights_format != WeightsFormat::Sparse {
        layers.push(projections.dense()?);
    }
    Ok(serial_named("PureLSHSelfAttentionWrapper", layers))
}

fn attention(o: &PureLSHSelfAttentionWrapperOptions) -> Result<LayerRef> {
    let mut given = vec![
        ("nHeads", json!(o.n_heads.0)),
        ("dQk", json!(o.d_qk.0)),
        ("dV", json!(o.d_v.0)),
        ("causal", json!(o.causal)),
        ("masked", json!(o.masked)),
        ("mode", mode_json(o.mode)),
        ("outputDropout", json!(o.output_dropout.0)),
        ("attentionDropout", json!(o.attention_dropout.0)),
    ];
    given.extend(
        HandedOn {
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
        .pairs(),
    );
    given.extend(o.use_python_loop.map(|b| ("usePythonLoop", json!(b))));
    given.extend(o.use_reference_code.map(|b| ("useReferenceCode", json!(b))));
    given.extend(o.std_length.map(|n| ("stdLength", json!(n.0))));
    given.extend(o.force_no_dropout.map(|b| ("forceNoDropout", json!(b))));
    let default = || Factory::Kind("PureLSHSelfAttention".into(), json!({}));
    o.pure_lsh_implementation.clone().unwrap_or_else(default).make_with(&given)
}

/// Projections of vectors to queries that are keys, and values, split into heads.
struct Projections {
    d_model: usize,
    n_heads: usize,
    bias: bool,
    sparsity: usize,
    rotary: bool,
    mode: Mode,
}

impl Projections {
    fn dense(&self) -> Result<LayerRef> {
        construct("Dense", &json!({"nUnits": self.d_model, "useBias": self.bias}))
    }
    fn split(&self) -> Result<LayerRef> {
        construct("SplitIntoHeads", &json!({"nHeads": self.n_heads}))
    }
    fn factored(&self) -> Result<LayerRef> {
        construct("FactoredDense", &json!({"nModules": self.sparsity, "dIn": self.d_model, "dOut": self.d_model}))
    }
    fn convolved(&self, kernel_size: usize) -> Result<LayerRef> {
        construct(
            "LocallyConvDense",
            &json!({
                "nModules": self.sparsity, "nUnits": self.d_model / self.sparsity, "mode": mode_json(self.mode),
                "kernelSize": kernel_size, "lengthKernelSize": 3,
            }),
        )
    }
    fn layer(&self, format: WeightsFormat, count: usize) -> Result<LayerRef> {
        let together = |layers: Vec<LayerRef>| Ok(serial(layers));
        if format == WeightsFormat::Sparse && !self.d_model.is_multiple_of(self.sparsity) {
            let (d, n) = (self.d_model, self.sparsity);
            return Err(Error::option(format!(
                "PureLSHSelfAttentionWrapper: nHeads · dQk ({d}) is no multiple of the sparsity {n}"
            )));
        }
        match (format, count) {
            (WeightsFormat::Model, 3) => {
                let three = branch(vec![self.dense()?, self.dense()?, self.dense()?])?;
                let mut layers = vec![three];
                if self.rotary {
                    layers.push(parallel(vec![rotate_layer(), rotate_layer(), serial(Vec::new())])?);
                }
                layers.extend([average(), parallel(vec![self.split()?, self.split()?])?]);
                together(layers)
            }
            (WeightsFormat::Model, 2) => {
                // An empty list stands where nothing turns, as in Trax's printed form.
                let turn = if self.rotary { rotate_layer().into() } else { LayerNest::List(Vec::new()) };
                let first = LayerNest::List(vec![self.dense()?.into(), turn, self.split()?.into()]);
                branch(vec![first, LayerNest::List(vec![self.dense()?.into(), self.split()?.into()])])
            }
            (WeightsFormat::Sparse, 3) => {
                together(vec![
                    select(&[0, 0], None)?,
                    self.factored()?,
                    select(&[0, 0, 0], None)?,
                    parallel(vec![
                        serial(vec![self.convolved(3)?, self.split()?]),
                        serial(vec![self.convolved(3)?, self.split()?]),
                        serial(vec![select(&[0], Some(2))?, self.convolved(1)?, self.split()?]),
                    ])?,
                    average(),
                ])
            }
            (WeightsFormat::Sparse, 2) => together(vec![
                select(&[0, 0], None)?,
                self.factored()?,
                select(&[0, 0], None)?,
                self.convolved(3)?,
                self.split()?,
                parallel(vec![
                    serial(Vec::new()),
                    serial(vec![select(&[0], Some(2))?, self.convolved(1)?, self.split()?]),
                ])?,
            ]),
            (WeightsFormat::Heads, _) => Err(Error::option(
                "PureLSHSelfAttentionWrapper: `weightsFormat` 'heads' has no projections, in Trax neither; use 'model' or 'sparse'",
            )),
            (_, n) => {
                Err(Error::option(format!("PureLSHSelfAttentionWrapper: `numWeights` must be 2 or 3, got {n}")))
            }
        }
    }
}

/// The mean of queries and keys.
fn average() -> LayerRef {
    pure_layer("QKAvg", 2, 1, |s| Ok(vec![s[0].broadcast(&s[1])?]), |xs| Ok(vec![xs[0].add(&xs[1])?.div_scalar(2.0)?]))
}
