//! What was chosen, kept for a backward pass that repeats the call: from inputs which are not quite the same, other units might be.
use crate::{
    leaf, Arity, Base, Call, Cx, InitCx, Layer, LayerRef, Leaf, Local, Output, Rebuild, Result, TensorSpec, Tree,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, DType, Tensor};

/// Stands for a choice that is not known.
const UNKNOWN: f64 = -1.0;

/// A layer that puts its input into its state, and nothing on the stack.
pub(super) fn remember() -> LayerRef {
    leaf(Remember)
}

#[derive(Debug, Clone)]
struct Remember;

/// State as Trax nests it: what was chosen, and a mark by which it finds it.
fn state(chosen: Tensor) -> Tree<Tensor> {
    Tree::Tuple(vec![Tree::Leaf(chosen), Tree::Dict(vec![("running_second_time".into(), Tree::EMPTY)])])
}

impl Leaf for Remember {
    fn name(&self) -> String {
        "_RememberInReverse".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(1, 0)
    }
    fn signature(&self, _inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(Vec::new())
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(Local::state(state(TensorSpec::new(inputs[0].shape.clone(), DType::I32).zeros()?)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(Output { ys: Vec::new(), state: Some(state(call.xs[0].detach())) })
    }
}

/// A layer that puts behind its input what `remember` has kept of the call that is being repeated, or that nothing is known.
pub(super) fn recall(remember: LayerRef, blocks: usize) -> LayerRef {
    Arc::new(Recall { base: Base::new("_RecallQuantMaskInReverse"), remember, blocks })
}

#[derive(Debug)]
struct Recall {
    base: Base,
    remember: LayerRef,
    blocks: usize,
}

impl Layer for Recall {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        Arity::new(1, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let rows = inputs[0].shape[..inputs[0].rank().min(1)].to_vec();
        Ok(vec![inputs[0].clone(), TensorSpec::new([rows, vec![self.blocks]].concat(), DType::I32)])
    }
    fn init(&self, _cx: &mut InitCx, _inputs: &[TensorSpec], _key: Key) -> Result<()> {
        Ok(())
    }
    fn forward(&self, cx: &mut Cx, mut xs: Vec<Tensor>, _key: Key) -> Result<Vec<Tensor>> {
        let shape = self.signature(&[TensorSpec::of(&xs[0])])?.swap_remove(1).shape;
        let kept = cx.left(self.remember.base().id).and_then(|s| s.leaves().first().copied());
        xs.push(match kept.filter(|chosen| chosen.shape() == shape) {
            Some(chosen) => chosen.clone(),
            None => Tensor::full(&shape, UNKNOWN, DType::I32, xs[0].device())?,
        });
        Ok(xs)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        Arc::new(Self { base: self.base.rebuilt(r), remember: r.layer(&self.remember), blocks: self.blocks })
    }
}

/// Whether the units of a call are known: all of them are, or none is.
pub(super) fn known(chosen: &Tensor) -> Result<bool> {
    if chosen.size() == 0 {
        return Ok(false);
    }
    Ok(chosen.reshape(&[chosen.size()])?.index(0, 0)?.item()? != UNKNOWN)
}
