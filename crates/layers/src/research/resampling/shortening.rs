//! Several positions become one, or one becomes several.
use super::unused::{FurtherArguments, ResamplingOptions, WeightlessResamplingOptions};
use crate::{
    combinators::serial,
    core::{dense, dropout},
    framework::pure::pure_layer,
    options,
    pooling::pooling,
    Dim, Error, LayerRef, Mode, PaddingArg, Rate, Result, Sizes, TensorSpec,
};
use tallow_tensor::{
    element_count,
    ops::{Padding, Pooling},
    Tensor,
};

options! {
    /// What ways of resampling by a `Dense` take.
    pub group LinearResamplingOptions {
        /// Probability of dropping a value that the `Dense` gives.
        dropout "dropout": Rate = Rate(0.0),
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Shortens a sequence: each group of positions becomes its mean.
    ///
    /// Further arguments and options change nothing; ways of resampling are all called alike. Positions that do not fill a group fall
    /// away.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, ⌊length / shortenFactor⌋, d]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or has less positions than a group.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// See: `LinearPooling`, `AttentionResampling`.
    /// Example:
    /// ```ts
    /// const layer = tl.AveragePooling(2);
    /// layer.init({ shape: [1, 4, 1], dtype: 'float32' });
    /// layer([[[1], [2], [3], [4]]]); // → Tensor float32[1,2,1] [[[1.5],[3.5]]]
    /// ```
    pub struct AveragePoolingOptions for "AveragePooling" ("shortenFactor") ...("args")
        with (unused: ResamplingOptions, weightless: WeightlessResamplingOptions) {
        /// How many positions become one.
        shorten_factor "shortenFactor": Dim,
        /// Further arguments, such as the depth; they change nothing.
        args "args": FurtherArguments = FurtherArguments,
        /// Changes nothing.
        d_model "dModel": Option<Dim> = None,
    }
}

options! {
    /// Shortens a sequence: a `Dense` maps each group of positions, joined.
    ///
    /// Further arguments, and options that `AttentionResampling` takes, change nothing; ways of resampling are all called alike.
    ///
    /// Shapes: `[batch, length, ...]` → `[batch, length / shortenFactor, dModel]`.
    /// Weights: those of a `Dense` of `dModel` units.
    /// State: the rate of its `Dropout`.
    /// Modes: drops in `'train'` only.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes, or `shortenFactor` does not divide its length. Trax mixes positions then,
    ///   where it can.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// See: `AveragePooling`, `LinearUpsampling`.
    /// Example:
    /// ```ts
    /// const layer = tl.LinearPooling(2, 3);
    /// layer.init({ shape: [1, 4, 5], dtype: 'float32' });
    /// layer(tl.ones([1, 4, 5])).shape; // → [ 1, 2, 3 ]
    /// ```
    pub struct LinearPoolingOptions for "LinearPooling" ("shortenFactor", "dModel") ...("args")
        with (linear: LinearResamplingOptions, unused: ResamplingOptions) {
        /// How many positions become one.
        shorten_factor "shortenFactor": Dim,
        /// Depth of the result.
        d_model "dModel": Dim,
        /// Further arguments; they change nothing.
        args "args": FurtherArguments = FurtherArguments,
    }
}

options! {
    /// Lengthens a sequence: a `Dense` makes several positions of each.
    ///
    /// Further arguments, and options that `AttentionResampling` takes, change nothing; ways of resampling are all called alike.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, length · shortenFactor, dModel]`.
    /// Weights: those of a `Dense` of `shortenFactor · dModel` units.
    /// State: the rate of its `Dropout`.
    /// Modes: drops in `'train'` only.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than three axes.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// See: `NaiveUpsampling`, `LinearPooling`.
    /// Example:
    /// ```ts
    /// const layer = tl.LinearUpsampling(2, 3);
    /// layer.init({ shape: [1, 4, 5], dtype: 'float32' });
    /// layer(tl.ones([1, 4, 5])).shape; // → [ 1, 8, 3 ]
    /// ```
    pub struct LinearUpsamplingOptions for "LinearUpsampling" ("shortenFactor", "dModel") ...("args")
        with (linear: LinearResamplingOptions, unused: ResamplingOptions) {
        /// How many positions each becomes.
        shorten_factor "shortenFactor": Dim,
        /// Depth of the result.
        d_model "dModel": Dim,
        /// Further arguments; they change nothing.
        args "args": FurtherArguments = FurtherArguments,
    }
}

options! {
    /// Lengthens a sequence: each position comes several times in a row.
    ///
    /// Further arguments and options change nothing; ways of resampling are all called alike.
    ///
    /// Shapes: `[batch, length, ...]` → `[batch, length · shortenFactor, ...]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// See: `LinearUpsampling`.
    /// Example:
    /// ```ts
    /// const layer = tl.NaiveUpsampling(2, 1);
    /// layer.init({ shape: [1, 2, 1], dtype: 'int32' });
    /// layer([[[1], [2]]]); // → Tensor int32[1,4,1] [[[1],[1],[2],[2]]]
    /// ```
    pub struct NaiveUpsamplingOptions for "NaiveUpsampling" ("shortenFactor", "dModel") ...("args")
        with (unused: ResamplingOptions, weightless: WeightlessResamplingOptions) {
        /// How often each position comes.
        shorten_factor "shortenFactor": Dim,
        /// Changes nothing: the depth stays.
        d_model "dModel": Dim,
        /// Further arguments; they change nothing.
        args "args": FurtherArguments = FurtherArguments,
    }
}

options! {
    /// Lengthens a sequence and forgets it: it gives zeros, so that what is added to them stands alone.
    ///
    /// Further arguments and options change nothing; ways of resampling are all called alike.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, length · shortenFactor, d]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// Example:
    /// ```ts
    /// const layer = tl.NoUpsampling(2, 1);
    /// layer.init({ shape: [1, 2, 1], dtype: 'float32' });
    /// layer([[[1], [2]]]).shape; // → [ 1, 4, 1 ]
    /// ```
    pub struct NoUpsamplingOptions for "NoUpsampling" ("shortenFactor", "dModel") ...("args")
        with (unused: ResamplingOptions, weightless: WeightlessResamplingOptions) {
        /// How many positions each becomes.
        shorten_factor "shortenFactor": Dim,
        /// Changes nothing: the depth stays.
        d_model "dModel": Dim,
        /// Further arguments; they change nothing.
        args "args": FurtherArguments = FurtherArguments,
    }
}

/// See [`AveragePoolingOptions`].
pub(super) fn average_pooling(o: &AveragePoolingOptions) -> Result<LayerRef> {
    let size = || Sizes(vec![o.shorten_factor.0]);
    pooling("AvgPool", Pooling::Average, size(), Some(size()), PaddingArg(Padding::Valid))
}

/// A layer that reshapes one input.
fn reshaping(
    name: &'static str,
    shape: impl Fn(&TensorSpec) -> Result<Vec<usize>> + Clone + Send + Sync + 'static,
) -> LayerRef {
    let of = shape.clone();
    let signature = move |s: &[TensorSpec]| Ok(vec![s[0].with_shape(of(&s[0])?)]);
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![xs[0].reshape(&shape(&TensorSpec::of(&xs[0]))?)?]))
}

