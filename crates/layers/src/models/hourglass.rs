//! The Hourglass: a language model whose inner blocks see a shorter sequence.
use super::{
    makers::{AttentionMaker, LayerMaker, ResamplingMaker, WayOfResampling},
    model,
    values::{Blocks, Hierarchy, WholeMode},
};
use crate::{Dim, Error, Mode, Rate, Wholes};

model! {
    /// A language model whose inner blocks see groups of tokens as one position: the logits of every token, given those before it.
    ///
    /// The blocks have relative attention. The input is shifted to the right inside, so position `t` of the output rests on positions before `t` only.
    /// The number of tokens of the innermost level divides the length. The backward pass needs the activations of every block, those of inner blocks
    /// for a shorter sequence; relative attention makes matrices of queries × keys.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, length, vocabSize]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the biases of relative attention, the blocks, and the dense layer behind them.
    /// State: none.
    /// Modes: dropout in `'train'` only; there is no mode `'predict'`.
    /// Errors:
    /// - `InvalidOption`: options do not go together, or the mode becomes `'predict'`.
    /// - `ShapeMismatch`: the levels do not divide the length.
    ///
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// See: `ReformerShortenLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.HourglassLM(10, { hierarchy: '1@2', dModel: 16, dFf: 32, nHeads: 2, mode: 'eval' });
    /// model.init({ shape: [1, 4], dtype: 'int32' });
    /// model([[4, 2, 7, 1]]).shape; // → [1, 4, 10]
    /// ```
    pub struct HourglassLMOptions for "HourglassLM" ("vocabSize") {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Depth of the activations between blocks; even, and a multiple of `nHeads`.
        d_model "dModel": Dim = Dim(512),
        /// Depth inside the feed-forward part of a block.
        d_ff "dFf": Dim = Dim(2048),
        /// Number of blocks that see every token, before and after those that see a shorter sequence.
        vanilla_layers "vanillaLayers": Blocks = Blocks([1, 1]),
        /// Blocks and how many tokens are one position to them, `'blocks@tokens'`, for each level on the way in and out: `'1@2 4@6 1@2'`.
        /// It reads the same backwards, and each level is a multiple of the one around it.
        hierarchy "hierarchy": Hierarchy = Hierarchy::one(6, 3),
        /// Number of attention heads.
        n_heads "nHeads": Dim = Dim(8),
        /// Probability of dropping an activation, in training.
        dropout "dropout": Rate = Rate(0.1),
        /// Axes along which a dropout mask is shared; `null`: none.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes> = None,
        /// How the layers behave; several positions are computed as one, so there is no mode `'predict'`.
        mode "mode": WholeMode = WholeMode(Mode::Train),
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("FastGelu"),
        /// Makes the attention of blocks that see every token.
        vanilla_attn_type "vanillaAttnType": AttentionMaker = AttentionMaker::Named("RelativeAttentionWrapper"),
        /// Makes the attention of blocks that see a shorter sequence.
        middle_attn_type "middleAttnType": AttentionMaker = AttentionMaker::Named("RelativeAttentionWrapper"),
        /// Makes the layers that shorten the sequence.
        downsampling_fn "downsamplingFn": WayOfResampling = WayOfResampling::Named("AttentionResampling"),
        /// Makes the layers that lengthen it again.
        upsampling_fn "upsamplingFn": WayOfResampling = WayOfResampling::Named("AttentionResampling"),
        /// Makes what `AttentionResampling` shortens with.
        attention_downsampling_fn "attentionDownsamplingFn": ResamplingMaker = ResamplingMaker::Named("AveragePooling"),
        /// Makes what `AttentionResampling` lengthens with.
        attention_upsampling_fn "attentionUpsamplingFn": ResamplingMaker = ResamplingMaker::Named("LinearUpsampling"),
    }
    check |o| {
        let (d, n) = (o.d_model.0, o.n_heads.0);
        if d.is_multiple_of(2) && d.is_multiple_of(n) {
            return Ok(());
        }
        let what = "HourglassLM: `dModel` must be even and a multiple of `nHeads`";
        Err(Error::option(format!("{what}, got {d} for {n} heads")))
    }
}
