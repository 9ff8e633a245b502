//! Making weights and state.
use crate::{
    for_each_instance,
    framework::{
        listing::{Listed, Listing},
        placing::placed,
        signature::{remembering, taken},
    },
    signature,
    stack::deep,
    Error, ErrorKind, InitCx, LayerRef, Mode, Phase, Result, Store, TensorSpec, Tree,
};
use std::sync::Arc;
use tallow_tensor::{default_device, no_grad, random::Key, DType, Tensor};

impl InitCx {
    // As in Trax: keys are dealt to the whole tree first, so a layer that occurs twice keeps the key of its last place.
    fn deal(&mut self, layer: &LayerRef, key: Key) {
        self.keys.insert(layer.base().id, key);
        let subs = layer.sublayers();
        if !subs.is_empty() {
            for (sub, key) in subs.iter().zip(key.split(subs.len())) {
                deep(|| self.deal(sub, key));
            }
        }
    }
    /// Initializes a sublayer, unless this instance already was.
    ///
    /// # Errors
    /// The layer's own error with this layer added to its path.
    pub fn init(&mut self, layer: &LayerRef, inputs: &[TensorSpec]) -> Result<()> {
        let id = layer.base().id;
        let first = self.done.insert((id, Arc::as_ptr(layer).cast::<()>() as usize));
        if self.listing.is_none() {
            return if first { self.init_here(layer, inputs) } else { Ok(()) };
        }
        let met = || Listed {
            id,
            name: layer.base().name.clone(),
            sublayers: layer.sublayers().iter().map(|l| l.base().id).collect(),
            depth: 0,
            first,
            inputs: inputs[..layer.arity().n_in.min(inputs.len())].to_vec(),
            outputs: Vec::new(),
            height: 0,
        };
        let row = self.listing.as_mut().map(|listing| listing.enter(met()));
        if first {
            self.init_here(layer, inputs)?;
        }
        let outputs = signature(layer, inputs)?;
        if let (Some(listing), Some(row)) = (&mut self.listing, row) {
            listing.leave(row, outputs);
        }
        Ok(())
    }
    fn init_here(&mut self, layer: &LayerRef, inputs: &[TensorSpec]) -> Result<()> {
        let id = layer.base().id;
        let key = self.keys.get(&id).copied().unwrap_or(Key::new(0));
        taken(layer, inputs.len())
            .and_then(|n| deep(|| layer.init(self, &inputs[..n], key)))
            .map_err(|e| layer.base().within(e, Phase::Init, || inputs.to_vec()))?;
        // A series of no layers has nothing to set, but must not look as if it had still to be initialized.
        if layer.sublayers().is_empty() {
            self.weights.entry(id).or_insert(Tree::EMPTY);
        }
        // What a layer remembers of calls, such as the first result, does not outlive its initialization.
        self.state.entry(id).or_insert(Tree::EMPTY);
        Ok(())
    }
    /// Initializes layers in series on a stack of signatures, which it returns as they leave it.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn init_stack(&mut self, layers: &[LayerRef], inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let mut stack = inputs.to_vec();
        for layer in layers {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            let below = rest.len();
            self.listing.iter_mut().for_each(|listing| listing.below += below);
            self.init(layer, &stack)?;
            self.listing.iter_mut().for_each(|listing| listing.below -= below);
            stack = signature(layer, &stack)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// Makes weights and state of a layer and everything below it, on the default device. Pure: slots are not touched.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    placed(made(layer, inputs, key)?, &default_device())
}

/// [`init`] on the CPU, where all weights are drawn.
fn made(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    let cx = init_in(InitCx::default(), layer, inputs, key)?;
    Ok((cx.weights, cx.state))
}

/// [`init`] in a context.
fn init_in(mut cx: InitCx, layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<InitCx> {
    cx.deal(layer, key);
    remembering(|| cx.init(layer, inputs))?;
    Ok(cx)
}

/// Weights and state as [`init`] would make them, but with zeros for what initializers draw: their structure, without the work.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init_signature(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    crate::drawing::without_drawing(|| made(layer, inputs, key))
}

/// Whether the layer is a copy in mode `'predict'` that shares weights which are there: to initialize it is to begin new sequences.
pub fn shares_weights(layer: &LayerRef) -> bool {
    let mut all = layer.mode() == Some(Mode::Predict) && layer.base().slot.is_copy();
    for_each_instance(layer, &mut |l| all &= !l.sublayers().is_empty() || l.base().slot.has_weights());
    all
}

/// The weights that a layer holds, and the state that it begins with for inputs of these signatures.
///
/// # Errors
/// Inputs a layer does not take, with its path; `WeightsMismatch` for inputs that the weights were not made for.
pub fn init_state(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    let (wanted, state) = init_signature(layer, inputs, key)?;
    let weights = crate::held(layer).0;
    crate::check_fits("weights", layer, &wanted, &weights)?;
    Ok((weights, state))
}

/// The layers that `layer` is made of, in the order in which they are initialized and with what they are initialized for, and the structure
/// of their weights and state. Nothing is drawn, and weights take no memory.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn list(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<(Vec<Listed>, Store, Store)> {
    let cx = InitCx { listing: Some(Listing::default()), ..InitCx::default() };
    let cx = no_grad(|| crate::drawing::without_drawing(|| init_in(cx, layer, inputs, Key::new(0))))?;
    Ok((cx.listing.unwrap_or_default().rows, cx.weights, cx.state))
}

