//! Windows that move over the spatial axes of channels-last tensors, as convolutions and pooling take them.
use crate::{
    kernels::window::{Axes, Axis},
    Error, Result,
};

/// What lies beyond the ends of spatial axes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Padding {
    /// Nothing: only whole windows count.
    #[default]
    Valid,
    /// As much as gives `⌈size / stride⌉` windows; where it is odd, the end gets one more than the start.
    Same,
    /// So many positions before and after each axis; negative numbers cut positions off.
    Explicit(Vec<(isize, isize)>),
}

/// How windows move. Empty lists stand for ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows {
    /// Positions from one window to the next, for each axis.
    pub strides: Vec<usize>,
    /// What lies beyond the ends.
    pub padding: Padding,
    /// Distance of neighbouring positions of the input; zeros stand between them.
    pub input_dilation: Vec<usize>,
    /// Distance of neighbouring places of a window.
    pub dilation: Vec<usize>,
}

impl Windows {
    /// How many windows of `size` there are along each axis of an input with spatial sizes `input`.
    ///
    /// # Errors
    /// `InvalidArgument` naming `op` for lists of the wrong length or with zeros; `ShapeMismatch` for windows that do not fit.
    pub fn output(&self, op: &str, input: &[usize], size: &[usize]) -> Result<Vec<usize>> {
        Ok(self.resolve(op, input, size)?.iter().map(|a| a.output).collect())
    }

    pub(crate) fn resolve(&self, op: &str, input: &[usize], size: &[usize]) -> Result<Axes> {
        let rank = size.len();
        if input.len() != rank {
            return Err(Error::shape(format!(
                "{op}: windows of shape {size:?} need {rank} spatial axes, the input has {}: {input:?}",
                input.len()
            )));
        }
        let list = |name: &str, values: &[usize]| {
            if values.is_empty() {
                return Ok(vec![1; rank]);
            }
            if values.len() != rank {
                return Err(Error::argument(format!(
                    "{op}: {name} {values:?} must have {rank} entries, one for each spatial axis"
                )));
            }
            at_least_one(op, name, values).map(|()| values.to_vec())
        };
        at_least_one(op, "window sizes", size)?;
        let strides = list("strides", &self.strides)?;
        let (input_dilation, dilation) =
            (list("input dilation", &self.input_dilation)?, list("dilation", &self.dilation)?);
        if let Padding::Explicit(pairs) = &self.padding {
            if pairs.len() != rank {
                return Err(Error::argument(format!(
                    "{op}: padding {pairs:?} must have {rank} pairs, one for each spatial axis"
                )));
            }
        }
        let axis = |i: usize| {
            let too_large = || Error::argument(format!("{op}: windows of {size:?} over {input:?} reach too far"));
            // Sizes are bounded so that no position overflows.
            let span = |n: usize, step: usize| match n {
                0 => Some(0),
                n => (n - 1).checked_mul(step)?.checked_add(1).filter(|&s| s < 1 << 40),
            };
            let whole = span(input[i], input_dilation[i]).ok_or_else(too_large)?;
            let reach = span(size[i], dilation[i]).ok_or_else(too_large)?;
            let stride = Some(strides[i]).filter(|&s| s < 1 << 40).ok_or_else(too_large)?;
            let (before, after) = match &self.padding {
                Padding::Valid => (0, 0),
                Padding::Same => {
                    let total = ((whole.div_ceil(stride).max(1) - 1) * stride + reach).saturating_sub(whole) as isize;
                    (total / 2, total - total / 2)
                }
                Padding::Explicit(pairs) => pairs[i],
            };
            let limit = 1 << 40;
            if !(-limit..limit).contains(&before) || !(-limit..limit).contains(&after) {
                return Err(too_large());
            }
            let padded = whole as isize + before + after;
            if padded < reach as isize {
                return Err(Error::shape(format!(
                    "{op}: a window of {size:?}{} does not fit in {input:?}{}; use padding 'SAME' or a smaller window",
                    spread(&dilation),
                    match &self.padding {
                        Padding::Explicit(pairs) => format!(" padded by {pairs:?}"),
                        _ => String::new(),
                    }
                )));
            }
            Ok(Axis {
                input: input[i],
                size: size[i],
                stride,
                before,
                after,
                input_dilation: input_dilation[i],
                dilation: dilation[i],
                output: (padded as usize - reach) / stride + 1,
            })
        };
        (0..rank).map(axis).collect()
    }
}

fn spread(dilation: &[usize]) -> String {
    if dilation.iter().all(|&d| d == 1) {
        String::new()
    } else {
        format!(" with dilation {dilation:?}")
    }
}

fn at_least_one(op: &str, name: &str, values: &[usize]) -> Result<()> {
    if values.contains(&0) {
        return Err(Error::argument(format!("{op}: {name} must be at least 1, got {values:?}")));
    }
    Ok(())
}

/// Windows in terms of other operations: the general path of convolutions and pooling.
pub(crate) mod places {
    use crate::{
        kernels::window::{unravel, Axes},
        Result, Tensor,
    };
    use smallvec::SmallVec;

    /// `x [batch, spatial…, channels]` with zeros between the positions of dilated axes.
    pub(crate) fn dilate(x: &Tensor, axes: &Axes) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, axis) in axes.iter().enumerate().filter(|(_, a)| a.input_dilation > 1 && a.input > 0) {
            let at = i as isize + 1;
            let mut widths = vec![(0, 0); x.rank() + 1];
            widths[i + 2] = (0, axis.input_dilation - 1);
            let spread = x.expand_dims(at + 1)?.pad(&widths, 0.0)?;
            let mut shape = x.shape().to_vec();
            shape[i + 1] = axis.input * axis.input_dilation;
            x = spread.reshape(&shape)?.narrow(at, 0, (axis.input - 1) * axis.input_dilation + 1)?;
        }
        Ok(x)
    }

    /// `x` with `value` around it, or cut off where padding is negative.
    pub(crate) fn pad(x: &Tensor, axes: &Axes, value: f64) -> Result<Tensor> {
        let mut widths = vec![(0, 0); x.rank()];
        for (width, axis) in widths[1..].iter_mut().zip(axes) {
            *width = (axis.before.max(0) as usize, axis.after.max(0) as usize);
        }
        let mut x = x.pad(&widths, value)?;
        for (i, axis) in axes.iter().enumerate().filter(|(_, a)| a.before < 0 || a.after < 0) {
            let (start, end) = ((-axis.before).max(0) as usize, (-axis.after).max(0) as usize);
            x = x.narrow(i as isize + 1, start, x.shape()[i + 1] - start - end)?;
        }
        Ok(x)
    }

    /// What every window of a padded `x` sees at one of its places.
    pub(crate) fn at(x: &Tensor, axes: &Axes, place: usize) -> Result<Tensor> {
        let mut offsets: SmallVec<[usize; 4]> = SmallVec::new();
        unravel(place, axes.iter().map(|a| a.size), &mut offsets);
        let (mut starts, mut ends) = (vec![0isize; x.rank()], vec![isize::MAX; x.rank()]);
        let mut steps = vec![1isize; x.rank()];
        for (i, (axis, &offset)) in axes.iter().zip(&offsets).enumerate() {
            let start = offset * axis.dilation;
            starts[i + 1] = start as isize;
            ends[i + 1] = (start + (axis.output - 1) * axis.stride + 1) as isize;
            steps[i + 1] = axis.stride as isize;
        }
        x.slice(&starts, &ends, &steps)
    }
}
