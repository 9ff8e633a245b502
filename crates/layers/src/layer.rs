//! What a layer is.
//!
//! A layer is pure over (inputs, weights, state, key): [`Layer::forward`] reads weights and state from [`Cx`] and writes the
//! new state there. The last weights and state set on an instance are kept in its [`Slot`], so that `layer(x)` can be sugar.
use crate::{
    reversible::Reversible, Cx, HostFnRef, InitCx, LayerNest, Loader, Rebuild, Result, TensorSpec, Tree, View,
};
use parking_lot::Mutex;
use std::{
    fmt::Debug,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc,
    },
};
use tallow_tensor::{random::Key, Tensor};

/// Identity of a layer instance; kept by `with_mode`. Equal ids share weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u64);

impl LayerId {
    /// A new identity.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// A shared layer.
pub type LayerRef = Arc<dyn Layer>;

/// How many tensors a layer takes from the stack and puts onto it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    /// Inputs.
    pub n_in: usize,
    /// Outputs.
    pub n_out: usize,
}

impl Arity {
    /// One input, one output.
    pub const ONE: Arity = Arity { n_in: 1, n_out: 1 };
    /// `n_in` inputs, `n_out` outputs.
    pub const fn new(n_in: usize, n_out: usize) -> Self {
        Self { n_in, n_out }
    }
}

/// The weights and state an instance holds between calls. `with_mode` copies share weights, and state only where it is kept
/// ([`crate::Leaf::keeps_state`]).
#[derive(Debug, Default)]
pub struct Slot {
    weights: Arc<Mutex<Option<Tree<Tensor>>>>,
    state: Arc<Mutex<Option<Tree<Tensor>>>>,
    key: Mutex<Option<Key>>,
}

impl Slot {
    /// The weights last set, if any.
    pub fn weights(&self) -> Option<Tree<Tensor>> {
        self.weights.lock().clone()
    }
    /// Sets the weights.
    pub fn set_weights(&self, w: Tree<Tensor>) {
        *self.weights.lock() = Some(w);
    }
    /// Takes the weights out, so that their storage can be written in place.
    pub fn take_weights(&self) -> Option<Tree<Tensor>> {
        self.weights.lock().take()
    }
    /// The state last set, if any.
    pub fn state(&self) -> Option<Tree<Tensor>> {
        self.state.lock().clone()
    }
    /// Sets or clears the state; what is kept between calls is a constant to autodiff.
    pub fn set_state(&self, s: Option<Tree<Tensor>>) {
        *self.state.lock() = s.map(|s| s.map(&mut Tensor::detach));
    }
    /// The random key last set, if any.
    pub fn key(&self) -> Option<Key> {
        *self.key.lock()
    }
    /// Sets the random key.
    pub fn set_key(&self, k: Key) {
        *self.key.lock() = Some(k);
    }
    fn sharing(&self, state: bool) -> Self {
        let state = if state { self.state.clone() } else { Arc::default() };
        Self { weights: self.weights.clone(), state, key: Mutex::new(self.key()) }
    }
    fn copied(&self) -> Self {
        let cell = |t| Arc::new(Mutex::new(t));
        Self { weights: cell(self.weights()), state: cell(self.state()), key: Mutex::new(self.key()) }
    }
}

/// What every layer has: identity, name, printed substructure, slot.
#[derive(Debug)]
pub struct Base {
    /// Identity.
    pub id: LayerId,
    /// Name, as printed.
    pub name: String,
    /// What to print instead of all sublayers, as the caller gave it.
    pub to_print: Option<Vec<LayerNest>>,
    /// Weights and state between calls.
    pub slot: Slot,
}

impl Base {
    /// A new identity under `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { id: LayerId::fresh(), name: name.into(), to_print: None, slot: Slot::default() }
    }
    /// The base of a rebuilt layer: same name, and same identity and weights unless the copy is deep.
    pub fn rebuilt(&self, r: &mut Rebuild) -> Self {
        self.rebuilt_keeping(r, false)
    }
    pub(crate) fn rebuilt_keeping(&self, r: &mut Rebuild, state: bool) -> Self {
        let to_print = self.to_print.as_ref().map(|v| v.iter().map(|l| r.nest(l)).collect());
        if r.deep {
            Self { to_print, slot: self.slot.copied(), ..Self::new(self.name.clone()) }
        } else {
            Self { id: self.id, name: self.name.clone(), to_print, slot: self.slot.sharing(state) }
        }
    }
}

/// What becomes of a layer's own state where replicas of the layer have each seen a part of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaState {
    /// The mean of float values, those of the first replica else: for statistics of the batch.
    Mean,
    /// That of the first replica.
    First,
    /// Each replica goes on with its own: for state that belongs to the sequences it processes.
    Each,
}

/// How far a layer's own state takes its form from the calls it has seen: what may differ between the state that was saved and the
/// one that the same layer starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateForm {
    /// Not at all: shapes follow from how the layer was made and initialized.
    Fixed,
    /// The sizes of the axes do, such as that of the batch.
    Sized,
    /// All of it does: what there is, and its structure.
    Open,
}

