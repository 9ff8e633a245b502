//! Copying and reordering the stack, so that nothing is lost.
use crate::{
    framework::leaf::Reverse, leaf, options, Abilities, Arity, Call, Count, Error, LayerRef, Leaf, Output, Result,
    ReverseCall, Shape, TensorSpec,
};
use tallow_tensor::Tensor;

options! {
    /// Copies or reorders items of the stack and drops none: output `k` is input `indices[k]`.
    ///
    /// Shapes: `nIn` inputs → one output for each index, of the shape of that input.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: an index is outside the `nIn` items, or one of them is not selected.
    ///
    /// Source: Trax.
    /// See: `Select`.
    /// Example:
    /// ```ts
    /// const layer = tl.ReversibleSelect([1, 0, 1]);
    /// layer([[1, 2], [3, 4]]); // → [Tensor int32[2] [3,4], Tensor int32[2] [1,2], Tensor int32[2] [3,4]]
    /// ```
    pub struct ReversibleSelectOptions for "ReversibleSelect" ("indices") {
        /// Positions from the top of the stack.
        indices "indices": Shape,
        /// How many items the selected ones replace; by default the highest index and one.
        n_in "nIn": Option<Count> = None,
        /// Printed name; by default `ReversibleSelect` with the indices.
        name "name": Option<String> = None,
    }
}
options! {
    /// Exchanges the top two items of the stack, in a reversible model.
    ///
    /// Shapes: `[...a]`, `[...b]` → `[...b]`, `[...a]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Swap`.
    /// Example:
    /// ```ts
    /// tl.ReversibleSwap()([[1, 2], [3, 4]]); // → [Tensor int32[2] [3,4], Tensor int32[2] [1,2]]
    /// ```
    pub struct ReversibleSwapOptions for "ReversibleSwap" () {}
}

#[derive(Debug, Clone)]
struct Select {
    name: String,
    /// The input that each output is.
    indices: Vec<usize>,
    /// An output that each input is.
    origins: Vec<usize>,
}

pub(super) fn build(o: ReversibleSelectOptions) -> Result<LayerRef> {
    let indices = o.indices.0;
    let n_in = o.n_in.map_or_else(|| indices.iter().max().map_or(0, |&i| i + 1), |n| n.0);
    if let Some(i) = indices.iter().find(|&&i| i >= n_in) {
        return Err(Error::option(format!("ReversibleSelect: index {i} is outside the {n_in} items it takes")));
    }
    let origin = |i| {
        let lost = || Error::option(format!("ReversibleSelect: input {i} is not in {indices:?}, so it would be lost"));
        indices.iter().position(|&k| k == i).ok_or_else(lost)
    };
    let origins = (0..n_in).map(origin).collect::<Result<_>>()?;
    let name = o.name.unwrap_or_else(|| format!("ReversibleSelect{indices:?}").replace(' ', ""));
    Ok(leaf(Select { name, indices, origins }))
}

/// Exchanges the top two stack items.
pub fn reversible_swap() -> LayerRef {
    leaf(Select { name: "ReversibleSwap".into(), indices: vec![1, 0], origins: vec![1, 0] })
}

fn pick<T: Clone>(items: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|&i| items[i].clone()).collect()
}

impl Leaf for Select {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arity(&self) -> Arity {
        Arity::new(self.origins.len(), self.indices.len())
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(pick(inputs, &self.indices))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(pick(call.xs, &self.indices).into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { reversal: Some(self), ..Abilities::default() }
    }
}

impl Reverse for Select {
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        Ok(pick(call.ys, &self.origins))
    }
}
