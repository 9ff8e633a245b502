//! Layers, function results and weights from registered names; copies of layers.
use super::{
    handle::{keeping_for, run_with},
    info::mode_of,
};
use crate::bridge::{
    args::{Arg, Shape, Words},
    environment::{run, Environment},
    error::Outcome,
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, registry, HostValue, LayerId};

/// Makes something of options that JavaScript gave.
fn making<T>(e: &Environment, make: impl FnOnce() -> layers::Result<T>) -> Outcome<T> {
    Ok(e.with_room_for_values(|| layers::charging(&e.account, make))?)
}

/// A new layer of a registered kind.
#[napi]
pub fn construct(env: Env, kind: String, options: Wire) -> Result<f64> {
    run(&env, |e| {
        let next = LayerId::next();
        let layer = making(e, || registry::construct(&kind, options.0))?;
        e.made_from.set(next);
        Ok(e.insert_layer(layer))
    })
}

/// The result of a registered function. `keep`: the number of what JavaScript keeps as long as the result may call its functions.
#[napi]
pub fn call_function(env: Env, name: String, arguments: Wire, keep: Option<f64>) -> Result<Wire> {
    run(&env, |e| {
        e.made_from.set(LayerId::next());
        let call = || making(e, || registry::call_function(&name, arguments.0));
        Ok(Wire(keeping_for(e, keep, call)?))
    })
}

/// A new weight from a registered initializer.
#[napi]
pub fn initialize(env: Env, kind: String, options: Wire, shape: Arg<Shape>, key: Words) -> Result<f64> {
    run(&env, |e| {
        let shape = shape.named(format_args!("{kind}: shape"))?.0;
        let made = making(e, || registry::initializer(&kind, options.0)?.make(&shape, key.0))?;
        Ok(e.insert(&env, made))
    })
}

/// All options of a model, checked, with those filled in that were left out.
#[napi]
pub fn model_options(env: Env, model: String, options: Wire) -> Result<Wire> {
    run(&env, |e| {
        let all = making(e, || registry::model_options(&model, options.0))?;
        Ok(Wire(HostValue::Record(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())))
    })
}

/// The same layer in another mode, sharing its weights.
#[napi]
pub fn with_mode(env: Env, id: f64, mode: String) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        let mode = mode_of(mode)?;
        Ok(e.insert_layer(layers::charging(&e.account, || layers::with_mode(&layer, mode))))
    })
}
