//! Layers, function results and weights from registered names; copies of layers.
use super::{
    handle::{keeping_for, key_of, run_with},
    info::mode_of,
};
use crate::bridge::{
    args::{Arg, Shape},
    environment::{run, Environment},
    error::{Failure, Outcome},
    host::JsFunction,
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use serde_json::Value;
use std::sync::Arc;
use tallow_layers::{
    self as layers, build,
    build::References,
    combinators::{in_predict, InPredict},
    registry, HostFnRef, LayerId,
};

/// Runs `body` with the layers, functions and tensors that JSON options refer to by number.
fn with_options<T>(
    e: &Environment,
    options: &str,
    references: (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>),
    body: impl FnOnce(&Value) -> tallow_layers::Result<T>,
) -> Outcome<T> {
    let (layers, functions, arities, tensors) = references;
    let options: Value = serde_json::from_str(options).map_err(|e| {
        let deep = e.to_string().contains("recursion limit");
        if deep {
            Failure::Type("options nest deeper than 120 levels; join lists that lie in each other".to_owned())
        } else {
            Failure::Internal(format!("options: {e}"))
        }
    })?;
    let functions = functions
        .into_iter()
        .zip(arities)
        .map(|(f, arity)| -> HostFnRef { Arc::new(JsFunction::new(f, arity as usize, e)) });
    let references = References {
        layers: layers.into_iter().map(|id| e.layer(id)).collect::<Outcome<_>>()?,
        functions: functions.collect(),
        tensors: e.tensors(&tensors)?,
    };
    let most = references.layers.iter().map(layers::depth).max().unwrap_or(0);
    let build = || layers::charging(&e.account, || build::with_references(references, || body(&options)));
    Ok(layers::with_room(most, build)?)
}

/// A new layer of a registered kind. Options are JSON that refers to `layers`, `functions` and `tensors` by number.
#[napi]
pub fn construct(
    env: Env,
    kind: String,
    options: String,
    layers: Vec<f64>,
    functions: Vec<f64>,
    arities: Vec<f64>,
    tensors: Vec<f64>,
) -> Result<f64> {
    run(&env, |e| {
        let next = LayerId::next();
        let layer =
            with_options(e, &options, (layers, functions, arities, tensors), |v| registry::construct(&kind, v))?;
        e.made_from.set(next);
        Ok(e.insert_layer(layer))
    })
}

/// The result of a registered function. `keep`: the number of what JavaScript keeps as long as the result may call its functions.
#[napi]
#[allow(clippy::too_many_arguments, reason = "each is what JavaScript gives as it is")]
pub fn call_function(
    env: Env,
    name: String,
    arguments: String,
    layers: Vec<f64>,
    functions: Vec<f64>,
    arities: Vec<f64>,
    tensors: Vec<f64>,
    keep: Option<f64>,
) -> Result<Wire> {
    run(&env, |e| {
        e.made_from.set(LayerId::next());
        let references = (layers, functions, arities, tensors);
        let call = || with_options(e, &arguments, references, |v| registry::call_function(&name, v));
        Ok(Wire(keeping_for(e, keep, call)?))
    })
}

/// A new weight from a registered initializer.
#[napi]
pub fn initialize(
    env: Env,
    kind: String,
    options: String,
    tensors: Vec<f64>,
    shape: Arg<Shape>,
    key: Vec<u32>,
) -> Result<f64> {
    run(&env, |e| {
        let (key, shape) = (key_of(&key)?, shape.named(format_args!("{kind}: shape"))?);
        let references = (Vec::new(), Vec::new(), Vec::new(), tensors);
        let made = with_options(e, &options, references, |v| registry::initializer(&kind, v)?.make(&shape.0, key))?;
        Ok(e.insert(&env, made))
    })
}

/// A layer that takes whole sequences in mode `'predict'` too, or refuses that mode if there is a reason.
#[napi]
pub fn whole_sequences(env: Env, id: f64, refusal: Option<String>) -> Result<f64> {
    run(&env, |e| {
        let then = refusal.map_or(InPredict::Whole, InPredict::Refused);
        Ok(e.insert_layer(in_predict(e.layer(id)?, then)))
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
