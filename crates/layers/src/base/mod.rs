//! Layers made of functions: [`pure_layer`] for the core's own, `Fn` and `PureLayer` for the host's.
use crate::{
    entry, framework::mode::HostMode, leaf, options, options::Entry, Abilities, Arity, Call, Count, Error, ErrorKind,
    FnArg, HostFnRef, HostValue, LayerRef, Leaf, Mode, Output, Result, SignaturePair, TensorNest, TensorSpec, Traits,
    Tree,
};
use tallow_tensor::{no_grad, DType, Tensor};

mod class;
mod class_with_fields;
mod host_layer;
pub(crate) mod sharding;

/// The layers of this module.
pub static LAYERS: &[Entry<LayerRef>] = &[
    entry!("base", class::LayerOptions, class::layer),
    entry!("base", PureLayerOptions, |o: PureLayerOptions| host(
        o.name,
        Arity::new(o.n_in.0, o.n_out.0),
        o.forward_fn,
        if o.takes_mode { Packing::Method } else { Packing::Trax },
        o.mode
    )),
    entry!("base", FnOptions, |o: FnOptions| {
        let name = if o.name.is_empty() { "Fn".to_string() } else { o.name };
        host(name, Arity::new(o.f.0.arity(), o.n_out.0), o.f, Packing::Separate, Mode::Train)
    }),
];

options! {
    /// Makes a layer without weights of a function that takes all inputs in one argument.
    ///
    /// Shapes: those of the function's argument → those of what it returns.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ArityMismatch`: the function returns another number of tensors than `nOut`.
    /// - those that the function throws.
    ///
    /// Source: Trax.
    /// See: `Fn`, `Layer`.
    /// Example:
    /// ```ts
    /// const double = tl.PureLayer((x: tl.Tensor) => x.mul(2));
    /// double([1, 2]); // → Tensor int32[2] [2,4]
    ///
    /// class Shift extends tl.PureLayer {
    ///   constructor(by: number) {
    ///     super((x: tl.Tensor) => x.add(by), { name: 'Shift' });
    ///   }
    /// }
    /// new Shift(10)([1, 2]); // → Tensor int32[2] [11,12]
    /// ```
    pub struct PureLayerOptions for "PureLayer" ("forwardFn") {
        /// Function of the input, or of the array of inputs if there are several, to the output or the array of outputs.
        forward_fn "forwardFn": FnArg,
        /// Number of inputs.
        n_in "nIn": Count = Count(1),
        /// Number of outputs.
        n_out "nOut": Count = Count(1),
        /// Printed name.
        name "name": String = "PureLayer".into(),
        /// How the layer behaves: what the `forward` of a class sees as `this.mode`.
        mode "mode": Mode = Mode::Train,
        /// Whether the function is a method that takes the mode as its second argument.
        takes_mode "takesMode": bool = false,
    }
}

options! {
    /// Makes a layer without weights of a function that takes each input as an argument of its own.
    ///
    /// The layer has as many inputs as the function declares parameters.
    ///
    /// Shapes: those of the function's arguments → those of what it returns.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ArityMismatch`: the function returns another number of tensors than `nOut`.
    /// - those that the function throws.
    ///
    /// Source: Trax.
    /// See: `PureLayer`, `Layer`.
    /// Example:
    /// ```ts
    /// const distance = tl.Fn('Distance', (a: tl.Tensor, b: tl.Tensor) => a.sub(b).abs());
    /// distance([[1, 2], [4, 0]]); // → Tensor int32[2] [3,2]
    /// ```
    pub struct FnOptions for "Fn" ("name", "f") {
        /// Printed name; an empty one means `Fn`.
        name "name": String,
        /// Function of the inputs to the output or the array of outputs.
        f "f": FnArg,
        /// Number of outputs.
        n_out "nOut": Count = Count(1),
    }
}

