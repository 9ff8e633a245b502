//! Printing shapes within a reversible stack.
use crate::{
    core::print_shapes, framework::leaf::Reverse, leaf, options, Abilities, Arity, Call, Count, Gradients, LayerRef,
    Leaf, Output, Result, ReverseCall, TensorSpec, Tree,
};
use tallow_tensor::Tensor;

options! {
    /// Prints the shapes and dtypes of its inputs and passes them on, in a reversible model.
    ///
    /// Each call writes one line to standard output; the backward pass writes none.
    ///
    /// Shapes: any → the same.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `PrintShape`.
    /// Example:
    /// ```ts
    /// tl.ReversiblePrintShape({ msg: 'input' })([[1, 2, 3]]).shape; // → [1, 3]
    /// ```
    pub struct ReversiblePrintShapeOptions for "ReversiblePrintShape" () {
        /// Number of inputs.
        n_in "nIn": Count = Count(1),
        /// Text to print before the shapes.
        msg "msg": String = String::new(),
    }
}

#[derive(Debug, Clone)]
struct PrintShape(ReversiblePrintShapeOptions);

pub(super) fn build(o: ReversiblePrintShapeOptions) -> Result<LayerRef> {
    Ok(leaf(PrintShape(o)))
}

impl Leaf for PrintShape {
    fn name(&self) -> String {
        "ReversiblePrintShape".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(self.0.n_in.0, self.0.n_in.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn forward(&self, call: Call) -> Result<Output> {
        print_shapes(&self.0.msg, call.xs);
        Ok(call.xs.to_vec().into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { reversal: Some(self), ..Abilities::default() }
    }
}

impl Reverse for PrintShape {
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        Ok(call.ys.to_vec())
    }
    fn reverse_and_grad(&self, call: ReverseCall, cts: &[Option<Tensor>]) -> Result<Option<Gradients>> {
        Ok(Some(Gradients { xs: call.ys.to_vec(), of_xs: cts.to_vec(), of_w: Tree::EMPTY }))
    }
}
