//! Recurrent networks over whole sequences: one node of autodiff for all steps.
//!
//! The CPU kernels multiply all inputs with their weights at once and keep, for backward, what each step computed. The general
//! paths go step by step through the cells, which are operations of their own.
mod accelerated;
mod gru;
mod lstm;
mod sru;

pub use gru::{gru, gru_cell, gru_cell_by, GruWeights};
pub use lstm::{lstm, lstm_cell, lstm_cell_by};
pub use sru::{linear_recurrence, sru};

use super::general::{require_float, wide_dtype};
use crate::{
    kernels::recurrent::{Extent, Wide},
    memory, DType, Error, Result, Tensor,
};

/// The type that results have, and the sizes.
fn extent(op: &str, x: &Tensor, state: &Tensor, w: &Tensor, parts: usize) -> Result<Extent> {
    let shapes = || format!("{op}: x {:?}, state {:?} and weights {:?}", x.shape(), state.shape(), w.shape());
    let ([batch, steps, depth], [rows, width], [inner, _]) = (x.shape(), state.shape(), w.shape()) else {
        return Err(Error::shape(format!(
            "{}; they must be [batch, steps, depth], [batch, units] and of two axes",
            shapes()
        )));
    };
    let units = width / parts;
    if rows != batch || units * parts != *width || *inner != depth + units {
        return Err(Error::shape(format!(
            "{}; the state must have a row for each of the batch, and the weights one for each of {depth} inputs and {units} units",
            shapes()
        )));
    }
    Ok(Extent { steps: *steps, batch: *batch, depth: *depth, units })
}

/// Refuses weights or a bias of another shape.
fn require_shape(op: &str, what: &str, t: &Tensor, shape: &[usize]) -> Result<()> {
    if t.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(format!("{op}: {what} must have shape {shape:?}, got {:?}", t.shape())))
}

/// The dtype all inputs promote to, and all of them in the one that is computed in.
fn widened(op: &str, inputs: &[&Tensor]) -> Result<(DType, Vec<Tensor>)> {
    inputs.iter().try_for_each(|t| require_float(t, op))?;
    let dtype = inputs[1..].iter().fold(inputs[0].dtype(), |d, t| d.promote(t.dtype()));
    let wide = wide_dtype(dtype);
    Ok((dtype, inputs.iter().map(|t| t.cast(wide)).collect::<Result<_>>()?))
}

/// Time first, without gaps.
fn time_first(x: &Tensor) -> Result<Tensor> {
    x.swap_axes(0, 1)?.contiguous()
}

/// A result of the kernels that is time first, as a view that is batch first.
fn batch_first<T: crate::Element>(values: Vec<T>, e: &Extent, width: usize) -> Result<Tensor> {
    Tensor::from_vec(values, &[e.steps, e.batch, width])?.swap_axes(0, 1)
}

/// All hidden values but the first (`[steps + 1, batch, units]`), as a view that is batch first.
fn after_first(hidden: &Tensor, e: &Extent) -> Result<Tensor> {
    hidden.narrow(0, 1, e.steps)?.swap_axes(0, 1)
}

/// The values of one step.
fn step_of<'a, T: Wide>(values: &'a [T], e: &Extent, step: usize) -> &'a [T] {
    &values[step * e.batch * e.units..][..e.batch * e.units]
}

/// Outputs and last state of a cell applied to the steps of `xs` (`[batch, steps, …]` each), one after another.
fn by_steps(
    xs: &[&Tensor],
    state: &Tensor,
    units: usize,
    cell: impl Fn(&[Tensor], &Tensor) -> Result<(Tensor, Tensor)>,
) -> Result<(Tensor, Tensor)> {
    let steps = xs[0].shape()[1];
    if steps == 0 {
        return Ok((Tensor::zeros(&[xs[0].shape()[0], 0, units], state.dtype(), state.device())?, state.clone()));
    }
    let slices = xs.iter().map(|x| x.unstack(1)).collect::<Result<Vec<_>>>()?;
    let mut state = state.clone();
    let mut ys = memory::room(steps)?;
    for t in 0..steps {
        let inputs: Vec<Tensor> = slices.iter().map(|s| s[t].clone()).collect();
        let (y, next) = cell(&inputs, &state)?;
        ys.push(y);
        state = next;
    }
    Ok((Tensor::stack(&ys, 1)?, state))
}

/// As many parts as were asked for.
fn halves<const N: usize>(parts: Vec<Tensor>) -> Result<[Tensor; N]> {
    parts.try_into().map_err(|_| crate::Error::internal("a split gave another number of parts"))
}
