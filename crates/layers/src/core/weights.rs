//! Weights as a layer.
use super::python_tuple;
use crate::{leaf, options, Arity, Call, Initializer, LayerRef, Leaf, Local, Output, Result, Shape, TensorSpec, Tree};
use tallow_tensor::{random::Key, DType};

options! {
    /// A trainable tensor that other layers find on the stack.
    ///
    /// Shapes: no input, one output of shape `shape`. Weights: the tensor itself. No state; the same in every mode.
    pub struct WeightsOptions for "Weights" ("initializer") {
        /// Makes the tensor.
        initializer "initializer": Initializer,
        /// Shape of the tensor.
        shape "shape": Shape = Shape(Vec::new()),
        /// Whether the tensor is bfloat16, which halves its memory, in place of float32.
        use_bfloat16 "useBfloat16": bool = false,
    }
}

#[derive(Debug, Clone)]
struct Weights(WeightsOptions);

/// The layer of these options.
pub(super) fn build(o: WeightsOptions) -> LayerRef {
    leaf(Weights(o))
}

/// A trainable float32 tensor of this shape.
pub fn weights(initializer: Initializer, shape: &[usize]) -> LayerRef {
    leaf(Weights(WeightsOptions { initializer, shape: Shape(shape.to_vec()), use_bfloat16: false }))
}

impl Leaf for Weights {
    fn name(&self) -> String {
        format!("Weights_{}", python_tuple(&self.0.shape.0))
    }
    fn arity(&self) -> Arity {
        Arity::new(0, 1)
    }
    fn signature(&self, _inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let dtype = if self.0.use_bfloat16 { DType::BF16 } else { DType::F32 };
        Ok(vec![TensorSpec::new(self.0.shape.0.clone(), dtype)])
    }
    fn init(&self, _inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let w = self.0.initializer.make(&self.0.shape.0, key)?;
        Ok(Local::weights(Tree::Leaf(if self.0.use_bfloat16 { w.cast(DType::BF16)? } else { w })))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(call.w.one()?.clone().into())
    }
}