options! {
    /// Lists weights and state flat, in Trax's order, without those that are empty or shared.
    ///
    /// Shapes: `[...]` → `[...]`, the same, for each tensor in nested arrays.
    /// Returns: `[weights, state]`, two flat lists.
    /// Errors: none.
    /// Source: Trax.
    /// See: `unflattenWeightsAndState`.
    /// Example:
    /// ```ts
    /// const w = [tl.tensor([1]), [[], tl.tensor([2])]];
    /// tl.flattenWeightsAndState(w, []); // → [[ Tensor int32[1] [1], Tensor int32[1] [2] ], []]
    /// ```
    pub struct FlattenOptions for "flattenWeightsAndState" ("weights", "state") {
        /// Weights, as a layer nests them.
        weights "weights": TensorNest,
        /// State, as a layer nests it.
        state "state": TensorNest,
    }
}

options! {
    /// Nests flat weights and state as a signature says: the inverse of `flattenWeightsAndState`.
    ///
    /// Shapes: `[...]` → `[...]`, the same, for each tensor.
    /// Returns: `[weights, state]`, nested.
    /// Errors:
    /// - `WeightsMismatch`: there are too few or too many tensors, or one has another shape than the signature says.
    ///
    /// Source: Trax.
    /// See: `flattenWeightsAndState`.
    /// Example:
    /// ```ts
    /// const flat = [tl.tensor([1]), tl.tensor([2])];
    /// const like = { shape: [1], dtype: 'int32' } as const;
    /// tl.unflattenWeightsAndState(flat, [], [[like, [like]], []]); // → [[ Tensor int32[1] [1], [ Tensor int32[1] [2] ] ], []]
    /// ```
    pub struct UnflattenOptions for "unflattenWeightsAndState" ("flatWeights", "flatState", "weightsAndStateSignature") {
        /// Weights in a flat list.
        flat_weights "flatWeights": TensorNest,
        /// State in a flat list.
        flat_state "flatState": TensorNest,
        /// Pair of the structures of weights and state, with `{ shape, dtype }` in place of each tensor.
        signature "weightsAndStateSignature": SignaturePair,
        /// Whether to leave out the state, which is then `null`.
        weights_only "weightsOnly": bool = false,
    }
}

options! {
    /// Writes tensors as nested lists of numbers, which are easy to compare.
    ///
    /// Shapes: `[...]` → arrays nested as deep as there are axes.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.toList(tl.tensor([[1, 2], [3, 4]])); // → [[ 1, 2 ], [ 3, 4 ]]
    /// ```
    pub struct ToListOptions for "toList" ("outputs") {
        /// A tensor or a list of tensors.
        outputs "outputs": TensorNest,
    }
}

/// The functions of this module.
pub static FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("base", FlattenOptions, |o: FlattenOptions| {
        let flat = |t: &TensorNest| HostValue::List(t.0.leaves().into_iter().cloned().map(HostValue::Tensor).collect());
        Ok::<_, Error>(HostValue::List(vec![flat(&o.weights), flat(&o.state)]))
    }),
    entry!("base", UnflattenOptions, |o: UnflattenOptions| {
        let [w, s] = &o.signature.0;
        let weights = unflatten("weights", &o.flat_weights.0, w)?;
        let state = if o.weights_only { HostValue::Null } else { unflatten("state", &o.flat_state.0, s)? };
        Ok(HostValue::List(vec![weights, state]))
    }),
    entry!("base", ToListOptions, |o: ToListOptions| to_list(&o.outputs.0)),
];

