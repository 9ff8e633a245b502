//! A sequence that is shortened or lengthened, and then attends to what it was.
use super::unused::ResamplingFactory;
use crate::{
    combinators::{add, branch, residual, select, serial},
    core::{dense, dropout_over},
    normalization::layer_norm,
    options,
    research::rel_attention::{relative_attention_lm_layer, RelativeAttentionLMLayerOptions},
    Dim, Factory, LayerArg, LayerNest, LayerRef, Mode, Positive, Rate, Result, Wholes,
};

options! {
    /// Makes the layers of a feed-forward block: a `Dense`, an activation, a `Dropout` and another `Dense`, as a list for a `Serial`.
    ///
    /// Shapes: `[..., d]` → `[..., dModel]`.
    /// Weights: those of the two `Dense`.
    /// State: that of the `Dropout`.
    /// Modes: drops in `'train'` only.
    /// Errors:
    /// - those of `Dense`.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layers = tl.FeedForwardBlock(4, 8, 0, null, 'eval', tl.Relu);
    /// layers.map((layer) => layer.name); // → [ 'Dense_8', 'Serial', 'Dropout', 'Dense_4' ]
    /// const block = tl.Serial(...layers);
    /// ```
    pub struct FeedForwardBlockOptions for "FeedForwardBlock"
        ("dModel", "dFf", "dropout", "dropoutSharedAxes", "mode", "activation") {
        /// Depth of the result.
        d_model "dModel": Dim,
        /// Depth inside.
        d_ff "dFf": Dim,
        /// Probability of dropping an activation.
        dropout "dropout": Rate,
        /// Axes along which the dropout mask is shared; null: none.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes>,
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode,
        /// Makes the activation.
        activation "activation": Factory,
    }
}

options! {
    /// Makes the layers that shorten or lengthen a sequence and let the result attend to the sequence, as a list for a `Serial`.
    ///
    /// In upsampling, `y` is what lies below `x` on the stack: a sequence as long as the result. It stays there.
    ///
    /// Formula: `h = norm(x)` and `r = norm(resample(h))`, to which `y` is added in upsampling; `a = r + drop(attention(r, h, h))`; the
    /// result is `a + drop(feedForward(norm(a)))`.
    /// Shapes: `[batch, length, d]` → `[batch, newLength, d]`; in upsampling `[batch, length, d]`, `[batch, newLength, d]` →
    /// `[batch, newLength, d]`, `[batch, newLength, d]`.
    /// Weights: those of its layers.
    /// State: that of its layers.
    /// Modes: drops in `'train'` only.
    /// Errors:
    /// - those of its layers.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// Example:
    /// ```ts
    /// const [contextBias, locationBias] = tl.getRelAttInputs(4, 2);
    /// const layers = tl.AttentionResampling(
    ///   2, 4, false, 8, 2, 0, null, 'eval', tl.FastGelu, contextBias!, locationBias!, 1, tl.AveragePooling,
    /// );
    /// const layer = tl.Serial(...layers);
    /// layer.outputSignature({ shape: [1, 6, 4], dtype: 'float32' }); // → { shape: [ 1, 3, 4 ], dtype: 'float32' }
    /// ```
    pub struct AttentionResamplingOptions for "AttentionResampling"
        ("shortenFactor", "dModel", "isUpsampling", "dFf", "nHeads", "dropout", "dropoutSharedAxes", "mode", "ffActivation",
         "contextBiasLayer", "locationBiasLayer", "totalPooling", "resamplingFn") {
        /// How many positions become one, or one becomes.
        shorten_factor "shortenFactor": Dim,
        /// Depth of the vectors.
        d_model "dModel": Dim,
        /// Whether the sequence is lengthened; else it is shortened.
        is_upsampling "isUpsampling": bool,
        /// Depth inside the feed-forward part.
        d_ff "dFf": Dim,
        /// Number of attention heads.
        n_heads "nHeads": Dim,
        /// Probability of dropping an attention strength, or a value of either part.
        dropout "dropout": Rate,
        /// Axes along which dropout masks are shared; null: none.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes>,
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode,
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": Factory,
        /// What is added to queries where they meet keys: a layer without inputs, such as `getRelAttInputs` gives.
        context_bias_layer "contextBiasLayer": LayerArg,
        /// What is added to queries where they meet distances: a layer without inputs.
        location_bias_layer "locationBiasLayer": LayerArg,
        /// How many positions of the input of the model have become one position of the longer sequence here.
        total_pooling "totalPooling": Positive,
        /// Makes the layer that shortens or lengthens, of the factor, the depth and `{mode}`, such as `AveragePooling` or `LinearUpsampling`.
        resampling_fn "resamplingFn": ResamplingFactory,
    }
}

/// See [`FeedForwardBlockOptions`].
pub(super) fn feed_forward_block(o: &FeedForwardBlockOptions) -> Result<Vec<LayerRef>> {
    let shared = o.dropout_shared_axes.clone().unwrap_or_default().0;
    Ok(vec![dense(o.d_ff.0), o.activation.make()?, dropout_over(o.dropout.0, shared, o.mode), dense(o.d_model.0)])
}

/// See [`AttentionResamplingOptions`].
pub(super) fn attention_resampling(o: AttentionResamplingOptions) -> Result<Vec<LayerRef>> {
    let norm = layer_norm;
    let shared = o.dropout_shared_axes.clone().unwrap_or_default().0;
    let drop = || LayerNest::from(dropout_over(o.dropout.0, shared.clone(), o.mode));
    let resample = o.resampling_fn.0.make_of(
        &[("shortenFactor", o.shorten_factor.0.into()), ("dModel", o.d_model.0.into())],
        &[("mode", o.mode.into())],
    )?;
    let attend = relative_attention_lm_layer(RelativeAttentionLMLayerOptions {
        d_feature: o.d_model,
        context_bias_layer: o.context_bias_layer,
        location_bias_layer: o.location_bias_layer,
        total_kv_pooling: o.total_pooling,
        separate_cls: false,
        n_heads: o.n_heads,
        dropout: o.dropout,
        use_segments: false,
        mode: o.mode,
    })?;
    let feed_forward = feed_forward_block(&FeedForwardBlockOptions {
        d_model: o.d_model,
        d_ff: o.d_ff,
        dropout: o.dropout,
        dropout_shared_axes: o.dropout_shared_axes,
        mode: o.mode,
        activation: o.ff_activation,
    })?;
    let feed_forward = LayerNest::List(feed_forward.into_iter().map(LayerNest::One).collect());
    let mut layers = vec![norm(), branch(vec![serial(vec![resample, norm()]).into(), LayerNest::Null])?];
    if o.is_upsampling {
        // Onto what was lengthened, the sequence as it was before it was shortened.
        layers.push(serial(vec![select(&[0, 2, 1, 2], None)?, add()]));
    }
    layers.push(residual(vec![select(&[0, 1, 1], None)?.into(), attend.into(), drop()], LayerNest::Null)?);
    layers.push(residual(vec![norm().into(), feed_forward, drop()], LayerNest::Null)?);
    Ok(layers)
}
