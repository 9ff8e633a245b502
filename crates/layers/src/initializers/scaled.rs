//! Initializers whose spread follows from the shape of the weight.
use super::{Initialize, Initializer};
use crate::{choice, options, Axis, Error, ErrorKind, Num, Positive, Result};
use std::sync::Arc;
use tallow_tensor::{
    random::{self, Key},
    DType, Tensor,
};

choice! {
    /// The size that a scaled initializer divides its scale by.
    pub enum FanMode: "'fan_in' | 'fan_out' | 'fan_avg'", "'fan_in', 'fan_out' or 'fan_avg'" {
        /// Inputs of a unit.
        FanIn = "fan_in",
        /// Outputs of a unit.
        FanOut = "fan_out",
        /// The mean of both.
        FanAvg = "fan_avg",
    }
}

choice! {
    /// The distribution a scaled initializer draws from.
    pub enum Distribution: "'truncated_normal' | 'normal' | 'uniform'", "'truncated_normal', 'normal' or 'uniform'" {
        /// Normal values within two standard deviations of 0.
        TruncatedNormal = "truncated_normal",
        /// Normal values.
        Normal = "normal",
        /// Values spread evenly around 0.
        Uniform = "uniform",
    }
}

options! {
    /// Draws values whose variance is a scale divided by the number of inputs of a unit, of its outputs, or their mean.
    ///
    /// The numbers of inputs and outputs are the sizes of the axes `inDim` and `outDim` alone: as in Trax, the area of a convolution's
    /// kernel does
    /// not count. With one axis both are its size, with none they are 1. The same key gives the same values as in Trax.
    ///
    /// Formula: with the variance `v = scale / fan`, `'normal'` is `√v · N(0, 1)` and `'uniform'` is `U(-√(3v), √(3v))`.
    /// `'truncated_normal'` is a normal
    /// distribution cut off at two standard deviations and widened so that its variance is `v` again.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; He et al. 2015,
    /// arXiv:1502.01852.
    /// See: `GlorotUniformInitializer`, `LeCunNormalInitializer`, `KaimingNormalInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.ScaledInitializer(-1, -2, 1, 'fan_in', 'normal');
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.28417,-0.533784],[0.240338,-0.378186]]
    /// ```
    pub struct ScaledOptions for "ScaledInitializer" ("outDim", "inDim", "scale", "mode", "distribution") {
        /// Axis of the outputs; negative ones count from the end.
        out_dim "outDim": Axis,
        /// Axis of the inputs; negative ones count from the end.
        in_dim "inDim": Axis,
        /// Factor on the variance.
        scale "scale": Positive,
        /// What the variance is divided by.
        mode "mode": FanMode,
        /// What values are drawn from.
        distribution "distribution": Distribution,
    }
}

