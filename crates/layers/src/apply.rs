//! Running layers: the contexts sublayers run in, and the one door ([`Cx::apply`]) they run through.
use crate::{Error, LayerId, LayerNest, LayerRef, Local, Phase, Result, TensorSpec, Tree};
use std::collections::{HashMap, HashSet};
use tallow_tensor::{random::Key, Tensor};

/// Weights or state of each layer instance that has its own.
pub type Store = HashMap<LayerId, Tree<Tensor>>;

static NOTHING: Tree<Tensor> = Tree::EMPTY;

/// What a forward pass runs in: weights, which it reads, and state, which it updates.
#[derive(Debug)]
pub struct Cx<'a> {
    weights: &'a Store,
    /// State of each instance, as of now.
    pub state: Store,
    left: Option<&'a Store>,
}

impl<'a> Cx<'a> {
    /// A context over these weights, starting from `state`.
    pub fn new(weights: &'a Store, state: Store) -> Self {
        Self { weights, state, left: None }
    }
    /// A context that repeats a run: `state` is what that began with, `left` what it left.
    pub fn repeating(weights: &'a Store, state: Store, left: &'a Store) -> Self {
        Self { weights, state, left: Some(left) }
    }
    /// Own state that the run which is being repeated left to a layer; `None` if this is no repetition.
    pub fn left(&self, id: LayerId) -> Option<&'a Tree<Tensor>> {
        Some(self.left?.get(&id).unwrap_or(&NOTHING))
    }
    /// Own weights of a layer; `()` if it has none.
    pub fn weights(&self, id: LayerId) -> &'a Tree<Tensor> {
        self.weights.get(&id).unwrap_or(&NOTHING)
    }
    /// All weights.
    pub fn store(&self) -> &'a Store {
        self.weights
    }
    /// Own state of a layer, as last updated; `()` if it has none.
    pub fn state(&self, id: LayerId) -> Tree<Tensor> {
        self.state.get(&id).cloned().unwrap_or(Tree::EMPTY)
    }
    /// Updates a layer's own state.
    pub fn set_state(&mut self, id: LayerId, s: Tree<Tensor>) {
        self.state.insert(id, s);
    }
    /// Runs a layer: checks its arity, names it in errors, and stops before it if the work was cancelled
    /// ([`tallow_tensor::cancel`]). A reversible layer keeps its outputs only for a backward pass ([`crate::reversible`]).
    ///
    /// # Errors
    /// `ArityMismatch`, `Aborted`, or the layer's own error with this layer added to its path.
    pub fn apply(&mut self, layer: &LayerRef, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.apply_as(layer, xs, |cx, xs| {
            if tallow_tensor::is_recording() && layer.reversible().is_some() {
                return crate::reversible::cut(layer, cx, xs, key);
            }
            layer.forward(cx, xs, key)
        })
    }
    /// As [`Cx::apply`], with `forward` as what the layer does.
    pub(crate) fn apply_as(
        &mut self,
        layer: &LayerRef,
        mut xs: Vec<Tensor>,
        forward: impl FnOnce(&mut Self, Vec<Tensor>) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let run = |cx: &mut Self| {
            tallow_tensor::cancel::check()?;
            let rest = xs.split_off(taken(layer, xs.len())?);
            let mut ys = forward(cx, xs)?;
            check_count("promises", "output", layer.arity().n_out, ys.len())?;
            ys.extend(rest);
            Ok(ys)
        };
        run(self).map_err(|e: Error| e.within(&layer.base().name, layer.base().id, Phase::Forward, || specs))
    }
    /// Runs layers in series on a stack (top first): each takes its inputs off the top and puts its outputs there.
    ///
    /// # Errors
    /// Those of [`Cx::apply`].
    pub fn apply_stack(&mut self, layers: &[LayerRef], stack: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.apply_stack_by(layers, stack, key, Self::apply)
    }
    /// As [`Cx::apply_stack`], with `apply` to run a layer.
    pub(crate) fn apply_stack_by(
        &mut self,
        layers: &[LayerRef],
        mut stack: Vec<Tensor>,
        key: Key,
        mut apply: impl FnMut(&mut Self, &LayerRef, Vec<Tensor>, Key) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        for (layer, key) in layers.iter().zip(key.split(layers.len())) {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            stack = apply(self, layer, stack, key)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// How many of `got` inputs a layer takes: all, or as many as it wants if it leaves others be.
fn taken(layer: &LayerRef, got: usize) -> Result<usize> {
    let n_in = layer.arity().n_in;
    let taken = if layer.open() { got.min(n_in) } else { got };
    check_count("takes", "input", n_in, taken)?;
    Ok(taken)
}

fn check_count(verb: &str, what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    let s = if expected == 1 { "" } else { "s" };
    Err(Error::new("ArityMismatch", format!("the layer {verb} {expected} {what}{s}, got {got}")))
}

/// Signatures after layers in series have run on a stack.
///
/// # Errors
/// Those of the layers, with their path.
pub fn stack_signature(layers: &[LayerRef], inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    let mut stack = inputs.to_vec();
    for layer in layers {
        let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
        stack = signature(layer, &stack)?;
        stack.extend(rest);
    }
    Ok(stack)
}

/// Signatures of a layer's outputs; checks its arity, and names it in errors.
///
/// # Errors
/// `ArityMismatch`, or the layer's own error with this layer added to its path.
pub fn signature(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    taken(layer, inputs.len())
        .and_then(|n| Ok([layer.signature(&inputs[..n])?, inputs[n..].to_vec()].concat()))
        .map_err(|e| e.within(&layer.base().name, layer.base().id, Phase::Forward, || inputs.to_vec()))
}

/// What initialization runs in.
#[derive(Debug, Default)]
pub struct InitCx {
    keys: HashMap<LayerId, Key>,
    done: HashSet<LayerId>,
    /// Weights made so far.
    pub weights: Store,
    /// State made so far.
    pub state: Store,
}

impl InitCx {
    // As in Trax: keys are dealt to the whole tree first, so a layer that occurs twice keeps the key of its last place.
    fn deal(&mut self, layer: &LayerRef, key: Key) {
        self.keys.insert(layer.base().id, key);
        let subs = layer.sublayers();
        if !subs.is_empty() {
            for (sub, key) in subs.iter().zip(key.split(subs.len())) {
                self.deal(sub, key);
            }
        }
    }
    /// Sets the weights and state of a layer.
    pub fn set(&mut self, id: LayerId, local: Local) {
        self.weights.insert(id, local.weights);
        self.state.insert(id, local.state);
    }
    /// Initializes a sublayer, unless this instance already was.
    ///
    /// # Errors
    /// The layer's own error with this layer added to its path.
    pub fn init(&mut self, layer: &LayerRef, inputs: &[TensorSpec]) -> Result<()> {
        let id = layer.base().id;
        if !self.done.insert(id) {
            return Ok(());
        }
        let key = self.keys.get(&id).copied().unwrap_or(Key::new(0));
        taken(layer, inputs.len())
            .and_then(|n| layer.init(self, &inputs[..n], key))
            .map_err(|e| e.within(&layer.base().name, id, Phase::Init, || inputs.to_vec()))
    }
    /// Initializes layers in series on a stack of signatures, which it returns as they leave it.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn init_stack(&mut self, layers: &[LayerRef], inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let mut stack = inputs.to_vec();
        for layer in layers {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            self.init(layer, &stack)?;
            stack = signature(layer, &stack)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// Makes weights and state of a layer and everything below it. Pure: slots are not touched.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    let mut cx = InitCx::default();
    cx.deal(layer, key);
    cx.init(layer, inputs)?;
    Ok((cx.weights, cx.state))
}

/// Weights and state as [`init`] would make them, but with zeros for what initializers draw: their structure, without the work.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init_signature(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    crate::initializers::without_drawing(|| init(layer, inputs, key))
}

/// Adds to `state` what the layer starts with wherever an instance has none yet, as in a copy just made by [`with_mode`].
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn ensure_state(layer: &LayerRef, mut state: Store, inputs: &[TensorSpec], key: Key) -> Result<Store> {
    let (mut bare, mut initialized) = (false, false);
    for_each_instance(layer, &mut |l| {
        bare |= l.sublayers().is_empty() && !state.contains_key(&l.base().id);
        initialized |= l.base().slot.weights().is_some();
    });
    if bare && initialized {
        for (id, fresh) in init_signature(layer, inputs, key)?.1 {
            state.entry(id).or_insert(fresh);
        }
    }
    Ok(state)
}

/// The layer as a pure function: outputs and new state from inputs, weights, state and key.
///
/// # Errors
/// Those of the layers, with their path.
pub fn pure_fn(
    layer: &LayerRef,
    xs: Vec<Tensor>,
    weights: &Store,
    state: Store,
    key: Key,
) -> Result<(Vec<Tensor>, Store)> {
    let mut cx = Cx::new(weights, state);
    let ys = cx.apply(layer, xs, key)?;
    Ok((ys, cx.state))
}

/// Builds Trax's nested view of a store; an instance met again gives the cached marker.
#[derive(Debug)]
pub struct View<'a> {
    store: &'a Store,
    seen: HashSet<LayerId>,
}

impl View<'_> {
    /// Own weights or state of a layer.
    pub fn own(&self, id: LayerId) -> Tree<Tensor> {
        self.store.get(&id).cloned().unwrap_or(Tree::EMPTY)
    }
    /// Weights of a sublayer.
    pub fn weights_of(&mut self, layer: &LayerRef) -> Tree<Tensor> {
        if self.seen.insert(layer.base().id) {
            layer.view_weights(self)
        } else {
            Tree::Cached
        }
    }
    /// State of a sublayer.
    pub fn state_of(&mut self, layer: &LayerRef) -> Tree<Tensor> {
        if self.seen.insert(layer.base().id) {
            layer.view_state(self)
        } else {
            Tree::Cached
        }
    }
}

