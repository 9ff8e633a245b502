//! Attention in time and memory linear in the length, by features whose products stand in for exponentials.
mod both_ways;
mod causal;
mod features;

pub use both_ways::{favor_attention, FavorAttentionOptions};
pub use causal::{causal_favor_attention, CausalFavorAttentionOptions};

use crate::{
    attention::{check_heads, configurable_attention, ConfigurableAttentionOptions},
    core::dense,
    options,
    options::OptionType,
    Dim, LayerNest, LayerRef, Mode, NotNegative, Rate, Result,
};
use tallow_tensor::{DType, Tensor};

/// Yes or no, also as a number: Trax writes the default of such an option as 0.
#[derive(Debug, Clone, Copy)]
pub struct Truth(pub bool);

impl OptionType for Truth {
    const TS: &'static str = "boolean | 0 | 1";
    const EXPECTED: &'static str = "true, false, 1 or 0";
    fn parse(v: &crate::HostValue) -> Option<Self> {
        let number = || [0.0, 1.0].into_iter().find(|&n| v.number() == Some(n)).map(|n| n == 1.0);
        v.boolean().or_else(number).map(Self)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

options! {
    /// Lets each position of a sequence attend to all others, in time that grows linearly with the length.
    ///
    /// Three `Dense` make queries, keys and values of the input, `FavorAttention` attends, and a fourth `Dense` maps the result.
    ///
    /// Shapes: `[batch, length, dFeature]`, mask `[batch, 1, 1, length]` → `[batch, length, dFeature]` and the mask. The mask is 1
    /// where there is content, else 0.
    /// Weights: those of four `Dense` of `dFeature` units.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`.
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// Source: Trax; Choromanski et al. 2020, arXiv:2006.03555.
    /// See: `Attention`, `CausalFavor`.
    /// Example:
    /// ```ts
    /// const layer = tl.Favor(4, { nHeads: 2 });
    /// const [x, mask] = [tl.ones([1, 3, 4]), tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature([x, mask]));
    /// layer([x, mask]).map((y) => y.shape); // → [ [ 1, 3, 4 ], [ 1, 1, 1, 3 ] ]
    /// ```
    pub struct FavorOptions for "Favor" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Random features, with `useApproximateSoftmax`.
        n_random_features "nRandomFeatures": Dim = Dim(256),
        /// Not used: nothing is dropped.
        dropout "dropout": Rate = Rate(0.0),
        /// Added to features, without `useApproximateSoftmax`.
        numerical_stabilizer "numericalStabilizer": NotNegative = NotNegative(0.001),
        /// Whether features are those that approximate softmax attention, and not rectified queries and keys.
        use_approximate_softmax "useApproximateSoftmax": bool = false,
        /// Whether random directions have the lengths of normal vectors, and not all the same.
        scale_by_norm "scaleByNorm": Truth = Truth(false),
        /// Whether products of queries and keys are divided by the root of their size, as in softmax attention.
        normalize_data "normalizeData": bool = false,
        /// Added to features, with `useApproximateSoftmax`.
        epsilon "epsilon": NotNegative = NotNegative(0.0001),
        /// How the layer behaves: the same in every mode.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Lets each position of a sequence attend to those before it, in time that grows linearly with the length.
    ///
    /// Three `Dense` make queries, keys and values of the input, `CausalFavorAttention` attends, and a fourth `Dense` maps the result.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`.
    /// Weights: those of four `Dense` of `dFeature` units.
    /// State: none; in mode `'predict'` that of `CausalFavorAttention`.
    /// Modes: in `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`.
    /// - `ShapeMismatch`: the input does not have three axes.
    /// Source: Trax; Choromanski et al. 2020, arXiv:2006.03555.
    /// See: `CausalAttention`, `Favor`.
    /// Example:
    /// ```ts
    /// const layer = tl.CausalFavor(4, { nHeads: 2 });
    /// layer.init({ shape: [1, 3, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 4])).shape; // → [ 1, 3, 4 ]
    /// ```
    pub struct CausalFavorOptions for "CausalFavor" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Not used: nothing is dropped.
        dropout "dropout": Rate = Rate(0.0),
        /// Added to features.
        numerical_stabilizer "numericalStabilizer": NotNegative = NotNegative(0.001),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// Attention with dense projections around `attend`.
fn projected(kind: &str, d_feature: Dim, n_heads: Dim, attend: LayerRef) -> Result<LayerRef> {
    check_heads(kind, "dFeature", d_feature, n_heads)?;
    let project = || LayerNest::One(dense(d_feature.0));
    configurable_attention(ConfigurableAttentionOptions {
        q_layer: project(),
        k_layer: project(),
        v_layer: project(),
        final_layer: project(),
        qkv_attention_layer: LayerNest::One(attend),
        n_heads,
    })
}

/// See [`FavorOptions`].
///
/// # Errors
/// `InvalidOption` unless `nHeads` divides `dFeature`.
pub fn favor(o: FavorOptions) -> Result<LayerRef> {
    let attend = favor_attention(FavorAttentionOptions {
        d_feature: o.d_feature,
        n_heads: o.n_heads,
        n_random_features: o.n_random_features,
        numerical_stabilizer: o.numerical_stabilizer,
        use_approximate_softmax: o.use_approximate_softmax,
        scale_by_norm: o.scale_by_norm.0,
        normalize_data: o.normalize_data,
        epsilon: o.epsilon,
        mode: o.mode,
    });
    projected("Favor", o.d_feature, o.n_heads, attend.map_err(|e| e.about("Favor"))?)
}

/// See [`CausalFavorOptions`].
///
/// # Errors
/// `InvalidOption` unless `nHeads` divides `dFeature`.
pub fn causal_favor(o: CausalFavorOptions) -> Result<LayerRef> {
    let CausalFavorOptions { numerical_stabilizer, mode, .. } = o;
    let attend = causal_favor_attention(CausalFavorAttentionOptions { numerical_stabilizer, mode });
    projected("CausalFavor", o.d_feature, o.n_heads, attend)
}

/// The type that attention to tensors of these types is computed in and has.
fn dtype_of<'a>(dtypes: impl IntoIterator<Item = &'a DType>) -> DType {
    dtypes.into_iter().fold(DType::F32, |all, dtype| all.promote(dtype.to_float()))
}

/// Rectified values, none of which is 0.
fn rectified(x: &Tensor, stabilizer: NotNegative) -> Result<Tensor> {
    Ok(x.relu()?.add_scalar(stabilizer.0)?)
}

/// A weighted sum over the sum of the weights; 0 where all weights are.
fn normalized(sum: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let none = weights.eq_scalar(0.0)?;
    let weights = Tensor::where_(&none, &weights.ones_like()?, weights)?;
    Ok(sum.div(&weights)?)
}

/// Values with a 1 behind each, so that sums of values bring the sum of their weights with them.
fn with_ones(v: &Tensor) -> Result<Tensor> {
    let shape = [&v.shape()[..v.rank() - 1], &[1]].concat();
    Ok(Tensor::concat(&[v.clone(), Tensor::ones(&shape, v.dtype(), v.device())?], -1)?)
}

/// Takes apart what sums of [`with_ones`] gave.
fn without_ones(sums: &Tensor) -> Result<Tensor> {
    let d = sums.shape()[sums.rank() - 1] - 1;
    normalized(&sums.narrow(-1, 0, d)?, &sums.narrow(-1, d, 1)?)
}
