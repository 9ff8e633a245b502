//! The forms of targets and weights: what losses and metrics take, and what they refuse.
use crate::{Error, ErrorKind, Result, TensorSpec};
use tallow_tensor::{Axes, DType, Tensor};

/// What outputs `[..., N]` tell of: items `[...]`, each of one of N categories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items<'a> {
    pub shape: &'a [usize],
    pub categories: usize,
}

impl<'a> Items<'a> {
    /// # Errors
    /// `ShapeMismatch` for outputs that are no vectors, or vectors of no categories.
    pub(super) fn of(outputs: &'a [usize]) -> Result<Self> {
        match outputs {
            [] => Err(Error::shape("model outputs must be vectors along the last axis, got a 0-d tensor")),
            [.., 0] => Err(Error::shape(format!("model outputs {outputs:?} have no categories along the last axis"))),
            [shape @ .., categories] => Ok(Self { shape, categories: *categories }),
        }
    }
    /// Checks signatures of outputs and targets.
    ///
    /// # Errors
    /// Those of [`Items::of`] and [`one_each`].
    pub(super) fn with_targets(s: &'a [TensorSpec]) -> Result<Self> {
        let items = Self::of(&s[0].shape)?;
        one_each("targets", &s[1].shape, items.shape, "the predictions")?;
        Ok(items)
    }
}

/// The shape of what there is one of for each item. It may have one more axis, of size 1, which is left out: a column is no matrix.
///
/// # Errors
/// `ShapeMismatch` for any other shape, also one that would broadcast: a row beside a column would be a matrix.
pub(super) fn one_each<'a>(what: &str, shape: &'a [usize], items: &[usize], because: &str) -> Result<&'a [usize]> {
    if shape == items {
        return Ok(shape);
    }
    let hint = match shape {
        [lead @ .., 1] if lead == items => return Ok(lead),
        [lead @ .., _] if lead == items => "; one-hot vectors become categories by argmax along the last axis",
        _ => "",
    };
    Err(Error::shape(format!("{what} must have shape {items:?}, that of {because}, got {shape:?}{hint}")))
}

/// The shape of weights that broadcast to the items, without an axis of size 1 behind those of the items.
///
/// # Errors
/// `ShapeMismatch` for weights that do not broadcast to the items, or to more than them.
pub(super) fn weights_shape<'a>(weights: &'a [usize], items: &[usize]) -> Result<&'a [usize]> {
    let shape = match weights {
        [lead @ .., 1] if lead.len() == items.len() => lead,
        _ => weights,
    };
    let fits = |(a, b): (&usize, &usize)| a == b || *a == 1;
    if shape.len() > items.len() || !shape.iter().rev().zip(items.iter().rev()).all(fits) {
        return Err(Error::shape(format!(
            "weights must have shape {items:?}, one for each item, or broadcast to it, got {weights:?}"
        )));
    }
    Ok(shape)
}

/// One weight for each item.
///
/// # Errors
/// Those of [`weights_shape`].
pub(super) fn weights_of(weights: &Tensor, items: &[usize]) -> Result<Tensor> {
    Ok(weights.reshape(weights_shape(weights.shape(), items)?)?.broadcast_to(items)?)
}

/// Which items are left out of a loss or metric; their targets may be anything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LeftOut<'a> {
    /// The target of items that do not count.
    pub label: Option<i64>,
    /// One weight for each item; those of weight 0 do not count.
    pub weights: Option<&'a Tensor>,
    /// What an error says of leaving out an item.
    pub way_out: &'static str,
}

/// What errors of metrics with weights say of leaving out an item.
pub(super) const BY_WEIGHT: &str = "; weigh an item by 0 to leave it out";
/// What errors of metrics with the option say of leaving out an item.
pub(super) const BY_LABEL: &str = "; `ignoreLabel` leaves out the items of one label";

/// The categories that are the targets of items.
pub(super) struct Labels {
    /// int32, of the shape of the items. What is left out may be no category.
    pub places: Tensor,
    /// Bool, of the same shape: which items do not have the label that is left out.
    counted: Option<Tensor>,
}

