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
            pub struct $S for $kind () {
                /// Size of the window along each axis but the first and last.
                pool_size "poolSize": Sizes = Sizes(vec![2, 2]),
                /// Positions from one window to the next along each of these axes; `null` is 1.
                strides "strides": Option<Sizes> = None,
                /// What lies beyond the ends: nothing (`'VALID'`), as much as keeps the size (`'SAME'`), or numbers of positions `[before, after]` for each axis.
                padding "padding": PaddingArg = PaddingArg(Padding::Valid),
            }
        }
    )*};
}
pooling_options! {
    /// Reduces each window to its greatest value.
    ///
    /// Padding is never the greatest.
    ///
    /// Shapes: for images, `[batch, height, width, channels]` → `[batch, height', width', channels]`. With `'VALID'` padding
    /// `height' = ⌈(height - size + 1) / stride⌉`, with `'SAME'` `height' = ⌈height / stride⌉`. There are as many axes between the first
    /// and the last as `poolSize`
    /// has entries.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: goes to the first of equal values, in row-major order of the window.
    /// Errors:
    /// - `InvalidOption`: `strides` or `padding` does not have one entry for each entry of `poolSize`.
    /// - `ShapeMismatch`: the input has another number of axes, or is smaller than the window.
    /// - `DTypeMismatch`: the input is boolean.
    ///
    /// Source: Trax.
    /// See: `AvgPool`, `SumPool`.
    /// Example:
    /// ```ts
    /// tl.MaxPool()([[[[1], [2]], [[3], [4]]]]); // → Tensor int32[1,1,1,1] [[[[4]]]]
    /// ```
    MaxPoolOptions, "MaxPool";
    /// Reduces each window to the sum of its values.
    ///
    /// Padding adds nothing. Integers keep their type.
    ///
    /// Shapes: for images, `[batch, height, width, channels]` → `[batch, height', width', channels]`. With `'VALID'` padding
    /// `height' = ⌈(height - size + 1) / stride⌉`, with `'SAME'` `height' = ⌈height / stride⌉`. There are as many axes between the first
    /// and the last as `poolSize`
    /// has entries.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `strides` or `padding` does not have one entry for each entry of `poolSize`.
    /// - `ShapeMismatch`: the input has another number of axes, or is smaller than the window.
    /// - `DTypeMismatch`: the input is boolean.
    /// - `InvalidArgument`: a sum of integers does not fit their type.
    ///
    /// Source: Trax.
    /// See: `AvgPool`, `MaxPool`.
    /// Example:
    /// ```ts
    /// tl.SumPool()([[[[1], [2]], [[3], [4]]]]); // → Tensor int32[1,1,1,1] [[[[10]]]]
    /// ```
    SumPoolOptions, "SumPool";
    /// Reduces each window to the mean of its values.
    ///
    /// Padding is not counted. Means of integers are float32.
    ///
    /// Shapes: for images, `[batch, height, width, channels]` → `[batch, height', width', channels]`. With `'VALID'` padding
    /// `height' = ⌈(height - size + 1) / stride⌉`, with `'SAME'` `height' = ⌈height / stride⌉`. There are as many axes between the first
    /// and the last as `poolSize`
    /// has entries.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `strides` or `padding` does not have one entry for each entry of `poolSize`.
    /// - `ShapeMismatch`: the input has another number of axes, or is smaller than the window.
    /// - `DTypeMismatch`: the input is boolean.
    ///
    /// Source: Trax.
    /// See: `MaxPool`, `SumPool`.
    /// Example:
    /// ```ts
    /// tl.AvgPool()([[[[1], [2]], [[3], [4]]]]); // → Tensor float32[1,1,1,1] [[[[2.5]]]]
    /// ```
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
