//! Two dense layers with few units between them, in place of one.
use crate::{assert_shape::assert_function, combinators::serial, core::dense, options, Dim, LayerRef, Result};

options! {
    /// Maps the last axis as `Dense` does, with a kernel that is the product of two narrow ones.
    ///
    /// Formula: `y = (x · w1 + b1) · w2 + b2`.
    /// Shapes: `[..., d]` → `[..., nUnits]`.
    /// Weights: those of two `Dense`, `[w1, b1]` and `[w2, b2]`, with `w1: [d, dLowrank]`, `b1: [dLowrank]`, `w2: [dLowrank, nUnits]`
    /// and `b2: [nUnits]`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Dense`.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.LowRankDense(6, 2);
    /// layer.init({ shape: [1, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 4])).shape; // → [ 1, 6 ]
    /// ```
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
