//! How metrics of categories take items: with weights or without, and which they leave out.
use super::{
    category::{label_left_out, weighed},
    common::{weighted_mean, weighted_mean_dtype},
    targets::{weights_shape, Items, Labels},
};
use crate::{options, Arity, Result, TensorSpec, Whole};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Which items count, and how much.
    pub group ItemOptions {
        /// Whether a third input gives the weights of items. They broadcast to the targets; an item of weight 0 does not count.
        weighted "weighted": bool = false,
        /// Target of items that do not count, whatever they weigh; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}

impl ItemOptions {
    /// Activations and targets, and weights where there are any.
    pub(super) fn arity(&self) -> Arity {
        Arity::new(if self.weighted { 3 } else { 2 }, 1)
    }
    /// Checks signatures of activations, targets and weights.
    ///
    /// # Errors
    /// `ShapeMismatch`.
    pub(super) fn check<'a>(&self, s: &'a [TensorSpec]) -> Result<Items<'a>> {
        let items = Items::with_targets(s)?;
        if self.weighted {
            weights_shape(&s[2].shape, items.shape)?;
        }
        Ok(items)
    }
    /// The targets, and the weight of each item; `None`: 1 throughout.
    ///
    /// # Errors
    /// Those of [`Labels::read`], `ShapeMismatch` for weights that do not fit.
    pub(super) fn read(&self, xs: &[Tensor]) -> Result<(Labels, Option<Tensor>)> {
        let ignored = self.ignore_label.as_ref().map(|n| n.0);
        if self.weighted {
            let (labels, weights) = weighed(xs, ignored)?;
            return Ok((labels, Some(weights.cast(weights.dtype().to_float())?)));
        }
        let labels = Labels::read(&xs[1], Items::of(xs[0].shape())?, label_left_out(ignored))?;
        let weights = labels.weights(DType::F32)?;
        Ok((labels, weights))
    }
    /// The type of the mean of values of a type by the weights.
    pub(super) fn mean_dtype(&self, values: DType, s: &[TensorSpec]) -> DType {
        if self.weighted {
            weighted_mean_dtype(values, s[2].dtype.to_float())
        } else {
            values
        }
    }
}

/// The mean of values of items by their weights.
pub(super) fn mean_by(values: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    match weights {
        None => Ok(values.mean(Axes::All, false)?),
        Some(weights) => weighted_mean(values, weights),
    }
}
