//! Layers without sublayers: what most authors write.
use crate::{Arity, Error, Local, Mode, ReplicaState, Result, StateForm, TensorSpec, Tree};
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
    /// What the state takes from the calls it has seen: what is learned has the shapes it was made with, what belongs to sequences the
    /// sizes of their batch.
    fn state_form(&self) -> StateForm {
        if self.keeps_state() {
            StateForm::Fixed
        } else {
            StateForm::Sized
        }
    }
    /// Whether it calls functions of the host language.
    fn calls_host(&self) -> bool {
        false
    }
    /// Whether all replicas draw from one key, the sum of their keys.
    fn draws_in_step(&self) -> bool {
        false
    }
    /// The same layer in another mode.
    #[must_use]
    fn with_mode(&self, mode: Mode) -> Self {
        let _ = mode;
        self.clone()
    }
    /// The mode it is in, if a host may ask for it; see [`crate::Layer::mode`].
    fn mode(&self) -> Option<Mode> {
        None
    }
    /// See [`crate::Layer::set_mode`].
    fn set_mode(&self, mode: Mode) -> bool {
        let _ = mode;
        false
    }
    /// Whether a call goes on where the one before ended; see [`crate::Layer::goes_on`].
    fn goes_on(&self) -> bool {
        false
    }
    /// Whether [`Leaf::backward`] replaces automatic differentiation.
    fn has_backward(&self) -> bool {
        false
    }
    /// Whether a function of the host language runs this leaf; see [`Layer::is_driven`].
    fn is_driven(&self) -> bool {
        false
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
