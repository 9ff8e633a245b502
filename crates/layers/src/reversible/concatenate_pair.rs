//! Two tensors joined, twice.
use crate::{
    framework::leaf::Reverse, leaf, options, Abilities, Arity, Call, Error, LayerRef, Leaf, Output, Result,
    ReverseCall, TensorSpec,
};
use tallow_tensor::Tensor;

options! {
    /// Joins two tensors along the last axis and returns the result twice.
    ///
    /// Formula: `(x, y) → ([x, y], [x, y])`.
    /// Shapes: `[..., n]`, `[..., n]` → `[..., 2n]`, `[..., 2n]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the two differ in shape or type, so that the way back would be unknown.
    ///
    /// Source: Trax.
    /// See: `Concatenate`.
    /// Example:
    /// ```ts
    /// tl.ReversibleConcatenatePair()([[1, 2], [3, 4]]); // → [Tensor int32[4] [1,2,3,4], Tensor int32[4] [1,2,3,4]]
    /// ```
    pub struct ReversibleConcatenatePairOptions for "ReversibleConcatenatePair" () {}
}

#[derive(Debug, Clone)]
struct ConcatenatePair;

pub(super) fn build(_: ReversibleConcatenatePairOptions) -> Result<LayerRef> {
    Ok(leaf(ConcatenatePair))
}

impl Leaf for ConcatenatePair {
    fn name(&self) -> String {
        "ReversibleConcatenatePair".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(2, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let [x, y] = [&inputs[0], &inputs[1]];
        if x != y || x.rank() == 0 {
            return Err(Error::shape(format!("expected two tensors alike, with a last axis, got {x} and {y}")));
        }
        let mut shape = x.shape.clone();
        shape[x.rank() - 1] *= 2;
        Ok(vec![x.with_shape(shape); 2]) // few
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let pair = Tensor::concat(call.xs, -1)?;
        Ok(vec![pair.clone(), pair].into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { reversal: Some(self), ..Abilities::default() }
    }
}

impl Reverse for ConcatenatePair {
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        Ok(call.ys[0].split(2, -1)?)
    }
}
