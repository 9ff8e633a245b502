//! Taking inputs off a stack and putting outputs onto it, as functions.
use crate::{entry, options, options::Entry, Count, HostValue, TensorNest, Tree};
use tallow_tensor::Tensor;

/// The functions of this module.
pub static FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("combinators", InputsFromStackOptions, |o: InputsFromStackOptions| {
        Ok::<_, crate::Error>(HostValue::tree(&inputs_from_stack(&o.stack.0, o.n.0)))
    }),
    entry!("combinators", OutputsOntoStackOptions, |o: OutputsOntoStackOptions| {
        Ok::<_, crate::Error>(HostValue::tree(&outputs_onto_stack(&o.outputs.0, &o.stack.0, o.n.0)))
    }),
];

options! {
    /// Takes the top items of a stack: the item itself if it is one, else an array.
    ///
    /// Shapes: any → the same.
    /// Errors: none.
    /// Source: Trax.
    /// See: `outputsOntoStack`.
    /// Example:
    /// ```ts
    /// tl.inputsFromStack([tl.tensor(1), tl.tensor(2), tl.tensor(3)], 2); // → [Tensor int32[] 1, Tensor int32[] 2]
    /// ```
    pub struct InputsFromStackOptions for "inputsFromStack" ("stack", "n") {
        /// Tensors, the top first, or one tensor.
        stack "stack": TensorNest,
        /// Number of items to take.
        n "n": Count,
    }
}

options! {
    /// Replaces the top items of a stack by outputs: the item itself if one is left, else an array.
    ///
    /// Shapes: any → the same.
    /// Errors: none.
    /// Source: Trax.
    /// See: `inputsFromStack`.
    /// Example:
    /// ```ts
    /// const stack = [tl.tensor(1), tl.tensor(2), tl.tensor(3)];
    /// tl.outputsOntoStack(tl.tensor(9), stack, 2); // → [Tensor int32[] 9, Tensor int32[] 3]
    /// ```
    pub struct OutputsOntoStackOptions for "outputsOntoStack" ("outputs", "stack", "n") {
        /// Tensors that replace them, or one tensor.
        outputs "outputs": TensorNest,
        /// Tensors, the top first, or one tensor.
        stack "stack": TensorNest,
        /// Number of items to replace.
        n "n": Count,
    }
}

fn items(tree: &Tree<Tensor>) -> &[Tree<Tensor>] {
    match tree {
        Tree::Tuple(v) => v,
        one => std::slice::from_ref(one),
    }
}

fn single_or_tuple(mut items: Vec<Tree<Tensor>>) -> Tree<Tensor> {
    if items.len() == 1 {
        items.remove(0)
    } else {
        Tree::Tuple(items)
    }
}

/// The top `n` items of a stack: the item itself if it is one.
pub fn inputs_from_stack(stack: &Tree<Tensor>, n: usize) -> Tree<Tensor> {
    single_or_tuple(items(stack).iter().take(n).cloned().collect())
}

/// The stack with its top `n` items replaced by `outputs`: the item itself if it is one.
pub fn outputs_onto_stack(outputs: &Tree<Tensor>, stack: &Tree<Tensor>, n: usize) -> Tree<Tensor> {
    single_or_tuple(items(outputs).iter().chain(items(stack).iter().skip(n)).cloned().collect())
}
