//! Two dense layers with few units between them, in place of one.
use crate::{assert_shape::assert_function, combinators::serial, core::dense, options, Dim, LayerRef, Result};

options! {
    /// A dense layer's stand-in whose kernel is the product of two narrow ones.
    ///
    /// Formula: `y = (x · w1 + b1) · w2 + b2`. Shapes: `[..., m]` to `[..., nUnits]`.
    /// Weights: those of two `Dense` layers, `(w1: [m, dLowrank], b1: [dLowrank])` and `(w2: [dLowrank, nUnits], b2: [nUnits])`. No state; the
    /// same in every mode.
    /// Errors: those of `Dense`.
    pub struct LowRankDenseOptions for "LowRankDense" ("nUnits", "dLowrank") {
        /// Size of the output's last axis.
        n_units "nUnits": Dim,
        /// Size of the axis between the two layers: a bound on the rank of the product.
        d_lowrank "dLowrank": Dim,
    }
}

/// See [`LowRankDenseOptions`].
///
/// # Errors
/// None; as all layer constructors.
pub fn low_rank_dense(o: LowRankDenseOptions) -> Result<LayerRef> {
    assert_function("...a->...b", serial(vec![dense(o.d_lowrank.0), dense(o.n_units.0)]))
}