fn unflatten(what: &str, flat: &Tree<Tensor>, signature: &Tree<TensorSpec>) -> Result<HostValue> {
    let wrong = |text: String| Error::new(ErrorKind::WeightsMismatch, format!("unflattenWeightsAndState: {text}"));
    let leaves = flat.leaves();
    let expected = signature.leaves();
    if leaves.len() != expected.len() {
        return Err(wrong(format!("{} tensors for {what} of {}", leaves.len(), expected.len())));
    }
    // Leaves come in flattening order, which differs from the standing order where dictionaries are.
    let pairs: Vec<_> = expected.into_iter().zip(leaves).collect();
    let tree = signature.try_map(&mut |spec| {
        let (_, t) = pairs.iter().find(|(s, _)| std::ptr::eq(*s, spec)).ok_or_else(|| wrong("lost a leaf".into()))?;
        if TensorSpec::of(t).shape != spec.shape {
            return Err(wrong(format!("{} stands where the signature says {spec}", TensorSpec::of(t))));
        }
        Ok((*t).clone())
    })?;
    Ok(HostValue::tree(&tree))
}

/// Values of tensors as nested lists.
fn to_list(tree: &Tree<Tensor>) -> Result<HostValue> {
    fn nest(shape: &[usize], values: &[f64], one: &impl Fn(f64) -> HostValue) -> HostValue {
        match shape {
            [] => one(values[0]),
            [n, rest @ ..] => {
                let size = rest.iter().product::<usize>();
                HostValue::List((0..*n).map(|i| nest(rest, &values[i * size..(i + 1) * size], one)).collect())
            }
        }
    }
    Ok(match tree {
        Tree::Leaf(t) if t.dtype() == DType::Bool => nest(t.shape(), &t.to_f64_vec()?, &|v| HostValue::Bool(v != 0.0)),
        Tree::Leaf(t) => nest(t.shape(), &t.to_f64_vec()?, &HostValue::Number),
        Tree::Tuple(v) => HostValue::List(v.iter().map(to_list).collect::<Result<_>>()?),
        other => return Err(Error::option(format!("toList: `outputs` must be tensors, got {}", other.describe()))),
    })
}

/// How a host function takes its inputs.
#[derive(Debug, Clone, Copy)]
enum Packing {
    /// One argument each.
    Separate,
    /// One argument: the tensor, or the list if there is not exactly one.
    Trax,
    /// As for `Trax`, and the mode.
    Method,
}

fn host(name: String, arity: Arity, f: FnArg, packing: Packing, mode: Mode) -> Result<LayerRef> {
    Ok(leaf(HostPure { name, arity, f: f.0, packing, mode: HostMode::new(mode) }))
}

/// A leaf of a host function, without weights, state or randomness.
#[derive(Debug, Clone)]
struct HostPure {
    name: String,
    arity: Arity,
    f: HostFnRef,
    packing: Packing,
    mode: HostMode,
}

impl HostPure {
    fn call(&self, xs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut args: Vec<HostValue> = xs.iter().cloned().map(HostValue::Tensor).collect();
        if !matches!(self.packing, Packing::Separate) && args.len() != 1 {
            args = vec![HostValue::List(args)];
        }
        if matches!(self.packing, Packing::Method) {
            args.push(HostValue::from(self.mode.get()));
        }
        let ys = self.f.call(&args)?.into_tensors()?;
        check_outputs(self.arity.n_out, &ys)?;
        Ok(ys)
    }
}

impl Leaf for HostPure {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arity(&self) -> Arity {
        self.arity
    }
    /// A host function declares no shapes: they come from a run on zeros.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let zeros = inputs.iter().map(TensorSpec::zeros).collect::<tallow_tensor::Result<Vec<_>>>()?;
        Ok(no_grad(|| self.call(&zeros))?.iter().map(TensorSpec::of).collect())
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(self.call(call.xs)?.into())
    }
    fn traits(&self) -> Traits {
        Traits { calls_host: true, ..Traits::LEAF }
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(self.mode.place())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { host_mode: Some(&self.mode), ..Abilities::default() }
    }
}

fn check_outputs(n_out: usize, ys: &[Tensor]) -> Result<()> {
    if ys.len() == n_out {
        return Ok(());
    }
    let s = if ys.len() == 1 { "" } else { "s" };
    Err(Error::new(
        ErrorKind::ArityMismatch,
        format!("the function returned {} tensor{s}, but the layer was made with nOut {n_out}", ys.len()),
    ))
}