macro_rules! scaled_options {
    ($(#[doc = $doc:literal])* $S:ident, $kind:literal, $(#[doc = $fd:literal])* $n:ident $j:literal: $T:ty = $d:expr) => {
        options! {
            $(#[doc = $doc])*
            pub struct $S for $kind () {
                /// Axis of the outputs; negative ones count from the end.
                out_dim "outDim": Axis = Axis(-1),
                /// Axis of the inputs; negative ones count from the end.
                in_dim "inDim": Axis = Axis(-2),
                $(#[doc = $fd])*
                $n $j: $T = $d,
            }
        }
    };
}

scaled_options! {
    /// Draws normal values that keep the variance of signals and gradients from layer to layer.
    ///
    /// Inputs and outputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `√(2 · scale / (inputs + outputs)) · N(0, 1)`.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    /// See: `GlorotUniformInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.GlorotNormalInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.28417,-0.533784],[0.240338,-0.378186]]
    /// ```
    GlorotNormalOptions, "GlorotNormalInitializer",
    /// Factor on the variance.
    scale "scale": Positive = Positive(1.0)
}
scaled_options! {
    /// Draws uniform values that keep the variance of signals and gradients from layer to layer.
    ///
    /// Inputs and outputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `U(-l, l)`, with `l = √(6 · scale / (inputs + outputs))`.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    /// See: `GlorotNormalInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.GlorotUniformInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.1398,-0.67322],[0.325855,-0.498761]]
    /// ```
    GlorotUniformOptions, "GlorotUniformInitializer",
    /// Factor on the variance.
    scale "scale": Positive = Positive(1.0)
}
scaled_options! {
    /// Draws normal values that keep the variance of signals from layer to layer.
    ///
    /// Inputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `√(scale / inputs) · N(0, 1)`.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; LeCun et al. 1998, Efficient BackProp.
    /// See: `LeCunUniformInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.LeCunNormalInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.28417,-0.533784],[0.240338,-0.378186]]
    /// ```
    LeCunNormalOptions, "LeCunNormalInitializer",
    /// Factor on the variance.
    scale "scale": Positive = Positive(1.0)
}
scaled_options! {
    /// Draws uniform values that keep the variance of signals from layer to layer.
    ///
    /// Inputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `U(-l, l)`, with `l = √(3 · scale / inputs)`.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; LeCun et al. 1998, Efficient BackProp.
    /// See: `LeCunNormalInitializer`.
    /// Example:
    /// ```ts
    /// const initializer = tl.LeCunUniformInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.1398,-0.67322],[0.325855,-0.498761]]
    /// ```
    LeCunUniformOptions, "LeCunUniformInitializer",
    /// Factor on the variance.
    scale "scale": Positive = Positive(1.0)
}
scaled_options! {
    /// Draws normal values that keep the variance of signals through rectified linear units.
    ///
    /// Inputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `√(s / inputs) · N(0, 1)`, with `s = 2 / √(1 + param²)`, as in Trax.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; He et al. 2015, arXiv:1502.01852.
    /// See: `KaimingUniformInitializer`, `Relu`, `LeakyRelu`.
    /// Example:
    /// ```ts
    /// const initializer = tl.KaimingNormalInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.81609,-0.754885],[0.339889,-0.534835]]
    /// ```
    KaimingNormalOptions, "KaimingNormalInitializer",
    /// Slope of the rectifier for negative inputs.
    param "param": Num = Num(0.0)
}
scaled_options! {
    /// Draws uniform values that keep the variance of signals through rectified linear units.
    ///
    /// Inputs are counted as in `ScaledInitializer`.
    ///
    /// Formula: `U(-l, l)`, with `l = √(3 · s / inputs)` and `s = 2 / √(1 + param²)`, as in Trax.
    /// Errors:
    /// - `InvalidArgument`: the weight does not have the axis `inDim` or `outDim`.
    ///
    /// Source: Trax; He et al. 2015, arXiv:1502.01852.
    /// See: `KaimingNormalInitializer`, `Relu`, `LeakyRelu`.
    /// Example:
    /// ```ts
    /// const initializer = tl.KaimingUniformInitializer();
    /// initializer([2, 2], tl.random.key(0)); // → Tensor float32[2,2] [[1.61192,-0.952077],[0.460829,-0.705354]]
    /// ```
    KaimingUniformOptions, "KaimingUniformInitializer",
    /// Slope of the rectifier for negative inputs.
    param "param": Num = Num(0.0)
}

#[derive(Debug)]
struct Scaled {
    shown: String,
    out_dim: isize,
    in_dim: isize,
    scale: f64,
    /// Whether the variance is computed in float32 throughout: Trax's Kaiming scale is a JAX number, the others Python's.
    single: bool,
    mode: FanMode,
    distribution: Distribution,
}

/// Standard deviation of a standard normal cut off at ±2.
const TRUNCATED_STDDEV: f32 = 0.879_625_7;

impl Initialize for Scaled {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        let (fan_in, fan_out) = fans(shape, self.out_dim, self.in_dim)?;
        if shape.contains(&0) {
            return Ok(Tensor::from_vec(Vec::<f32>::new(), shape)?);
        }
        let fan = match self.mode {
            FanMode::FanIn => fan_in,
            FanMode::FanOut => fan_out,
            FanMode::FanAvg => (fan_in + fan_out) / 2.0,
        };
        let (gain, triple) = if self.single {
            let gain = self.scale as f32 / fan as f32;
            (gain, 3.0 * gain)
        } else {
            let gain = self.scale / fan;
            (gain as f32, (3.0 * gain) as f32)
        };
        let stddev = gain.sqrt();
        Ok(match self.distribution {
            Distribution::TruncatedNormal => random::truncated_normal(key, -2.0, 2.0, shape, DType::F32)?
                .mul_scalar(f64::from(stddev / TRUNCATED_STDDEV))?,
            Distribution::Normal => random::normal(key, shape, DType::F32)?.mul_scalar(f64::from(stddev))?,
            Distribution::Uniform => {
                let lim = f64::from(triple.sqrt());
                random::uniform(key, shape, DType::F32, -lim, lim)?
            }
        })
    }
    fn show(&self) -> String {
        self.shown.clone()
    }
}

/// Inputs and outputs of a unit: the sizes of two axes.
fn fans(shape: &[usize], out_dim: isize, in_dim: isize) -> Result<(f64, f64)> {
    match shape {
        [] => Ok((1.0, 1.0)),
        [n] => Ok((*n as f64, *n as f64)),
        _ => {
            let size = |name: &str, dim: isize| {
                let i = if dim < 0 { dim + shape.len() as isize } else { dim };
                usize::try_from(i).ok().and_then(|i| shape.get(i)).map(|&n| n as f64).ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidArgument,
                        format!("initializer: a weight of shape {shape:?} has no axis {name} = {dim}"),
                    )
                })
            };
            Ok((size("inDim", in_dim)?, size("outDim", out_dim)?))
        }
    }
}

