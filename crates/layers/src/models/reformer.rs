//! Reformers: Transformers whose memory for activations does not grow with depth.
use super::values::Layers;
use super::{
    groups::{
        BlockOptions, FeedForwardOptions, LossOptions, PositionOptions, PositionStartOptions, ReformerDecoderOptions,
    },
    makers::{AttentionMaker, AttentionMakers, LayerMaker},
    model,
    values::WholeMode,
};
use crate::{Dim, Error, Mode, Result};

/// Refuses layers that attention of several types cannot take turns in.
fn check_turns(model: &str, layers: Layers, types: AttentionMakers) -> Result<()> {
    if !types.is_empty() && layers.0.is_multiple_of(types.len()) {
        return Ok(());
    }
    let (layers, types) = (layers.0, types.len());
    Err(Error::option(format!("{model}: `nLayers` must be a multiple of the {types} attention types, got {layers}")))
}

model! {
    /// A language model of reversible blocks: the logits of every token, given those before it.
    ///
    /// The input is shifted to the right inside, so position `t` of the output rests on positions before `t` only. The vectors of the tokens go twice
    /// through blocks that add to one part what they make of the other; both parts are joined at the end. The backward pass needs the activations
    /// of one block and what its attention keeps, whatever `nLayers`; only weights and their gradients grow.
    ///
    /// Formula: `a = b = embed(x)`; `nLayers` times `a += attention(norm(b))`, `b += feedForward(norm(a))`; then `dense(norm([a, b]))`.
    /// Shapes: `int32[batch, length]` → `float32[batch, length, vocabSize]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, and the layer that makes the logits.
    /// State: that of the attention; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as an `nLayers` that is no multiple of the attention types.
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `TransformerLM`, `ReformerShortenLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.ReformerLM(10, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 3, 10]
    /// ```
    pub struct ReformerLMOptions for "ReformerLM" ("vocabSize")
        with (positions: PositionOptions, start: PositionStartOptions, feed_forward: FeedForwardOptions, block: BlockOptions,
            decoder: ReformerDecoderOptions, loss: LossOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Depth of each part of the activations between blocks.
        d_model "dModel": Dim = Dim(512),
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
        /// Makes the attention of a block, such as `SelfAttention` or `LSHSelfAttention`; several take turns.
        attention_type "attentionType": AttentionMakers = AttentionMakers::Named("SelfAttention"),
        /// How the layers behave; `'predict'` computes the next positions of each call, and keeps what is past in its state.
        mode "mode": Mode = Mode::Train,
    }
    check |o| check_turns("ReformerLM", o.n_layers, o.attention_type)
}

model! {
    /// A language model whose reversible blocks see a shorter sequence: the logits of every token, given those before it.
    ///
    /// Groups of `shortenFactor` positions are joined before the blocks and taken apart after them; a convolution and a recurrent layer then see the
    /// positions within a group. The input is shifted to the right inside, so position `t` of the output rests on positions before `t` only.
    /// The backward pass needs what that of `ReformerLM` needs at `length / shortenFactor` positions, and a few vectors for each position.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, length, vocabSize]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, the convolution, the recurrent layer and the dense layers.
    /// State: that of the attention.
    /// Modes: dropout in `'train'` only; there is no mode `'predict'`.
    /// Errors:
    /// - `InvalidOption`: options do not go together, or the mode becomes `'predict'`.
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `ReformerLM`, `HourglassLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.ReformerShortenLM(10, { shortenFactor: 2, dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 4], dtype: 'int32' });
    /// model([[4, 2, 7, 1]]).shape; // → [1, 4, 10]
    /// ```
    pub struct ReformerShortenLMOptions for "ReformerShortenLM" ("vocabSize")
        with (positions: PositionOptions, start: PositionStartOptions, feed_forward: FeedForwardOptions, block: BlockOptions,
            decoder: ReformerDecoderOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// How many positions become one; it divides the length.
        shorten_factor "shortenFactor": Dim = Dim(1),
        /// Depth of the embedding, and of what the logits come from.
        d_embedding "dEmbedding": Dim = Dim(256),
        /// Depth of each part of the activations between blocks.
        d_model "dModel": Dim = Dim(512),
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
        /// Makes the attention of a block, such as `SelfAttention` or `LSHSelfAttention`; several take turns.
        attention_type "attentionType": AttentionMakers = AttentionMakers::Named("SelfAttention"),
        /// How the layers behave; several positions are computed as one, so there is no mode `'predict'`.
        mode "mode": WholeMode = WholeMode(Mode::Train),
    }
    check |o| check_turns("ReformerShortenLM", o.n_layers, o.attention_type)
}

model! {
    /// An encoder and a decoder of reversible blocks: the logits of every token of a target, given a source and the tokens before it.
    ///
    /// The target is shifted to the right inside. An encoder of `EncoderBlock`s makes vectors of the source, a decoder of `EncoderDecoderBlock`s reads
    /// them; each begins with its vectors twice and ends with the mean of the two. As in Trax, `EncDecAttention` adds up all positions of the source
    /// that are no padding, unweighed; `AttentionQKV` weighs them. The backward pass needs the activations of one block and what its attention keeps.
    ///
    /// Shapes: `int32[batch, sourceLength]`, `int32[batch, length]` → `float32[batch, length, vocabulary]`, `int32[batch, length]`; 0 is padding, and
    /// the second output is the target, for a loss.
    /// Weights: those of the embeddings, the positions, the blocks, and the dense layer behind them.
    /// State: that of the attention; in mode `'predict'` the encoded source and the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` the first call encodes the source, the target comes one position at a time, and `init` begins
    /// with another source.
    /// Errors:
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `Transformer`, `ReformerLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.Reformer(10, { dModel: 16, dFf: 32, nHeads: 2, nEncoderLayers: 1, nDecoderLayers: 1, mode: 'eval' });
    /// model.init([{ shape: [1, 4], dtype: 'int32' }, { shape: [1, 3], dtype: 'int32' }]);
    /// const [logits] = model([[[4, 2, 7, 1]], [[5, 3, 6]]]);
    /// logits.shape; // → [1, 3, 10]
    /// ```
    pub struct ReformerOptions for "Reformer" ("inputVocabSize")
        with (positions: PositionOptions, start: PositionStartOptions, feed_forward: FeedForwardOptions, block: BlockOptions) {
        /// Number of different tokens of the source.
        input_vocab_size "inputVocabSize": Dim,
        /// Number of different tokens of the target; `null`: those of the source, with the same embedding.
        output_vocab_size "outputVocabSize": Option<Dim> = None,
        /// Depth of each part of the activations between blocks.
        d_model "dModel": Dim = Dim(512),
        /// Number of encoder blocks.
        n_encoder_layers "nEncoderLayers": Layers = Layers(6),
        /// Number of decoder blocks.
        n_decoder_layers "nDecoderLayers": Layers = Layers(6),
        /// Number of attention heads, each `dModel / nHeads` deep, rounded down.
        n_heads "nHeads": Dim = Dim(8),
        /// Makes the attention of the encoder, which takes a mask.
        encoder_attention_type "encoderAttentionType": AttentionMaker = AttentionMaker::Named("SelfAttention"),
        /// Makes the attention of the decoder to the encoder's vectors, such as `AttentionQKV`.
        encoder_decoder_attention_type "encoderDecoderAttentionType": AttentionMaker = AttentionMaker::Named("EncDecAttention"),
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("Relu"),
        /// How the layers behave; `'predict'` computes the target one position after another.
        mode "mode": Mode = Mode::Train,
    }
}
