//! Pooling.
use crate::{
    core::python_tuple,
    entry,
    framework::pure::pure_layer,
    options,
    options::Entry,
    windows::{check_padding, per_axis, PaddingArg, Sizes},
    Error, LayerRef, Result, TensorSpec,
};
use tallow_tensor::{
    ops::{pool, Padding, Pooling, Windows},
    DType,
};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("pooling", MaxPoolOptions, |o: MaxPoolOptions| pooling(
        "MaxPool",
        Pooling::Max,
        o.pool_size,
        o.strides,
        o.padding
    )),
    entry!("pooling", SumPoolOptions, |o: SumPoolOptions| pooling(
        "SumPool",
        Pooling::Sum,
        o.pool_size,
        o.strides,
        o.padding
    )),
    entry!("pooling", AvgPoolOptions, |o: AvgPoolOptions| pooling(
        "AvgPool",
        Pooling::Average,
        o.pool_size,
        o.strides,
        o.padding
    )),
];

macro_rules! pooling_options {
    ($($(#[doc = $doc:literal])* $S:ident, $kind:literal;)*) => {$(
        options! {
            $(#[doc = $doc])*
            ///
            /// Shapes: `[n, d1, ..., dk, c]` to `[n, d1', ..., dk', c]` for `k` entries of `poolSize`: with `'VALID'` `d' = ⌈(d - size + 1) / stride⌉`, with
            /// `'SAME'` `d' = ⌈d / stride⌉`. No weights, no state; the same in every mode.
            /// Errors: `ShapeMismatch` for an input of another rank or smaller than the window; `DTypeMismatch` for bool;
            /// `InvalidOption` for lists that have not one entry for each spatial axis.
            pub struct $S for $kind () {
                /// Size of the window along each axis but the first and last.
                pool_size "poolSize": Sizes = Sizes(vec![2, 2]),
                /// Positions from one window to the next along each of these axes; null: 1.
                strides "strides": Option<Sizes> = None,
                /// What lies beyond the ends: nothing, as much as keeps the size, or so many positions `[before, after]` for each axis.
                padding "padding": PaddingArg = PaddingArg(Padding::Valid),
            }
        }
    )*};
}
pooling_options! {
    /// Reduces each window to its largest value.
    ///
    /// Padding never is the largest. The gradient goes to the first of equal values, in row-major order of the window.
    MaxPoolOptions, "MaxPool";
    /// Reduces each window to the sum of its values.
    ///
    /// Padding adds nothing. Integers keep their type: a sum that does not fit it is an error.
    SumPoolOptions, "SumPool";
    /// Reduces each window to the mean of its values.
    ///
    /// Padding is not counted. Means of integers are float32.
    AvgPoolOptions, "AvgPool";
}

/// A pooling layer.
///
/// # Errors
/// `InvalidOption` for lists that have not one entry for each entry of the window's size.
pub fn pooling(
    name: &'static str,
    kind: Pooling,
    size: Sizes,
    strides: Option<Sizes>,
    padding: PaddingArg,
) -> Result<LayerRef> {
    let size = size.0;
    check_padding(name, &padding, size.len())?;
    let strides = per_axis(name, "strides", strides, size.len())?;
    let windows = Windows { strides, padding: padding.0, ..Windows::default() };
    let shown = format!("{name}{}", python_tuple(&size).replace(' ', ""));
    let (of, reach) = (windows.clone(), size.clone());
    let signature = move |s: &[TensorSpec]| {
        let [items, spatial @ .., channels] = &s[0].shape[..] else {
            return Err(Error::shape(format!("the input needs an axis of items and one of channels, got {}", s[0])));
        };
        if s[0].dtype == DType::Bool {
            return Err(Error::dtype(format!("{name} takes numbers, got bool; put ToFloat before it")));
        }
        let spatial = of.output(name, spatial, &reach)?;
        let dtype = if kind == Pooling::Average { s[0].dtype.to_float() } else { s[0].dtype };
        Ok(vec![TensorSpec { dtype, ..s[0].with_shape([&[*items], &spatial[..], &[*channels]].concat()) }])
    };
    let declared = signature.clone();
    Ok(pure_layer(shown, 1, 1, signature, move |xs| {
        // Refuses in the layer's words.
        declared(&[TensorSpec::of(&xs[0])])?;
        Ok(vec![pool(&xs[0], &size, &windows, kind)?])
    }))
}
