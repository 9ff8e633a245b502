//! Layers, function results and weights from registered names; copies of layers.
use super::{
    handle::{keeping_for, run_with},
    info::mode_of,
};
use crate::bridge::{
    args::{Arg, Shape, Size, Words},
    environment::{run, Environment},
    error::Outcome,
    order::Access,
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, registry, HostValue, LayerId};
use tallow_tensor::ops::Quantization;

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

/// Positions that causal attention of a model of `max_len` has room for in mode `'predict'`.
#[napi]
pub fn room_of_model(env: Env, max_len: Arg<Size>) -> Result<f64> {
    run(&env, |_| Ok(layers::attention::room_of_model(max_len.named(format_args!("maxLen"))?.0) as f64))
}

/// The same layer in another mode, sharing its weights.
#[napi]
pub fn with_mode(env: Env, id: f64, mode: String) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        let mode = mode_of(mode)?;
        if mode == layers::Mode::Train {
            layers::refuse_quantized("mode 'train'", &layer)?;
        }
        Ok(e.insert_layer(layers::charging(&e.account, || layers::with_mode(&layer, mode))))
    })
}

/// A copy for inference whose large matrices of weights are held in fewer bits.
#[napi]
pub fn quantize_layer(env: Env, id: f64, kind: String) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        let wanted = Quantization::ALL.into_iter().find(|q| q.name() == kind).ok_or_else(|| {
            let all = Quantization::ALL.map(|q| format!("'{}'", q.name())).join(" or ");
            layers::Error::option(format!("quantize: `dtype` must be {all}, got {kind:?}"))
        })?;
        e.order.done_before(&env, || Access::read(&layer));
        let copy = layers::charging(&e.account, || layers::quantize(&layer, wanted))?;
        Ok(e.insert_layer(copy))
    })
}
