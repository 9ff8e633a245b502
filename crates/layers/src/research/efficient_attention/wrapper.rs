//! LSH attention without weights between projections of several kinds.
use super::{
    pure_lsh::pure_lsh_given,
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{
    attention::{merge_heads, split_into_heads, MergeHeadsOptions, SplitIntoHeadsOptions},
    choice,
    combinators::{branch, parallel, select, serial, serial_named},
    core::{dense_of, DenseOptions},
    framework::pure::pure_layer,
    options,
    options::Given,
    research::{
        rotary_positional_embedding::rotate_layer,
        sparsity::{factored_dense, locally_conv_dense, FactoredDenseOptions, LocallyConvDenseOptions},
    },
    Count, Dim, Error, Factory, LayerNest, LayerRef, Mode, Result,
};

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
    /// Puts projections around an attention that has no weights, such as `PureLSHSelfAttention`.
    ///
    /// It projects the input to queries, keys and values (with `numWeights: 3`, where queries and keys are averaged), or to queries
    /// that are keys, and values (with 2). Then the attention runs, the heads are joined and, with `weightsFormat: 'model'`, a `Dense`
    /// follows. `'model'` projects by `Dense` layers, `'sparse'` by `FactoredDense` and `LocallyConvDense`. What is given of the
    /// options of LSH attention, `stdLength` and `forceNoDropout` is handed on; what is not given is left to the attention.
    ///
    /// Shapes: `[batch, length, nHeads · dQk]`, with `masked` also `bool[batch, length]` → `[batch, length, nHeads · dQk]`. The mask is
    /// true at valid positions. With `useSegments` also segment ids `int32[batch, length]`, the last input, which are an output too.
    /// Weights: one element for each layer that it is made of: projections, attention, `MergeHeads` and `Dense`.
    /// State: one element for each layer that it is made of.
    /// Modes: those of the layers that it is made of.
    /// Errors:
    /// - `InvalidOption`: `numWeights` is neither 2 nor 3, or `weightsFormat` is `'heads'`, which Trax does not have either.
    /// - `InvalidOption`: `weightsFormat` is `'sparse'` with `useSegments`, since its convolutions see positions of other segments.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; the sparse projections are those of Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.PureLSHSelfAttentionWrapper({
    ///   nHeads: 2,
    ///   dQk: 4,
    ///   dV: 4,
    ///   chunkLen: 4,
    ///   nBuckets: 4,
    ///   causal: true,
    ///   pureLshImplementation: tl.PureLSHSelfAttention,
    /// });
    /// layer.init({ shape: [1, 8, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 8, 8])).shape; // → [ 1, 8, 8 ]
    /// ```
    pub struct PureLSHSelfAttentionWrapperOptions for "PureLSHSelfAttentionWrapper" ()
        with (attention: EfficientAttentionOptions, lsh: Given<LSHOptions>) {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Factory of the attention; by default `PureLSHSelfAttention`.
        pure_lsh_implementation "pureLshImplementation": Option<Factory> = None,
        /// Whether dense projections have a bias.
        bias "bias": bool = true,
        /// Number of projections: 3 for queries, keys and values, 2 if queries are the keys.
        num_weights "numWeights": Dim = Dim(3),
        /// Modules of sparse projections.
        sparsity "sparsity": Dim = Dim(16),
        /// How projections are made.
        weights_format "weightsFormat": WeightsFormat = WeightsFormat::Model,
        /// Whether queries and keys are turned by their positions (`Rotate`); `'model'` only.
        rotary_position_emb "rotaryPositionEmb": bool = false,
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
    if o.attention.use_segments && o.weights_format == WeightsFormat::Sparse {
        return Err(Error::option(
            "PureLSHSelfAttentionWrapper: `useSegments` and `weightsFormat` 'sparse' do not go together, as its convolutions mix segments; use 'model'",
        ));
    }
    let projections = Projections {
        d_model: o.attention.d_qk.0 * o.n_heads.0,
        n_heads: o.n_heads.0,
        bias: o.bias,
        sparsity: o.sparsity.0,
        rotary: o.rotary_position_emb,
        mode: o.attention.mode,
    };
    let mut layers = vec![projections.layer(o.weights_format, o.num_weights.0)?, attention(&o)?];
    layers.push(merge_heads(MergeHeadsOptions::new(o.n_heads))?);
    if o.weights_format != WeightsFormat::Sparse {
        layers.push(projections.dense()?);
    }
    Ok(serial_named("PureLSHSelfAttentionWrapper", layers))
}

fn attention(o: &PureLSHSelfAttentionWrapperOptions) -> Result<LayerRef> {
    let mut given = vec![("nHeads", o.n_heads.0.into())];
    given.extend(o.attention.pairs());
    given.extend(o.lsh.pairs.iter().cloned());
    given.extend(o.std_length.map(|n| ("stdLength", n.0.into())));
    given.extend(o.force_no_dropout.map(|b| ("forceNoDropout", b.into())));
    match &o.pure_lsh_implementation {
        Some(factory) => factory.make_with(&given),
        None => pure_lsh_given(given),
    }
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
        Ok(dense_of(DenseOptions { use_bias: self.bias, ..DenseOptions::new(Dim(self.d_model)) }))
    }
    fn split(&self) -> Result<LayerRef> {
        split_into_heads(SplitIntoHeadsOptions::new(Dim(self.n_heads)))
    }
    fn factored(&self) -> Result<LayerRef> {
        factored_dense(FactoredDenseOptions::new(Dim(self.sparsity), Dim(self.d_model), Dim(self.d_model)))
    }
    fn convolved(&self, kernel_size: usize) -> Result<LayerRef> {
        let units = Dim(self.d_model / self.sparsity);
        locally_conv_dense(LocallyConvDenseOptions {
            kernel_size: Dim(kernel_size),
            length_kernel_size: Dim(3),
            ..LocallyConvDenseOptions::new(Dim(self.sparsity), units, self.mode)
        })
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
                    layers.push(parallel(vec![rotate_layer(self.mode), rotate_layer(self.mode), serial(Vec::new())])?);
                }
                layers.extend([average(), parallel(vec![self.split()?, self.split()?])?]);
                together(layers)
            }
            (WeightsFormat::Model, 2) => {
                // An empty list stands where nothing turns, as in Trax's printed form.
                let turn = if self.rotary { rotate_layer(self.mode).into() } else { LayerNest::List(Vec::new()) };
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
