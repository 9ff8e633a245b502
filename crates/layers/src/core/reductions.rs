//! Layers without weights that work along axes.
use crate::{base::pure_layer, options, Axis, AxisList, LayerRef, Result, TensorSpec};
use tallow_tensor::{resolve_axis, Axes, DType, Tensor};

options! {
    /// Turns activations into logarithms of probabilities that sum to 1 along an axis.
    ///
    /// Formula: `x - log(sum(exp(x)))`, without overflow. Shapes: any with that axis, kept; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct LogSoftmaxOptions for "LogSoftmax" () {
        /// Axis along which values form a group; negative ones count from the end.
        axis "axis": Axis = Axis(-1),
    }
}
options! {
    /// Computes the logarithm of a sum of exponentials along an axis, which stays with size 1.
    ///
    /// Formula: `log(sum(exp(x)))`, without overflow. Shapes: any with that axis, whose size becomes 1; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct LogSumExpOptions for "LogSumExp" () {
        /// Axis along which values form a group; negative ones count from the end.
        axis "axis": Axis = Axis(-1),
    }
}
options! {
    /// Turns activations into probabilities that sum to 1 along an axis.
    ///
    /// Formula: `exp(x) / sum(exp(x))`, without overflow. Shapes: any with that axis, kept; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct SoftmaxOptions for "Softmax" () {
        /// Axis along which values form a group; negative ones count from the end.
        axis "axis": Axis = Axis(-1),
    }
}
options! {
    /// Takes the mean along axes.
    ///
    /// Shapes: the input's without those axes, or with size 1 there; integers become float32. No weights, no state; the same in every mode.
    /// Errors: `InvalidArgument` for an axis the input has not.
    pub struct MeanOptions for "Mean" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Takes the least value along axes.
    ///
    /// Shapes: the input's without those axes, or with size 1 there; the dtype is kept. Equal least values share the gradient.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not, or of size 0.
    pub struct MinOptions for "Min" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Takes the greatest value along axes.
    ///
    /// Shapes: the input's without those axes, or with size 1 there; the dtype is kept. Equal greatest values share the gradient.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not, or of size 0.
    pub struct MaxOptions for "Max" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Adds up values along axes; all of them unless told otherwise.
    ///
    /// Shapes: the input's without those axes, or with size 1 there; the dtype is kept, but booleans and uint8 become int32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct SumOptions for "Sum" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = None,
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Finds the position of the greatest value along an axis.
    ///
    /// Shapes: the input's without that axis, as int32; the first of equal values counts. No weights, no state, no gradient; the same in every mode.
    /// Errors: `InvalidArgument` for an axis the input has not, or of size 0.
    pub struct ArgMaxOptions for "ArgMax" () {
        /// Axis to search; negative ones count from the end; `null`: the position among all values.
        axis "axis": Option<Axis> = Some(Axis(-1)),
    }
}

pub(super) fn sum_dtype(d: DType) -> DType {
    if matches!(d, DType::Bool | DType::U8) {
        DType::I32
    } else {
        d
    }
}

/// The shape without `axes`, or with size 1 there.
fn reduced(name: &str, shape: &[usize], axes: &Axes, keepdims: bool) -> Result<Vec<usize>> {
    let gone = axes.resolve(name, shape.len())?;
    let kept = shape.iter().enumerate().filter(|(i, _)| keepdims || !gone.contains(i));
    Ok(kept.map(|(i, &d)| if gone.contains(&i) { 1 } else { d }).collect())
}

pub(super) fn reduction(
    name: &'static str,
    axis: Option<AxisList>,
    keepdims: bool,
    dtype: fn(DType) -> DType,
    f: fn(&Tensor, Axes, bool) -> tallow_tensor::Result<Tensor>,
) -> LayerRef {
    let axes = axis.map_or(Axes::All, |a| Axes::from(&a.0[..]));
    let declared = axes.clone();
    let signature = move |s: &[TensorSpec]| {
        Ok(vec![TensorSpec::new(reduced(name, &s[0].shape, &declared, keepdims)?, dtype(s[0].dtype))])
    };
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![f(&xs[0], axes.clone(), keepdims)?]))
}

/// The mean along one axis, which goes.
pub fn mean(axis: isize) -> LayerRef {
    reduction("Mean", Some(AxisList(vec![axis])), false, DType::to_float, |t, a, k| t.mean(a, k))
}

fn grouped(
    name: &'static str,
    axis: isize,
    f: impl Fn(&Tensor, isize) -> tallow_tensor::Result<Tensor> + Send + Sync + 'static,
) -> LayerRef {
    let signature = move |s: &[TensorSpec]| {
        resolve_axis(name, axis, s[0].rank())?;
        Ok(vec![TensorSpec::new(s[0].shape.clone(), s[0].dtype.to_float())])
    };
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![f(&xs[0].cast(xs[0].dtype().to_float())?, axis)?]))
}

/// Logarithms of probabilities along an axis.
pub fn log_softmax(axis: isize) -> LayerRef {
    grouped("LogSoftmax", axis, Tensor::log_softmax)
}

/// Probabilities along an axis.
pub fn softmax(axis: isize) -> LayerRef {
    grouped("Softmax", axis, Tensor::softmax)
}

/// The logarithm of a sum of exponentials along an axis, which stays.
pub fn log_sum_exp(axis: isize) -> LayerRef {
    let signature = move |s: &[TensorSpec]| {
        Ok(vec![TensorSpec::new(reduced("LogSumExp", &s[0].shape, &Axes::from(axis), true)?, s[0].dtype.to_float())])
    };
    pure_layer("LogSumExp", 1, 1, signature, move |xs| {
        Ok(vec![xs[0].cast(xs[0].dtype().to_float())?.logsumexp(axis, true)?])
    })
}

/// The position of the greatest value along an axis, or among all values.
pub fn arg_max(axis: Option<isize>) -> LayerRef {
    let signature = move |s: &[TensorSpec]| {
        Ok(vec![TensorSpec::new(reduced("ArgMax", &s[0].shape, &Axes::from(axis), false)?, DType::I32)])
    };
    pure_layer("ArgMax", 1, 1, signature, move |xs| Ok(vec![xs[0].argmax(axis, false)?]))
}
