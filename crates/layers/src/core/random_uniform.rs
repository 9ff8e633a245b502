//! Random numbers as a layer.
use crate::{leaf, options, Arity, Call, Error, LayerRef, Leaf, Num, Output, Result, Shape, TensorSpec, Traits};
use tallow_tensor::{random, DType};

options! {
    /// Puts a tensor of fresh random numbers, uniformly distributed, on the stack.
    ///
    /// Shapes: no input → `[...shape]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all. Each call draws with its own key.
    /// Errors:
    /// - `InvalidOption`: `dtype` is not a float, or `minVal` is above `maxVal`.
    ///
    /// Source: Trax.
    /// See: `Weights`.
    /// Example:
    /// ```ts
    /// const layer = tl.RandomUniform({ minVal: -1, shape: [2] });
    /// layer([], { rng: tl.random.key(0) }); // → Tensor float32[2] [-0.567409,0.608248]
    /// ```
    pub struct RandomUniformOptions for "RandomUniform" () {
        /// Least value.
        min_val "minVal": Num = Num(0.0),
        /// Bound above the values.
        max_val "maxVal": Num = Num(1.0),
        /// Shape of the tensor.
        shape "shape": Shape = Shape(Vec::new()),
        /// Type of the values; a float.
        dtype "dtype": DType = DType::F32,
        /// Whether the devices of `Accelerate` or a trainer draw the same values. Their key is then the sum of all keys, word by word, modulo 2³².
        /// Layers that a layer written in JavaScript calls itself do not know of other devices.
        sync "sync": bool = false,
    }
}

#[derive(Debug, Clone)]
struct RandomUniform(RandomUniformOptions);

pub(super) fn build(o: RandomUniformOptions) -> Result<LayerRef> {
    if !o.dtype.is_float() {
        return Err(Error::option(format!("RandomUniform: `dtype` must be a float type, got '{}'", o.dtype)));
    }
    if o.min_val.0 > o.max_val.0 {
        let (min, max) = (o.min_val.0, o.max_val.0);
        return Err(Error::option(format!("RandomUniform: `minVal` must be at most `maxVal`, got {min} and {max}")));
    }
    Ok(leaf(RandomUniform(o)))
}

/// One number of `0 .. 1` in each call.
pub fn random_uniform() -> LayerRef {
    let (min_val, max_val) = (Num(0.0), Num(1.0));
    leaf(RandomUniform(RandomUniformOptions {
        min_val,
        max_val,
        shape: Shape(Vec::new()),
        dtype: DType::F32,
        sync: false,
    }))
}

impl Leaf for RandomUniform {
    fn name(&self) -> String {
        "RandomUniform".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(0, 1)
    }
    fn signature(&self, _inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![TensorSpec::new(self.0.shape.0.clone(), self.0.dtype)])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let o = &self.0;
        Ok(random::uniform(call.key, &o.shape.0, o.dtype, o.min_val.0, o.max_val.0)?.into())
    }
    fn traits(&self) -> Traits {
        Traits { draws_in_step: self.0.sync, ..Traits::LEAF }
    }
}
