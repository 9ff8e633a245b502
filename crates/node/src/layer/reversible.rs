//! Reversible layers: back from outputs to inputs.
use super::{handle::run_with, state::held_key};
use crate::bridge::{args::Words, error::Failure, wire::Wire};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, reversible, HostValue};
use tallow_tensor::Tensor;

fn list(ts: Vec<Tensor>) -> HostValue {
    HostValue::List(ts.into_iter().map(HostValue::Tensor).collect())
}

/// Inputs of a call of a reversible layer from `[outputs, gradients of outputs or null, weights, state, new state]`: `[inputs]`; with
/// gradients `[inputs, gradients of inputs, gradients of weights]`. Nothing is kept.
#[napi]
pub fn layer_reverse(env: Env, id: f64, call: Wire, key: Option<Words>) -> Result<Wire> {
    run_with(&env, id, |_, layer| {
        let wrong = || Failure::Internal("a reversal is called with five values".to_owned());
        let HostValue::List(call) = call.0 else { return Err(wrong()) };
        let [outputs, grads, weights, state, new_state] = call.try_into().map_err(|_| wrong())?;
        let ys = outputs.into_tensors()?;
        let weights = layers::load_weights(&layer, &weights.into_tree()?)?;
        let state = layers::load_state(&layer, &state.into_tree()?)?;
        let new_state = layers::load_state(&layer, &new_state.into_tree()?)?;
        let key = key.map_or_else(|| held_key(&layer), |words| words.0);
        let HostValue::List(grads) = grads else {
            let xs = reversible::reverse(&layer, ys, &weights, state, new_state, key)?;
            return Ok(Wire(HostValue::List(vec![list(xs)])));
        };
        let given = |g| match g {
            HostValue::Null => Ok(None),
            g => g.into_tensors().map(|t| t.into_iter().next()),
        };
        let cts = grads.into_iter().map(given).collect::<layers::Result<_>>()?;
        let (xs, of_xs, of_w) = reversible::reverse_and_grad(&layer, ys, cts, &weights, state, new_state, key)?;
        let of_xs = of_xs.into_iter().map(|g| g.map_or(HostValue::Null, HostValue::Tensor)).collect();
        let of_w = HostValue::tree(&layers::view_weights(&layer, &of_w));
        Ok(Wire(HostValue::List(vec![list(xs), HostValue::List(of_xs), of_w])))
    })
}
