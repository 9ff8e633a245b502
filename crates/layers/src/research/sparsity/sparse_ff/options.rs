//! Options of the block, which its parts share.
use crate::{
    initializers::{glorot_uniform, random_normal},
    options, Count, Dim, Fraction, Initializer, Mode, NotNegative, Rate, Result, Wholes,
};
use tallow_tensor::{DType, Tensor};

options! {
    /// Maps each vector through a feed-forward block of which only one hidden unit in each block counts, chosen by a small controller.
    ///
    /// Formula: `y = relu((x · w1) ∘ q) · w2 + b2`, where `q` is 1 for the unit that is chosen of each block of `nElementsInBlock`,
    /// else 0. It is the one with the largest of the logits `c = x · m1 · m2 + mb`.
    /// Shapes: `[..., d]` → `[..., d]`.
    /// Weights: `[m1, m2, mb]` of the controller, with `m1: [d, dLowrank]`, `m2: [dLowrank, blocks, nElementsInBlock]` and
    /// `mb: [blocks, nElementsInBlock]`, and `[w1, w2, b2]`, with `w1: [d, blocks, nElementsInBlock]`,
    /// `w2: [nElementsInBlock, blocks, d]` and `b2: [d]`, for `blocks = dFf / nElementsInBlock`.
    /// State: the unit of each block that the last call chose. A reversible layer around this one goes by it when it repeats the call.
    /// Modes: in `'train'` it drops, and Gumbel noise, weighed by `temperature`, is added to the logarithms of `p = softmax(c)` over
    /// each block. With probability `quantProb`, `q` then passes its gradient on to `p` as if it were that (straight through); else `p`
    /// itself takes the place of `q`. That is drawn once for a call, or for each of its chunks. In `'predict'`, for few vectors, only
    /// the weights of chosen units are read; the result is that of `'eval'`.
    /// Errors:
    /// - `InvalidOption`: `nElementsInBlock` does not divide `dFf`.
    /// - `ShapeMismatch`: the input has another width than at `init`.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763; Kaiser and Bengio 2018, arXiv:1801.09797, for straight through.
    /// See: `BlockSparseFF`, `SwitchSparseFF`.
    /// Example:
    /// ```ts
    /// const layer = tl.SparseFF(8, { nElementsInBlock: 4, dLowrank: 2, mode: 'eval' });
    /// layer.init({ shape: [2, 4], dtype: 'float32' });
    /// layer(tl.ones([2, 4])).shape; // → [ 2, 4 ]
    /// ```
    pub struct SparseFFOptions for "SparseFF" ("dFf") {
        /// Number of hidden units.
        d_ff "dFf": Dim,
        /// Units in a block, of which one is active.
        n_elements_in_block "nElementsInBlock": Dim = Dim(32),
        /// Size of the axis between the two matrices of the controller.
        d_lowrank "dLowrank": Dim = Dim(64),
        /// Weight of the noise in training.
        temperature "temperature": NotNegative = NotNegative(0.1),
        /// Probability of a hard choice in training.
        quant_prob "quantProb": Fraction = Fraction(0.3),
        /// Whether all weights are bfloat16, which halves their memory, in place of float32.
        use_bfloat16 "useBfloat16": bool = false,
        /// Whether `w1` and `w2` are.
        big_weights_in_bfloat16 "bigWeightsInBfloat16": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Makes the matrices.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `mb` and `b2`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Probability of dropping an output in training.
        dropout_rate "dropoutRate": Rate = Rate(0.0),
        /// Axes along which the dropout mask is the same, of outputs with all but the last axis joined to one.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes> = None,
        /// Computes this many vectors at once, to save memory; 0: all.
        ff_chunk_size "ffChunkSize": Count = Count(0),
        /// Whether hidden units are multiplied by the `p` they were chosen with.
        multiply_by_controller_output "multiplyByControllerOutput": bool = false,
        /// Whether initial values of `w2` are multiplied by the root of `nElementsInBlock`, so that outputs vary alike for any size of blocks.
        kernel_scaling "kernelScaling": bool = false,
    }
}

impl SparseFFOptions {
    /// How many blocks there are, and units in one.
    pub(super) fn blocks(&self) -> [usize; 2] {
        [self.d_ff.0 / self.n_elements_in_block.0, self.n_elements_in_block.0]
    }
    /// Whether hidden units need the probabilities of the controller, and not its choice only.
    pub(super) fn needs_probabilities(&self) -> bool {
        self.mode == Mode::Train || self.multiply_by_controller_output
    }
    /// A weight in the type that is wanted.
    pub(super) fn narrowed(t: Tensor, to_bfloat16: bool) -> Result<Tensor> {
        Ok(if to_bfloat16 { t.cast(DType::BF16)? } else { t })
    }
}