/// Weights as Trax nests them.
pub fn view_weights(layer: &LayerRef, store: &Store) -> Tree<Tensor> {
    View { store, seen: HashSet::new() }.weights_of(layer)
}

/// State as Trax nests it.
pub fn view_state(layer: &LayerRef, store: &Store) -> Tree<Tensor> {
    View { store, seen: HashSet::new() }.state_of(layer)
}

/// Fills a store from Trax's nesting.
#[derive(Debug, Default)]
pub struct Loader {
    store: Store,
}

impl Loader {
    /// Own weights or state of a layer.
    ///
    /// # Errors
    /// None; a result for the caller's convenience.
    pub fn own(&mut self, id: LayerId, tree: &Tree<Tensor>) -> Result<()> {
        self.store.insert(id, tree.clone());
        Ok(())
    }
    /// Weights of a sublayer; the cached marker leaves what stands.
    ///
    /// # Errors
    /// `WeightsMismatch` with the sublayer's path.
    pub fn weights_of(&mut self, layer: &LayerRef, tree: &Tree<Tensor>) -> Result<()> {
        self.sub(layer, tree, |l, s| l.load_weights(tree, s))
    }
    /// State of a sublayer; the cached marker leaves what stands.
    ///
    /// # Errors
    /// `WeightsMismatch` with the sublayer's path.
    pub fn state_of(&mut self, layer: &LayerRef, tree: &Tree<Tensor>) -> Result<()> {
        self.sub(layer, tree, |l, s| l.load_state(tree, s))
    }
    fn sub(
        &mut self,
        layer: &LayerRef,
        tree: &Tree<Tensor>,
        load: impl FnOnce(&LayerRef, &mut Self) -> Result<()>,
    ) -> Result<()> {
        if matches!(tree, Tree::Cached) {
            return Ok(());
        }
        load(layer, self).map_err(|e| e.within(&layer.base().name, layer.base().id, Phase::Init, Vec::new))
    }
    /// The two elements of a pair; both `()` if the tree is.
    ///
    /// # Errors
    /// `WeightsMismatch` for anything else.
    pub fn pair<'a>(&self, base: &crate::Base, tree: &'a Tree<Tensor>) -> Result<[&'a Tree<Tensor>; 2]> {
        match tree {
            Tree::Tuple(v) if v.is_empty() => Ok([&NOTHING, &NOTHING]),
            Tree::Tuple(v) if v.len() == 2 => Ok([&v[0], &v[1]]),
            other => Err(Error::new(
                "WeightsMismatch",
                format!("the state of {} is a pair, but got {}", base.name, other.describe()),
            )),
        }
    }
    /// One element of a tuple for each sublayer. `()` leaves all of them without.
    ///
    /// # Errors
    /// `WeightsMismatch` when the tuple has another length.
    pub fn each(
        &mut self,
        base: &crate::Base,
        tree: &Tree<Tensor>,
        subs: &[LayerRef],
        load: fn(&mut Self, &LayerRef, &Tree<Tensor>) -> Result<()>,
    ) -> Result<()> {
        match tree {
            Tree::Tuple(v) if v.is_empty() => Ok(()),
            Tree::Tuple(v) if v.len() == subs.len() => {
                subs.iter().zip(v).try_for_each(|(layer, tree)| load(self, layer, tree))
            }
            other => Err(Error::new(
                "WeightsMismatch",
                format!("{} has {} sublayers, but got {}", base.name, subs.len(), other.describe()),
            )),
        }
    }
}

