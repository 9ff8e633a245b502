//! Layers: construction by name, calls, weights and state. Knows no layer by name.
use crate::{
    args::{Arg, Shape},
    compute::submit,
    environment::{run, Environment},
    error::{Failure, Outcome},
    host::{Callback, JsFunction},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use serde_json::Value;
use std::sync::Arc;
use tallow_layers::{
    self as layers, build, build::References, layer::print, options::OptionType, registry, HostFnRef, HostValue,
    LayerRef, Mode, Store, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, DType, Tensor};

/// Runs `body` with the layers, functions and tensors that JSON options refer to by number.
fn with_options<T>(
    e: &Environment,
    options: &str,
    references: (Vec<f64>, Vec<Callback>, Vec<f64>, Vec<f64>),
    body: impl FnOnce(&Value) -> tallow_layers::Result<T>,
) -> Outcome<T> {
    let (layers, functions, arities, tensors) = references;
    let options: Value = serde_json::from_str(options).map_err(|e| Failure::Internal(format!("options: {e}")))?;
    let functions = functions
        .into_iter()
        .zip(arities)
        .map(|(f, arity)| -> HostFnRef { Arc::new(JsFunction::new(f, arity as usize, e)) });
    let references = References {
        layers: layers.into_iter().map(|id| e.layer(id)).collect::<Outcome<_>>()?,
        functions: functions.collect(),
        tensors: e.tensors(&tensors)?,
    };
    Ok(build::with_references(references, || body(&options))?)
}

/// A new layer of a registered kind. Options are JSON that refers to `layers`, `functions` and `tensors` by number.
#[napi]
pub fn construct(
    env: Env,
    kind: String,
    options: String,
    layers: Vec<f64>,
    functions: Vec<Callback>,
    arities: Vec<f64>,
    tensors: Vec<f64>,
) -> Result<f64> {
    run(&env, |e| {
        let layer =
            with_options(e, &options, (layers, functions, arities, tensors), |v| registry::construct(&kind, v))?;
        Ok(e.insert_layer(layer))
    })
}

/// The result of a registered function.
#[napi]
pub fn call_function(
    env: Env,
    name: String,
    arguments: String,
    layers: Vec<f64>,
    functions: Vec<Callback>,
    arities: Vec<f64>,
    tensors: Vec<f64>,
) -> Result<Wire> {
    run(&env, |e| {
        let references = (layers, functions, arities, tensors);
        Ok(Wire(with_options(e, &arguments, references, |v| registry::call_function(&name, v))?))
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

pub(crate) fn key_of(words: &[u32]) -> Outcome<Key> {
    match *words {
        [a, b] => Ok(Key([a, b])),
        _ => Err(Failure::Type("a random key has two words".to_owned())),
    }
}

/// What does not change about a layer.
#[napi(object)]
pub struct LayerInfo {
    /// Its identity (shared with its copies in other modes), then those of everything below it.
    pub instances: Vec<f64>,
    /// Its name.
    pub name: String,
    /// Inputs.
    pub n_in: u32,
    /// Outputs.
    pub n_out: u32,
    /// Whether it brings its own backward pass.
    pub has_backward: bool,
    /// Whether its inputs follow from its outputs.
    pub reversible: bool,
}

/// What does not change about a layer.
#[napi]
pub fn layer_info(env: Env, id: f64) -> Result<LayerInfo> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        let arity = layer.arity();
        let mut instances = Vec::new();
        layers::for_each_instance(&layer, &mut |l| instances.push(l.base().id.0 as f64));
        Ok(LayerInfo {
            instances,
            name: layer.base().name.clone(),
            n_in: arity.n_in as u32,
            n_out: arity.n_out as u32,
            has_backward: layer.has_backward(),
            reversible: layer.reversible().is_some(),
        })
    })
}

/// A layer's printed form.
#[napi]
pub fn layer_text(env: Env, id: f64) -> Result<String> {
    run(&env, |e| Ok(print(&e.layer(id)?)))
}

/// Handles of the sublayers.
#[napi]
pub fn sublayers(env: Env, id: f64) -> Result<Vec<f64>> {
    run(&env, |e| Ok(e.layer(id)?.sublayers().iter().map(|l| e.insert_layer(l.clone())).collect()))
}

/// Gives one handle of a layer back.
#[napi]
pub fn release_layer(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.release_layer(id);
        Ok(())
    })
}

/// Which of these layers nothing but their handle holds: no other layer, no job, no graph of autodiff.
#[napi]
pub fn layers_at_rest(env: Env, ids: Vec<f64>) -> Result<Vec<f64>> {
    run(&env, |e| Ok(ids.into_iter().filter(|&id| e.is_at_rest(id)).collect()))
}