/// A layer of any kind. Layers without sublayers implement [`crate::Leaf`] instead and get this by [`crate::leaf`].
pub trait Layer: Debug + Send + Sync {
    /// Identity, name, slot.
    fn base(&self) -> &Base;
    /// Inputs and outputs.
    fn arity(&self) -> Arity;
    /// Whether more inputs may come than the layer takes, as on a stack: [`Cx::apply`] puts them behind its outputs.
    fn open(&self) -> bool {
        false
    }
    /// Layers run by this one, each use of a shared layer counted.
    fn sublayers(&self) -> &[LayerRef] {
        &[]
    }
    /// Signatures of the outputs for inputs of these signatures. Needs no weights.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Makes weights and state of this layer and its sublayers (each through [`InitCx::init`], with its own key).
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()>;
    /// Computes outputs. Sublayers run only through [`Cx::apply`].
    ///
    /// # Errors
    /// Inputs or weights that do not fit.
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>>;
    /// The same structure with another mode, or a deep copy; see [`Rebuild`].
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef;
    /// All steps of a sequence at once, if the layer can: stacked outputs and the last carried values, as if it had been applied
    /// to one step after another. `sliced` have their steps along axis 1, as the stacked outputs do; there is at least one step.
    ///
    /// # Errors
    /// Those of the computation; what does not fit is `None`, so that the first step can say it.
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        let _ = (cx, sliced, carry);
        Ok(None)
    }
    /// Whether the layer brings its own backward pass.
    fn has_backward(&self) -> bool {
        self.reversible().is_some()
    }
    /// How the layer runs backwards, if its inputs follow from its outputs.
    fn reversible(&self) -> Option<&dyn Reversible> {
        None
    }
    /// Whether it, or a layer below it, calls functions of the host language, which run on one thread only.
    fn calls_host(&self) -> bool {
        self.sublayers().iter().any(|l| l.calls_host())
    }
    /// Whether it, or a layer below it, draws from one key in all replicas.
    fn draws_in_step(&self) -> bool {
        self.sublayers().iter().any(|l| l.draws_in_step())
    }
    /// What becomes of its own state in replicas.
    fn replica_state(&self) -> ReplicaState {
        ReplicaState::Each
    }
    /// What its own state takes from the calls it has seen.
    fn state_form(&self) -> StateForm {
        StateForm::Open
    }
    /// The function of the host language that runs this layer, if one does: what a host must keep alive with it.
    fn driver(&self) -> Option<&HostFnRef> {
        None
    }
    /// Weights as Trax nests them: own weights for a layer without sublayers, else a tuple of the sublayers'.
    fn view_weights(&self, v: &mut View) -> Tree<Tensor> {
        match self.sublayers() {
            [] => v.own(self.base().id),
            subs => Tree::Tuple(subs.iter().map(|l| v.weights_of(l)).collect()),
        }
    }
    /// State as Trax nests it.
    fn view_state(&self, v: &mut View) -> Tree<Tensor> {
        match self.sublayers() {
            [] => v.own(self.base().id),
            subs => Tree::Tuple(subs.iter().map(|l| v.state_of(l)).collect()),
        }
    }
    /// Takes weights nested as [`Layer::view_weights`] gives them.
    ///
    /// # Errors
    /// `WeightsMismatch` when the nesting does not fit.
    fn load_weights(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        match self.sublayers() {
            [] => l.own(self.base().id, tree),
            subs => l.each(self.base(), tree, subs, Loader::weights_of),
        }
    }
    /// Takes state nested as [`Layer::view_state`] gives it.
    ///
    /// # Errors
    /// `WeightsMismatch` when the nesting does not fit.
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        match self.sublayers() {
            [] => l.own(self.base().id, tree),
            subs => l.each(self.base(), tree, subs, Loader::state_of),
        }
    }
}

/// Trax's printed form: name, arity where it is not one, and the sublayers, indented.
pub fn print(layer: &LayerRef) -> String {
    let base = layer.base();
    let arity = layer.arity();
    let mut name = base.name.clone();
    if arity.n_in != 1 {
        name += &format!("_in{}", arity.n_in);
    }
    if arity.n_out != 1 {
        name += &format!("_out{}", arity.n_out);
    }
    let inner: Vec<String> = match &base.to_print {
        Some(shown) => shown.iter().map(print_nest).collect(),
        None => layer.sublayers().iter().map(print).collect(),
    };
    if inner.is_empty() {
        return name;
    }
    let lines: Vec<String> =
        inner.iter().filter(|s| !s.is_empty()).map(|s| format!("  {}", s.replace('\n', "\n  "))).collect();
    format!("{name}[\n{}\n]", lines.join("\n"))
}

/// No layer and lists of layers as Python prints them.
fn print_nest(nest: &LayerNest) -> String {
    match nest {
        LayerNest::Null => "None".into(),
        LayerNest::One(l) => print(l),
        LayerNest::List(v) => format!("[{}]", v.iter().map(print_nest).collect::<Vec<_>>().join(", ")),
    }
}
