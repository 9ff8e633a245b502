//! The causal convolution of each feature with a kernel of its own.
use super::remembered::{going_on, nothing};
use crate::{
    initializers::{glorot_uniform, Initializer},
    leaf, options, Call, Dim, Error, LayerRef, Leaf, Local, Mode, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{ops, random::Key, DType};

options! {
    /// Convolves each feature with its own kernel over the current and earlier positions.
    ///
    /// Formula: `y[b, t, d] = Σᵢ w[i, d] · x[b, t - i, d]`, with zeros before the first position.
    /// Shapes: `[batch, length, depth]` of floats → `[batch, length, depth]`.
    /// Weights: `w: [kernelSize, depth]`.
    /// State: empty. In `'predict'` the last `kernelSize - 1` positions.
    /// Modes: in `'predict'` a call takes the next positions and goes on where the call before ended.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, is not of floats, or has another depth than at `init`; or, in `'predict'`, a
    ///   call has
    ///   another number of sequences than the calls before.
    ///
    /// Source: Trax; So et al. 2021, arXiv:2109.08668.
    /// See: `CausalConv`.
    /// Example:
    /// ```ts
    /// const layer = tl.CausalDepthwiseConv();
    /// layer.init({ shape: [2, 10, 3], dtype: 'float32' });
    /// layer(tl.ones([2, 10, 3])).shape; // → [2, 10, 3]
    /// ```
    pub struct CausalDepthwiseConvOptions for "CausalDepthwiseConv" () {
        /// Positions a kernel reaches over, the current one included.
        kernel_size "kernelSize": Dim = Dim(3),
        /// Makes the kernels.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Whether weights start as bfloat16.
        use_bfloat16 "useBfloat16": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct CausalDepthwiseConv(CausalDepthwiseConvOptions);

impl CausalDepthwiseConv {
    fn check(inputs: &[TensorSpec]) -> Result<[usize; 3]> {
        match inputs[0].shape[..] {
            [b, l, d] if inputs[0].dtype.is_float() => Ok([b, l, d]),
            _ => Err(Error::shape(format!("expected floats of shape (batch, length, d), got {}", inputs[0]))),
        }
    }
}

impl Leaf for CausalDepthwiseConv {
    fn name(&self) -> String {
        "CausalDepthwiseConv".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let shape = Self::check(inputs)?;
        let weights = if self.0.use_bfloat16 { DType::BF16 } else { DType::F32 };
        Ok(vec![TensorSpec::new(shape, inputs[0].dtype.promote(weights))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let [_, _, d] = Self::check(inputs)?;
        let w = self.0.kernel_initializer.make(&[self.0.kernel_size.0, d], key.split(2)[0])?;
        let weights = Tree::Leaf(if self.0.use_bfloat16 { w.cast(DType::BF16)? } else { w });
        let state = if self.traits().goes_on { nothing(&inputs[0], self.0.kernel_size.0 - 1)? } else { Tree::EMPTY };
        Ok(Local { weights, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let [_, _, d] = Self::check(&[TensorSpec::of(x)])?;
        let w = call.w.one()?;
        match *w.shape() {
            [k, made] if k == self.0.kernel_size.0 && made != d => {
                return Err(Error::made_for("last axis is", d, made))
            }
            [k, _] if k == self.0.kernel_size.0 => {}
            _ => return Err(Error::weights(&[&[self.0.kernel_size.0, d]], &[w])),
        }
        if self.traits().goes_on {
            return going_on(x, call.s, self.0.kernel_size.0 - 1, |x| Ok(ops::causal_depthwise_conv(x, w)?));
        }
        Ok(ops::causal_depthwise_conv(x, w)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict && self.0.kernel_size.0 > 1, ..Traits::LEAF }
    }
}

/// See [`CausalDepthwiseConvOptions`].
///
/// # Errors
/// None; as all layer constructors.
pub fn causal_depthwise_conv(o: CausalDepthwiseConvOptions) -> Result<LayerRef> {
    Ok(leaf(CausalDepthwiseConv(o)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallow_tensor::Tensor;

    #[test]
    fn each_position_sees_itself_and_earlier_ones() {
        let layer = crate::registry::construct("CausalDepthwiseConv", serde_json::json!({"kernelSize": 2})).unwrap();
        let x = Tensor::from_vec(vec![1f32, 2.0, 3.0], &[1, 3, 1]).unwrap();
        let w = Tensor::from_vec(vec![10f32, 100.0], &[2, 1]).unwrap();
        let weights = crate::load_weights(&layer, &Tree::Leaf(w)).unwrap();
        let (ys, _) = crate::pure_fn(&layer, vec![x], &weights, crate::Store::new(), Key::new(0)).unwrap();
        assert_eq!(ys[0].to_vec::<f32>().unwrap(), [10.0, 120.0, 230.0]);
    }
}