/// The same layer in another mode, sharing its weights.
#[napi]
pub fn with_mode(env: Env, id: f64, mode: String) -> Result<f64> {
    run(&env, |e| {
        let expected = <Mode as OptionType>::EXPECTED;
        let wrong = || tallow_layers::Error::option(format!("`mode` must be {expected}, got {mode:?}"));
        let mode = <Mode as OptionType>::parse(&Value::String(mode.clone())).ok_or_else(wrong)?;
        Ok(e.insert_layer(layers::with_mode(&e.layer(id)?, mode)))
    })
}

/// Signatures, from `{shape, dtype}` or a list of such.
pub(crate) fn specs(value: HostValue) -> Outcome<Vec<TensorSpec>> {
    match value {
        HostValue::List(items) => items.into_iter().map(spec).collect(),
        one => Ok(vec![spec(one)?]),
    }
}

fn spec(value: HostValue) -> Outcome<TensorSpec> {
    let wrong = || Failure::Type("a signature is {shape, dtype}, or an array of such".to_owned());
    let HostValue::Record(fields) = value else { return Err(wrong()) };
    let (mut shape, mut dtype) = (None, DType::F32);
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("shape", HostValue::List(sizes)) => shape = Some(sizes.into_iter().map(size).collect::<Option<Vec<_>>>()),
            ("dtype", HostValue::Text(name)) => dtype = DType::parse(&name)?,
            _ => return Err(wrong()),
        }
    }
    Ok(TensorSpec { shape: shape.flatten().ok_or_else(wrong)?, dtype })
}

fn size(value: HostValue) -> Option<usize> {
    match value {
        HostValue::Number(n) if n.fract() == 0.0 && (0.0..9e15).contains(&n) => Some(n as usize),
        _ => None,
    }
}

fn describe(spec: &TensorSpec) -> HostValue {
    HostValue::Record(vec![
        ("shape".to_owned(), HostValue::shape(&spec.shape)),
        ("dtype".to_owned(), HostValue::Text(spec.dtype.name().to_owned())),
    ])
}

/// Signatures of the outputs for inputs of these signatures.
#[napi]
pub fn output_signature(env: Env, id: f64, inputs: Wire) -> Result<Wire> {
    run(&env, |e| {
        let outputs = layers::signature(&e.layer(id)?, &specs(inputs.0)?)?;
        Ok(Wire(HostValue::List(outputs.iter().map(describe).collect())))
    })
}

fn pair(layer: &LayerRef, weights: &Store, state: &Store) -> HostValue {
    let weights = layers::view_weights(layer, weights);
    HostValue::List(vec![HostValue::tree(&weights), HostValue::tree(&layers::view_state(layer, state))])
}

/// Makes weights and state without keeping them: their signatures.
#[napi]
pub fn weights_and_state_signature(env: Env, id: f64, inputs: Wire) -> Result<Wire> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        let (weights, state) = layers::init_signature(&layer, &specs(inputs.0)?, Key::new(0))?;
        let signatures = |tree: Tree<Tensor>| signature_tree(&tree);
        Ok(Wire(HostValue::List(vec![
            signatures(layers::view_weights(&layer, &weights)),
            signatures(layers::view_state(&layer, &state)),
        ])))
    })
}

fn signature_tree(tree: &Tree<Tensor>) -> HostValue {
    match tree {
        Tree::Leaf(t) => describe(&TensorSpec::of(t)),
        Tree::Tuple(items) => HostValue::List(items.iter().map(signature_tree).collect()),
        Tree::Dict(fields) => HostValue::Record(fields.iter().map(|(k, t)| (k.clone(), signature_tree(t))).collect()),
        Tree::Cached => HostValue::Cached,
    }
}

/// Makes weights and state, keeps them in the layer, and returns them.
#[napi]
pub fn layer_init(env: Env, id: f64, inputs: Wire, key: Option<Vec<u32>>, use_cache: bool) -> Result<Wire> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        if use_cache && layer.base().slot.weights().is_some() {
            return Ok(Wire(HostValue::List(vec![HostValue::Cached, HostValue::Cached])));
        }
        let key = key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?;
        let (weights, state) = layers::init(&layer, &specs(inputs.0)?, key)?;
        layers::hold(&layer, Some(&weights), Some(&state));
        Ok(Wire(pair(&layer, &weights, &state)))
    })
}

pub(crate) fn held_key(layer: &LayerRef) -> Key {
    layer.base().slot.key().unwrap_or_else(|| Key::new(0))
}

fn held_weights(layer: &LayerRef) -> Tree<Tensor> {
    layers::view_weights(layer, &layers::held(layer).0)
}

fn held_state(layer: &LayerRef) -> Tree<Tensor> {
    layers::view_state(layer, &layers::held(layer).1)
}

/// The weights that a layer holds.
#[napi]
pub fn layer_weights(env: Env, id: f64) -> Result<Wire> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        Ok(Wire(HostValue::tree(&held_weights(&layer))))
    })
}

/// The state that a layer holds.
#[napi]
pub fn layer_state(env: Env, id: f64) -> Result<Wire> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        Ok(Wire(HostValue::tree(&held_state(&layer))))
    })
}

