//! How deep layers lie in each other.
use crate::{framework::layer::print_layers, stack::deep, Error, LayerRef, Result};

/// The most levels of layers.
pub const DEEPEST: usize = 10_000;

/// How many levels of layers a layer has: 1 for one that runs no other. Counted once for each layer.
pub fn depth(layer: &LayerRef) -> usize {
    *layer.base().depth.get_or_init(|| {
        let shown = layer.base().to_print.iter().flatten().flat_map(print_layers);
        deep(|| 1 + layer.sublayers().iter().chain(shown).map(depth).max().unwrap_or(0))
    })
}

/// Refuses a layer with more than [`DEEPEST`] levels.
pub(crate) fn check_depth(kind: &str, layer: LayerRef) -> Result<LayerRef> {
    match depth(&layer) {
        0..=DEEPEST => Ok(layer),
        levels => Err(Error::option(format!(
            "{kind}: layers would lie {levels} levels deep in each other, but {DEEPEST} is the most; put layers side by side into one Serial"
        ))),
    }
}
