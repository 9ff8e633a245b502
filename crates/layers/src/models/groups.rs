//! Options that several models share.
use super::{
    makers::LayerMaker,
    model,
    values::{FeedForwardSparsity, FeedForwardSparsityType, Layers, PositionType, Recurrent},
};
use crate::{research::sparsity::SparsityType, Count, Dim, Fraction, Mode, NotNegative, Num, Rate, Shape, Wholes};

model! {
    /// Options that all Transformers have.
    pub group TransformerCommonOptions {
        /// Depth of the activations between blocks.
        d_model "dModel": Dim = Dim(512),
        /// Depth inside the feed-forward part of a block.
        d_ff "dFf": Dim = Dim(2048),
        /// Number of attention heads; it divides `dModel`.
        n_heads "nHeads": Dim = Dim(8),
        /// The most positions that can be encoded.
        max_len "maxLen": Dim = Dim(2048),
        /// Probability of dropping an activation, in training.
        dropout "dropout": Rate = Rate(0.1),
        /// Axes along which a dropout mask is shared; `null`: none.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes> = None,
        /// How the layers behave; `'predict'` computes the next positions of each call, and keeps what is past in its state.
        mode "mode": Mode = Mode::Train,
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("Relu"),
    }
}

model! {
    /// Options of models that encode positions.
    pub group PositionOptions {
        /// The most positions that a table can encode, and that `SelfAttention` remembers in mode `'predict'`.
        max_len "maxLen": Dim = Dim(2048),
        /// How positions are told apart: by a trainable table (`null` or `''`), by an encoding of the module `positionEncodings`, or not at
        /// all (`'no'`).
        pos_type "posType": Option<PositionType> = None,
        /// Size of the grid, for `'axial'`.
        pos_axial_shape "posAxialShape": Option<Shape> = None,
        /// Features that each axis of the grid gives, for `'axial'`; they add up to the depth.
        pos_d_axial_embs "posDAxialEmbs": Option<Shape> = None,
    }
}

model! {
    /// Where positions start in training, if a table encodes them.
    pub group PositionStartOptions {
        /// Probability of starting at position 0 in training.
        pos_start_from_zero_prob "posStartFromZeroProb": Num = Num(1.0),
        /// Random starts lie below this position.
        pos_max_offset_to_add "posMaxOffsetToAdd": Count = Count(0),
    }
}

model! {
    /// Options of the feed-forward part of a block.
    pub group FeedForwardOptions {
        /// Depth inside the feed-forward part of a block.
        d_ff "dFf": Dim = Dim(2048),
        /// Probability of dropping an activation, in training.
        dropout "dropout": Rate = Rate(0.1),
        /// Adds to the feed-forward part what this many `SRU` layers make of its input; a pair tells their units too, which are 32
        /// otherwise.
        ff_use_sru "ffUseSru": Recurrent = Recurrent::NONE,
        /// Computes this many positions of the feed-forward part at once, to save memory; 0: all.
        ff_chunk_size "ffChunkSize": Count = Count(0),
        /// Replaces the feed-forward part by a `SparseFF` with blocks of this many units, of which one is active. A list tells its
        /// `dLowrank` too, which is `dFf / ffSparsity` otherwise, and a longer one its `temperature` and `quantProb`; a string holds such
        /// a list. Its activation is `Relu`, and it drops outputs only. 0: dense.
        ff_sparsity "ffSparsity": FeedForwardSparsity = FeedForwardSparsity::Number(0),
    }
}

model! {
    /// Options of the blocks of Reformers.
    pub group BlockOptions {
        /// Probability of dropping what goes into the activation of the feed-forward part; `null`: as `dropout`.
        ff_dropout "ffDropout": Option<Rate> = None,
        /// Whether the layer normalization of blocks moves the mean to 0.
        center_layernorm "centerLayernorm": bool = true,
        /// What layer normalization adds to the variance; `null`: what `LayerNorm` adds by itself.
        epsilon "epsilon": Option<NotNegative> = None,
        /// Whether the dense layers of the feed-forward part, or the sparse one, have bfloat16 weights.
        use_bfloat16 "useBfloat16": bool = false,
    }
}

model! {
    /// Options of the decoder blocks of Reformers.
    pub group ReformerDecoderOptions {
        /// Depth of queries and keys in each head.
        d_attention_key "dAttentionKey": Dim = Dim(64),
        /// Depth of values in each head.
        d_attention_value "dAttentionValue": Dim = Dim(64),
        /// Number of attention heads.
        n_heads "nHeads": Dim = Dim(8),
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("FastGelu"),
        /// Computes attention in chunks of this many positions, which do not see each other; 0: no chunks.
        attention_chunk_size "attentionChunkSize": Count = Count(0),
        /// How many attention layers come first in a block.
        n_attention_layers "nAttentionLayers": Layers = Layers(1),
        /// How many feed-forward parts come after them.
        n_feedforward_layers "nFeedforwardLayers": Layers = Layers(1),
    }
}

model! {
    /// Options that all configurable Transformers have.
    pub group ConfigurableOptions {
        /// Depth of the activations between blocks.
        d_model "dModel": Dim = Dim(512),
        /// Number of attention heads; it divides `dModel`.
        n_heads "nHeads": Dim = Dim(8),
        /// Axes along which a dropout mask is shared; `null`: none.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes> = None,
        /// How the layers behave; `'predict'` computes the next positions of each call, and keeps what is past in its state.
        mode "mode": Mode = Mode::Train,
        /// Makes the activation of the feed-forward part.
        ff_activation "ffActivation": LayerMaker = LayerMaker::Named("Relu"),
        /// Probability of dropping what goes into the activation of the feed-forward part; `null`: as `dropout`.
        ff_dropout "ffDropout": Option<Rate> = Some(Rate(0.1)),
        /// What `ffSparsity` makes of the feed-forward part: a `SparseFF`, a `BlockSparseFF` or a `SwitchSparseFF`. The last two have
        /// `ffSparsity` experts.
        ff_sparsity_type "ffSparsityType": FeedForwardSparsityType = FeedForwardSparsityType::OneInN,
        /// Computes attention in chunks of this many positions, which do not see each other; 0: no chunks.
        attention_chunk_size "attentionChunkSize": Count = Count(0),
    }
}

model! {
    /// Options of the layer that makes the logits.
    pub group LossOptions {
        /// What stands in for the dense layer that makes the logits, as in `SparseDenseWithOptions`; it needs a `lossSparsity`.
        loss_sparsity_type "lossSparsityType": Option<SparsityType> = Some(SparsityType::Mult),
        /// Modules that the logits are divided into by it; 0: the layer is dense.
        loss_sparsity "lossSparsity": Count = Count(0),
        /// Size of its inner axis, for `'lowrank'`.
        loss_d_lowrank "lossDLowrank": Count = Count(0),
        /// Probability that it makes the logits of a training step, and not a dense layer beside it; `null`: always.
        loss_sparsity_prob "lossSparsityProb": Option<Fraction> = None,
    }
}
