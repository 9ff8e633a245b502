//! Weights and state read where they are: in a store that is given, or in what the instances of a layer hold.
use crate::{
    framework::{slot::Holdings, tree::NOTHING},
    LayerId, Tree,
};
use rustc_hash::FxHashMap;
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc,
    },
};
use tallow_tensor::Tensor;

/// Weights or state of each layer instance that has its own.
pub type Store = HashMap<LayerId, Tree<Tensor>>;

/// Own weights or state of a layer, to read: lent, or shared with whoever holds them.
#[derive(Debug)]
pub enum Read<'a> {
    /// Lent by a store.
    Lent(&'a Tree<Tensor>),
    /// What an instance held when it was asked.
    Shared(Arc<Tree<Tensor>>),
}

impl Read<'_> {
    /// Nothing: `()`.
    pub(crate) const EMPTY: Read<'static> = Read::Lent(&NOTHING);
}

impl Deref for Read<'_> {
    type Target = Tree<Tensor>;
    fn deref(&self) -> &Tree<Tensor> {
        match self {
            Read::Lent(tree) => tree,
            Read::Shared(tree) => tree,
        }
    }
}

/// Where the weights and state of a layer and of everything below it lie. Found once for each layer, as its structure stays.
#[derive(Debug)]
pub(crate) struct Held {
    all: FxHashMap<LayerId, Entry>,
    /// Whether every layer without sublayers was seen to hold state, which it then does for ever.
    complete: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    holdings: Holdings,
    is_leaf: bool,
}

impl Held {
    /// Of these instances; `true` for those without sublayers.
    pub(crate) fn of(instances: impl IntoIterator<Item = (LayerId, Holdings, bool)>) -> Self {
        let entry = |(id, holdings, is_leaf)| (id, Entry { holdings, is_leaf });
        Self { all: instances.into_iter().map(entry).collect(), complete: AtomicBool::new(false) }
    }
    /// The weights that an instance holds, if any.
    pub(crate) fn weights(&self, id: LayerId) -> Option<Arc<Tree<Tensor>>> {
        self.all.get(&id)?.holdings.weights()
    }
    /// The state that an instance holds, if any.
    pub(crate) fn state(&self, id: LayerId) -> Option<Arc<Tree<Tensor>>> {
        self.all.get(&id)?.holdings.state()
    }
    /// Holds the state of an instance.
    pub(crate) fn set_state(&self, id: LayerId, state: &Tree<Tensor>) {
        if let Some(entry) = self.all.get(&id) {
            entry.holdings.set_state(state);
        }
    }
    /// Whether something below was initialized that still has to be told what state it starts from.
    pub(crate) fn lacks_state(&self) -> bool {
        if self.complete.load(Relaxed) {
            return false;
        }
        if self.all.values().all(|e| !e.is_leaf || e.holdings.has_state()) {
            self.complete.store(true, Relaxed);
            return false;
        }
        self.all.values().any(|e| e.holdings.weights().is_some())
    }
}

/// Where a run reads weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Given(&'a Store),
    Held(&'a Held),
}

impl<'a> Source<'a> {
    /// Own weights of a layer, if it has any.
    pub(crate) fn find(self, id: LayerId) -> Option<Read<'a>> {
        match self {
            Source::Given(store) => store.get(&id).map(Read::Lent),
            Source::Held(held) => held.weights(id).map(Read::Shared),
        }
    }
}
