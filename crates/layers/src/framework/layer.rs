//! What a layer is.
//!
//! A layer is pure over (inputs, weights, state, key): [`Layer::forward`] reads weights and state from [`Cx`] and writes the
//! new state there. The last weights and state set on an instance are kept in its [`Slot`], so that `layer(x)` can be sugar.
use crate::{
    framework::{account::Holding, reversal::Reversible},
    stack::deep,
    Cx, HostFnRef, InitCx, LayerNest, Loader, Mode, Rebuild, Result, TensorSpec, Tree, View,
};
use parking_lot::Mutex;
use std::{
    fmt::Debug,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc, OnceLock,
    },
};
use tallow_tensor::{random::Key, Tensor};

/// Identity of a layer instance; kept by `with_mode`. Equal ids share weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u64);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl LayerId {
    /// A new identity.
    pub fn fresh() -> Self {
        Self(NEXT.fetch_add(1, Relaxed))
    }
    /// The identity that the next layer gets, or one before it: layers made from now on have none below.
    pub fn next() -> Self {
        Self(NEXT.load(Relaxed))
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
    fn sharing(&self, state: bool) -> Self {
        let state = if state { self.state.clone() } else { Arc::default() };
        let (weights, inputs) = (self.weights.clone(), self.inputs.clone());
        Self { weights, state, inputs, key: Mutex::new(self.key()) }
    }
    fn copied(&self) -> Self {
        let holding = |t| Arc::new(Mutex::new(Holding::of(t)));
        let inputs = Arc::new(Mutex::new(self.inputs()));
        let (weights, state) = (holding(self.weights()), holding(self.state()));
        Self { weights, state, inputs, key: Mutex::new(self.key()) }
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
    /// See [`crate::depth`].
    pub(crate) depth: OnceLock<usize>,
    pub(crate) mode: OnceLock<Mode>,
}

impl Base {
    /// A new identity under `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: LayerId::fresh(),
            name: name.into(),
            to_print: None,
            slot: Slot::default(),
            depth: OnceLock::new(),
            mode: OnceLock::new(),
        }
    }
    /// The mode that the layer was made or copied in, if it was told one.
    pub fn mode(&self) -> Option<Mode> {
        self.mode.get().copied()
    }
    /// Notes the mode that a layer just made is in.
    pub(crate) fn made_in(&self, mode: Mode) {
        // A layer that is another one's, and was told its mode already, keeps it.
        let _ = self.mode.set(mode);
    }
    /// The base of a rebuilt layer: same name, and same identity and weights unless the copy is deep.
    pub fn rebuilt(&self, r: &mut Rebuild) -> Self {
        self.rebuilt_keeping(r, false)
    }
    pub(crate) fn rebuilt_keeping(&self, r: &mut Rebuild, state: bool) -> Self {
        let to_print = self.to_print.as_ref().map(|v| v.iter().map(|l| r.nest(l)).collect());
        let mode = r.mode.or(self.mode()).map_or_else(OnceLock::new, OnceLock::from);
        let (id, slot) =
            if r.deep { (r.copy_of(self.id), self.slot.copied()) } else { (self.id, self.slot.sharing(state)) };
        Self { id, name: self.name.clone(), to_print, slot, depth: OnceLock::new(), mode }
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
        deep(|| self.sublayers().iter().any(|l| l.calls_host()))
    }
    /// Whether it, or a layer below it, draws from one key in all replicas.
    fn draws_in_step(&self) -> bool {
        deep(|| self.sublayers().iter().any(|l| l.draws_in_step()))
    }
    /// The mode it is in: its own, or that of the first layer below it that tells one.
    fn mode(&self) -> Option<Mode> {
        self.base().mode().or_else(|| deep(|| self.sublayers().iter().find_map(|l| l.mode())))
    }
    /// Sets the mode of a layer of the host language; others keep theirs, which is `false`.
    fn set_mode(&self, mode: Mode) -> bool {
        let _ = mode;
        false
    }
    /// Whether a call goes on where the one before ended, as in mode `'predict'`, in this layer or one below it.
    fn goes_on(&self) -> bool {
        deep(|| self.sublayers().iter().any(|l| l.goes_on()))
    }
    /// What becomes of its own state in replicas.
    fn replica_state(&self) -> ReplicaState {
        ReplicaState::Each
    }
    /// What its own state takes from the calls it has seen.
    fn state_form(&self) -> StateForm {
        StateForm::Open
    }
    /// The function of the host language that runs this layer, if one does, as for a class: its state may come and go.
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
    let mut out = String::new();
    print_at(layer, 0, &mut out);
    out
}

/// Prints a layer whose first line stands where `out` ends, all others behind `indent` blanks.
fn print_at(layer: &LayerRef, indent: usize, out: &mut String) {
    let base = layer.base();
    let arity = layer.arity();
    *out += &base.name;
    if arity.n_in != 1 {
        *out += &format!("_in{}", arity.n_in);
    }
    if arity.n_out != 1 {
        *out += &format!("_out{}", arity.n_out);
    }
    match &base.to_print {
        Some(shown) => print_inner(shown, indent, out, print_nest),
        None => print_inner(layer.sublayers(), indent, out, print_at),
    }
}

/// The items in brackets, a line each; those that print as nothing are left out.
fn print_inner<T>(items: &[T], indent: usize, out: &mut String, print: fn(&T, usize, &mut String)) {
    if items.is_empty() {
        return;
    }
    let line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent)); // few
    };
    out.push('[');
    let mut any = false;
    for item in items {
        let before = out.len();
        line(out, indent + 2);
        let start = out.len();
        deep(|| print(item, indent + 2, out));
        if out.len() == start {
            out.truncate(before);
        } else {
            any = true;
        }
    }
    if !any {
        line(out, indent);
    }
    line(out, indent);
    out.push(']');
}

/// No layer and lists of layers as Python prints them.
fn print_nest(nest: &LayerNest, indent: usize, out: &mut String) {
    match nest {
        LayerNest::Null => *out += "None",
        LayerNest::One(l) => print_at(l, indent, out),
        LayerNest::List(v) => {
            out.push('[');
            for (i, nest) in v.iter().enumerate() {
                if i > 0 {
                    *out += ", ";
                }
                print_nest(nest, indent, out);
            }
            out.push(']');
        }
    }
}

/// The layers in a nest that is printed.
pub(crate) fn print_layers(nest: &LayerNest) -> Vec<&LayerRef> {
    match nest {
        LayerNest::Null => Vec::new(),
        LayerNest::One(l) => vec![l],
        LayerNest::List(v) => v.iter().flat_map(print_layers).collect(),
    }
}
