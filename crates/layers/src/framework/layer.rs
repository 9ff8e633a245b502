//! What a layer is.
//!
//! A layer is pure over (inputs, weights, state, key): [`Layer::forward`] reads weights and state from [`Cx`] and writes the
//! new state there. The last weights and state set on an instance are kept in its [`Slot`], so that `layer(x)` can be sugar.
use crate::{
    framework::{held::Held, mode::HostMode},
    stack::deep,
    Cx, Error, InitCx, LayerId, Loader, Mode, Phase, ReplicaState, Result, Reversal, Slot, StateForm, TensorSpec,
    Traits, Tree, View,
};
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc, OnceLock,
    },
};
use tallow_tensor::{random::Key, Tensor};

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
    /// What layers in series take from the stack, and what they leave there for it.
    pub fn of_stack(layers: &[LayerRef]) -> Self {
        let (mut n_in, mut have) = (0, 0);
        for layer in layers {
            let a = layer.arity();
            if a.n_in > have {
                n_in += a.n_in - have;
                have = a.n_in;
            }
            have = have - a.n_in + a.n_out;
        }
        Self::new(n_in, have)
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
    /// See [`crate::framework::instances`].
    pub(crate) held: OnceLock<Held>,
    pub(crate) mode: OnceLock<Mode>,
    /// The name of the model that the layer is, for the paths of errors.
    pub(crate) model: OnceLock<String>,
    /// See [`Base::has_host_functions`].
    pub(crate) host_functions: AtomicBool,
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
            held: OnceLock::new(),
            mode: OnceLock::new(),
            model: OnceLock::new(),
            host_functions: AtomicBool::new(false),
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
    /// Whether functions of the host language are among its options, such as an initializer.
    pub(crate) fn has_host_functions(&self) -> bool {
        self.host_functions.load(Relaxed)
    }
    /// Notes that functions of the host language are among its options.
    pub(crate) fn note_host_functions(&self) {
        self.host_functions.store(true, Relaxed);
    }
    /// Notes the model that the layer is, unless it is one already.
    pub fn name_model(&self, model: &str) {
        self.model.get_or_init(|| model.to_owned());
    }
    /// An error of this layer, with its name, and that of the model that it is, added to the path.
    pub(crate) fn within(&self, e: Error, phase: Phase, inputs: impl FnOnce() -> Vec<TensorSpec>) -> Error {
        let e = e.within(&self.name, self.id, phase, inputs);
        match self.model.get() {
            Some(model) => e.below(model),
            None => e,
        }
    }
    /// How many names [`Base::within`] adds.
    pub(crate) fn names(&self) -> usize {
        1 + usize::from(self.model.get().is_some())
    }
    /// The base of a rebuilt layer: same name, and same identity and weights unless the copy is deep.
    pub fn rebuilt(&self, r: &mut Rebuild) -> Self {
        self.rebuilt_keeping(r, false)
    }
    pub(crate) fn rebuilt_keeping(&self, r: &mut Rebuild, state: bool) -> Self {
        let to_print = self.to_print.as_ref().map(|v| v.iter().map(|l| r.nest(l)).collect());
        let mode = r.mode.or(self.mode()).map_or_else(OnceLock::new, OnceLock::from);
        let (id, slot) = match r {
            Rebuild { deep: true, read_only: true, .. } => (r.copy_of(self.id), self.slot.read_only()),
            Rebuild { deep: true, .. } => (r.copy_of(self.id), self.slot.copied()),
            _ => (self.id, self.slot.sharing(state)),
        };
        let (name, model) = (self.name.clone(), self.model.clone());
        let host_functions = AtomicBool::new(self.has_host_functions());
        Self { id, name, to_print, slot, depth: OnceLock::new(), held: OnceLock::new(), mode, model, host_functions }
    }
}

/// A layer of any kind. Layers without sublayers implement [`crate::Leaf`] instead and get this by [`crate::leaf`]; layers made of others,
/// [`crate::Composite`].
///
/// Who calls a layer checks the number of inputs, and nothing else: [`Layer::signature`] and [`Layer::init`] check signatures, and
/// [`Layer::forward`] checks tensors again, as it may be called without the others having been.
pub trait Layer: Debug + Send + Sync {
    /// Identity, name, slot.
    fn base(&self) -> &Base;
    /// Inputs and outputs.
    fn arity(&self) -> Arity;
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
    /// What it is itself, its sublayers left out.
    fn traits(&self) -> Traits {
        Traits::COMPOSITE
    }
    /// How its weights and state lie in Trax's nesting.
    fn nesting(&self) -> Nesting<'_> {
        Nesting::Plain
    }
    /// How it runs backwards, if its inputs follow from its outputs.
    fn reversible(&self) -> Option<&dyn Reversible> {
        None
    }
    /// The mode that the host language may set, if it runs the layer.
    fn host_mode(&self) -> Option<&HostMode> {
        None
    }
    /// All steps of a sequence at once, if the layer can: stacked outputs and the last carried values, as if it had been applied
    /// to one step after another. `sliced` have their steps along axis 1, as the stacked outputs do; there is at least one step.
    ///
    /// # Errors
    /// Those of the computation; what does not fit is `None`, so that the first step can say it.
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        let _ = (cx, sliced, carry);
        Ok(None)
    }
}

