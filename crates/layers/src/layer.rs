//! What a layer is.
//!
//! A layer is pure over (inputs, weights, state, key): [`Layer::forward`] reads weights and state from [`Cx`] and writes the
//! new state there. The last weights and state set on an instance are kept in its [`Slot`], so that `layer(x)` can be sugar.
use crate::{
    reversible::{Reversal, Reversible},
    Cx, Error, HostFnRef, InitCx, LayerNest, Loader, Mode, Rebuild, Result, TensorSpec, Tree, View,
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
/// ([`Leaf::keeps_state`]).
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
    fn rebuilt_keeping(&self, r: &mut Rebuild, state: bool) -> Self {
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

/// A layer of any kind. Layers without sublayers implement [`Leaf`] instead and get this by [`leaf`].
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
    /// What becomes of its own state in replicas.
    fn replica_state(&self) -> ReplicaState {
        ReplicaState::Each
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

/// What a leaf computes from.
#[derive(Debug)]
pub struct Call<'a> {
    /// Inputs, as many as the arity says.
    pub xs: &'a [Tensor],
    /// The leaf's weights.
    pub w: &'a Tree<Tensor>,
    /// The leaf's state.
    pub s: &'a Tree<Tensor>,
    /// A key for this call alone.
    pub key: Key,
}

/// What a leaf returns: outputs, and the new state if it changed.
#[derive(Debug)]
pub struct Output {
    /// Outputs, as many as the arity says.
    pub ys: Vec<Tensor>,
    /// New state; `None` leaves it.
    pub state: Option<Tree<Tensor>>,
}

impl From<Tensor> for Output {
    fn from(y: Tensor) -> Self {
        Self { ys: vec![y], state: None }
    }
}
impl From<Vec<Tensor>> for Output {
    fn from(ys: Vec<Tensor>) -> Self {
        Self { ys, state: None }
    }
}

/// What a leaf computes all steps of a sequence from.
#[derive(Debug)]
pub struct Sequence<'a> {
    /// Inputs with their steps along axis 1, at least one step.
    pub sliced: &'a [Tensor],
    /// Values carried from step to step, before the first.
    pub carry: &'a [Tensor],
    /// The leaf's weights.
    pub w: &'a Tree<Tensor>,
}

/// What a leaf's own backward computes from.
#[derive(Debug)]
pub struct BackwardCall<'a> {
    /// The call it belongs to.
    pub call: Call<'a>,
    /// Its outputs.
    pub ys: &'a [Tensor],
    /// Its new state.
    pub new_state: &'a Tree<Tensor>,
    /// Cotangents of the outputs (zeros where nothing arrived).
    pub cotangents: &'a [Tensor],
}

/// What a reversible leaf goes back from.
#[derive(Debug)]
pub struct ReverseCall<'a> {
    /// Outputs of the call.
    pub ys: &'a [Tensor],
    /// The leaf's weights.
    pub w: &'a Tree<Tensor>,
    /// The state the call began with.
    pub s: &'a Tree<Tensor>,
    /// The state it left.
    pub new_state: &'a Tree<Tensor>,
    /// The key of the call.
    pub key: Key,
}

/// What a reversible leaf's own gradients are.
#[derive(Debug)]
pub struct Gradients {
    /// Inputs of the call.
    pub xs: Vec<Tensor>,
    /// Their gradients; `None` where there is none.
    pub of_xs: Vec<Option<Tensor>>,
    /// Gradients of the weights, structured as these.
    pub of_w: Tree<Tensor>,
}

