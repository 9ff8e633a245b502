//! What a layer is beside what it computes.
use tallow_tensor::ops::Outputs;

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

/// What a layer is beside what it computes, in plain flags and numbers. Few layers differ from the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether more inputs may come than the layer takes, as on a stack: [`crate::Cx::apply`] puts them behind its outputs.
    pub open: bool,
    /// Whether it computes gradients by a backward of its own, or is made of operations that do.
    pub own_backward: bool,
    /// Whether the state is learned (running averages), so that a copy in another mode goes on with it, or else belongs to a
    /// sequence being processed.
    pub keeps_state: bool,
    /// What becomes of the state in replicas.
    pub replica_state: ReplicaState,
    /// What the state takes from the calls it has seen.
    pub state_form: StateForm,
    /// Whether it calls functions of the host language, which run on one thread only.
    pub calls_host: bool,
    /// Whether a function of the host language runs it, as for a class: its state may come and go.
    pub is_driven: bool,
    /// Whether all replicas draw from one key, the sum of their keys.
    pub draws_in_step: bool,
    /// Whether a call goes on where the one before ended, as in mode `'predict'`.
    pub goes_on: bool,
    /// Whether streams at different positions run in it one after the other ([`crate::streams`]); a leaf that goes on says so by what it can.
    pub alone: bool,
    /// How many positions of a sequence it can read where calls go on, if that is limited.
    pub positions: Option<usize>,
    /// Whether it computes in float32 where layers with matrices of weights compute in a narrower type: where errors would add up
    /// along a sequence, or the result would be narrower than what it is added to.
    pub keeps_float32: bool,
    /// Whether it multiplies the last axis by a matrix, the first of its weights, and adds nothing but a bias: what LoRA adapts.
    pub is_dense: bool,
    /// Whether it can compute with its matrices of weights, those of two axes, held in fewer bits than float32; and which axis of them is
    /// that of the outputs.
    pub matrix: Option<Outputs>,
    /// Whether it sees the positions of one call only, though others go on: a sequence cannot be continued in it.
    pub sees_one_call: bool,
}

impl Traits {
    /// Of a layer whose state, if any, belongs to the sequences of its calls.
    pub const LEAF: Traits = Traits {
        open: false,
        own_backward: false,
        keeps_state: false,
        replica_state: ReplicaState::Each,
        state_form: StateForm::Sized,
        calls_host: false,
        is_driven: false,
        draws_in_step: false,
        goes_on: false,
        alone: false,
        positions: None,
        keeps_float32: false,
        is_dense: false,
        matrix: None,
        sees_one_call: false,
    };
    /// Of a layer whose state is learned: averaged over replicas, of one shape, and kept from mode to mode.
    pub const LEARNED: Traits =
        Traits { keeps_state: true, replica_state: ReplicaState::Mean, state_form: StateForm::Fixed, ..Traits::LEAF };
    /// Of a layer made of others, which are asked themselves.
    pub const COMPOSITE: Traits = Traits { state_form: StateForm::Open, ..Traits::LEAF };
    /// Of a layer made of others that leaves further inputs behind its outputs.
    pub const ON_STACK: Traits = Traits { open: true, ..Traits::COMPOSITE };
}

impl Default for Traits {
    fn default() -> Self {
        Self::LEAF
    }
}
