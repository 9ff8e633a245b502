//! Activation functions: element-wise nonlinearities as layers.
//!
//! As in Trax, each but the linear units of arXiv:1911.09737 is wrapped in a shape assertion, so it prints as a Serial of one
//! layer and its weights are three empty tuples.
use crate::{
    assert_shape::assert_function,
    entry,
    framework::pure::{elementwise, elementwise_signature, pure_layer},
    leaf, options,
    options::Entry,
    Call, Error, LayerRef, Leaf, Local, Num, Output, Result, TensorSpec, Tree,
};
use tallow_tensor::{
    ops::{bias_activation, Activation},
    random::Key,
    DType, Tensor,
};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("activation_fns", ReluOptions, |_| relu()),
    entry!("activation_fns", ParametricReluOptions, |o: ParametricReluOptions| parametric_relu(o.a.0)),
    entry!("activation_fns", LeakyReluOptions, |o: LeakyReluOptions| leaky_relu(o.a.0)),
    entry!("activation_fns", EluOptions, |o: EluOptions| elu(o.a.0)),
    entry!("activation_fns", SeluOptions, |o: SeluOptions| selu(o.alpha.0, o.lmbda.0)),
    entry!("activation_fns", GeluOptions, |_| gelu()),
    entry!("activation_fns", FastGeluOptions, |_| fast_gelu()),
    entry!("activation_fns", SigmoidOptions, |_| sigmoid()),
    entry!("activation_fns", TanhOptions, |_| tanh()),
    entry!("activation_fns", HardSigmoidOptions, |_| hard_sigmoid()),
    entry!("activation_fns", HardTanhOptions, |_| hard_tanh()),
    entry!("activation_fns", SoftplusOptions, |_| softplus()),
    entry!("activation_fns", ExpOptions, |_| exp()),
    entry!("activation_fns", LogOptions, |_| log()),
    entry!("activation_fns", SwishOptions, |_| swish()),
    entry!("activation_fns", GluOptions, |_| glu()),
    entry!("activation_fns", ThresholdedLinearUnitOptions, |_| Ok(thresholded_linear_unit())),
];

