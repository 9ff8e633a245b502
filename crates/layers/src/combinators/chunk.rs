//! A batch worked off in pieces.
use super::{scan, serial, ScanOptions};
use crate::{
    framework::pure::pure_layer, options, Axis, Count, Error, LayerArg, LayerRef, Mode, Result, TensorSpec, Whole,
};
use tallow_tensor::Tensor;

options! {
    /// Applies a layer to pieces of the batch, one after another, to save memory.
    ///
    /// The backward pass computes each piece again instead of keeping what is between. A `chunkSize` below 1 gives the layer itself.
    ///
    /// Shapes: those of the layer. The first axis of all inputs and outputs must be the batch.
    /// Weights: `[[], [the layer's], []]`.
    /// State: `[[], [the layer's, []], []]`.
    /// Modes: those of the layer.
    /// Errors:
    /// - `ShapeMismatch`: `chunkSize` does not divide the batch and `passUnchunkable` is false, or an input has no axes.
    ///
    /// Source: Trax.
    /// See: `BatchLeadingAxes`.
    /// Example:
    /// ```ts
    /// const layer = tl.Chunk(tl.Dense(2), 4);
    /// layer.init({ shape: [8, 3], dtype: 'float32' });
    /// layer(tl.ones([8, 3])).shape; // → [8, 2]
    /// ```
    pub struct ChunkOptions for "Chunk" ("layer", "chunkSize") {
        /// Layer to apply.
        layer "layer": LayerArg,
        /// Size of a piece.
        chunk_size "chunkSize": Whole,
        /// Whether a batch that cannot be divided is passed whole.
        pass_unchunkable "passUnchunkable": bool = true,
    }
}

/// A layer applied to pieces of the batch.
///
/// # Errors
/// Those of [`scan()`].
pub fn chunk(layer: LayerRef, chunk_size: i64, pass_unchunkable: bool) -> Result<LayerRef> {
    if chunk_size < 1 {
        return Ok(layer);
    }
    let size = chunk_size as usize;
    let arity = layer.arity();
    let apart = move |s: &[usize]| {
        let (&batch, rest) = s.split_first().ok_or_else(|| Error::shape("a scalar has no batch axis to chunk"))?;
        let (n, size) = match batch % size {
            0 => (batch / size, size),
            _ if pass_unchunkable => (1, batch),
            _ => return Err(Error::shape(format!("chunk size {size} must divide the batch size {batch}"))),
        };
        Ok([&[n, size], rest].concat())
    };
    let together = |s: &[usize]| match s {
        [n, size, rest @ ..] => Ok([&[n * size], rest].concat()),
        _ => Err(Error::shape("the layer must keep the batch axis")),
    };
    let scanned =
        scan(ScanOptions { layer: LayerArg(layer), axis: Axis(0), n_carry: Count(0), remat: true, mode: Mode::Train })?;
    Ok(serial(vec![
        reshaping("ReshapeToChunks", arity.n_in, apart),
        scanned,
        reshaping("ReshapeFromChunks", arity.n_out, together),
    ]))
}

/// A layer that reshapes each of its `n` inputs.
fn reshaping(
    name: &str,
    n: usize,
    shape: impl Fn(&[usize]) -> Result<Vec<usize>> + Clone + Send + Sync + 'static,
) -> LayerRef {
    let of = shape.clone();
    pure_layer(
        name,
        n,
        n,
        move |s: &[TensorSpec]| s.iter().map(|s| Ok(s.with_shape(of(&s.shape)?))).collect(),
        move |xs: &[Tensor]| xs.iter().map(|x| Ok(x.reshape(&shape(x.shape())?)?)).collect(),
    )
}
