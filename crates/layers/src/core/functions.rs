//! Functions on tensors that belong to this module.
use crate::{options, Axis, Count, Error, KeyArg, Num, Result, TensorArg};
use tallow_tensor::{random, random::Key, DType, Tensor};

options! {
    /// Makes a vector for each value: 1 at the place of its category, 0 elsewhere.
    ///
    /// A value that is no category gives zeros only.
    ///
    /// Shapes: `[...]` → `[..., nCategories]`.
    /// Gradient: none flows back.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.oneHot(tl.tensor([0, 2]), 3); // → Tensor float32[2,3] [[1,0,0],[0,0,1]]
    /// ```
    pub struct OneHotOptions for "oneHot" ("x", "nCategories") {
        /// Categories.
        x "x": TensorArg,
        /// Number of categories: size of the new last axis.
        n_categories "nCategories": Count,
        /// Type of the result.
        dtype "dtype": DType = DType::F32,
    }
}
options! {
    /// Turns activations into logarithms of probabilities that sum to 1 along an axis.
    ///
    /// Formula: `y = x - log(Σ exp(x))`, without overflow.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `LogSoftmax`.
    /// Example:
    /// ```ts
    /// tl.logSoftmax(tl.tensor([0, Math.log(3)])); // → Tensor float32[2] [-1.38629,-0.287682]
    /// ```
    pub struct LogSoftmaxFunctionOptions for "logSoftmax" ("x") {
        /// Activations.
        x "x": TensorArg,
        /// Axis to work along; negative ones count from the end.
        axis "axis": Axis = Axis(-1),
    }
}
options! {
    /// Draws categories from logarithms of probabilities along the last axis.
    ///
    /// Trax draws noise without a seed. Here it comes from `key`, so that a draw can be repeated.
    ///
    /// Formula: `argmax(logProbs + temperature · g)`, with Gumbel noise `g = -log(-log(u))` and `u` uniform between `1e-6` and `1 - 1e-6`.
    /// Shapes: `[..., n]` → `int32[...]`.
    /// Gradient: none flows back.
    /// Errors:
    /// - `InvalidOption`: `temperature` is not 0, and there is no `key`.
    ///
    /// Source: Trax.
    /// See: `LogSoftmax`.
    /// Example:
    /// ```ts
    /// const logProbs = tl.logSoftmax(tl.tensor([[0, 1, 2]]));
    /// tl.logsoftmaxSample(logProbs, { key: tl.random.key(1) }); // → Tensor int32[1] [2]
    /// tl.logsoftmaxSample(logProbs, { temperature: 0 }); // → Tensor int32[1] [2]
    /// ```
    pub struct LogsoftmaxSampleOptions for "logsoftmaxSample" ("logProbs") {
        /// Logarithms of probabilities, often from `LogSoftmax`.
        log_probs "logProbs": TensorArg,
        /// Weight of the noise: 1 draws by the probabilities, 0 takes the most probable.
        temperature "temperature": Num = Num(1.0),
        /// Random key of the noise; needed unless `temperature` is 0.
        key "key": Option<KeyArg> = None,
    }
}

/// Whether each value of `x` is the category a place of the new last axis, of size `n`, stands for.
pub(crate) fn is_category(x: &Tensor, n: usize) -> Result<Tensor> {
    let x = if x.dtype() == DType::Bool { x.cast(DType::I32)? } else { x.detach() };
    Ok(x.expand_dims(-1)?.eq(&Tensor::iota(n, DType::I32, x.device())?)?)
}

/// Vectors of size `n` with a 1 at each value of `x`; zeros for values that are none of `0..n`.
///
/// # Errors
/// Those of the allocation.
pub fn one_hot(x: &Tensor, n: usize, dtype: DType) -> Result<Tensor> {
    Ok(is_category(x, n)?.cast(dtype)?)
}

/// Categories drawn by logarithms of probabilities along the last axis.
///
/// # Errors
/// `InvalidOption` when noise is asked for without a key.
pub fn logsoftmax_sample(log_probs: &Tensor, temperature: f64, key: Option<Key>) -> Result<Tensor> {
    let log_probs = log_probs.detach();
    if temperature == 0.0 {
        return Ok(log_probs.argmax(Some(-1), false)?);
    }
    let key = key.ok_or_else(|| {
        Error::option("logsoftmaxSample: `key` is required unless `temperature` is 0, and must be a random key")
    })?;
    let noise = gumbel_noise(key, &log_probs)?;
    Ok(log_probs.add(&noise.mul_scalar(temperature)?)?.argmax(Some(-1), false)?)
}

/// Gumbel noise `-log(-log(u))` of the shape of `x`, with `u` even over `1e-6 .. 1 - 1e-6`: what is largest after it is added to logarithms
/// of probabilities is drawn by these.
pub(crate) fn gumbel_noise(key: Key, x: &Tensor) -> Result<Tensor> {
    let u = random::uniform(key, x.shape(), DType::F32, 1e-6, 1.0 - 1e-6)?.to_device(x.device())?;
    Ok(u.log()?.neg()?.log()?.neg()?)
}
