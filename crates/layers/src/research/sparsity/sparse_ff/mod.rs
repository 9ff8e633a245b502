//! A feed-forward block of which one unit in each block is active.
mod chosen;
mod controller;
mod options;
mod units;

pub use options::SparseFFOptions;

use crate::{
    combinators::{batch_leading_axes, chunk, select, select_named, serial},
    core::dropout_over,
    leaf, Error, LayerRef, Result,
};

/// See [`SparseFFOptions`].
///
/// # Errors
/// `InvalidOption` unless `nElementsInBlock` divides `dFf`.
pub fn sparse_ff(o: SparseFFOptions) -> Result<LayerRef> {
    let (d_ff, elements) = (o.d_ff.0, o.n_elements_in_block.0);
    if !d_ff.is_multiple_of(elements) {
        return Err(Error::option(format!(
            "SparseFF: `dFf` must be a multiple of `nElementsInBlock`, got {d_ff} and {elements}"
        )));
    }
    let remember = chosen::remember();
    let recall = chosen::recall(remember.clone(), d_ff / elements);
    let shared_axes = o.dropout_shared_axes.clone().map(|a| a.0).unwrap_or_default();
    let block = serial(vec![
        select_named("Select(0,1,0)", &[0, 1, 0], None)?,
        leaf(controller::Controller(o.clone())),
        leaf(units::Units(o.clone())),
        select(&[1, 0], None)?,
        dropout_over(o.dropout_rate.0, shared_axes, o.mode),
        select(&[1, 0], None)?,
    ]);
    // What was chosen is remembered outside the chunks, which compute everything anew in the backward pass.
    let chunks = chunk(block, o.ff_chunk_size.0 as i64, true)?;
    batch_leading_axes(serial(vec![recall, chunks, remember]), 1)
}
