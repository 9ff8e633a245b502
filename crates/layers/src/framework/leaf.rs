//! Layers without sublayers: what most authors write.
use crate::{framework::mode::HostMode, Arity, Local, Mode, Result, TensorSpec, Traits, Tree};
use std::fmt::Debug;
use tallow_tensor::{random::Key, Tensor};

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

/// A layer without sublayers: what most authors write. [`crate::leaf`] makes a [`crate::Layer`] of it.
///
/// `name`, `signature`, `init` and `forward` are what most layers are, with `arity` where it is not one and `mode` where they have one.
/// Who calls a leaf checks the number of inputs, and nothing else. So `signature` and `init` check signatures, and `forward` checks
/// tensors, by calling `signature` where that says all there is to say; each may be called without the others having been.
pub trait Leaf: Debug + Clone + Send + Sync + 'static {
    /// The printed name.
    fn name(&self) -> String;
    /// Inputs and outputs; one each by default.
    fn arity(&self) -> Arity {
        Arity::ONE
    }
    /// Signatures of the outputs.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Weights and state for inputs of these signatures; by default none, for inputs that [`Leaf::signature`] takes.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let _ = key;
        self.signature(inputs)?;
        Ok(Local::EMPTY)
    }
    /// Outputs and new state.
    ///
    /// # Errors
    /// Inputs or weights that do not fit.
    fn forward(&self, call: Call) -> Result<Output>;
    /// Where its mode stands, if it has one: a copy in another mode differs there alone.
    fn mode(&mut self) -> Option<&mut Mode> {
        None
    }
    /// What it is beside what it computes.
    fn traits(&self) -> Traits {
        Traits::LEAF
    }
    /// What it can beside its forward pass.
    fn abilities(&self) -> Abilities<'_> {
        Abilities::default()
    }
}

/// What a leaf can beside its forward pass: those of the traits below that it implements.
#[derive(Debug, Clone, Copy, Default)]
pub struct Abilities<'a> {
    /// It computes gradients itself.
    pub gradient: Option<&'a dyn OwnGradient>,
    /// It makes again the choices of a call that is repeated.
    pub repeat: Option<&'a dyn Repeatable>,
    /// Its inputs follow from its outputs.
    pub reversal: Option<&'a dyn Reverse>,
    /// It runs all steps of a sequence at once.
    pub sequence: Option<&'a dyn WholeSequence>,
    /// The host language may set its mode.
    pub host_mode: Option<&'a HostMode>,
    /// It computes streams at different positions at once.
    pub together: Option<&'a dyn Together>,
}

/// A leaf whose gradients are its own, in place of automatic differentiation.
pub trait OwnGradient: Debug {
    /// Gradients of inputs (`None` where there is none) and of weights (structured as the weights).
    ///
    /// # Errors
    /// Those of the layer's own computation.
    fn backward(&self, call: BackwardCall) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)>;
}

/// A leaf whose calls make choices that rounding could turn.
pub trait Repeatable: Debug {
    /// [`Leaf::forward`] again, for a backward pass, with the choices of the first run: `left` is the state that it left.
    ///
    /// # Errors
    /// Those of [`Leaf::forward`].
    fn repeat(&self, call: Call, left: &Tree<Tensor>) -> Result<Output>;
}

/// A leaf whose inputs follow from its outputs.
pub trait Reverse: Debug {
    /// Inputs of a call.
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>>;
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

/// A leaf that runs all steps of a sequence at once.
pub trait WholeSequence: Debug {
    /// Outputs and last carried values; see [`crate::Layer::sequence`].
    ///
    /// # Errors
    /// Those of the computation; what does not fit is `None`.
    fn sequence(&self, s: Sequence) -> Result<Option<[Vec<Tensor>; 2]>>;
}

/// A leaf that goes on, and computes streams at different positions at once.
pub trait Together: Debug {
    /// Outputs and new states of streams whose states these are, in the order of their rows. The call has no state of its own.
    ///
    /// # Errors
    /// Those of [`Leaf::forward`].
    fn together(&self, call: Call, states: &[Tree<Tensor>]) -> Result<(Vec<Tensor>, Vec<Tree<Tensor>>)>;
}
