//! The first result, returned ever after.
use super::around::{around, Around, OwnState};
use crate::{options, Cx, LayerArg, LayerId, LayerRef, Result, TensorSpec, Tree};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies a layer on the first call and returns that result on all later ones.
    ///
    /// Shapes: those of the layer. State: `[the result, or [] before the first call; the layer's state]`.
    /// Errors: those of the layer.
    pub struct CacheOptions for "Cache" ("layer") {
        /// Layer to apply once.
        layer "layer": LayerArg,
    }
}

/// A layer that runs once and whose first result is returned ever after.
pub fn cache(layer: LayerRef) -> LayerRef {
    around("Cache", layer, Cache)
}

#[derive(Debug, Clone)]
struct Cache;

impl Around for Cache {
    const STATE: OwnState = OwnState::First;
    fn inside(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn signature(&self, inner: &LayerRef, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::signature(inner, inputs)
    }
    fn forward(&self, inner: &LayerRef, own: LayerId, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        match cx.state(own) {
            Tree::Leaf(y) => Ok(vec![y]),
            kept if !kept.is_empty() => Ok(kept.leaves().into_iter().cloned().collect()),
            _ => {
                let ys = cx.apply(inner, xs, key)?;
                let kept = match &ys[..] {
                    [y] => Tree::Leaf(y.clone()),
                    many => Tree::tuple(many.iter().cloned()),
                };
                cx.set_state(own, kept);
                Ok(ys)
            }
        }
    }
}
