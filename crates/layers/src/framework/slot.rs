//! What an instance holds between calls.
use crate::{framework::account::Holding, TensorSpec, Tree};
use parking_lot::Mutex;
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

/// Weights and state that an instance, and its copies that share them, hold between calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings {
    weights: Arc<Mutex<Holding>>,
    state: Arc<Mutex<Holding>>,
}

impl Holdings {
    /// The weights last set, if any.
    pub(crate) fn weights(&self) -> Option<Arc<Tree<Tensor>>> {
        self.weights.lock().get().cloned()
    }
    /// The state last set, if any.
    pub(crate) fn state(&self) -> Option<Arc<Tree<Tensor>>> {
        self.state.lock().get().cloned()
    }
    /// Whether there is state, be it that there is none to keep. Once there is, there always is.
    pub(crate) fn has_state(&self) -> bool {
        self.state.lock().get().is_some()
    }
    /// Sets the state; what is kept between calls is a constant to autodiff.
    pub(crate) fn set_state(&self, s: &Tree<Tensor>) {
        let s = Arc::new(s.map(&mut Tensor::detach));
        let before = self.state.lock().set(Some(s));
        drop(before);
    }
    fn copied(&self) -> Self {
        let holding = |t| Arc::new(Mutex::new(Holding::of(t)));
        Self { weights: holding(self.weights()), state: holding(self.state()) }
    }
}

/// The weights and state an instance holds between calls. `with_mode` copies share weights, and state only where it is kept
/// ([`crate::Leaf::keeps_state`]).
#[derive(Debug, Default)]
pub struct Slot {
    pub(super) holdings: Holdings,
    inputs: Arc<Mutex<Option<Vec<TensorSpec>>>>,
    key: Mutex<Option<Key>>,
    /// Whether it is that of a copy in another mode, which has its weights from another.
    is_copy: bool,
    /// Whether others read the weights in the same place, so that nobody sets them; see [`crate::share`].
    read_only: bool,
}

impl Slot {
    /// The weights last set, if any.
    pub fn weights(&self) -> Option<Tree<Tensor>> {
        self.holdings.weights.lock().get().map(|t| Tree::clone(t))
    }
    /// Whether weights were set.
    pub fn has_weights(&self) -> bool {
        self.holdings.weights.lock().get().is_some()
    }
    /// Whether it shares its weights with the layer that this one is a copy of, in another mode.
    pub(crate) fn is_copy(&self) -> bool {
        self.is_copy
    }
    /// Whether its weights cannot be set; see [`crate::share`].
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }
    /// Sets the weights. Those that can only be read stay; who sets weights that users gave has asked [`crate::refuse_shared`].
    pub fn set_weights(&self, w: Tree<Tensor>) {
        debug_assert!(!self.read_only, "shared weights are set");
        if self.read_only {
            return;
        }
        // What was held before is dropped after the lock is given back.
        let before = self.holdings.weights.lock().set(Some(Arc::new(w)));
        drop(before);
    }
    /// The state last set, if any.
    pub fn state(&self) -> Option<Tree<Tensor>> {
        self.holdings.state.lock().get().map(|t| Tree::clone(t))
    }
    /// Whether a call may change the state: there is some, or none was made yet.
    pub fn may_have_state(&self) -> bool {
        !self.holdings.state.lock().get().is_some_and(|t| t.is_empty())
    }
    /// Sets the state; what is kept between calls is a constant to autodiff.
    pub fn set_state(&self, s: &Tree<Tensor>) {
        self.holdings.set_state(s);
    }
    /// Where weights and state lie: numbers that slots which share them have in common.
    pub fn places(&self) -> [usize; 2] {
        let Holdings { weights, state } = &self.holdings;
        [Arc::as_ptr(weights) as usize, Arc::as_ptr(state) as usize]
    }
    /// Signatures of the inputs that the layer was last made or called for, if any; all its copies in other modes know them.
    pub fn inputs(&self) -> Option<Vec<TensorSpec>> {
        self.inputs.lock().clone()
    }
    /// Sets the signatures of the inputs.
    pub fn set_inputs(&self, inputs: &[TensorSpec]) {
        *self.inputs.lock() = Some(inputs.to_vec());
    }
    /// Sets the signatures of the inputs to those of `xs` unless they are known.
    pub fn learn_inputs(&self, xs: &[Tensor]) {
        self.inputs.lock().get_or_insert_with(|| xs.iter().map(TensorSpec::of).collect());
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
        let mut holdings = self.holdings.clone();
        if !state {
            holdings.state = Arc::default();
        }
        let (inputs, key) = (self.inputs.clone(), Mutex::new(self.key()));
        Self { holdings, inputs, key, is_copy: true, read_only: self.read_only }
    }
    pub(super) fn copied(&self) -> Self {
        self.apart(self.holdings.copied(), false)
    }
    /// A slot with the weights of this one, to be read only, and with state of its own.
    pub(super) fn read_only(&self) -> Self {
        let mut holdings = self.holdings.copied();
        if self.read_only {
            holdings.weights = self.holdings.weights.clone();
        }
        self.apart(holdings, true)
    }
    fn apart(&self, holdings: Holdings, read_only: bool) -> Self {
        let inputs = Arc::new(Mutex::new(self.inputs()));
        Self { holdings, inputs, key: Mutex::new(self.key()), is_copy: read_only, read_only }
    }
}
