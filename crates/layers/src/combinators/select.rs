//! Copying, reordering and dropping items of the stack.
use crate::{
    framework::pure::{open_layer, pure_layer},
    options, Error, LayerRef, Result, Wholes,
};

options! {
    /// Copies, reorders or drops items of the stack: output `k` is input `indices[k]`.
    ///
    /// Shapes: `nIn` inputs → one output for each index, of the shape of that input.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: an index is outside the `nIn` items, or `nIn` is missing and no index says how many items there are.
    ///
    /// Source: Trax.
    /// See: `Dup`, `Swap`, `Drop`.
    /// Example:
    /// ```ts
    /// tl.Select([1, 0, 1])([[1, 2], [3, 4]]); // → [Tensor int32[2] [3,4], Tensor int32[2] [1,2], Tensor int32[2] [3,4]]
    /// ```
    pub struct SelectOptions for "Select" ("indices") {
        /// Positions from the top of the stack; negative ones count from the last of `nIn`.
        indices "indices": Wholes,
        /// How many items the selected ones replace; by default the highest index and one.
        n_in "nIn": Option<crate::Count> = None,
        /// Printed name; by default `Select` with the indices.
        name "name": Option<String> = None,
    }
}

options! {
    /// Drops the top item of the stack.
    ///
    /// Shapes: `[...]` → no output.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Select`.
    /// Example:
    /// ```ts
    /// tl.Serial(tl.Drop(), tl.Negate())([[1, 2], [3, 4]]); // → Tensor int32[2] [-3,-4]
    /// ```
    pub struct DropOptions for "Drop" () {}
}

options! {
    /// Copies the top item of the stack.
    ///
    /// Shapes: `[...]` → `[...]`, `[...]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Select`.
    /// Example:
    /// ```ts
    /// tl.Dup()([1, 2]); // → [Tensor int32[2] [1,2], Tensor int32[2] [1,2]]
    /// ```
    pub struct DupOptions for "Dup" () {}
}

options! {
    /// Exchanges the top two items of the stack.
    ///
    /// Shapes: `[...a]`, `[...b]` → `[...b]`, `[...a]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `Select`.
    /// Example:
    /// ```ts
    /// tl.Swap()([[1, 2], [3, 4]]); // → [Tensor int32[2] [3,4], Tensor int32[2] [1,2]]
    /// ```
    pub struct SwapOptions for "Swap" () {}
}

options! {
    /// Puts the tensors of an array on the stack, in order.
    ///
    /// Shapes: an array of tensors → its tensors. `nIn` and `nOut` are 1, since the array counts as one item.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.FlattenList()([tl.tensor([1]), tl.tensor([2, 3])]); // → [Tensor int32[1] [1], Tensor int32[2] [2,3]]
    /// ```
    pub struct FlattenListOptions for "FlattenList" () {}
}

pub(super) fn build(o: SelectOptions) -> Result<LayerRef> {
    let indices = o.indices.0;
    let n_in = match (o.n_in, indices.iter().max()) {
        (Some(n), _) => n.0,
        (None, Some(&max)) if max >= 0 => max as usize + 1,
        _ => return Err(Error::option("Select: `nIn` is required when no index says how many items there are")),
    };
    let name = o.name.unwrap_or_else(|| default_name(&indices));
    let wrong = |i: isize| Error::option(format!("Select: index {i} is outside the {n_in} items it takes"));
    let resolve = |&i: &isize| {
        let from_top = if i < 0 { i + n_in as isize } else { i };
        usize::try_from(from_top).ok().filter(|&k| k < n_in).ok_or_else(|| wrong(i))
    };
    Ok(make(name, indices.iter().map(resolve).collect::<Result<_>>()?, n_in))
}

/// As a Python list without spaces.
fn default_name<T: std::fmt::Debug>(indices: &[T]) -> String {
    format!("Select{indices:?}").replace(' ', "")
}

/// Output `k` is input `indices[k]`; takes `n_in` items, by default the highest index and one.
///
/// # Errors
/// `InvalidOption` for an index that is not below `n_in`, or for no index and no `n_in`.
pub fn select(indices: &[usize], n_in: Option<usize>) -> Result<LayerRef> {
    select_named(default_name(indices), indices, n_in)
}

/// [`select`] under another printed name.
///
/// # Errors
/// Those of [`select`].
pub fn select_named(name: impl Into<String>, indices: &[usize], n_in: Option<usize>) -> Result<LayerRef> {
    build(SelectOptions {
        indices: Wholes(indices.iter().map(|&i| i as isize).collect()),
        n_in: n_in.map(crate::Count),
        name: Some(name.into()),
    })
}

fn make(name: String, indices: Vec<usize>, n_in: usize) -> LayerRef {
    fn pick<T: Clone>(items: &[T], indices: &[usize]) -> Vec<T> {
        indices.iter().map(|&i| items[i].clone()).collect()
    }
    let (n_out, again) = (indices.len(), indices.clone());
    pure_layer(name, n_in, n_out, move |s| Ok(pick(s, &again)), move |xs| Ok(pick(xs, &indices)))
}

/// Drops the top stack item.
pub fn drop_top() -> LayerRef {
    make("Drop".into(), Vec::new(), 1)
}

/// Copies the top stack item.
pub fn dup() -> LayerRef {
    make("Dup".into(), vec![0, 0], 1)
}

/// Exchanges the top two stack items.
pub fn swap() -> LayerRef {
    make("Swap".into(), vec![1, 0], 2)
}

/// Passes any number of tensors on: the nesting they came in is undone where they enter the core.
pub fn flatten_list() -> LayerRef {
    open_layer("FlattenList", |s| Ok(s.to_vec()), |xs| Ok(xs.to_vec()))
}