impl Labels {
    /// # Errors
    /// `ShapeMismatch` unless there is one target for each item, `IndexOutOfRange` for one that is beyond the categories,
    /// `InvalidArgument` for one that is no whole number.
    pub(super) fn read(targets: &Tensor, items: Items, left_out: LeftOut) -> Result<Self> {
        let shape = one_each("targets", targets.shape(), items.shape, "the predictions")?;
        let targets = targets.detach().reshape(shape)?;
        let values = targets.to_f64_vec()?;
        let ignored = |v: f64| left_out.label.is_some_and(|label| v == label as f64);
        each_counted(&values, left_out.weights, |v| {
            if ignored(v) || v.fract() == 0.0 && (0.0..items.categories as f64).contains(&v) {
                return Ok(());
            }
            let n = items.categories;
            let wrong = format!("target {v} is none of the {n} categories, the whole numbers from 0 to {}", n - 1);
            let kind = if v.fract() == 0.0 { ErrorKind::IndexOutOfRange } else { ErrorKind::InvalidArgument };
            Err(Error::new(kind, wrong + left_out.way_out))
        })?;
        let counted = match left_out.label {
            None => None,
            Some(_) => {
                let counted = values.iter().map(|&v| u8::from(!ignored(v))).collect();
                Some(Tensor::from_bools(counted, shape)?.to_device(targets.device())?)
            }
        };
        Ok(Self { places: targets.cast(DType::I32)?, counted })
    }
    /// Values of the items, 0 for those of the label that is left out.
    pub(super) fn counted(&self, values: &Tensor) -> Result<Tensor> {
        let Some(counted) = &self.counted else { return Ok(values.clone()) };
        Ok(Tensor::where_(counted, values, &Tensor::zeros(&[], values.dtype(), values.device())?)?)
    }
    /// The weights of the items if they have no others: 1, 0 for those of the label that is left out. `None`: 1 throughout.
    pub(super) fn weights(&self, dtype: DType) -> Result<Option<Tensor>> {
        Ok(self.counted.as_ref().map(|c| c.cast(dtype)).transpose()?)
    }
}

/// Calls `check` with each value whose weight is not 0.
fn each_counted(values: &[f64], weights: Option<&Tensor>, check: impl Fn(f64) -> Result<()>) -> Result<()> {
    let weights = weights.map(Tensor::to_f64_vec).transpose()?;
    let counts = |i: usize| weights.as_ref().is_none_or(|w| w[i] != 0.0);
    values.iter().enumerate().filter(|&(i, _)| counts(i)).try_for_each(|(_, &v)| check(v))
}

/// Checks targets for predictions that are whole numbers of categories nobody knows the number of.
///
/// # Errors
/// `InvalidArgument` for a target whose weight is not 0 and that is no whole number.
pub(super) fn check_whole(targets: &Tensor, weights: &Tensor) -> Result<()> {
    if !targets.dtype().is_float() {
        return Ok(());
    }
    each_counted(&targets.to_f64_vec()?, Some(weights), |v| {
        if v.fract() == 0.0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, format!("target {v} is no category: categories are whole numbers")))
    })
}

/// Checks targets of two categories, 0 and 1, or shares of the second.
///
/// # Errors
/// `InvalidArgument` for a target whose weight is not 0 and that is not from 0 to 1.
pub(super) fn check_shares(targets: &Tensor, weights: Option<&Tensor>) -> Result<()> {
    if targets.dtype() == DType::Bool || targets.size() == 0 {
        return Ok(());
    }
    let targets = targets.detach();
    let range = [targets.min(Axes::All, false)?.item()?, targets.max(Axes::All, false)?.item()?];
    if range.iter().all(|v| (0.0..=1.0).contains(v)) {
        return Ok(());
    }
    each_counted(&targets.to_f64_vec()?, weights, |v| {
        if (0.0..=1.0).contains(&v) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a binary target must be 0, 1 or a share between them, got {v}"),
        ))
    })
}