/// Values of variance `scale / fan`; `mode` says whether the size of axis `in_dim`, of `out_dim` or their mean is the fan.
pub fn scaled(out_dim: isize, in_dim: isize, scale: f64, mode: FanMode, distribution: Distribution) -> Initializer {
    use crate::options::OptionType;
    let shown = format!("tl.ScaledInitializer({out_dim}, {in_dim}, {scale}, {}, {})", mode.show(), distribution.show());
    Initializer(Arc::new(Scaled { shown, out_dim, in_dim, scale, single: false, mode, distribution }))
}

fn call(name: &str, out_dim: Axis, in_dim: Axis, last: Option<String>) -> String {
    let given = [
        (out_dim.0 != -1).then(|| format!("outDim: {}", out_dim.0)),
        (in_dim.0 != -2).then(|| format!("inDim: {}", in_dim.0)),
        last,
    ];
    let given: Vec<String> = given.into_iter().flatten().collect();
    if given.is_empty() {
        format!("tl.{name}()")
    } else {
        format!("tl.{name}({{{}}})", given.join(", "))
    }
}

pub(super) fn named(
    name: &str,
    out: Axis,
    inp: Axis,
    scale: f64,
    mode: FanMode,
    distribution: Distribution,
) -> Initializer {
    let shown = call(name, out, inp, (scale != 1.0).then(|| format!("scale: {scale}")));
    Initializer(Arc::new(Scaled { shown, out_dim: out.0, in_dim: inp.0, scale, single: false, mode, distribution }))
}

pub(super) fn kaiming(name: &str, out: Axis, inp: Axis, param: f64, distribution: Distribution) -> Initializer {
    let shown = call(name, out, inp, (param != 0.0).then(|| format!("param: {param}")));
    let scale = f64::from(2.0 / ((1.0 + param * param) as f32).sqrt());
    let mode = FanMode::FanIn;
    Initializer(Arc::new(Scaled { shown, out_dim: out.0, in_dim: inp.0, scale, single: true, mode, distribution }))
}

macro_rules! shorthand {
    ($($(#[doc = $doc:literal])* $f:ident = $name:literal, $mode:ident, $distribution:ident;)*) => {$(
        $(#[doc = $doc])*
        pub fn $f() -> Initializer {
            named($name, Axis(-1), Axis(-2), 1.0, FanMode::$mode, Distribution::$distribution)
        }
    )*};
}
shorthand! {
    /// Glorot's normal values for a weight `[…, in, out]`.
    glorot_normal = "GlorotNormalInitializer", FanAvg, Normal;
    /// Glorot's evenly spread values for a weight `[…, in, out]`.
    glorot_uniform = "GlorotUniformInitializer", FanAvg, Uniform;
    /// LeCun's normal values for a weight `[…, in, out]`.
    lecun_normal = "LeCunNormalInitializer", FanIn, Normal;
    /// LeCun's evenly spread values for a weight `[…, in, out]`.
    lecun_uniform = "LeCunUniformInitializer", FanIn, Uniform;
}

/// Kaiming's normal values for a weight `[…, in, out]` before a rectifier.
pub fn kaiming_normal() -> Initializer {
    kaiming("KaimingNormalInitializer", Axis(-1), Axis(-2), 0.0, Distribution::Normal)
}

/// Kaiming's evenly spread values for a weight `[…, in, out]` before a rectifier.
pub fn kaiming_uniform() -> Initializer {
    kaiming("KaimingUniformInitializer", Axis(-1), Axis(-2), 0.0, Distribution::Uniform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_ignore_the_kernel_area() {
        assert_eq!(fans(&[3, 3, 4, 2], -1, -2).unwrap(), (4.0, 2.0));
        assert_eq!(fans(&[7], -1, -2).unwrap(), (7.0, 7.0));
        assert_eq!(fans(&[], -1, -2).unwrap(), (1.0, 1.0));
        let e = fans(&[2, 3], -1, 5).unwrap_err();
        assert_eq!(e.message(), "initializer: a weight of shape [2, 3] has no axis inDim = 5");
    }

    #[test]
    fn truncated_normal_has_the_variance_asked_for() {
        let init = scaled(-1, -2, 2.0, FanMode::FanIn, Distribution::TruncatedNormal);
        let w = init.make(&[50, 400], Key([1, 2])).unwrap().to_f64_vec().unwrap();
        let var = w.iter().map(|x| x * x).sum::<f64>() / w.len() as f64;
        let limit = 2.0 * (2.0f64 / 50.0).sqrt() / f64::from(TRUNCATED_STDDEV);
        assert!((var - 0.04).abs() < 0.002, "variance {var}");
        assert!(w.iter().all(|x| x.abs() <= limit * 1.000_001) && w.iter().any(|x| x.abs() > 0.9 * limit));
    }

    #[test]
    fn shown_as_written() {
        assert_eq!(glorot_uniform().0.show(), "tl.GlorotUniformInitializer()");
        assert_eq!(
            scaled(-1, -2, 1.5, FanMode::FanOut, Distribution::Uniform).0.show(),
            "tl.ScaledInitializer(-1, -2, 1.5, 'fan_out', 'uniform')"
        );
    }
}
