//! Plain normal and uniform initializers.
use super::{Initialize, Initializer};
use crate::{options, Error, KeyArg, NotNegative, Num, Result, Shape};
use std::sync::Arc;
use tallow_tensor::{
    random::{self, Key},
    DType, Tensor,
};

options! {
    /// Draws each value from a normal distribution around 0.
    ///
    /// The same key gives the same values as in Trax.
    ///
    /// Formula: `stddev · N(0, 1)`.
    /// Errors: none.
    /// Source: Trax.
    /// See: `RandomUniformInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.RandomNormalInitializer({ stddev: 0.1 });
    /// initializer([3], tl.random.key(0)); // → Tensor float32[3] [0.181609,-0.0482623,0.0339889]
    /// ```
    pub struct RandomNormalOptions for "RandomNormalInitializer" () {
        /// Standard deviation of the values.
        stddev "stddev": Num = Num(1e-2),
    }
}

options! {
    /// Draws each value from a uniform distribution around 0.
    ///
    /// The same key gives the same values as in Trax.
    ///
    /// Formula: `U(-lim, lim)`.
    /// Errors: none.
    /// Source: Trax.
    /// See: `RandomNormalInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.RandomUniformInitializer({ lim: 0.5 });
    /// initializer([3], tl.random.key(0)); // → Tensor float32[3] [0.465321,-0.185318,0.13303]
    /// ```
    pub struct RandomUniformOptions for "RandomUniformInitializer" () {
        /// Half the width of the interval.
        lim "lim": NotNegative = NotNegative(1.0),
    }
}

options! {
    /// Draws the kernel of a convolution on game frames from a uniform distribution whose width the whole kernel decides.
    ///
    /// Formula: `U(-s, s)`, with `s = 1 / √(height · width · inputs)`.
    /// Shapes: `kernelShape` is `[height, width, inputs, outputs]`, and so is the result.
    /// Errors:
    /// - `ShapeMismatch`: `kernelShape` does not have four entries.
    /// - `DTypeMismatch`: `dtype` is not a float.
    ///
    /// Source: Trax.
    /// See: `Conv`.
    /// Example:
    /// ```ts
    /// tl.AtariConvInit([3, 3, 4, 16], tl.random.key(0)).shape; // → [3, 3, 4, 16]
    /// ```
    pub struct AtariConvInitOptions for "AtariConvInit" ("kernelShape", "rng") {
        /// Shape of the kernel: height, width, inputs, outputs.
        kernel_shape "kernelShape": Shape,
        /// Random key.
        rng "rng": KeyArg,
        /// Type of the values; a float.
        dtype "dtype": DType = DType::F32,
    }
}

#[derive(Debug)]
struct RandomNormal(f64);

impl Initialize for RandomNormal {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        Ok(random::normal(key, shape, DType::F32)?.mul_scalar(self.0)?)
    }
    fn show(&self) -> String {
        format!("tl.RandomNormalInitializer({{stddev: {}}})", self.0)
    }
}

#[derive(Debug)]
struct RandomUniform(f64);

impl Initialize for RandomUniform {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        Ok(random::uniform(key, shape, DType::F32, -self.0, self.0)?)
    }
    fn show(&self) -> String {
        format!("tl.RandomUniformInitializer({{lim: {}}})", self.0)
    }
}

/// Normal values of this standard deviation.
pub fn random_normal(stddev: f64) -> Initializer {
    Initializer(Arc::new(RandomNormal(stddev)))
}

/// Values spread evenly over `-lim..lim`.
pub fn random_uniform(lim: f64) -> Initializer {
    Initializer(Arc::new(RandomUniform(lim)))
}

/// A convolution kernel `[height, width, inputs, outputs]`, even over ±1/√(height · width · inputs).
///
/// # Errors
/// `ShapeMismatch` for a kernel without four axes, `DTypeMismatch` for a dtype that is no float.
pub fn atari_conv(kernel_shape: &[usize], key: Key, dtype: DType) -> Result<Tensor> {
    let [height, width, inputs, _] = kernel_shape else {
        return Err(Error::shape(format!(
            "AtariConvInit: the kernel has the four axes height, width, inputs and outputs, got shape {kernel_shape:?}"
        )));
    };
    let std = f64::from(1.0 / ((inputs * height * width) as f32).sqrt());
    Ok(random::uniform(key, kernel_shape, dtype, -std, std)?)
}