macro_rules! activation_options {
    ($($(#[doc = $doc:literal])* $S:ident $kind:literal { $($(#[doc = $fd:literal])* $n:ident $j:literal = $d:expr),* })*) => {$(
        options! {
            $(#[doc = $doc])*
            pub struct $S for $kind () { $($(#[doc = $fd])* $n $j: Num = Num($d)),* }
        }
    )*};
}

activation_options! {
    /// Replaces negative values by 0: the rectified linear unit.
    ///
    /// Formula: `y = max(x, 0)`. The derivative at 0 is 0.
    /// Shapes: `[...]` → `[...]`, the same, as is the type.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `LeakyRelu`, `Gelu`.
    /// Example:
    /// ```ts
    /// tl.Relu()([-1, 0, 2]); // → Tensor int32[3] [0,0,2]
    /// ```
    ReluOptions "Relu" {}
    /// Replaces negative values by 0 and scales the others by a slope.
    ///
    /// Formula: `y = max(a · x, 0)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Relu`.
    /// Example:
    /// ```ts
    /// tl.ParametricRelu({ a: 2 })([-1, 0, 2]); // → Tensor float32[3] [0,0,4]
    /// ```
    ParametricReluOptions "ParametricRelu" {
        /// Slope for positive inputs.
        a "a" = 1.0
    }
    /// Scales negative values down by a small slope, so that a gradient still flows through them.
    ///
    /// Formula: `y = x` where `x >= 0`, else `a · x`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.
    /// See: `Relu`.
    /// Example:
    /// ```ts
    /// tl.LeakyRelu()([-1, 0, 2]); // → Tensor float32[3] [-0.01,0,2]
    /// ```
    LeakyReluOptions "LeakyRelu" {
        /// Slope for negative inputs.
        a "a" = 0.01
    }
    /// Bends negative values towards a bound: the exponential linear unit.
    ///
    /// Formula: `y = x` where `x > 0`, else `a · (exp(x) - 1)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Clevert et al. 2015, arXiv:1511.07289.
    /// See: `Selu`.
    /// Example:
    /// ```ts
    /// tl.Elu()([-1, 0, 2]); // → Tensor float32[3] [-0.632121,0,2]
    /// ```
    EluOptions "Elu" {
        /// Size of the bound that negative inputs approach.
        a "a" = 1.0
    }
    /// Applies the exponential linear unit with a scale that keeps activations near mean 0 and variance 1.
    ///
    /// Formula: `y = lmbda · x` where `x > 0`, else `lmbda · alpha · (exp(x) - 1)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Klambauer et al. 2017, arXiv:1706.02515.
    /// See: `Elu`.
    /// Example:
    /// ```ts
    /// tl.Selu()([-1, 0, 2]); // → Tensor float32[3] [-1.11133,0,2.1014]
    /// ```
    SeluOptions "Selu" {
        /// Size of the bound that negative inputs approach, before the scale.
        alpha "alpha" = 1.673_263_242_354_377_2,
        /// Scale of the whole.
        lmbda "lmbda" = 1.050_700_987_355_480_5
    }
    /// Weights each value by the probability that a normal random number is smaller: the Gaussian error linear unit.
    ///
    /// Formula: `y = x / 2 · (1 + erf(x / √2))`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Hendrycks & Gimpel 2016, arXiv:1606.08415.
    /// See: `FastGelu`.
    /// Example:
    /// ```ts
    /// tl.Gelu()([-1, 0, 2]); // → Tensor float32[3] [-0.158655,0,1.9545]
    /// ```
    GeluOptions "Gelu" {}
    /// Approximates the Gaussian error linear unit by a hyperbolic tangent, which is faster.
    ///
    /// Formula: `y = x / 2 · (1 + tanh(0.7978845608 · (x + 0.044715 · x³)))`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Hendrycks & Gimpel 2016, arXiv:1606.08415.
    /// See: `Gelu`.
    /// Example:
    /// ```ts
    /// tl.FastGelu()([-1, 0, 2]); // → Tensor float32[3] [-0.158808,0,1.9546]
    /// ```
    FastGeluOptions "FastGelu" {}
    /// Maps each value to a number between 0 and 1 by the logistic function.
    ///
    /// Formula: `y = 1 / (1 + exp(-x))`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `HardSigmoid`.
    /// Example:
    /// ```ts
    /// tl.Sigmoid()([-1, 0, 2]); // → Tensor float32[3] [0.268941,0.5,0.880797]
    /// ```
    SigmoidOptions "Sigmoid" {}
    /// Maps each value to a number between -1 and 1 by the hyperbolic tangent.
    ///
    /// Formula: `y = tanh(x)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `HardTanh`.
    /// Example:
    /// ```ts
    /// tl.Tanh()([-1, 0, 2]); // → Tensor float32[3] [-0.761594,0,0.964028]
    /// ```
    TanhOptions "Tanh" {}
    /// Replaces the logistic function by a straight line from 0 to 1.
    ///
    /// Formula: `y = max(0, min(1, 1 + x))`.
    /// Shapes: `[...]` → `[...]`, the same, as is the type.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Sigmoid`.
    /// Example:
    /// ```ts
    /// tl.HardSigmoid()([-0.5, 0, 2]); // → Tensor float32[3] [0.5,1,1]
    /// ```
    HardSigmoidOptions "HardSigmoid" {}
    /// Replaces the hyperbolic tangent by a straight line from -1 to 1.
    ///
    /// Formula: `y = max(-1, min(1, x))`.
    /// Shapes: `[...]` → `[...]`, the same, as is the type.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Tanh`.
    /// Example:
    /// ```ts
    /// tl.HardTanh()([-0.5, 0, 2]); // → Tensor float32[3] [-0.5,0,1]
    /// ```
    HardTanhOptions "HardTanh" {}
    /// Applies a smooth version of the rectified linear unit.
    ///
    /// Formula: `y = log(exp(x) + 1)`, without overflow.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Relu`.
    /// Example:
    /// ```ts
    /// tl.Softplus()([-1, 0, 2]); // → Tensor float32[3] [0.313262,0.693147,2.12693]
    /// ```
    SoftplusOptions "Softplus" {}
    /// Computes the exponential function of each value.
    ///
    /// Formula: `y = exp(x)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Log`.
    /// Example:
    /// ```ts
    /// tl.Exp()([-1, 0, 2]); // → Tensor float32[3] [0.367879,1,7.38906]
    /// ```
    ExpOptions "Exp" {}
    /// Computes the natural logarithm of each value.
    ///
    /// Formula: `y = log(x)`. It is NaN for negative values and negative infinity for 0.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Exp`.
    /// Example:
    /// ```ts
    /// tl.Log()([1, Math.E]); // → Tensor float32[2] [0,1]
    /// ```
    LogOptions "Log" {}
    /// Weights each value by its own logistic function; also known as SiLU.
    ///
    /// Formula: `y = x · sigmoid(x)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Ramachandran et al. 2017, arXiv:1710.05941.
    /// See: `Gelu`.
    /// Example:
    /// ```ts
    /// tl.Swish()([-1, 0, 2]); // → Tensor float32[3] [-0.268941,0,1.76159]
    /// ```
    SwishOptions "Swish" {}
    /// Lets the second half of the last axis decide how much of the first half passes: the gated linear unit.
    ///
    /// Formula: `y = a · sigmoid(b)`, where `a` and `b` are the first and the second half of the last axis.
    /// Shapes: `[..., 2n]` → `[..., n]`. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes, or its last axis has an odd size.
    ///
    /// Source: Trax; Dauphin et al. 2016, arXiv:1612.08083.
    /// Example:
    /// ```ts
    /// tl.Glu()([2, 4, 0, 100]); // → Tensor float32[2] [1,4]
    /// ```
    GluOptions "Glu" {}
    /// Raises values below a learned threshold to the threshold.
    ///
    /// Formula: `y = max(x, t)`.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: the threshold `t`, one float32 number that starts at 0.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax; Singh & Krishnan 2019, arXiv:1911.09737.
    /// See: `Relu`.
    /// Example:
    /// ```ts
    /// const layer = tl.ThresholdedLinearUnit();
    /// layer.init({ shape: [3], dtype: 'float32' });
    /// layer([-1, 0, 2]); // → Tensor float32[3] [0,0,2]
    /// ```
    ThresholdedLinearUnitOptions "ThresholdedLinearUnit" {}
}

fn same_shape(layer: LayerRef) -> Result<LayerRef> {
    assert_function("...->...", layer)
}

/// A layer that computes `f`, which takes floats; integers are cast to float32 first.
fn of_floats(
    name: &str,
    f: impl Fn(&Tensor) -> tallow_tensor::Result<Tensor> + Send + Sync + 'static,
) -> Result<LayerRef> {
    same_shape(elementwise(name, move |x| f(&x.cast(x.dtype().to_float())?)))
}

// Above 0 the exponential is not used; there it is taken of 0, so that it cannot overflow into a NaN gradient.
fn elu_of(x: &Tensor, a: f64) -> tallow_tensor::Result<Tensor> {
    let positive = x.gt_scalar(0.0)?;
    let zero = x.detach().zeros_like()?;
    let below = Tensor::where_(&positive, &zero, x)?.expm1()?.mul_scalar(a)?;
    Tensor::where_(&positive, x, &below)
}

/// `max(x, 0)`.
///
/// # Errors
/// None; as all layer constructors.
pub fn relu() -> Result<LayerRef> {
    same_shape(elementwise("Relu", Tensor::relu))
}

/// `max(a x, 0)`.
///
/// # Errors
/// None; as all layer constructors.
pub fn parametric_relu(a: f64) -> Result<LayerRef> {
    of_floats("ParametricRelu", move |x| x.mul_scalar(a)?.maximum_scalar(0.0))
}

/// `x` where it is at least 0, else `a x`.
///
/// # Errors
/// None; as all layer constructors.
pub fn leaky_relu(a: f64) -> Result<LayerRef> {
    of_floats("LeakyRelu", move |x| Tensor::where_(&x.ge_scalar(0.0)?, x, &x.mul_scalar(a)?))
}

/// `x` where it is positive, else `a (exp(x) - 1)`.
///
/// # Errors
/// None; as all layer constructors.
pub fn elu(a: f64) -> Result<LayerRef> {
    of_floats("Elu", move |x| elu_of(x, a))
}

/// `lmbda x` where x is positive, else `lmbda alpha (exp(x) - 1)`.
///
/// # Errors
/// None; as all layer constructors.
pub fn selu(alpha: f64, lmbda: f64) -> Result<LayerRef> {
    of_floats("Selu", move |x| elu_of(x, alpha)?.mul_scalar(lmbda))
}

macro_rules! plain {
    ($($(#[doc = $doc:literal])* $f:ident = $name:literal, $op:expr;)*) => {$(
        $(#[doc = $doc])*
        ///
        /// # Errors
        /// None; as all layer constructors.
        pub fn $f() -> Result<LayerRef> {
            of_floats($name, $op)
        }
    )*};
}
plain! {
    /// `x / 2 (1 + erf(x / √2))`.
    gelu = "Gelu", |x| bias_activation(x, None, Activation::Gelu);
    /// The approximation of [`gelu`] by a hyperbolic tangent.
    fast_gelu = "FastGelu", |x| bias_activation(x, None, Activation::FastGelu);
    /// `1 / (1 + exp(-x))`.
    sigmoid = "Sigmoid", Tensor::sigmoid;
    /// `tanh(x)`.
    tanh = "Tanh", Tensor::tanh;
    /// `log(exp(x) + 1)`.
    softplus = "Softplus", Tensor::softplus;
    /// `exp(x)`.
    exp = "Exp", Tensor::exp;
    /// `log(x)`.
    log = "Log", Tensor::log;
    /// `x · sigmoid(x)`.
    swish = "Swish", Tensor::swish;
}

/// `max(0, min(1, 1 + x))`.
///
/// # Errors
/// None; as all layer constructors.
pub fn hard_sigmoid() -> Result<LayerRef> {
    same_shape(elementwise("HardSigmoid", |x| x.add_scalar(1)?.minimum_scalar(1)?.maximum_scalar(0)))
}

/// `max(-1, min(1, x))`.
///
/// # Errors
/// None; as all layer constructors.
pub fn hard_tanh() -> Result<LayerRef> {
    same_shape(elementwise("HardTanh", |x| x.minimum_scalar(1)?.maximum_scalar(-1)))
}

/// The first half of the last axis times the logistic function of the second.
///
/// # Errors
/// None; as all layer constructors.
pub fn glu() -> Result<LayerRef> {
    let signature = |s: &[TensorSpec]| {
        let mut shape = s[0].shape.clone();
        match shape.last_mut() {
            Some(n) if *n % 2 == 0 => *n /= 2,
            Some(n) => return Err(Error::shape(format!("Glu halves the last axis, whose size {n} is odd"))),
            None => return Err(Error::shape("Glu halves the last axis, but the input has none")),
        }
        Ok(vec![TensorSpec::new(shape, s[0].dtype.to_float())])
    };
    let layer = pure_layer("Glu", 1, 1, signature, move |xs| {
        signature(&[TensorSpec::of(&xs[0])])?;
        let x = xs[0].cast(xs[0].dtype().to_float())?;
        let half = x.shape()[x.rank() - 1] / 2;
        Ok(vec![x.narrow(-1, 0, half)?.mul(&x.narrow(-1, half, half)?.sigmoid()?)?])
    });
    assert_function("...a->...b", layer)
}

#[derive(Debug, Clone)]
struct ThresholdedLinearUnit;

impl Leaf for ThresholdedLinearUnit {
    fn name(&self) -> String {
        "ThresholdedLinearUnit".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let threshold = TensorSpec::new([], DType::F32);
        Ok(vec![elementwise_signature(&[inputs[0].clone(), threshold], |xs| Ok(xs[0].maximum(&xs[1])?))?])
    }
    fn init(&self, _inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(Local::weights(Tree::Leaf(Tensor::scalar(0f32))))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(call.xs[0].maximum(call.w.one()?)?.into())
    }
}

/// `max(x, t)` with a learned `t`.
pub fn thresholded_linear_unit() -> LayerRef {
    leaf(ThresholdedLinearUnit)
}
