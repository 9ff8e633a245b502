//! Layers without weights that work along axes.
use crate::{
    framework::pure::{pure_layer, result_dtype},
    options, Axis, AxisList, Error, LayerRef, Result, TensorSpec,
};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Turns activations into logarithms of probabilities that sum to 1 along axes.
    ///
    /// Formula: `x - log(sum(exp(x)))`, without overflow. Shapes: any with those axes, kept; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct LogSoftmaxOptions for "LogSoftmax" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
    }
}
options! {
    /// Computes the logarithm of a sum of exponentials along axes, which stay with size 1.
    ///
    /// Formula: `log(sum(exp(x)))`, without overflow. Shapes: any with those axes, whose sizes become 1; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct LogSumExpOptions for "LogSumExp" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
    }
}
options! {
    /// Turns activations into probabilities that sum to 1 along axes.
    ///
    /// Formula: `exp(x) / sum(exp(x))`, without overflow. Shapes: any with those axes, kept; integers become float32.
    /// No weights, no state; the same in every mode. Errors: `InvalidArgument` for an axis the input has not.
    pub struct SoftmaxOptions for "Softmax" () {
        /// Axis or axes along which values form a group; `null`: all.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
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

/// The shape without `axes`, or with size 1 there.
fn reduced(name: &str, shape: &[usize], axes: &Axes, keepdims: bool) -> Result<Vec<usize>> {
    let gone = axes.resolve(name, shape.len())?;
    let kept = shape.iter().enumerate().filter(|(i, _)| keepdims || !gone.contains(i));
    Ok(kept.map(|(i, &d)| if gone.contains(&i) { 1 } else { d }).collect())
}

/// Refuses to search axes without elements.
fn check_filled(what: &str, x: &TensorSpec, axes: &Axes) -> Result<()> {
    if axes.resolve(what, x.rank())?.iter().any(|&axis| x.shape[axis] == 0) {
        return Err(Error::shape(format!("there is no {what} value along an axis of size 0, got {x}")));
    }
    Ok(())
}

/// A [`reduction`] to one of the values, of which there must be some.
pub(super) fn extreme(
    (name, what): (&'static str, &'static str),
    axis: Option<AxisList>,
    keepdims: bool,
    f: fn(&Tensor, Axes, bool) -> tallow_tensor::Result<Tensor>,
) -> LayerRef {
    let axes = axes_of(axis);
    let declared = axes.clone();
    let signature = move |s: &[TensorSpec]| {
        check_filled(what, &s[0], &declared)?;
        Ok(vec![s[0].with_shape(reduced(name, &s[0].shape, &declared, keepdims)?)])
    };
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![f(&xs[0], axes.clone(), keepdims)?]))
}

pub(super) fn reduction(
    name: &'static str,
    axis: Option<AxisList>,
    keepdims: bool,
    f: fn(&Tensor, Axes, bool) -> tallow_tensor::Result<Tensor>,
) -> LayerRef {
    let axes = axes_of(axis);
    let declared = axes.clone();
    let signature = move |s: &[TensorSpec]| {
        let dtype = result_dtype(&[s[0].dtype], |xs| Ok(f(&xs[0], Axes::All, false)?))?;
        Ok(vec![TensorSpec::new(reduced(name, &s[0].shape, &declared, keepdims)?, dtype)])
    };
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![f(&xs[0], axes.clone(), keepdims)?]))
}

/// The mean along one axis, which goes.
pub fn mean(axis: isize) -> LayerRef {
    reduction("Mean", Some(AxisList(vec![axis])), false, |t, a, k| t.mean(a, k))
}

fn axes_of(axis: Option<AxisList>) -> Axes {
    axis.map_or(Axes::All, |a| Axes::from(&a.0[..]))
}

/// A layer of `f`, which works along one axis, made to work along several as along one that joins them.
fn grouped(
    name: &'static str,
    axis: Option<AxisList>,
    f: fn(&Tensor, isize) -> tallow_tensor::Result<Tensor>,
) -> LayerRef {
    let axes = axes_of(axis);
    let declared = axes.clone();
    let signature = move |s: &[TensorSpec]| {
        declared.resolve(name, s[0].rank())?;
        Ok(vec![TensorSpec::new(s[0].shape.clone(), s[0].dtype.to_float())])
    };
    pure_layer(name, 1, 1, signature, move |xs| {
        let x = xs[0].cast(xs[0].dtype().to_float())?;
        let group = axes.resolve(name, x.rank())?;
        if let [one] = group[..] {
            return Ok(vec![f(&x, one as isize)?]);
        }
        let order: Vec<usize> = (0..x.rank()).filter(|i| !group.contains(i)).chain(group.iter().copied()).collect();
        let moved = x.transpose(Some(&order))?;
        let members = group.iter().map(|&i| x.shape()[i]).product();
        let joined = [&moved.shape()[..x.rank() - group.len()], &[members]].concat();
        let y = f(&moved.reshape(&joined)?, -1)?.reshape(moved.shape())?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &axis)| back[axis] = i);
        Ok(vec![y.transpose(Some(&back))?])
    })
}

/// Logarithms of probabilities along axes.
pub fn log_softmax(axis: Option<AxisList>) -> LayerRef {
    grouped("LogSoftmax", axis, Tensor::log_softmax)
}

/// Probabilities along axes.
pub fn softmax(axis: Option<AxisList>) -> LayerRef {
    grouped("Softmax", axis, Tensor::softmax)
}

/// The logarithm of a sum of exponentials along axes, which stay.
pub fn log_sum_exp(axis: Option<AxisList>) -> LayerRef {
    reduction("LogSumExp", axis, true, |t, a, k| t.cast(t.dtype().to_float())?.logsumexp(a, k))
}

/// The position of the greatest value along an axis, or among all values.
pub fn arg_max(axis: Option<isize>) -> LayerRef {
    let signature = move |s: &[TensorSpec]| {
        check_filled("greatest", &s[0], &Axes::from(axis))?;
        let kept = reduced("ArgMax", &s[0].shape, &Axes::from(axis), false)?;
        Ok(vec![TensorSpec::new(kept, DType::I32)])
    };
    pure_layer("ArgMax", 1, 1, signature, move |xs| Ok(vec![xs[0].argmax(axis, false)?]))
}
