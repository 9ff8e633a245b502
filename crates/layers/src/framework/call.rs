//! A call on what the instances of a layer hold.
use crate::{
    changed, ensure_state,
    framework::{
        held::{Held, Read},
        instances::{changed_from, held_by},
    },
    held, init_signature, pure_fn, Cx, LayerRef, Result, Store, TensorSpec,
};
use tallow_tensor::{random::Key, Tensor};

/// The state that a call came to, where it is another than the instances hold.
#[derive(Debug)]
pub struct NewState<'a> {
    held: &'a Held,
    changed: Store,
}

impl NewState<'_> {
    /// The new state by instance.
    pub fn store(&self) -> &Store {
        &self.changed
    }
    /// Whether it changes anything: that a new copy comes to hold the empty state of layers without any does not.
    pub fn is_change(&self) -> bool {
        self.changed.iter().any(|(id, tree)| !tree.is_empty() || self.held.state(*id).is_some())
    }
    /// Makes the instances hold it.
    pub fn keep(self) {
        self.changed.iter().for_each(|(id, tree)| self.held.set_state(*id, tree));
    }
}

/// Runs a layer on the weights and state that it and everything below it hold, which are read where they are. An instance that holds no state
/// yet, as in a copy just made by [`crate::with_mode`], starts from what initialization gives. Nothing is kept until [`NewState::keep`].
///
/// # Errors
/// Those of the layers, with their path.
pub fn call(layer: &LayerRef, xs: Vec<Tensor>, key: Key) -> Result<(Vec<Tensor>, NewState<'_>)> {
    let held = held_by(layer);
    let slot = &layer.base().slot;
    let mut state = Store::new();
    if held.lacks_state() {
        let inputs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        state = init_signature(layer, &inputs, slot.key().unwrap_or(Key::new(0)))?.1;
        state.retain(|id, _| held.state(*id).is_none());
    }
    slot.learn_inputs(&xs);
    let mut cx = Cx::over(held, state);
    let ys = cx.apply(layer, xs, key)?;
    let changed = changed_from(|id| held.state(id).map(Read::Shared), cx.into_state());
    Ok((ys, NewState { held, changed }))
}

/// As [`call`], on what was held when it began, whoever sets other weights meanwhile: for a call beside a training loop.
///
/// # Errors
/// As [`call`].
pub fn call_beside(layer: &LayerRef, xs: Vec<Tensor>, key: Key) -> Result<(Vec<Tensor>, NewState<'_>)> {
    let slot = &layer.base().slot;
    let (weights, before) = held(layer);
    let inputs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
    let state = ensure_state(layer, before.clone(), &inputs, slot.key().unwrap_or(Key::new(0)))?;
    slot.learn_inputs(&xs);
    let (ys, after) = pure_fn(layer, xs, &weights, state, key)?;
    Ok((ys, NewState { held: held_by(layer), changed: changed(&before, after) }))
}