/// Makes weights and state of a layer that does not look at its inputs, such as an embedding: they come out the same for inputs of any shape.
///
/// # Errors
/// `InvalidArgument` for a layer whose weights or state depend on its inputs.
pub fn init_without_inputs(layer: &LayerRef, key: Key) -> Result<(Store, Store)> {
    let n_in = layer.arity().n_in;
    let mut found: Option<(Store, Store)> = None;
    let (mut fitting, mut agreeing) = (Vec::new(), 0);
    let shapes = (0..=4).flat_map(|rank| [vec![4; rank], (0..rank).map(|axis| 6 + 2 * axis).collect()]);
    for shape in shapes.collect::<Vec<Vec<usize>>>() {
        for dtype in [DType::F32, DType::I32] {
            let inputs = vec![TensorSpec::new(shape.clone(), dtype); n_in]; // few
            let Ok(made) = no_grad(|| init_signature(layer, &inputs, key)) else { continue };
            match &found {
                Some(first) if !(same(&first.0, &made.0)? && same(&first.1, &made.1)?) => {
                    return Err(needs_inputs(layer))
                }
                Some(_) => agreeing += 1,
                None => (found, fitting) = (Some(made), inputs),
            }
        }
    }
    // What holds nothing depends on nothing, however few of these inputs it takes.
    let holds = |(w, s): &(Store, Store)| w.values().chain(s.values()).any(|tree| !tree.leaves_in_place().is_empty());
    match found {
        Some(made) if n_in == 0 || agreeing >= 3 || !holds(&made) => {}
        _ => return Err(needs_inputs(layer)),
    }
    init(layer, &fitting, key)
}

fn needs_inputs(layer: &LayerRef) -> Error {
    let what = "weights or state depend on the inputs; call init(signature) with their {shape, dtype}";
    Error::new(ErrorKind::InvalidArgument, format!("{}: {what}", layer.base().name))
}

/// Whether two stores hold tensors of the same shapes, and the same values where there are few.
fn same(a: &Store, b: &Store) -> Result<bool> {
    let alike = |x: &Tensor, y: &Tensor| -> Result<bool> {
        const FEW: usize = 1024;
        Ok(TensorSpec::of(x) == TensorSpec::of(y) && (x.size() > FEW || x.to_f64_vec()? == y.to_f64_vec()?))
    };
    for (id, tree) in a {
        let Some(other) = b.get(id) else { return Ok(false) };
        let (x, y) = (tree.leaves_in_place(), other.leaves_in_place());
        if x.len() != y.len() {
            return Ok(false);
        }
        for (x, y) in x.iter().zip(y) {
            if !alike(x, y)? {
                return Ok(false);
            }
        }
    }
    Ok(a.len() == b.len())
}

/// The state that the layer holds, with what it starts from where it holds none yet but knows what inputs it is for.
///
/// # Errors
/// Those of [`ensure_state`].
pub fn state_to_start_from(layer: &LayerRef) -> Result<Store> {
    let state = crate::held(layer).1;
    let key = layer.base().slot.key().unwrap_or(Key::new(0));
    match layer.base().slot.inputs() {
        Some(inputs) => ensure_state(layer, state, &inputs, key),
        None => Ok(state),
    }
}

/// Takes out of `state` what says no more than that nothing is held yet: `()` for instances that hold no state.
pub fn without_unmade(layer: &LayerRef, mut state: Store) -> Store {
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        if base.slot.state().is_none() && state.get(&base.id).is_some_and(Tree::is_empty) {
            state.remove(&base.id);
        }
    });
    state
}

/// Adds to `state` what the layer starts with wherever an instance has none yet, as in a copy just made by [`crate::with_mode`].
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn ensure_state(layer: &LayerRef, mut state: Store, inputs: &[TensorSpec], key: Key) -> Result<Store> {
    let (mut bare, mut initialized) = (false, false);
    for_each_instance(layer, &mut |l| {
        bare |= l.sublayers().is_empty() && !state.contains_key(&l.base().id);
        initialized |= l.base().slot.has_weights();
    });
    if bare && initialized {
        for (id, fresh) in init_signature(layer, inputs, key)?.1 {
            state.entry(id).or_insert(fresh);
        }
    }
    Ok(state)
}