/// A layer without sublayers: what most authors write. [`leaf`] makes a [`Layer`] of it.
pub trait Leaf: Debug + Clone + Send + Sync + 'static {
    /// The printed name.
    fn name(&self) -> String;
    /// Inputs and outputs; one each by default.
    fn arity(&self) -> Arity {
        Arity::ONE
    }
    /// Signatures of the outputs. The number of inputs is checked before.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Weights and state for inputs of these signatures.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let _ = (inputs, key);
        Ok(Local::EMPTY)
    }
    /// Outputs and new state.
    ///
    /// # Errors
    /// Inputs or weights that do not fit.
    fn forward(&self, call: Call) -> Result<Output>;
    /// All steps of a sequence at once, if the leaf can; see [`Layer::sequence`].
    ///
    /// # Errors
    /// Those of the computation; what does not fit is `None`.
    fn sequence(&self, s: Sequence) -> Result<Option<[Vec<Tensor>; 2]>> {
        let _ = s;
        Ok(None)
    }
    /// Whether more inputs may come than the layer takes; see [`Layer::open`].
    fn open(&self) -> bool {
        false
    }
    /// Whether the state is learned (running averages), so that a copy in another mode goes on with it, or else belongs to a
    /// sequence being processed.
    fn keeps_state(&self) -> bool {
        false
    }
    /// What becomes of the state in replicas that each see a part of the batch: what is learned is averaged.
    fn replica_state(&self) -> ReplicaState {
        if self.keeps_state() {
            ReplicaState::Mean
        } else {
            ReplicaState::Each
        }
    }
    /// Whether it calls functions of the host language.
    fn calls_host(&self) -> bool {
        false
    }
    /// The same layer in another mode.
    #[must_use]
    fn with_mode(&self, mode: Mode) -> Self {
        let _ = mode;
        self.clone()
    }
    /// Whether [`Leaf::backward`] replaces automatic differentiation.
    fn has_backward(&self) -> bool {
        false
    }
    /// The function of the host language that runs this leaf; see [`Layer::driver`].
    fn driver(&self) -> Option<&HostFnRef> {
        None
    }
    /// Whether the layer is made of operations that bring a backward of their own, so that it reports one without [`Leaf::backward`].
    fn fused_backward(&self) -> bool {
        false
    }
    /// Gradients of inputs (`None` where there is none) and of weights (structured as the weights), if `has_backward`.
    ///
    /// # Errors
    /// Those of the layer's own computation.
    fn backward(&self, call: BackwardCall) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)> {
        let _ = call;
        Err(Error::new("Internal", "this layer has no backward of its own"))
    }
    /// [`Leaf::forward`] again, for a backward pass: `left` is the state the first run left. A layer whose first run made a choice
    /// that rounding could turn makes the same one from there.
    ///
    /// # Errors
    /// Those of [`Leaf::forward`].
    fn repeat(&self, call: Call, left: &Tree<Tensor>) -> Result<Output> {
        let _ = left;
        self.forward(call)
    }
    /// Whether inputs follow from outputs, by [`Leaf::reverse`].
    fn is_reversible(&self) -> bool {
        false
    }
    /// Inputs of a call, if `is_reversible`.
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        let _ = call;
        Err(Error::new("Internal", "this layer is not reversible"))
    }
    /// Inputs of a call and gradients, if both are cheaper together; else `None`, and the call is reversed, repeated and
    /// differentiated.
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse_and_grad(&self, call: ReverseCall, cts: &[Option<Tensor>]) -> Result<Option<Gradients>> {
        let _ = (call, cts);
        Ok(None)
    }
}

/// A [`Leaf`] as a [`Layer`].
#[derive(Debug)]
pub struct LeafLayer<L> {
    base: Base,
    leaf: L,
}

/// Makes a layer of a leaf, with a new identity.
pub fn leaf<L: Leaf>(leaf: L) -> LayerRef {
    leaf_printing(leaf, None)
}

/// [`leaf`] with what to print as its substructure.
pub(crate) fn leaf_printing<L: Leaf>(leaf: L, to_print: Option<Vec<LayerNest>>) -> LayerRef {
    Arc::new(LeafLayer { base: Base { to_print, ..Base::new(leaf.name()) }, leaf })
}

impl<L: Leaf> Layer for LeafLayer<L> {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.leaf.arity()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.leaf.signature(inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()> {
        cx.set(self.base.id, self.leaf.init(inputs, key)?);
        Ok(())
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let w = cx.weights(self.base.id);
        let s = cx.state(self.base.id);
        let left = cx.left(self.base.id);
        let run = |call: Call| match left {
            Some(left) => self.leaf.repeat(call, left),
            None => self.leaf.forward(call),
        };
        let out = if self.leaf.has_backward() && tallow_tensor::is_recording() {
            crate::custom_gradient::forward(&self.leaf, run, &xs, w, &s, key)?
        } else {
            run(Call { xs: &xs, w, s: &s, key })?
        };
        if let Some(s) = out.state {
            cx.set_state(self.base.id, s);
        }
        Ok(out.ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let leaf = r.mode.map_or_else(|| self.leaf.clone(), |m| self.leaf.with_mode(m));
        Arc::new(Self { base: self.base.rebuilt_keeping(r, leaf.keeps_state()), leaf })
    }
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        self.leaf.sequence(Sequence { sliced, carry, w: cx.weights(self.base.id) })
    }
    fn open(&self) -> bool {
        self.leaf.open()
    }
    fn has_backward(&self) -> bool {
        self.leaf.has_backward() || self.leaf.is_reversible() || self.leaf.fused_backward()
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.leaf.is_reversible().then_some(self)
    }
    fn calls_host(&self) -> bool {
        self.leaf.calls_host()
    }
    fn replica_state(&self) -> ReplicaState {
        self.leaf.replica_state()
    }
    fn driver(&self) -> Option<&HostFnRef> {
        self.leaf.driver()
    }
}

impl<L: Leaf> Reversible for LeafLayer<L> {
    fn reverse(&self, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let ([s, new_state], w) = (r.states(self.base.id), r.weights(self.base.id));
        self.leaf.reverse(ReverseCall { ys: &ys, w: &w, s: &s, new_state: &new_state, key })
    }
    fn reverse_and_grad(
        &self,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        let ([s, new_state], w) = (r.states(self.base.id), r.weights(self.base.id));
        let call = ReverseCall { ys: &ys, w: &w, s: &s, new_state: &new_state, key };
        match self.leaf.reverse_and_grad(call, &cts)? {
            Some(found) => {
                crate::custom_gradient::check(&found.of_xs, &found.xs, &found.of_w, &w)?;
                r.add_gradients(self.base.id, found.of_w.leaves_in_place().into_iter().cloned())?;
                Ok((found.xs, found.of_xs))
            }
            None => r.reverse_then_differentiate(self, ys, cts, key),
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