fn set_weights(layer: &LayerRef, weights: HostValue) -> Outcome<()> {
    let new = layers::load_weights(layer, &weights.into_tree_like(&held_weights(layer))?)?;
    layers::check_fits("weights", layer, &new, &layers::held(layer).0)?;
    layers::hold(layer, Some(&new), None);
    Ok(())
}

fn set_state(layer: &LayerRef, state: HostValue) -> Outcome<()> {
    let new = layers::load_state(layer, &state.into_tree_like(&held_state(layer))?)?;
    layers::check_fits("state", layer, &new, &layers::held(layer).1)?;
    layers::hold(layer, None, Some(&new));
    Ok(())
}

/// Sets the weights that a layer holds.
#[napi]
pub fn set_layer_weights(env: Env, id: f64, weights: Wire) -> Result<()> {
    run(&env, |e| set_weights(&e.layer(id)?, weights.0))
}

/// Sets the state that a layer holds.
#[napi]
pub fn set_layer_state(env: Env, id: f64, state: Wire) -> Result<()> {
    run(&env, |e| set_state(&e.layer(id)?, state.0))
}

/// The key that a layer holds, if any.
#[napi]
pub fn layer_key(env: Env, id: f64) -> Result<Option<Vec<u32>>> {
    run(&env, |e| Ok(e.layer(id)?.base().slot.key().map(|key| key.0.to_vec())))
}

/// Sets the key that a layer holds.
#[napi]
pub fn set_layer_key(env: Env, id: f64, key: Vec<u32>) -> Result<()> {
    run(&env, |e| {
        e.layer(id)?.base().slot.set_key(key_of(&key)?);
        Ok(())
    })
}

/// A call of a layer with everything it needs; it can move to another thread.
struct Prepared {
    layer: LayerRef,
    inputs: Vec<Tensor>,
    weights: Store,
    state: Store,
    key: Key,
}

impl Prepared {
    fn run(self) -> Outcome<(LayerRef, Vec<Tensor>, Store)> {
        let (ys, state) = layers::pure_fn(&self.layer, self.inputs, &self.weights, self.state, self.key)?;
        Ok((self.layer, ys, state))
    }
}

/// A call on the weights and state that the layer holds, after setting those that are given.
fn prepare(
    e: &Environment,
    id: f64,
    inputs: &[f64],
    weights: Option<Wire>,
    state: Option<Wire>,
    key: Option<Vec<u32>>,
) -> Outcome<Prepared> {
    let layer = e.layer(id)?;
    let inputs = e.tensors(inputs)?;
    if let Some(weights) = weights {
        set_weights(&layer, weights.0)?;
    }
    if let Some(state) = state {
        set_state(&layer, state.0)?;
    }
    let (weights, state) = layers::held(&layer);
    let key = key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?;
    let signatures: Vec<TensorSpec> = inputs.iter().map(TensorSpec::of).collect();
    let state = layers::ensure_state(&layer, state, &signatures, key)?;
    Ok(Prepared { layer, inputs, weights, state, key })
}

/// Calls a layer on the weights and state it holds, and keeps the new state.
#[napi]
pub fn layer_call(
    env: Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Option<Wire>,
    state: Option<Wire>,
    key: Option<Vec<u32>>,
) -> Result<Vec<f64>> {
    run(&env, |e| {
        let (layer, ys, state) = prepare(e, id, &inputs, weights, state, key)?.run()?;
        layers::hold(&layer, None, Some(&state));
        Ok(e.insert_all(&env, ys))
    })
}

/// `layer_call` on the compute thread.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn layer_call_async<'env>(
    env: &'env Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Option<Wire>,
    state: Option<Wire>,
    key: Option<Vec<u32>>,
    cancel: Option<f64>,
) -> Result<Object<'env>> {
    run(env, |e| {
        let prepared = prepare(e, id, &inputs, weights, state, key)?;
        submit(
            env,
            e,
            cancel,
            || prepared.run(),
            |_, _, (layer, ys, state)| {
                layers::hold(&layer, None, Some(&state));
                Ok(Wire(HostValue::List(ys.into_iter().map(HostValue::Tensor).collect())))
            },
        )
    })
}

/// A layer as a pure function: `[outputs, new state]`. Nothing is kept.
#[napi]
pub fn layer_pure(
    env: Env,
    id: f64,
    inputs: Vec<f64>,
    weights: Wire,
    state: Wire,
    key: Option<Vec<u32>>,
) -> Result<Wire> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        let prepared = Prepared {
            inputs: e.tensors(&inputs)?,
            weights: layers::load_weights(&layer, &weights.0.into_tree_like(&held_weights(&layer))?)?,
            state: layers::load_state(&layer, &state.0.into_tree_like(&held_state(&layer))?)?,
            key: key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?,
            layer,
        };
        let (layer, ys, state) = prepared.run()?;
        let state = HostValue::tree(&layers::view_state(&layer, &state));
        Ok(Wire(HostValue::List(vec![HostValue::List(ys.into_iter().map(HostValue::Tensor).collect()), state])))
    })
}