/// See [`LinearPoolingOptions`].
pub(super) fn linear_pooling(o: &LinearPoolingOptions) -> Result<LayerRef> {
    let factor = o.shorten_factor.0;
    let shorten = reshaping("Shorten", move |x| {
        let [batch, length, rest @ ..] = &x.shape[..] else {
            return Err(Error::shape(format!("expected at least 2 axes (batch, length), got {x}")));
        };
        if !length.is_multiple_of(factor) {
            return Err(Error::shape(format!(
                "LinearPooling: the length must be a multiple of `shortenFactor`, which is {factor}, got {length}"
            )));
        }
        Ok(vec![*batch, length / factor, element_count(&[element_count(rest)?, factor])?])
    });
    Ok(serial(vec![shorten, dense(o.d_model.0), dropout(o.linear.dropout.0, o.linear.mode)]))
}

/// The size of the length when each position becomes `factor` of them.
fn longer(x: &TensorSpec, factor: usize) -> Result<usize> {
    match x.shape[..] {
        [_, length, ..] => Ok(element_count(&[length, factor])?),
        _ => Err(Error::shape(format!("expected at least 2 axes (batch, length), got {x}"))),
    }
}

/// See [`LinearUpsamplingOptions`].
pub(super) fn linear_upsampling(o: &LinearUpsamplingOptions) -> Result<LayerRef> {
    let factor = o.shorten_factor.0;
    let prolong = reshaping("ProlongBack", move |x| {
        let [batch, _, rest @ .., features] = &x.shape[..] else {
            return Err(Error::shape(format!("expected at least 3 axes (batch, length, features), got {x}")));
        };
        if !features.is_multiple_of(factor) {
            return Err(Error::shape(format!("{features} features cannot be divided among {factor} positions")));
        }
        Ok(vec![*batch, longer(x, factor)?, element_count(&[element_count(rest)?, features / factor])?])
    });
    Ok(serial(vec![dense(element_count(&[factor, o.d_model.0])?), dropout(o.linear.dropout.0, o.linear.mode), prolong]))
}

/// See [`NaiveUpsamplingOptions`].
pub(super) fn naive_upsampling(o: &NaiveUpsamplingOptions) -> LayerRef {
    let factor = o.shorten_factor.0;
    let longer = move |x: &TensorSpec| -> Result<TensorSpec> {
        let length = longer(x, factor)?;
        let mut shape = x.shape.clone();
        shape[1] = length;
        Ok(x.with_shape(shape))
    };
    pure_layer(
        "Repeat",
        1,
        1,
        move |s| Ok(vec![longer(&s[0])?]),
        move |xs| {
            longer(&TensorSpec::of(&xs[0]))?;
            Ok(vec![xs[0].repeat(factor, 1)?])
        },
    )
}

/// See [`NoUpsamplingOptions`].
pub(super) fn no_upsampling(o: &NoUpsamplingOptions) -> LayerRef {
    let factor = o.shorten_factor.0;
    let shape = move |x: &TensorSpec| match x.shape[..] {
        [batch, _, d] => Ok([batch, longer(x, factor)?, d]),
        _ => Err(Error::shape(format!("expected 3 axes (batch, length, features), got {x}"))),
    };
    pure_layer(
        "ReturnZero",
        1,
        1,
        move |s| Ok(vec![s[0].with_shape(shape(&s[0])?)]),
        move |xs| Ok(vec![Tensor::zeros(&shape(&TensorSpec::of(&xs[0]))?, xs[0].dtype(), xs[0].device())?]),
    )
}
