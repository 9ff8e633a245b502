//! Options of the block, which its parts share.
use crate::{
    initializers::{glorot_uniform, random_normal},
    options, Count, Dim, Fraction, Initializer, Mode, NotNegative, Rate, Result, Wholes,
};
use tallow_tensor::{DType, Tensor};

options! {
    /// Feed-forward block whose hidden units stand in blocks, of each of which a small controller chooses one.
    ///
    /// Formula: `y = (relu((x · w1) ∘ q)) · w2 + b2`, where `q` is 1 for the unit that is chosen of each block of `nElementsInBlock`, else 0. It is the one with
    /// the largest of the logits `c = x · m1 · m2 + mb`.
    /// In training Gumbel noise weighed by `temperature` is added to the logarithms of `p = softmax(c)` over each block, and with probability `quantProb`
    /// `q` passes its gradient on to `p` as if it were that (straight through); else `p` itself takes the place of `q`. That is drawn once for a call, or for
    /// each of its chunks.
    /// Shapes: `[..., d]`, kept. Weights: the controller's `(m1: [d, dLowrank], m2: [dLowrank, blocks, nElementsInBlock], mb: [blocks, nElementsInBlock])` and
    /// `(w1: [d, blocks, nElementsInBlock], w2: [nElementsInBlock, blocks, d], b2: [d])`, with `blocks = dFf / nElementsInBlock`.
    /// State: the unit chosen of each block in the last call, which a reversible layer around this one goes by when it repeats the call.
    /// Mode: noise, soft choices and dropout in `'train'` only; in `'predict'`, for few vectors, only weights of chosen units are read; the result is that
    /// of `'eval'`.
    /// Errors: `InvalidOption` unless `nElementsInBlock` divides `dFf`; `ShapeMismatch` for another width than weights were made for.
    /// Source: Jaszczur et al. 2021, arXiv:2111.12763; straight through: Kaiser and Bengio 2018, arXiv:1801.09797.
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
