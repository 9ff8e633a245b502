//! What a causal convolution in mode `'predict'` remembers: the last positions before a call.
use crate::{Error, Output, Result, TensorSpec, Tree};
use tallow_tensor::{Axes, Tensor};

/// The axis of positions.
const TIME: isize = -2;

/// Zeros in place of the positions before the first.
///
/// # Errors
/// `ShapeMismatch` for an input without an axis of positions.
pub(super) fn nothing(input: &TensorSpec, positions: usize) -> Result<Tree<Tensor>> {
    let mut shape = input.shape.clone();
    shape[input.axis(TIME)?] = positions;
    Ok(Tree::Leaf(input.with_shape(shape).zeros()?))
}

/// What `run` makes of the positions of `x`, before which it is given those that `state` remembers; and those to remember from now on.
///
/// # Errors
/// `ShapeMismatch` for other sequences than those that are under way; those of `run`.
pub(super) fn going_on(
    x: &Tensor,
    state: &Tree<Tensor>,
    positions: usize,
    run: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Output> {
    let spec = TensorSpec::of(x);
    let wanted = nothing(&spec, positions)?;
    let (fresh, before) = (wanted.one()?, state.one()?);
    let before = if before.shape() == fresh.shape() {
        before
    } else if before.ne_scalar(0)?.any(Axes::All, false)?.item()? == 0.0 {
        // Zeros are what a sequence begins with, so that any number of sequences can begin.
        fresh
    } else {
        return Err(Error::other_batch(spec.shape[0], before.shape().first().copied().unwrap_or(0)));
    };
    let all = Tensor::concat(&[before.cast(x.dtype())?, x.clone()], TIME)?;
    let length = all.shape()[spec.axis(TIME)?];
    let new = length - positions;
    let y = run(&all)?.narrow(TIME, positions, new)?;
    let last = all.narrow(TIME, length - positions, positions)?.detach();
    Ok(Output { ys: vec![y], state: Some(Tree::Leaf(last)) })
}