/// What follows from what layers say of themselves.
impl dyn Layer {
    /// Whether more inputs may come than the layer takes; see [`Traits::open`].
    pub fn open(&self) -> bool {
        self.traits().open
    }
    /// Whether the layer brings its own backward pass.
    pub fn has_backward(&self) -> bool {
        self.traits().own_backward || self.reversible().is_some()
    }
    /// Whether it, or a layer below it, calls functions of the host language, which run on one thread only.
    pub fn calls_host(&self) -> bool {
        self.any(|traits| traits.calls_host)
    }
    /// Whether it, or a layer below it, draws from one key in all replicas.
    pub fn draws_in_step(&self) -> bool {
        self.any(|traits| traits.draws_in_step)
    }
    /// Whether a call goes on where the one before ended, as in mode `'predict'`, in this layer or one below it.
    pub fn goes_on(&self) -> bool {
        self.any(|traits| traits.goes_on)
    }
    fn any(&self, is: fn(Traits) -> bool) -> bool {
        is(self.traits()) || deep(|| self.sublayers().iter().any(|l| l.any(is)))
    }
    /// The mode it is in: its own, or that of the first layer below it that tells one.
    pub fn mode(&self) -> Option<Mode> {
        let own = self.host_mode().map(HostMode::get).or_else(|| self.base().mode());
        own.or_else(|| deep(|| self.sublayers().iter().find_map(|l| l.mode())))
    }
    /// Sets the mode of a layer of the host language; others keep theirs, which is `false`.
    pub fn set_mode(&self, mode: Mode) -> bool {
        self.host_mode().map(|own| own.set(mode)).is_some()
    }
    /// What becomes of its own state in replicas.
    pub fn replica_state(&self) -> ReplicaState {
        self.traits().replica_state
    }
    /// What its own state takes from the calls it has seen.
    pub fn state_form(&self) -> StateForm {
        self.traits().state_form
    }
    /// Whether a function of the host language runs this layer, as for a class: its state may come and go.
    pub fn is_driven(&self) -> bool {
        self.traits().is_driven
    }
}

/// How a layer's weights and state lie in Trax's nesting.
#[derive(Debug, Clone, Copy)]
pub enum Nesting<'a> {
    /// Its own for a layer without sublayers, else a tuple of the sublayers'.
    Plain,
    /// As plain, with the pair `[own, the sublayer's]` as state.
    OwnStateFirst,
    /// As plain, with the pair `[the sublayer's, own]` as state.
    OwnStateLast,
    /// As plain, without a place for weights, of which there are none.
    NoWeights,
    /// In a way of its own.
    Own(&'a dyn Nested),
}

/// A layer whose weights and state are nested in a way of its own.
pub trait Nested: Layer {
    /// Weights as Trax nests them.
    fn view_weights(&self, v: &mut View) -> Tree<Tensor>;
    /// State as Trax nests it.
    fn view_state(&self, v: &mut View) -> Tree<Tensor>;
    /// Takes weights nested as [`Nested::view_weights`] gives them.
    ///
    /// # Errors
    /// `WeightsMismatch` when the nesting does not fit.
    fn load_weights(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()>;
    /// Takes state nested as [`Nested::view_state`] gives it.
    ///
    /// # Errors
    /// `WeightsMismatch` when the nesting does not fit.
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()>;
}

/// A layer whose inputs follow from its outputs.
pub trait Reversible: Layer {
    /// Inputs of a call from its outputs. Sublayers are reversed by [`Reversal::reverse`].
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse(&self, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>>;
    /// Inputs of a call from its outputs, and their gradients from those of the outputs; `None` where there is none. Gradients
    /// of weights go into `r`.
    ///
    /// By default the call is reversed, and then repeated and differentiated.
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse_and_grad(
        &self,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        r.reverse_then_differentiate(self, ys, cts, key)
    }
    /// The layers that this one runs one after another on the stack, if that is all it does.
    fn chain(&self) -> Option<&[LayerRef]> {
        None
    }
}

/// A layer, `null`, or a nested list of these, as Trax's combinators take them.
#[derive(Debug, Clone)]
pub enum LayerNest {
    /// No layer: a no-op.
    Null,
    /// A layer.
    One(LayerRef),
    /// A list.
    List(Vec<LayerNest>),
}

impl From<LayerRef> for LayerNest {
    fn from(layer: LayerRef) -> Self {
        LayerNest::One(layer)
    }
}
impl From<Option<LayerRef>> for LayerNest {
    fn from(layer: Option<LayerRef>) -> Self {
        layer.map_or(LayerNest::Null, LayerNest::One)
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

/// How a layer is being rebuilt: in another mode with the same identities (`with_mode`), as a deep copy with new ones, or with other layers in
/// place of some below it.
/// An instance met again gives the same new instance, so sharing survives.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// The new mode; `None` keeps each layer's own.
    pub mode: Option<Mode>,
    /// Whether copies get new identities, and weights and state of their own.
    pub deep: bool,
    /// Whether deep copies have the very weights of the layer, to be read only; see [`crate::share`].
    pub(super) read_only: bool,
    // By address, as one identity may stand in a tree in two modes; the tree keeps its layers where they are.
    pub(super) done: HashMap<(usize, Option<Mode>), LayerRef>,
    pub(super) copies: HashMap<LayerId, LayerId>,
    /// What stands in the new layer in place of some instances of the old one.
    pub(super) replaced: HashMap<LayerId, LayerRef>,
}