/// Weights nested as Trax does, as a store.
///
/// # Errors
/// `WeightsMismatch` when the nesting does not fit the layer.
pub fn load_weights(layer: &LayerRef, tree: &Tree<Tensor>) -> Result<Store> {
    let mut l = Loader::default();
    l.weights_of(layer, tree)?;
    Ok(l.store)
}

/// State nested as Trax does, as a store.
///
/// # Errors
/// `WeightsMismatch` when the nesting does not fit the layer.
pub fn load_state(layer: &LayerRef, tree: &Tree<Tensor>) -> Result<Store> {
    let mut l = Loader::default();
    l.state_of(layer, tree)?;
    Ok(l.store)
}

/// How a layer is being rebuilt: in another mode with the same identities (`with_mode`), or as a deep copy with new ones.
/// An instance met again gives the same new instance, so sharing survives.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// The new mode; `None` keeps each layer's own.
    pub mode: Option<crate::Mode>,
    /// Whether copies get new identities, and weights and state of their own.
    pub deep: bool,
    done: HashMap<LayerId, LayerRef>,
}

impl Rebuild {
    /// The new instance of `layer`.
    pub fn layer(&mut self, layer: &LayerRef) -> LayerRef {
        let id = layer.base().id;
        if let Some(l) = self.done.get(&id) {
            return l.clone();
        }
        let new = layer.rebuild(self);
        self.done.insert(id, new.clone());
        new
    }
    /// The new instances of the layers in `nest`.
    pub fn nest(&mut self, nest: &LayerNest) -> LayerNest {
        match nest {
            LayerNest::Null => LayerNest::Null,
            LayerNest::One(l) => LayerNest::One(self.layer(l)),
            LayerNest::List(v) => LayerNest::List(v.iter().map(|l| self.nest(l)).collect()),
        }
    }
    /// The new instances of `layers`.
    pub fn layers(&mut self, layers: &[LayerRef]) -> Vec<LayerRef> {
        layers.iter().map(|l| self.layer(l)).collect()
    }
}

