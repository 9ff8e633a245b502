//! Transformers whose parts are chosen by options.
use super::{
    groups::{ConfigurableOptions, FeedForwardOptions, LossOptions, PositionOptions, PositionStartOptions},
    makers::AttentionMaker,
    model,
    values::{AttentionSparsity, FeedForwardSparsity, FeedForwardSparsityType, Layers},
};
use crate::{attention::check_heads, options::OptionType, Dim, Error, Result};

/// Refuses heads that do not divide the depth, and a list where a number of experts is wanted.
fn check(model: &str, common: &ConfigurableOptions, feed_forward: &FeedForwardOptions) -> Result<()> {
    check_heads(model, "dModel", common.d_model, common.n_heads)?;
    match (&feed_forward.ff_sparsity, common.ff_sparsity_type) {
        (FeedForwardSparsity::List(given), kind) if kind != FeedForwardSparsityType::OneInN => {
            let (kind, given) = (kind.show(), given.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
            let what = format!("{model}: `ffSparsity` must be the number of experts where `ffSparsityType` is {kind}");
            Err(Error::option(format!("{what}, got [{given}]")))
        }
        _ => Ok(()),
    }
}

model! {
    /// A language model of chosen parts: the logits of every token, given those before it.
    ///
    /// It is `TransformerLM` with attention, feed-forward parts, positions and last layer as the options say. The input is shifted to the right
    /// inside, so position `t` of the output rests on positions before `t` only. The backward pass needs the activations of every block.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, length, vocabSize]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, and the layer that makes the logits.
    /// State: that of the parts; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - those of the parts.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; Jaszczur et al. 2021, arXiv:2111.12763 (sparsity).
    /// See: `TransformerLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.ConfigurableTransformerLM(10, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 3, 10]
    /// ```
    pub struct ConfigurableTransformerLMOptions for "ConfigurableTransformerLM" ("vocabSize")
        with (common: ConfigurableOptions, feed_forward: FeedForwardOptions, positions: PositionOptions, start: PositionStartOptions,
            loss: LossOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
        /// Makes the attention of a block.
        attention_type "attentionType": AttentionMaker = AttentionMaker::Named("CausalAttention"),
    }
    check |o| check("ConfigurableTransformerLM", &o.common, &o.feed_forward)
}

model! {
    /// A classifier of sequences of tokens, of chosen parts: the logits of the classes.
    ///
    /// Blocks of attention to all tokens that are no padding give a vector for each token, and the logits come from the mean of these vectors.
    /// The backward pass needs the activations of every block.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, nClasses]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, and the dense layer behind them.
    /// State: that of the parts.
    /// Modes: dropout in `'train'` only; `'predict'` takes whole sequences, as `'eval'` does.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - those of the parts.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; Jaszczur et al. 2021, arXiv:2111.12763 (sparsity).
    /// See: `TransformerEncoder`.
    /// Example:
    /// ```ts
    /// const model = tl.models.ConfigurableTransformerEncoder(10, { nClasses: 2, dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 2]
    /// ```
    pub struct ConfigurableTransformerEncoderOptions for "ConfigurableTransformerEncoder" ("vocabSize")
        with (common: ConfigurableOptions, feed_forward: FeedForwardOptions, positions: PositionOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Number of classes.
        n_classes "nClasses": Dim = Dim(10),
        /// Number of encoder blocks.
        n_layers "nLayers": Layers = Layers(6),
        /// Makes the attention of a block, from vectors and a mask to both.
        attention_type "attentionType": AttentionMaker = AttentionMaker::Named("Attention"),
    }
    check |o| check("ConfigurableTransformerEncoder", &o.common, &o.feed_forward)
}

model! {
    /// An encoder and a decoder of chosen parts: the logits of every token of a target, given a source and the tokens before it.
    ///
    /// The target is shifted to the right inside. Attention does not see padding. The backward pass needs the activations of every block.
    ///
    /// Shapes: `int32[batch, sourceLength]`, `int32[batch, length]` → `float32[batch, length, vocabulary]`, `int32[batch, length]`; 0 is padding, and
    /// the second output is the target, for a loss.
    /// Weights: those of the embeddings, the positions, the blocks, and the layer that makes the logits.
    /// State: that of the parts; in mode `'predict'` the encoded source and the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` the first call encodes the source, the target comes one position at a time, and `init` begins
    /// with another source.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - those of the parts.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; Jaszczur et al. 2021, arXiv:2111.12763 (sparsity).
    /// See: `Transformer`.
    /// Example:
    /// ```ts
    /// const model = tl.models.ConfigurableTransformer(10, { dModel: 16, dFf: 32, nHeads: 2, nEncoderLayers: 1, nDecoderLayers: 1, mode: 'eval' });
    /// model.init([{ shape: [1, 4], dtype: 'int32' }, { shape: [1, 3], dtype: 'int32' }]);
    /// const [logits] = model([[[4, 2, 7, 1]], [[5, 3, 6]]]);
    /// logits.shape; // → [1, 3, 10]
    /// ```
    pub struct ConfigurableTransformerOptions for "ConfigurableTransformer" ("inputVocabSize")
        with (common: ConfigurableOptions, feed_forward: FeedForwardOptions, positions: PositionOptions, loss: LossOptions) {
        /// Number of different tokens of the source.
        input_vocab_size "inputVocabSize": Dim,
        /// Number of different tokens of the target; `null`: those of the source, with the same embedding.
        output_vocab_size "outputVocabSize": Option<Dim> = None,
        /// Number of encoder blocks.
        n_encoder_layers "nEncoderLayers": Layers = Layers(6),
        /// Number of decoder blocks.
        n_decoder_layers "nDecoderLayers": Layers = Layers(6),
        /// Makes the attention of an encoder block, from vectors and a mask to both.
        encoder_attention_type "encoderAttentionType": AttentionMaker = AttentionMaker::Named("Attention"),
        /// Makes the causal attention of a decoder block.
        encoder_decoder_attention_type "encoderDecoderAttentionType": AttentionMaker = AttentionMaker::Named("CausalAttention"),
        /// Modules of the sparse projection of queries in attention to the encoder, whose result then has no projection; a pair tells the
        /// modules of both, as `qSparsity` and `resultSparsity` of `AttentionQKV`. 0: both are dense.
        enc_dec_attention_sparsity "encDecAttentionSparsity": AttentionSparsity = AttentionSparsity([None, None]),
    }
    check |o| check("ConfigurableTransformer", &o.common, &o.feed_forward)
}
