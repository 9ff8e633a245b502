//! What cells have in common.
use crate::{
    combinators::{scan, ScanOptions},
    Axis, Count, Error, ErrorKind, LayerArg, LayerRef, Mode, Result, TensorSpec,
};
use tallow_tensor::Tensor;

/// A cell over axis 1, its state carried.
pub(super) fn scan_of(cell: LayerRef, mode: Mode) -> Result<LayerRef> {
    scan(ScanOptions { layer: LayerArg(cell), axis: Axis(1), n_carry: Count(1), remat: false, mode })
}

/// Signatures of a cell's outputs: `units` in the place of the last axis of the input, and the state, in the type of both and of the
/// float32 weights.
pub(super) fn cell_signature(inputs: &[TensorSpec], units: usize, parts: usize) -> Result<Vec<TensorSpec>> {
    let [x, state] = [&inputs[0], &inputs[1]];
    cell_depth(x, state, units, parts)?;
    let dtype = x.dtype.promote(state.dtype).promote(tallow_tensor::DType::F32);
    let mut shape = state.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = units;
    }
    Ok(vec![TensorSpec::new(shape, dtype), TensorSpec::new(state.shape.clone(), dtype)])
}

/// The size of the input's last axis; refuses an input and a state that do not belong together.
pub(super) fn cell_depth(x: &TensorSpec, state: &TensorSpec, units: usize, parts: usize) -> Result<usize> {
    let (Some((&depth, x_rows)), Some((&width, rows))) = (x.shape.split_last(), state.shape.split_last()) else {
        return Err(Error::shape(format!("the input {x} and the state {state} must both have a last axis")));
    };
    if width != parts * units {
        let wanted = if parts == 1 { String::new() } else { format!("{parts} * ") };
        return Err(Error::shape(format!(
            "the last axis of the state {state} must be {wanted}nUnits = {}",
            parts * units
        )));
    }
    if x_rows != rows {
        return Err(Error::shape(format!("the input {x} and the state {state} differ in more than the last axis")));
    }
    Ok(depth)
}

/// Refuses weights of other shapes than those given.
pub(super) fn check_weights(got: &[&[usize]], wanted: &[&[usize]]) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    // Another depth of the input is the likely mistake, and shows in the first axis alone.
    if got.iter().zip(wanted).all(|(w, s)| w.len() == s.len() && w[1..] == s[1..]) && got[0] != wanted[0] {
        let (made, have) = (got[0][0], wanted[0][0]);
        return Err(Error::shape(format!("input and state have {have} values in a row, weights were made for {made}")));
    }
    Err(Error::new(ErrorKind::WeightsMismatch, format!("weights must have shapes {wanted:?}, got {got:?}")))
}

/// Whether a sequence can be run at once: `x: [batch, steps, …]` and `state: [batch, …]`, floats of the type the state keeps.
pub(super) fn runs_at_once(xs: &[Tensor], state: &Tensor, weights: &[&Tensor]) -> bool {
    let mut all = xs.iter().chain(weights.iter().copied());
    let dtype = all.clone().fold(state.dtype(), |d, t| d.promote(t.dtype()));
    let rows = |x: &Tensor| x.rank() == 3 && x.shape()[0] == state.shape()[0];
    all.all(|t| t.dtype().is_float()) && dtype == state.dtype() && state.rank() == 2 && xs.iter().all(rows)
}
