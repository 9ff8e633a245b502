//! Layers without weights that work along axes.
use crate::{
    framework::pure::{pure_layer, result_dtype},
    options, Axis, AxisList, Error, LayerRef, Result, TensorSpec,
};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Turns activations into logarithms of probabilities that sum to 1 along the chosen axes.
    ///
    /// Formula: `y = x - log(Σ exp(x))`, without overflow.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `Softmax`, `logSoftmax`.
    /// Example:
    /// ```ts
    /// tl.LogSoftmax()([0, Math.log(3)]); // → Tensor float32[2] [-1.38629,-0.287682]
    /// ```
    pub struct LogSoftmaxOptions for "LogSoftmax" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
    }
}
options! {
    /// Computes the logarithm of the sum of exponentials along the chosen axes.
    ///
    /// Formula: `y = log(Σ exp(x))`, without overflow.
    /// Shapes: `[..., n]` → `[..., 1]`: the axes stay, with size 1. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `LogSoftmax`.
    /// Example:
    /// ```ts
    /// tl.LogSumExp()([0, Math.log(3)]); // → Tensor float32[1] [1.38629]
    /// ```
    pub struct LogSumExpOptions for "LogSumExp" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
    }
}
options! {
    /// Turns activations into probabilities that sum to 1 along the chosen axes.
    ///
    /// Formula: `y = exp(x) / Σ exp(x)`, without overflow.
    /// Shapes: `[...]` → `[...]`, the same. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `LogSoftmax`.
    /// Example:
    /// ```ts
    /// tl.Softmax()([0, Math.log(3)]); // → Tensor float32[2] [0.25,0.75]
    /// ```
    pub struct SoftmaxOptions for "Softmax" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
    }
}
options! {
    /// Computes the mean along the chosen axes.
    ///
    /// Shapes: `[..., n]` → `[...]`; with `keepdims` → `[..., 1]`. Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `Sum`, `Max`, `Min`.
    /// Example:
    /// ```ts
    /// tl.Mean()([[1, 2], [3, 6]]); // → Tensor float32[2] [1.5,4.5]
    /// tl.Mean({ axis: 0, keepdims: true })([[1, 2], [3, 6]]); // → Tensor float32[1,2] [[2,4]]
    /// ```
    pub struct MeanOptions for "Mean" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Finds the least value along the chosen axes.
    ///
    /// Shapes: `[..., n]` → `[...]`; with `keepdims` → `[..., 1]`. The type stays.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: goes to the least value; equal ones share it.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis, or the axis has size 0, so that there is no value.
    /// - `ShapeMismatch`: `init` of a model around the layer finds that the axis has size 0.
    ///
    /// Source: Trax.
    /// See: `Max`.
    /// Example:
    /// ```ts
    /// tl.Min()([[1, 2], [6, 3]]); // → Tensor int32[2] [1,3]
    /// ```
    pub struct MinOptions for "Min" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Finds the greatest value along the chosen axes.
    ///
    /// Shapes: `[..., n]` → `[...]`; with `keepdims` → `[..., 1]`. The type stays.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: goes to the greatest value; equal ones share it.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis, or the axis has size 0, so that there is no value.
    /// - `ShapeMismatch`: `init` of a model around the layer finds that the axis has size 0.
    ///
    /// Source: Trax.
    /// See: `Min`, `ArgMax`.
    /// Example:
    /// ```ts
    /// tl.Max()([[1, 2], [6, 3]]); // → Tensor int32[2] [2,6]
    /// ```
    pub struct MaxOptions for "Max" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = Some(AxisList(vec![-1])),
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Adds up the values along the chosen axes, or all of them.
    ///
    /// Shapes: with one axis, `[..., n]` → `[...]`; with `keepdims` → `[..., 1]`. The type stays, but booleans and uint8 become int32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis.
    ///
    /// Source: Trax.
    /// See: `Mean`.
    /// Example:
    /// ```ts
    /// tl.Sum()([[1, 2], [3, 6]]); // → Tensor int32[] 12
    /// tl.Sum({ axis: -1 })([[1, 2], [3, 6]]); // → Tensor int32[2] [3,9]
    /// ```
    pub struct SumOptions for "Sum" () {
        /// Axis or axes to work along; `null` is all of them.
        axis "axis": Option<AxisList> = None,
        /// Whether the axes stay, with size 1.
        keepdims "keepdims": bool = false,
    }
}
options! {
    /// Finds the position of the greatest value along an axis.
    ///
    /// The first of equal values counts.
    ///
    /// Shapes: `[..., n]` → `int32[...]`; with `axis: null` → `int32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none flows back.
    /// Errors:
    /// - `InvalidArgument`: the input does not have the axis, or the axis has size 0, so that there is no value.
    /// - `ShapeMismatch`: `init` of a model around the layer finds that the axis has size 0.
    ///
    /// Source: Trax.
    /// See: `Max`.
    /// Example:
    /// ```ts
    /// tl.ArgMax()([[1, 2], [6, 3]]); // → Tensor int32[2] [1,0]
    /// ```
    pub struct ArgMaxOptions for "ArgMax" () {
        /// Axis to search; negative ones count from the end. `null` finds the position among all values.
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
