//! Weights, state and key that a layer holds.
use super::{handle::run_with, signature::specs};
use crate::{
    bridge::{
        args::{Arg, Words},
        environment::{run, Environment},
        error::Outcome,
        order::Access,
        wire::Wire,
    },
    tensor::device_named,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, HostValue, LayerRef, Store, Tree};
use tallow_tensor::{default_device, random::Key, Tensor};

fn pair(layer: &LayerRef, weights: &Store, state: &Store) -> Outcome<HostValue> {
    let weights = layers::view_weights(layer, weights).shown()?;
    Ok(HostValue::List(vec![HostValue::tree(&weights), HostValue::tree(&layers::view_state(layer, state)?)]))
}

/// Makes weights and state, keeps them in the layer, and returns them; a copy in mode `'predict'` keeps the weights that it shares. Without inputs, of a layer that does not look at them.
#[napi]
pub fn layer_init(env: Env, id: f64, inputs: Wire, key: Option<Words>, use_cache: bool) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        if let Some(run) = e.run_of(&layer) {
            run.make(&layer, &specs(inputs.0)?)?;
            let made = [run.weights(&layer)?, run.state(&layer)?];
            return Ok(Wire(HostValue::List(made.iter().map(HostValue::tree).collect())));
        }
        let access = Access::set(&layer);
        let beside = e.order.done_before(&env, || access.clone());
        if use_cache && layer.base().slot.has_weights() {
            return Ok(Wire(HostValue::List(vec![HostValue::Cached, HostValue::Cached])));
        }
        let key = key.map_or_else(|| held_key(&layer), |words| words.0);
        let keeps = layers::shares_weights(&layer);
        if !keeps {
            layers::refuse_shared("init", &layer)?;
            layers::refuse_quantized("init", &layer)?;
        }
        let (made, signatures) = match inputs.0 {
            HostValue::Null => (layers::init_without_inputs(&layer, key)?, None),
            given => {
                let signatures = specs(given)?;
                let made = match keeps {
                    true => layers::init_state(&layer, &signatures, key)?,
                    false => layers::init(&layer, &signatures, key)?,
                };
                (made, Some(signatures))
            }
        };
        beside.map_or(Ok(()), |b| b.refuse("init sets weights and state", &access))?;
        if let Some(signatures) = signatures {
            layer.base().slot.set_inputs(&signatures);
        }
        let (weights, state) = made;
        layers::hold(&layer, Some(&weights).filter(|_| !keeps), Some(&state));
        Ok(Wire(pair(&layer, &weights, &state)?))
    })
}

pub(crate) fn held_key(layer: &LayerRef) -> Key {
    layer.base().slot.key().unwrap_or_else(|| Key::new(0))
}

pub(crate) fn held_weights(layer: &LayerRef) -> Outcome<Tree<Tensor>> {
    Ok(layers::view_weights(layer, &layers::held(layer).0).shown()?)
}

pub(crate) fn held_state(layer: &LayerRef) -> Outcome<Tree<Tensor>> {
    Ok(layers::view_state(layer, &layers::held(layer).1)?)
}

/// The weights that a layer holds.
#[napi]
pub fn layer_weights(env: Env, id: f64) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        if let Some(run) = e.run_of(&layer) {
            return Ok(Wire(HostValue::tree(&run.weights(&layer)?)));
        }
        e.order.done_before(&env, || Access::read_weights(&layer));
        Ok(Wire(HostValue::tree(&held_weights(&layer)?)))
    })
}

/// The state that a layer holds.
#[napi]
pub fn layer_state(env: Env, id: f64) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        if let Some(run) = e.run_of(&layer) {
            return Ok(Wire(HostValue::tree(&run.state(&layer)?)));
        }
        e.order.done_before(&env, || Access::read_state(&layer));
        // What a copy starts with is known before its first call, unless a class cannot be asked yet.
        let state = layers::state_to_start_from(&layer).unwrap_or_else(|_| layers::held(&layer).1);
        Ok(Wire(HostValue::tree(&layers::view_state(&layer, &state)?)))
    })
}

/// Sets weights or state that were made on the CPU, and moves them to where the layer's weights lay; to the default device where there were none.
pub(crate) fn keeping_device<T>(layer: &LayerRef, set: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let (weights, _) = layers::held(layer);
    let home = weights.values().flat_map(Tree::leaves).next().map_or_else(default_device, |t| t.device().clone());
    let out = set()?;
    layers::move_to(layer, &home)?;
    Ok(out)
}

pub(crate) fn set_weights(layer: &LayerRef, weights: HostValue) -> Outcome<()> {
    layers::refuse_shared("weights", layer)?;
    layers::refuse_quantized("setting weights", layer)?;
    let new = layers::load_weights(layer, &weights.into_tree_like(&held_weights(layer)?)?)?;
    layers::check_fits("weights", layer, &new, &layers::held(layer).0)?;
    keeping_device(layer, || {
        layers::hold(layer, Some(&new), None);
        Ok(())
    })
}

pub(crate) fn set_state(layer: &LayerRef, state: HostValue) -> Outcome<()> {
    let new = layers::load_state(layer, &state.into_tree_like(&held_state(layer)?)?)?;
    let new = layers::without_unmade(layer, new);
    layers::check_fits("state", layer, &new, &layers::held(layer).1)?;
    keeping_device(layer, || {
        layers::hold(layer, None, Some(&new));
        Ok(())
    })
}

/// Does what was asked for before, then `set`, unless a training loop stands in the way.
pub(crate) fn change<T>(
    env: &Env,
    e: &Environment,
    what: &str,
    access: Access,
    set: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    match e.order.done_before(env, || access.clone()) {
        Some(beside) => beside.refuse(what, &access).and_then(|()| set()),
        None => set(),
    }
}

/// Sets the weights that a layer holds.
#[napi]
pub fn set_layer_weights(env: Env, id: f64, weights: Wire) -> Result<()> {
    run_with(&env, id, |e, layer| {
        e.run_of(&layer).map_or(Ok(()), |run| Err(run.refuse("weights", &layer)))?;
        change(&env, e, "weights are set", Access::set_weights(&layer), || set_weights(&layer, weights.0))
    })
}

/// Sets the state that a layer holds.
#[napi]
pub fn set_layer_state(env: Env, id: f64, state: Wire) -> Result<()> {
    run_with(&env, id, |e, layer| {
        e.run_of(&layer).map_or(Ok(()), |run| Err(run.refuse("state", &layer)))?;
        change(&env, e, "state is set", Access::set_state(&layer), || set_state(&layer, state.0))
    })
}

/// Moves the weights and state that a layer holds.
#[napi]
pub fn move_layer(env: Env, id: f64, device: Arg<String>) -> Result<()> {
    run_with(&env, id, |e, layer| {
        let device = device_named(&device.named("to: device")?)?;
        e.run_of(&layer).map_or(Ok(()), |run| Err(run.refuse("weights", &layer)))?;
        let access = Access::set(&layer);
        change(&env, e, "weights and state are moved", access, || Ok(tallow_layers::move_to(&layer, &device)?))
    })
}

/// The key that a layer holds, if any.
#[napi]
pub fn layer_key(env: Env, id: f64) -> Result<Option<Words>> {
    run(&env, |e| Ok(e.layer(id)?.base().slot.key().map(Words)))
}

/// Sets the key that a layer holds.
#[napi]
pub fn set_layer_key(env: Env, id: f64, key: Words) -> Result<()> {
    run(&env, |e| {
        e.layer(id)?.base().slot.set_key(key.0);
        Ok(())
    })
}
