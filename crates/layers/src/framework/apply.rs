//! Running layers: the contexts sublayers run in, and the one door ([`Cx::apply`]) they run through.
use crate::{agreement, peers::Peers, stack::deep, Error, LayerId, LayerRef, Phase, Result, TensorSpec, Tree};
use std::{cell::RefCell, collections::HashMap, sync::Arc};
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
    peers: Option<Arc<Peers>>,
}

impl<'a> Cx<'a> {
    /// A context over these weights, starting from `state`.
    pub fn new(weights: &'a Store, state: Store) -> Self {
        Self { weights, state, left: None, peers: None }
    }
    /// A context that repeats a run: `state` is what that began with, `left` what it left.
    pub fn repeating(weights: &'a Store, state: Store, left: &'a Store) -> Self {
        Self { weights, state, left: Some(left), peers: None }
    }
    /// As one of replicas, or none.
    pub(crate) fn among(self, peers: Option<Arc<Peers>>) -> Self {
        Self { peers, ..self }
    }
    /// The replicas of which this is one.
    pub(crate) fn peers(&self) -> Option<Arc<Peers>> {
        self.peers.clone()
    }
    /// The keys of `n` sublayers: `key.split(n)`, which replicas follow.
    pub fn split(&self, key: Key, n: usize) -> Vec<Key> {
        if let Some(peers) = &self.peers {
            peers.follow(key, |k| k.split(n));
        }
        key.split(n)
    }
    /// The key of a numbered use of a sublayer: `key.fold_in(number)`, which replicas follow.
    pub fn fold_in(&self, key: Key, number: u32) -> Key {
        if let Some(peers) = &self.peers {
            peers.follow(key, |k| vec![k.fold_in(number)]);
        }
        key.fold_in(number)
    }
    /// The key that all replicas have in common where this one has `key`; that itself without others.
    pub fn common_key(&self, key: Key) -> Key {
        self.peers.as_ref().and_then(|peers| peers.sum(key)).unwrap_or(key)
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
                return crate::framework::cut::cut(layer, cx, xs, key);
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
        deep(|| run(self)).map_err(|e: Error| e.within(&layer.base().name, layer.base().id, Phase::Forward, || specs))
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
        for (layer, key) in layers.iter().zip(self.split(key, layers.len())) {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            stack = apply(self, layer, stack, key)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// How many of `got` inputs a layer takes: all, or as many as it wants if it leaves others be.
pub(crate) fn taken(layer: &LayerRef, got: usize) -> Result<usize> {
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

/// Outputs by layer (its identity and place in memory, as copies in other modes have the same identity) and inputs.
type Signatures = HashMap<(LayerId, usize, Vec<TensorSpec>), Vec<TensorSpec>>;

thread_local!(static SIGNATURES: RefCell<Option<Signatures>> = const { RefCell::new(None) });

/// Runs `f` with signatures computed once: an initialization asks for that of each layer at each level
/// above it, which would take time by the square of the levels.
pub(crate) fn remembering<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Signatures>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SIGNATURES.set(self.0.take());
        }
    }
    let _restore = Restore(SIGNATURES.replace(Some(Signatures::new())));
    f()
}

/// Signatures of a layer's outputs; checks its arity, and names it in errors.
///
/// # Errors
/// `ArityMismatch`, `ShapeMismatch` for an instance used in two places for which it would need weights of different shapes, or the layer's
/// own error with this layer added to its path.
pub fn signature(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    let leaf = layer.sublayers().is_empty();
    let place = || (layer.base().id, Arc::as_ptr(layer).cast::<()>() as usize, inputs.to_vec());
    let known = || SIGNATURES.with_borrow(|all| all.as_ref().and_then(|all| all.get(&place()).cloned()));
    if let Some(outputs) = (!leaf).then(known).flatten() {
        return Ok(outputs);
    }
    let _one_tree = agreement::begin();
    let outputs = taken(layer, inputs.len())
        .and_then(|n| {
            agreement::check(layer, &inputs[..n])?;
            Ok([deep(|| layer.signature(&inputs[..n]))?, inputs[n..].to_vec()].concat())
        })
        .map_err(|e| e.within(&layer.base().name, layer.base().id, Phase::Forward, || inputs.to_vec()))?;
    if !leaf {
        SIGNATURES.with_borrow_mut(|all| all.as_mut().map(|all| all.insert(place(), outputs.clone())));
    }
    Ok(outputs)
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
