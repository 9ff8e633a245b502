//! Weights as a layer.
use super::python_tuple;
use crate::{leaf, options, Arity, Call, Initializer, LayerRef, Leaf, Local, Output, Result, Shape, TensorSpec, Tree};
use tallow_tensor::{random::Key, DType};

options! {
    /// Puts a trainable tensor on the stack, where other layers find it.
    ///
    /// Shapes: no input → `[...shape]`.
    /// Weights: the tensor itself.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `RandomUniform`.
    /// Example:
    /// ```ts
    /// // Adds a learned vector to each row.
    /// const layer = tl.Serial(tl.Weights(tl.RandomNormalInitializer({ stddev: 1 }), { shape: [3] }), tl.Add());
    /// layer.init({ shape: [2, 3], dtype: 'float32' });
    /// layer([[1, 2, 3]]).shape; // → [1, 3]
    /// ```
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
struct Weights {
    options: WeightsOptions,
    /// Whether the name spells the shape as a list, as where Trax gives one.
    listed: bool,
}

/// The layer of these options.
pub(super) fn build(options: WeightsOptions) -> LayerRef {
    leaf(Weights { options, listed: false })
}

/// A trainable float32 tensor of this shape.
pub fn weights(initializer: Initializer, shape: &[usize]) -> LayerRef {
    build(WeightsOptions { initializer, shape: Shape(shape.to_vec()), use_bfloat16: false })
}

/// A trainable tensor of this shape, in float32 or bfloat16, whose name spells the shape as a list.
pub(crate) fn listed_weights(initializer: Initializer, shape: &[usize], use_bfloat16: bool) -> LayerRef {
    let options = WeightsOptions { initializer, shape: Shape(shape.to_vec()), use_bfloat16 };
    leaf(Weights { options, listed: true })
}

impl Leaf for Weights {
    fn name(&self) -> String {
        let shape = &self.options.shape.0;
        if self.listed {
            format!("Weights_{shape:?}")
        } else {
            format!("Weights_{}", python_tuple(shape))
        }
    }
    fn arity(&self) -> Arity {
        Arity::new(0, 1)
    }
    fn signature(&self, _inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let dtype = if self.options.use_bfloat16 { DType::BF16 } else { DType::F32 };
        Ok(vec![TensorSpec::new(self.options.shape.0.clone(), dtype)])
    }
    fn init(&self, _inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let w = self.options.initializer.make(&self.options.shape.0, key)?;
        Ok(Local::weights(Tree::Leaf(if self.options.use_bfloat16 { w.cast(DType::BF16)? } else { w })))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(call.w.one()?.clone().into())
    }
}
