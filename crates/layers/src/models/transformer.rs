//! The Transformers of "Attention Is All You Need".
use super::values::Layers;
use super::{groups::TransformerCommonOptions, model};
use crate::{attention::check_heads, Dim};

model! {
    /// A language model of causal attention: the logits of every token, given those before it.
    ///
    /// The input is shifted to the right inside, so position `t` of the output rests on positions before `t` only. The backward pass needs the activations of every block.
    ///
    /// Formula: `nLayers` times `h = x + drop(attention(norm(x)))`, `x = h + drop(feedForward(norm(h)))`; then `dense(norm(x))`.
    /// Shapes: `int32[batch, length]` → `float32[batch, length, vocabSize]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, and the dense layer behind them.
    /// State: none; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - `ShapeMismatch`: there are more than `maxLen` positions.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `ReformerLM`, `ConfigurableTransformerLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.TransformerLM(10, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 3, 10]
    /// ```
    pub struct TransformerLMOptions for "TransformerLM" ("vocabSize") with (common: TransformerCommonOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
    }
    check |o| check_heads("TransformerLM", "dModel", o.common.d_model, o.common.n_heads)
}

model! {
    /// A language model as `TransformerLM`, for several sequences one behind the other in each row: packed sequences.
    ///
    /// The second input has an id for each token, the same within a sequence. Attention, positions and the shift respect them: each sequence
    /// gets the logits that it would get alone.
    ///
    /// Shapes: `int32[batch, length]`, ids `int32[batch, length]` → `float32[batch, length, vocabSize]`.
    /// Weights: those of a `TransformerLM`, and an empty entry behind them.
    /// State: none; in mode `'predict'` the positions so far, and their ids.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - `ShapeMismatch`: a sequence has more than `maxLen` positions, or the ids are not one for each token.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; for packed sequences Raffel et al. 2019, arXiv:1910.10683.
    /// See: `TransformerLM`.
    /// Example:
    /// ```ts
    /// const options = { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' } as const;
    /// const packed = tl.models.PackedTransformerLM(10, options);
    /// const [tokens, ids] = [tl.tensor([[4, 2, 7, 5, 3]]), tl.tensor([[1, 1, 1, 2, 2]])];
    /// packed.init(tl.signature([tokens, ids]));
    /// packed([tokens, ids]).shape; // → [1, 5, 10]
    /// ```
    pub struct PackedTransformerLMOptions for "PackedTransformerLM" ("vocabSize") with (common: TransformerCommonOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
    }
    check |o| check_heads("PackedTransformerLM", "dModel", o.common.d_model, o.common.n_heads)
}

model! {
    /// A classifier of sequences of tokens: the logits of the classes.
    ///
    /// Blocks of attention to all tokens that are no padding give a vector for each token, and the logits come from the mean of these vectors.
    /// The backward pass needs the activations of every block; attention makes no matrix of `length × length`.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, nClasses]`; ids are below `vocabSize`, and 0 is padding.
    /// Weights: those of the embedding, the positions, the blocks, and the dense layer behind them.
    /// State: none.
    /// Modes: dropout in `'train'` only; `'predict'` takes whole sequences, as `'eval'` does.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - `ShapeMismatch`: there are more than `maxLen` positions.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `ConfigurableTransformerEncoder`.
    /// Example:
    /// ```ts
    /// const model = tl.models.TransformerEncoder(10, { nClasses: 2, dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 2]
    /// ```
    pub struct TransformerEncoderOptions for "TransformerEncoder" ("vocabSize") with (common: TransformerCommonOptions) {
        /// Number of different tokens.
        vocab_size "vocabSize": Dim,
        /// Number of classes.
        n_classes "nClasses": Dim = Dim(10),
        /// Number of encoder blocks.
        n_layers "nLayers": Layers = Layers(6),
    }
    check |o| check_heads("TransformerEncoder", "dModel", o.common.d_model, o.common.n_heads)
}

model! {
    /// A decoder: a vector for every position of a sequence, made of the positions up to it.
    ///
    /// Nothing is shifted: position `t` of the output rests on position `t` of the input too. The backward pass needs the activations of every block.
    ///
    /// Shapes: `int32[batch, length]` → `float32[batch, length, dModel]`; without `vocabSize` `float32[batch, length, depth]` → the same.
    /// Weights: those of the embedding (without `vocabSize` of a dense layer), the positions and the blocks.
    /// State: none; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - `ShapeMismatch`: there are more than `maxLen` positions.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `TransformerLM`.
    /// Example:
    /// ```ts
    /// const model = tl.models.TransformerDecoder({ vocabSize: 10, dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, mode: 'eval' });
    /// model.init({ shape: [1, 3], dtype: 'int32' });
    /// model([[4, 2, 7]]).shape; // → [1, 3, 16]
    /// ```
    pub struct TransformerDecoderOptions for "TransformerDecoder" () with (common: TransformerCommonOptions) {
        /// Number of different tokens; `null`: the input is vectors, not tokens.
        vocab_size "vocabSize": Option<Dim> = None,
        /// Number of decoder blocks.
        n_layers "nLayers": Layers = Layers(6),
    }
    check |o| check_heads("TransformerDecoder", "dModel", o.common.d_model, o.common.n_heads)
}

model! {
    /// An encoder and a decoder: the logits of every token of a target, given a source and the tokens before it.
    ///
    /// The target is shifted to the right inside. Attention does not see padding. The backward pass needs the activations of every block.
    ///
    /// Shapes: `int32[batch, sourceLength]`, `int32[batch, length]` → `float32[batch, length, vocabulary]`, `int32[batch, length]`; 0 is padding, and
    /// the second output is the target, for a loss.
    /// Weights: those of the embeddings, the positions, the blocks, and the dense layer behind them.
    /// State: none; in mode `'predict'` the encoded source and the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` the first call encodes the source, the target comes one position at a time, and `init` begins
    /// with another source.
    /// Errors:
    /// - `InvalidOption`: options do not go together, such as a `dModel` that `nHeads` does not divide.
    /// - `ShapeMismatch`: there are more than `maxLen` positions.
    ///
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `Reformer`, `ConfigurableTransformer`.
    /// Example:
    /// ```ts
    /// const model = tl.models.Transformer(10, { dModel: 16, dFf: 32, nHeads: 2, nEncoderLayers: 1, nDecoderLayers: 1, mode: 'eval' });
    /// model.init([{ shape: [1, 4], dtype: 'int32' }, { shape: [1, 3], dtype: 'int32' }]);
    /// const [logits] = model([[[4, 2, 7, 1]], [[5, 3, 6]]]);
    /// logits.shape; // → [1, 3, 10]
    /// ```
    pub struct TransformerOptions for "Transformer" ("inputVocabSize") with (common: TransformerCommonOptions) {
        /// Number of different tokens of the source.
        input_vocab_size "inputVocabSize": Dim,
        /// Number of different tokens of the target; `null`: those of the source, with the same embedding.
        output_vocab_size "outputVocabSize": Option<Dim> = None,
        /// Number of encoder blocks.
        n_encoder_layers "nEncoderLayers": Layers = Layers(6),
        /// Number of decoder blocks.
        n_decoder_layers "nDecoderLayers": Layers = Layers(6),
    }
    check |o| check_heads("Transformer", "dModel", o.common.d_model, o.common.n_heads)
}
