//! Calls of layers: at once, on the compute thread, as pure functions.
use super::{
    handle::{keeping_for, run_with},
    state::{held_key, held_state, held_weights, set_state, set_weights},
};
use crate::bridge::{
    args::Words,
    compute::{submit, Asked},
    environment::Environment,
    error::Outcome,
    order::{Access, Beside, Way},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, HostValue, LayerRef, TensorSpec};
use tallow_tensor::{autodiff::keeping, cancel, random::Key, Tensor};

/// A call on the weights and state that a layer holds; it can move to another thread.
struct Call {
    layer: LayerRef,
    inputs: Vec<Tensor>,
    /// Weights and state to set first.
    weights: Option<HostValue>,
    state: Option<HostValue>,
    key: Key,
}

impl Call {
    fn new(
        e: &Environment,
        layer: LayerRef,
        inputs: &[f64],
        given: [Option<Wire>; 2],
        key: Option<Words>,
    ) -> Outcome<Self> {
        let [weights, state] = given.map(|wire| wire.map(|w| w.0));
        let key = key.map_or_else(|| held_key(&layer), |words| words.0);
        Ok(Self { inputs: e.tensors(inputs)?, layer, weights, state, key })
    }
    fn access(&self) -> Access {
        Access::call(&self.layer, self.weights.is_some())
    }
    /// Runs it from the weights and state held now, and keeps the new state. `beside` is asked before anything changes.
    fn run(self, beside: Option<&Beside>) -> Outcome<Vec<Tensor>> {
        let Self { layer, inputs, weights, state, key } = self;
        let allow = |what: &str, access: &dyn Fn() -> Access| beside.map_or(Ok(()), |b| b.refuse(what, &access()));
        if let Some(weights) = weights {
            allow("a call sets weights", &|| Access::set_weights(&layer))?;
            set_weights(&layer, weights)?;
        }
        if let Some(state) = state {
            allow("a call sets state", &|| Access::set_state(&layer))?;
            set_state(&layer, state)?;
        }
        let call = if beside.is_some() { layers::call_beside } else { layers::call };
        let (ys, new) = call(&layer, inputs, key)?;
        cancel::check()?;
        if new.is_change() {
            allow("a call changes state", &|| Access::set_state_in(&layer, new.store()))?;
        }
        new.keep();
        Ok(ys)
    }
}

/// Calls a layer on the weights and state it holds, and keeps the new state. `keep`: see [`call_function`].
#[napi]
pub fn layer_call(
    env: Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Option<Wire>,
    state: Option<Wire>,
    key: Option<Words>,
    keep: Option<f64>,
) -> Result<Vec<f64>> {
    run_with(&env, id, |e, layer| {
        if let Some(run) = e.run_of(&layer) {
            if weights.is_some() || state.is_some() {
                Err(run.refuse("weights and state", &layer))?;
            }
            let (inputs, key) = (e.tensors(&inputs)?, key.map(|words| words.0));
            let ys = keeping_for(e, keep, || run.call(&layer, inputs, key))?;
            return Ok(e.insert_all(&env, ys));
        }
        let call = Call::new(e, layer, &inputs, [weights, state], key)?;
        let beside = e.order.done_before(&env, || call.access());
        let ys = keeping_for(e, keep, || call.run(beside.as_ref()))?;
        Ok(e.insert_all(&env, ys))
    })
}

/// `layer_call` on the compute thread.
#[napi(ts_return_type = "Promise<unknown>")]
#[allow(clippy::too_many_arguments, reason = "each is what JavaScript gives as it is")]
pub fn layer_call_async<'env>(
    env: &'env Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Option<Wire>,
    state: Option<Wire>,
    key: Option<Words>,
    cancel: Option<f64>,
    keep: Option<f64>,
) -> Result<Object<'env>> {
    run_with(env, id, |e, layer| {
        let call = Call::new(e, layer, &inputs, [weights, state], key)?;
        let kept = keep.map(|number| e.guard(number));
        let asked = Asked { access: call.access(), way: Way::Beside, cancel };
        let work = move |beside: Option<Beside>| {
            let room = call.layer.clone();
            let run = || call.run(beside.as_ref());
            layers::with_room(layers::depth(&room), || match kept {
                Some(kept) => keeping(kept, run),
                None => run(),
            })
        };
        submit(env, e, asked, work, |_, _, ys| {
            Ok(Wire(HostValue::List(ys.into_iter().map(HostValue::Tensor).collect())))
        })
    })
}

/// A layer as a pure function: `[outputs, new state]`. Nothing is kept, but see [`call_function`] for `keep`.
#[napi]
pub fn layer_pure(
    env: Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Wire,
    state: Wire,
    key: Option<Words>,
    keep: Option<f64>,
) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        let inputs = e.tensors(&inputs)?;
        layers::refuse_quantized("pureFn", &layer)?;
        let weights = layers::load_weights(&layer, &weights.0.into_tree_like(&held_weights(&layer)?)?)?;
        let mut state = layers::load_state(&layer, &state.0.into_tree_like(&held_state(&layer)?)?)?;
        let key = key.map_or_else(|| held_key(&layer), |words| words.0);
        if layer.goes_on() {
            let unmade = layers::without_unmade(&layer, state.clone());
            let signatures: Vec<TensorSpec> = inputs.iter().map(TensorSpec::of).collect();
            // Where it cannot be found out what a sequence starts with, what was given must do.
            state = layers::ensure_state(&layer, unmade, &signatures, held_key(&layer)).unwrap_or(state);
        }
        let call = || layers::pure_fn(&layer, inputs, &weights, state, key);
        let (ys, state) = keeping_for(e, keep, call)?;
        let state = HostValue::tree(&layers::view_state(&layer, &state)?);
        Ok(Wire(HostValue::List(vec![HostValue::List(ys.into_iter().map(HostValue::Tensor).collect()), state])))
    })
}
