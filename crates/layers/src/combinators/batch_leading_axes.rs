//! A layer for batches, applied to any number of leading axes.
use super::around::around;
use crate::{options, Composite, Count, Cx, Error, ErrorKind, InitCx, LayerArg, LayerRef, Parts, Result, TensorSpec};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Joins all but the last axes to one batch axis, applies a layer, and takes the axes apart again.
    ///
    /// Shapes: with `nLastAxesToKeep` 1, `[...axes, m]` goes into the layer as `[batch, m]`; its output `[batch, n]` → `[...axes, n]`. The
    /// output gets
    /// the leading axes of the last input.
    /// Weights: a list of one entry, the layer's.
    /// State: a list of one entry, the layer's.
    /// Modes: those of the layer.
    /// Errors:
    /// - `InvalidOption`: the layer has more or fewer outputs than one.
    /// - `ShapeMismatch`: the layer changes the size of the batch.
    ///
    /// Source: Trax.
    /// See: `Chunk`.
    /// Example:
    /// ```ts
    /// const layer = tl.BatchLeadingAxes(tl.Conv(4, [1, 1]), { nLastAxesToKeep: 3 });
    /// layer.init({ shape: [2, 5, 8, 8, 3], dtype: 'float32' });
    /// layer(tl.ones([2, 5, 8, 8, 3])).shape; // → [2, 5, 8, 8, 4]
    /// ```
    pub struct BatchLeadingAxesOptions for "BatchLeadingAxes" ("layer") {
        /// Layer to apply, with one output.
        layer "layer": LayerArg,
        /// How many axes are not batch axes.
        n_last_axes_to_keep "nLastAxesToKeep": Count = Count(1),
    }
}

/// A layer with all but the last `keep` axes joined to one batch axis.
///
/// # Errors
/// `InvalidOption` for a layer with other than one output.
pub fn batch_leading_axes(layer: LayerRef, keep: usize) -> Result<LayerRef> {
    if layer.arity().n_out != 1 {
        let n = layer.arity().n_out;
        return Err(Error::option(format!("BatchLeadingAxes: the layer must have one output, it has {n}")));
    }
    Ok(around("BatchLeadingAxes", layer, BatchLeadingAxes { keep }))
}

#[derive(Debug, Clone)]
struct BatchLeadingAxes {
    keep: usize,
}

impl BatchLeadingAxes {
    /// The leading axes and the shape with them joined. Keeping none keeps all behind a batch of one, as in Trax.
    fn joined(&self, shape: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let leading = if self.keep == 0 { 0 } else { shape.len().saturating_sub(self.keep) };
        let (leading, kept) = shape.split_at(leading);
        let batch = leading.iter().product();
        (leading.to_vec(), [&[batch], kept].concat())
    }
    /// Signatures of what the layer inside is given.
    fn inside(&self, inputs: &[TensorSpec]) -> Vec<TensorSpec> {
        inputs.iter().map(|s| s.with_shape(self.joined(&s.shape).1)).collect()
    }
}

fn parted(inner: &LayerRef, leading: &[usize], shape: &[usize]) -> Result<Vec<usize>> {
    match shape.split_first() {
        Some((&batch, kept)) if batch == leading.iter().product::<usize>() => Ok([leading, kept].concat()),
        _ => Err(Error::shape(format!(
            "{} returned shape {shape:?}, whose first axis is not the joined {leading:?}",
            inner.base().name
        ))),
    }
}

fn no_inputs() -> Error {
    Error::new(ErrorKind::ArityMismatch, "there is no input to take leading axes from")
}

impl Composite for BatchLeadingAxes {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let inner = &parts.layers[0];
        let leading = self.joined(&inputs.last().ok_or_else(no_inputs)?.shape).0;
        let ys = crate::signature(inner, &self.inside(inputs))?;
        ys.iter().map(|y| Ok(y.with_shape(parted(inner, &leading, &y.shape)?))).collect()
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init(&parts.layers[0], &self.inside(inputs))
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let inner = &parts.layers[0];
        let leading = self.joined(xs.last().ok_or_else(no_inputs)?.shape()).0;
        let xs = xs.iter().map(|x| Ok(x.reshape(&self.joined(x.shape()).1)?)).collect::<Result<_>>()?;
        let ys = cx.apply(inner, xs, key)?;
        ys.iter().map(|y| Ok(y.reshape(&parted(inner, &leading, y.shape())?)?)).collect()
    }
}
