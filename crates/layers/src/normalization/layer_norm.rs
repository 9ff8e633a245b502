//! Layer normalization.
use crate::{
    framework::shapes::last_axis, leaf, options, Call, Error, LayerRef, Leaf, Local, NotNegative, Output, Result,
    TensorSpec, Tree,
};
use tallow_tensor::{ops, random::Key, DType, Device, Tensor};

options! {
    /// Scales each vector along the last axis to mean 0 and variance 1, and then by learned weights.
    ///
    /// Formula: `y = (x - mean) / √(var + epsilon) · scale + bias`. Without `center` there is neither mean nor bias:
    /// `y = x / √(mean(x²) + epsilon) · scale`.
    /// Shapes: `[..., n]` of floats → `[..., n]`.
    /// Weights: `[scale, bias]`, both `[n]` of the input's type. They start as ones and zeros. Without `center` the bias is there too, and
    /// not used.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes, or its last axis has another size than at `init`.
    /// - `DTypeMismatch`: the input is not of floats.
    ///
    /// Source: Trax; Ba et al. 2016, arXiv:1607.06450; without `center`, Zhang & Sennrich 2019, arXiv:1910.07467.
    /// See: `BatchNorm`.
    /// Example:
    /// ```ts
    /// const layer = tl.LayerNorm();
    /// layer.init({ shape: [3], dtype: 'float32' });
    /// layer([1.5, 2.5, 3.5]); // → Tensor float32[3] [-1.22474,0,1.22474]
    /// ```
    pub struct LayerNormOptions for "LayerNorm" () {
        /// Whether to subtract the mean and add a bias.
        center "center": bool = true,
        /// Added to the variance, so that constant vectors do not divide by 0; with 0 they do.
        epsilon "epsilon": NotNegative = NotNegative(1e-6),
    }
}

#[derive(Debug, Clone)]
struct LayerNorm(LayerNormOptions);

/// The layer of these options.
pub fn layer_norm_of(o: LayerNormOptions) -> LayerRef {
    leaf(LayerNorm(o))
}

/// Layer normalization with Trax's defaults.
pub fn layer_norm() -> LayerRef {
    layer_norm_of(LayerNormOptions::new())
}

fn normalized(s: &TensorSpec) -> Result<usize> {
    if !s.dtype.is_float() {
        return Err(Error::dtype(format!("LayerNorm takes floats, got {}", s.dtype)));
    }
    last_axis(&s.shape, "LayerNorm needs a last axis")
}

impl Leaf for LayerNorm {
    fn name(&self) -> String {
        "LayerNorm".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        normalized(&inputs[0])?;
        Ok(inputs.to_vec())
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        let (n, dtype): (usize, DType) = (normalized(&inputs[0])?, inputs[0].dtype);
        let scale = Tensor::ones(&[n], dtype, &Device::Cpu)?;
        Ok(Local::weights(Tree::tuple([scale, Tensor::zeros(&[n], dtype, &Device::Cpu)?])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let [scale, bias] = call.w.many()?;
        let n = normalized(&TensorSpec::of(x))?;
        if scale.shape() != [n] {
            let made = scale.shape().first().copied().unwrap_or(0);
            return Err(Error::made_for("last axis is", n, made));
        }
        // As in Trax, wider weights (made for another type) widen the result.
        let x = x.cast(x.dtype().promote(scale.dtype()))?;
        let epsilon = self.0.epsilon.0;
        Ok(if self.0.center {
            ops::layer_norm(&x, Some(scale), Some(bias), epsilon)?
        } else {
            ops::rms_norm(&x, Some(scale), epsilon)?
        }
        .into())
    }
}
