//! The reversible blocks that Reformers are made of.
use super::{
    groups::{BlockOptions, FeedForwardOptions, ReformerDecoderOptions},
    makers::{AttentionMaker, LayerMaker},
    model,
};
use crate::{Count, Dim, Mode};

model! {
    /// A block of a reversible decoder, as a list of layers for a `ReversibleSerial`: causal attention, then a feed-forward part.
    ///
    /// Formula: `a' = a + attention(norm(b))`, `b' = b + feedForward(norm(a'))`.
    /// Shapes: `[batch, length, dModel]`, `[batch, length, dModel]` → the same: from `a, b` to `a', b'`.
    /// Weights: those of the normalizations, of the attention and of the feed-forward part.
    /// State: that of the attention; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; Gomez et al. 2017, arXiv:1707.04585.
    /// See: `ReversibleSerial`, `ReformerLM`.
    /// Example:
    /// ```ts
    /// const blocks = tl.models.reformer.DecoderBlock(8, { dFf: 16, nHeads: 2 });
    /// tl.ReversibleSerial(blocks).nIn; // → 2
    /// ```
    pub struct DecoderBlockOptions for "DecoderBlock" ("dModel")
        with (feed_forward: FeedForwardOptions, block: BlockOptions, decoder: ReformerDecoderOptions) {
        /// Depth of each part of the activations.
        d_model "dModel": Dim,
        /// Makes the attention; `SelfAttention` remembers `maxLen` positions in mode `'predict'`.
        attention_type "attentionType": AttentionMaker = AttentionMaker::Named("SelfAttention"),
        /// How many positions there may be.
        max_len "maxLen": Dim = Dim(2048),
        /// How the layers behave.
        mode "mode": Mode = Mode::Train,
    }
}

model! {
    /// A block of a reversible encoder, as a list of layers for a `ReversibleSerial`: attention to all that a mask shows, then a feed-forward part.
    ///
    /// Formula: `a' = a + attention(norm(b), mask)`, `b' = b + feedForward(norm(a'))`.
    /// Shapes: `[batch, length, dModel]`, `[batch, length, dModel]`, `bool[batch, length]` → the same: from `a, b, mask` to `a', b', mask`; the mask is
    /// true for what is no padding.
    /// Weights: those of the normalizations, of the attention and of the feed-forward part.
    /// State: that of the attention.
    /// Modes: dropout in `'train'` only; an encoder never works step by step, so `'predict'` is `'eval'`.
    /// Errors:
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; Gomez et al. 2017, arXiv:1707.04585.
    /// See: `ReversibleSerial`, `Reformer`.
    /// Example:
    /// ```ts
    /// const blocks = tl.models.reformer.EncoderBlock(8, { dFf: 16, nHeads: 2 });
    /// tl.ReversibleSerial(blocks).nIn; // → 3
    /// ```
    pub struct EncoderBlockOptions for "EncoderBlock" ("dModel")
        with (feed_forward: FeedForwardOptions, block: BlockOptions) {
        /// Depth of each part of the activations.
        d_model "dModel": Dim,
        /// Number of attention heads, each `dModel / nHeads` deep, rounded down.
        n_heads "nHeads": Dim = Dim(8),
        /// Makes the attention, which takes a mask.
        attention_type "attentionType": AttentionMaker = AttentionMaker::Named("SelfAttention"),
        /// Computes attention in chunks of this many positions, which do not see each other; 0: no chunks.
        attention_chunk_size "attentionChunkSize": Count = Count(0),
        /// Whether the parts are swapped after the feed-forward part too, and not after attention only.
        use_two_swaps_per_block "useTwoSwapsPerBlock": bool = true,
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("Relu"),
        /// How the layers behave.
        mode "mode": Mode = Mode::Train,
    }
}

model! {
    /// A block of a reversible decoder that reads what an encoder made, as a list of layers for a `ReversibleSerial`.
    ///
    /// It holds causal attention, attention to the encoder's vectors, and a feed-forward part. As in Trax, `EncDecAttention` adds up all vectors of the
    /// encoder that are no padding, unweighed; `AttentionQKV` weighs them.
    ///
    /// Formula: `a' = a + attention(norm(b))`, `b' = b + encDecAttention(norm(a'), e, mask)`, `a'' = a' + feedForward(norm(b'))`.
    /// Shapes: `[batch, length, dModel]`, `[batch, length, dModel]`, `[batch, sourceLength, dModel]`, `bool[batch, sourceLength]` → the same: from
    /// `a, b, e, mask` to `b', a'', e, mask`; the mask is true for what is no padding.
    /// Weights: those of the normalizations, of both kinds of attention and of the feed-forward part.
    /// State: that of the attention; in mode `'predict'` the positions so far.
    /// Modes: dropout in `'train'` only; in `'predict'` each call continues where the last one ended.
    /// Errors:
    /// - those of the parts.
    ///
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; Gomez et al. 2017, arXiv:1707.04585.
    /// See: `ReversibleSerial`, `Reformer`.
    /// Example:
    /// ```ts
    /// const blocks = tl.models.reformer.EncoderDecoderBlock(8, { dFf: 16, nHeads: 2 });
    /// tl.ReversibleSerial(blocks).nIn; // → 4
    /// ```
    pub struct EncoderDecoderBlockOptions for "EncoderDecoderBlock" ("dModel")
        with (feed_forward: FeedForwardOptions, block: BlockOptions) {
        /// Depth of each part of the activations.
        d_model "dModel": Dim,
        /// Number of attention heads, each `dModel / nHeads` deep, rounded down.
        n_heads "nHeads": Dim = Dim(8),
        /// Makes the attention to the encoder's vectors, such as `AttentionQKV`.
        attention_type "attentionType": AttentionMaker = AttentionMaker::Named("EncDecAttention"),
        /// How many positions there may be.
        max_len "maxLen": Dim = Dim(2048),
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("Relu"),
        /// How the layers behave.
        mode "mode": Mode = Mode::Train,
    }
}
