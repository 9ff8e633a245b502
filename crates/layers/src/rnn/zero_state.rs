//! The state a recurrent layer starts from.
use crate::{framework::pure::pure_layer, options, Dim, Error, LayerRef, TensorSpec};
use tallow_tensor::{DType, Tensor};

options! {
    /// Makes the zeros that a recurrent layer starts from, one row for each sequence of the batch.
    ///
    /// Shapes: `[batch, length, depth]` → `[batch, depthMultiplier · depth]`, float32 (float64 for float64 inputs).
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.MakeZeroState({ depthMultiplier: 2 });
    /// layer.init({ shape: [1, 5, 2], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 2])); // → Tensor float32[1,4] [[0,0,0,0]]
    /// ```
    pub struct ZeroStateOptions for "MakeZeroState" () {
        /// How many values there are in a row for each of the input's features.
        depth_multiplier "depthMultiplier": Dim = Dim(1),
    }
}

/// Zeros of shape `(batch, depth_multiplier · depth)` for an input `(batch, length, depth)`.
pub fn make_zero_state(depth_multiplier: usize) -> LayerRef {
    zeros(move |depth| depth_multiplier * depth)
}

/// As [`make_zero_state`], of `width` values whatever the input's depth.
pub(super) fn zero_state_of(width: usize) -> LayerRef {
    zeros(move |_| width)
}

fn zeros(width: impl Fn(usize) -> usize + Send + Sync + Copy + 'static) -> LayerRef {
    let of = move |x: &TensorSpec| match x.shape[..] {
        [batch, _, depth] => Ok(TensorSpec::new([batch, width(depth)], state_dtype(x.dtype))),
        _ => Err(Error::shape(format!("the input must have the three axes (batch, length, depth), got {x}"))),
    };
    let signature = move |s: &[TensorSpec]| Ok::<_, Error>(vec![of(&s[0])?]);
    pure_layer("MakeZeroState", 1, 1, signature, move |xs| {
        let spec = of(&TensorSpec::of(&xs[0]))?;
        Ok(vec![Tensor::zeros(&spec.shape, spec.dtype, xs[0].device())?])
    })
}

/// Halves start from float32, which is what float32 weights make of them.
pub(super) fn state_dtype(x: DType) -> DType {
    x.to_float().promote(DType::F32)
}
