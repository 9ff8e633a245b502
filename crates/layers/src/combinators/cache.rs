//! The first result, returned ever after.
use crate::{
    options, Arity, Base, Cx, InitCx, Layer, LayerArg, LayerRef, Loader, Rebuild, Result, TensorSpec, Tree, View,
};
use std::sync::Arc;
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
    Arc::new(Cache { base: Base::new("Cache"), layer: [layer] })
}

#[derive(Debug)]
struct Cache {
    base: Base,
    layer: [LayerRef; 1],
}

impl Layer for Cache {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.layer[0].arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.layer
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::signature(&self.layer[0], inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        cx.init(&self.layer[0], inputs)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        match cx.state(self.base.id) {
            Tree::Leaf(y) => Ok(vec![y]),
            kept if !kept.is_empty() => Ok(kept.leaves().into_iter().cloned().collect()),
            _ => {
                let ys = cx.apply(&self.layer[0], xs, key)?;
                let kept = match &ys[..] {
                    [y] => Tree::Leaf(y.clone()),
                    many => Tree::tuple(many.iter().cloned()),
                };
                cx.set_state(self.base.id, kept);
                Ok(ys)
            }
        }
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        Arc::new(Self { base: self.base.rebuilt(r), layer: [r.layer(&self.layer[0])] })
    }
    fn view_state(&self, v: &mut View) -> Tree<Tensor> {
        Tree::Tuple(vec![v.own(self.base.id), v.state_of(&self.layer[0])])
    }
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        let [own, inner] = l.pair(&self.base, tree)?;
        l.own(self.base.id, own)?;
        l.state_of(&self.layer[0], inner)
    }
}
