//! What layers are handed: to run in, to be initialized, nested and reversed in. How these go through layers is said where that is done.
use crate::{
    framework::{
        held::{Held, Read, Source, Store},
        listing::Listing,
        tree::NOTHING,
    },
    peers::Peers,
    LayerId, Result, Tree,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tallow_tensor::{random::Key, Tensor};

/// What a forward pass runs in: weights, which it reads, and state, which it updates.
#[derive(Debug)]
pub struct Cx<'a> {
    weights: Source<'a>,
    /// What state is read from where none was set.
    held: Option<&'a Held>,
    /// State of the instances that it was given or set for, as of now.
    set: Store,
    left: Option<&'a Store>,
    peers: Option<Arc<Peers>>,
    streams: Option<usize>,
}

impl<'a> Cx<'a> {
    /// A context over these weights, starting from `state`.
    pub fn new(weights: &'a Store, state: Store) -> Self {
        Self::from_source(Source::Given(weights), state)
    }
    /// A context over what the instances of a layer hold, but for `state`.
    pub(crate) fn over(held: &'a Held, state: Store) -> Self {
        Self { held: Some(held), ..Self::from_source(Source::Held(held), state) }
    }
    /// A context over the weights of another one.
    pub(crate) fn from_source(weights: Source<'a>, state: Store) -> Self {
        Self { weights, held: None, set: state, left: None, peers: None, streams: None }
    }
    /// A context that repeats a run: `state` is what that began with, `left` what it left.
    pub fn repeating(weights: &'a Store, state: Store, left: &'a Store) -> Self {
        Self { left: Some(left), ..Self::new(weights, state) }
    }
    /// For the rows of so many streams, which each have a state of their own.
    pub(crate) fn with_streams(self, n: usize) -> Self {
        Self { streams: Some(n), ..self }
    }
    /// How many streams the rows of a call belong to, if any; see [`crate::streams`].
    pub(crate) fn streams(&self) -> Option<usize> {
        self.streams
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
    pub fn weights(&self, id: LayerId) -> Read<'a> {
        self.weights.find(id).unwrap_or(Read::EMPTY)
    }
    /// Where weights are read.
    pub(crate) fn source(&self) -> Source<'a> {
        self.weights
    }
    /// Own state of a layer, as last updated; `()` if it has none.
    pub fn state(&self, id: LayerId) -> Read<'_> {
        self.find_state(id).unwrap_or(Read::EMPTY)
    }
    /// Own state of a layer, as last updated, if there is any.
    pub(crate) fn find_state(&self, id: LayerId) -> Option<Read<'_>> {
        match self.set.get(&id) {
            Some(tree) => Some(Read::Lent(tree)),
            None => self.held?.state(id).map(Read::Shared),
        }
    }
    /// Updates a layer's own state.
    pub fn set_state(&mut self, id: LayerId, s: Tree<Tensor>) {
        self.set.insert(id, s);
    }
    /// Updates the state of several layers.
    pub(crate) fn set_states(&mut self, states: Store) {
        self.set.extend(states);
    }
    /// The state that was given or set.
    pub(crate) fn into_state(self) -> Store {
        self.set
    }
}

/// Weights and state a leaf starts with.
#[derive(Debug, Clone)]
pub struct Local {
    /// Trainable weights.
    pub weights: Tree<Tensor>,
    /// State.
    pub state: Tree<Tensor>,
}

impl Local {
    /// Neither weights nor state.
    pub const EMPTY: Local = Local { weights: Tree::EMPTY, state: Tree::EMPTY };
    /// Weights only.
    pub fn weights(weights: Tree<Tensor>) -> Self {
        Self { weights, state: Tree::EMPTY }
    }
    /// State only.
    pub fn state(state: Tree<Tensor>) -> Self {
        Self { weights: Tree::EMPTY, state }
    }
}

/// What initialization runs in.
#[derive(Debug, Default)]
pub struct InitCx {
    pub(super) keys: HashMap<LayerId, Key>,
    pub(super) done: HashSet<(LayerId, usize)>,
    /// Where it notes what it meets, if someone wants to know.
    pub(super) listing: Option<Listing>,
    /// Weights made so far.
    pub weights: Store,
    /// State made so far.
    pub state: Store,
}

impl InitCx {
    /// Sets the weights and state of a layer. One that stands in the tree in two modes keeps the state of the mode that has any.
    pub fn set(&mut self, id: LayerId, local: Local) {
        self.weights.entry(id).or_insert(local.weights);
        let state = self.state.entry(id).or_insert(Tree::EMPTY);
        if state.is_empty() {
            *state = local.state;
        }
    }
}

/// Builds Trax's nested view of a store; an instance met again gives the cached marker.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) seen: HashSet<LayerId>,
}

impl View<'_> {
    /// Own weights or state of a layer.
    pub fn own(&self, id: LayerId) -> Tree<Tensor> {
        self.store.get(&id).cloned().unwrap_or(Tree::EMPTY)
    }
}

/// Fills a store from Trax's nesting.
#[derive(Debug, Default)]
pub struct Loader {
    pub(super) store: Store,
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
}

/// State that one call of a layer began with and left.
#[derive(Debug, Clone, Default)]
pub(super) struct Passage {
    pub(super) before: Store,
    pub(super) after: Store,
}

/// The states that calls went through.
pub(super) enum Passages<'a> {
    /// Of each call on its own; what is left of them.
    Each(&'a [Passage]),
    /// Of all calls together.
    Whole(&'a Passage),
}

/// A leaf of a layer's weights: the layer, and the place among its leaves.
pub(super) type Place = (LayerId, usize);

/// What reversible layers are reversed in: the weights and states of the calls, and the gradients of weights found so far.
pub struct Reversal<'a> {
    pub(super) weights: &'a Store,
    /// Weights that no gradient is wanted of.
    pub(super) constants: HashSet<Place>,
    pub(super) passages: Passages<'a>,
    /// The call that is being reversed: the states it went through, and the layers it ran.
    pub(super) current: Passage,
    pub(super) ids: Vec<LayerId>,
    pub(super) grads: HashMap<Place, Tensor>,
    pub(super) peers: Option<Arc<Peers>>,
}
