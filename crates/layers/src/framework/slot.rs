//! What an instance holds between calls.
use crate::{framework::account::Holding, TensorSpec, Tree};
use parking_lot::Mutex;
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

/// The weights and state an instance holds between calls. `with_mode` copies share weights, and state only where it is kept
/// ([`crate::Leaf::keeps_state`]).
#[derive(Debug, Default)]
pub struct Slot {
    weights: Arc<Mutex<Holding>>,
    state: Arc<Mutex<Holding>>,
    inputs: Arc<Mutex<Option<Vec<TensorSpec>>>>,
    key: Mutex<Option<Key>>,
}

impl Slot {
    /// The weights last set, if any.
    pub fn weights(&self) -> Option<Tree<Tensor>> {
        self.weights.lock().get().cloned()
    }
    /// Sets the weights.
    pub fn set_weights(&self, w: Tree<Tensor>) {
        // What was held before is dropped after the lock is given back.
        let before = self.weights.lock().set(Some(w));
        drop(before);
    }
    /// Takes the weights out, so that their storage can be written in place.
    pub fn take_weights(&self) -> Option<Tree<Tensor>> {
        self.weights.lock().set(None)
    }
    /// The state last set, if any.
    pub fn state(&self) -> Option<Tree<Tensor>> {
        self.state.lock().get().cloned()
    }
    /// Whether a call may change the state: there is some, or none was made yet.
    pub fn may_have_state(&self) -> bool {
        !self.state.lock().get().is_some_and(Tree::is_empty)
    }
    /// Sets or clears the state; what is kept between calls is a constant to autodiff.
    pub fn set_state(&self, s: Option<Tree<Tensor>>) {
        let s = s.map(|s| s.map(&mut Tensor::detach));
        let before = self.state.lock().set(s);
        drop(before);
    }
    /// Where weights and state lie: numbers that slots which share them have in common.
    pub fn places(&self) -> [usize; 2] {
        [Arc::as_ptr(&self.weights) as usize, Arc::as_ptr(&self.state) as usize]
    }
    /// Signatures of the inputs that the layer was last made or called for, if any; all its copies in other modes know them.
    pub fn inputs(&self) -> Option<Vec<TensorSpec>> {
        self.inputs.lock().clone()
    }
    /// Sets the signatures of the inputs.
    pub fn set_inputs(&self, inputs: &[TensorSpec]) {
        *self.inputs.lock() = Some(inputs.to_vec());
    }
    /// Sets the signatures of the inputs unless they are known.
    pub fn learn_inputs(&self, inputs: &[TensorSpec]) {
        self.inputs.lock().get_or_insert_with(|| inputs.to_vec());
    }
    /// The random key last set, if any.
    pub fn key(&self) -> Option<Key> {
        *self.key.lock()
    }
    /// Sets the random key.
    pub fn set_key(&self, k: Key) {
        *self.key.lock() = Some(k);
    }
    pub(super) fn sharing(&self, state: bool) -> Self {
        let state = if state { self.state.clone() } else { Arc::default() };
        let (weights, inputs) = (self.weights.clone(), self.inputs.clone());
        Self { weights, state, inputs, key: Mutex::new(self.key()) }
    }
    pub(super) fn copied(&self) -> Self {
        let holding = |t| Arc::new(Mutex::new(Holding::of(t)));
        let inputs = Arc::new(Mutex::new(self.inputs()));
        let (weights, state) = (holding(self.weights()), holding(self.state()));
        Self { weights, state, inputs, key: Mutex::new(self.key()) }
    }
}