/// The same layer in another mode: same identities and weights; state is fresh (see [`ensure_state`]) but for what is learned.
pub fn with_mode(layer: &LayerRef, mode: crate::Mode) -> LayerRef {
    Rebuild { mode: Some(mode), ..Rebuild::default() }.layer(layer)
}

/// A copy with new identities, starting from the same weights and state if there are any, sharing inside it as in the original.
pub fn deep_copy(layer: &LayerRef) -> LayerRef {
    Rebuild { deep: true, ..Rebuild::default() }.layer(layer)
}

/// Calls `f` for `layer` and everything below it, each instance once.
pub fn for_each_instance(layer: &LayerRef, f: &mut impl FnMut(&LayerRef)) {
    fn walk(layer: &LayerRef, seen: &mut HashSet<LayerId>, f: &mut impl FnMut(&LayerRef)) {
        if seen.insert(layer.base().id) {
            f(layer);
            layer.sublayers().iter().for_each(|l| walk(l, seen, f));
        }
    }
    walk(layer, &mut HashSet::new(), f);
}

/// The weights and state held in the slots of `layer` and everything below it.
pub fn held(layer: &LayerRef) -> (Store, Store) {
    let (mut w, mut s) = (Store::new(), Store::new());
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        if let Some(t) = base.slot.weights() {
            w.insert(base.id, t);
        }
        if let Some(t) = base.slot.state() {
            s.insert(base.id, t);
        }
    });
    (w, s)
}

/// Puts weights and state into the slots of `layer` and everything below it; `None` leaves them.
pub fn hold(layer: &LayerRef, weights: Option<&Store>, state: Option<&Store>) {
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        if let Some(t) = weights.and_then(|w| w.get(&base.id)) {
            base.slot.set_weights(t.clone());
        }
        if let Some(t) = state.and_then(|s| s.get(&base.id)) {
            base.slot.set_state(Some(t.clone()));
        }
    });
}
