//! Layers: construction by name, calls, weights and state. Knows no layer by name.
use crate::{
    args::{Arg, Shape},
    compute::{submit, Asked},
    environment::{run, Environment},
    error::{Failure, Outcome},
    host::JsFunction,
    order::{done_before, Access},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use serde_json::Value;
use std::sync::Arc;
use tallow_layers::{
    self as layers, build, build::References, layer::print, options::OptionType, registry, HostFnRef, HostValue,
    LayerId, LayerRef, Mode, Store, TensorSpec, Tree,
};
use tallow_tensor::{autodiff::keeping, cancel, random::Key, DType, Tensor};

/// Runs `body` with a layer, where there is room for as many levels as it has.
pub(crate) fn run_with<T>(env: &Env, id: f64, body: impl FnOnce(&Environment, LayerRef) -> Outcome<T>) -> Result<T> {
    run(env, |e| {
        let layer = e.layer(id)?;
        e.with_room_for(&layer.clone(), || body(e, layer))
    })
}

/// Runs `body`; what it records keeps what JavaScript gave the number `keep` to.
fn keeping_for<T>(e: &Environment, keep: Option<f64>, body: impl FnOnce() -> T) -> T {
    match keep {
        Some(number) => keeping(e.guard(number), body),
        None => body(),
    }
}

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

pub(crate) fn key_of(words: &[u32]) -> Outcome<Key> {
    match *words {
        [a, b] => Ok(Key([a, b])),
        _ => Err(Failure::Type("a random key has two words".to_owned())),
    }
}

/// What does not change about a layer.
#[napi(object)]
pub struct LayerInfo {
    /// The identities of what was made with it: of the layer (shared with its copies in other modes), and of what is below it, unless
    /// that was there before.
    pub instances: Vec<f64>,
    /// Its name.
    pub name: String,
    /// Inputs.
    pub n_in: u32,
    /// Outputs.
    pub n_out: u32,
    /// Whether it brings its own backward pass.
    pub has_backward: bool,
}

/// What does not change about a layer.
#[napi]
pub fn layer_info(env: Env, id: f64) -> Result<LayerInfo> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        let arity = layer.arity();
        let mut instances = Vec::new();
        made_since(&layer, e.made_from.get(), &mut instances);
        Ok(LayerInfo {
            instances,
            name: layer.base().name.clone(),
            n_in: arity.n_in as u32,
            n_out: arity.n_out as u32,
            has_backward: layer.has_backward(),
        })
    })
}

/// Whether a layer's inputs follow from its outputs.
#[napi]
pub fn layer_is_reversible(env: Env, id: f64) -> Result<bool> {
    run(&env, |e| Ok(e.layer(id)?.reversible().is_some()))
}

/// Identities from `first` on. Layers are made after those they run, so there is none below one that is older: the time goes with what is new.
fn made_since(layer: &LayerRef, first: LayerId, out: &mut Vec<f64>) {
    let id = layer.base().id;
    let number = id.0 as f64;
    if id >= first && !out.contains(&number) {
        out.push(number);
        layer.sublayers().iter().for_each(|l| layers::deep(|| made_since(l, first, out)));
    }
}

/// A layer's printed form.
#[napi]
pub fn layer_text(env: Env, id: f64) -> Result<String> {
    run_with(&env, id, |_, layer| Ok(print(&layer)))
}

/// Handles of the sublayers.
#[napi]
pub fn sublayers(env: Env, id: f64) -> Result<Vec<f64>> {
    run(&env, |e| Ok(e.layer(id)?.sublayers().iter().map(|l| e.insert_layer(l.clone())).collect()))
}

/// The same layer in another mode, sharing its weights.
#[napi]
pub fn with_mode(env: Env, id: f64, mode: String) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        let expected = <Mode as OptionType>::EXPECTED;
        let wrong = || tallow_layers::Error::option(format!("`mode` must be {expected}, got {mode:?}"));
        let mode = <Mode as OptionType>::parse(&Value::String(mode.clone())).ok_or_else(wrong)?;
        Ok(e.insert_layer(layers::charging(&e.account, || layers::with_mode(&layer, mode))))
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
    run_with(&env, id, |_, layer| {
        let outputs = layers::signature(&layer, &specs(inputs.0)?)?;
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
    run_with(&env, id, |_, layer| {
        let (weights, state) = layers::init_signature(&layer, &specs(inputs.0)?, Key::new(0))?;
        let signatures = |tree: Tree<Tensor>| signature_tree(&tree);
        Ok(Wire(HostValue::List(vec![
            signatures(layers::view_weights(&layer, &weights)),
            signatures(layers::view_state(&layer, &state)),
        ])))
    })
}

fn signature_tree(tree: &Tree<Tensor>) -> HostValue {
    layers::deep(|| match tree {
        Tree::Leaf(t) => describe(&TensorSpec::of(t)),
        Tree::Tuple(items) => HostValue::List(items.iter().map(signature_tree).collect()),
        Tree::Dict(fields) => HostValue::Record(fields.iter().map(|(k, t)| (k.clone(), signature_tree(t))).collect()),
        Tree::Cached => HostValue::Cached,
    })
}

/// Makes weights and state, keeps them in the layer, and returns them.
#[napi]
pub fn layer_init(env: Env, id: f64, inputs: Wire, key: Option<Vec<u32>>, use_cache: bool) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        let access = Access::set(&layer);
        let beside = done_before(&env, e, || access.clone());
        if use_cache && layer.base().slot.weights().is_some() {
            return Ok(Wire(HostValue::List(vec![HostValue::Cached, HostValue::Cached])));
        }
        let key = key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?;
        let (weights, state) = layers::init(&layer, &specs(inputs.0)?, key)?;
        beside.map_or(Ok(()), |b| b.refuse("init sets weights and state", &access))?;
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
    run_with(&env, id, |e, layer| {
        done_before(&env, e, || Access::read_weights(&layer));
        Ok(Wire(HostValue::tree(&held_weights(&layer))))
    })
}

/// The state that a layer holds.
#[napi]
pub fn layer_state(env: Env, id: f64) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        done_before(&env, e, || Access::read_state(&layer));
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

/// Does what was asked for before, then `set`, unless a training loop stands in the way.
pub(crate) fn change<T>(
    env: &Env,
    e: &Environment,
    what: &str,
    access: Access,
    set: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    match done_before(env, e, || access.clone()) {
        Some(beside) => beside.refuse(what, &access).and_then(|()| set()),
        None => set(),
    }
}

/// Sets the weights that a layer holds.
#[napi]
pub fn set_layer_weights(env: Env, id: f64, weights: Wire) -> Result<()> {
    run_with(&env, id, |e, layer| {
        change(&env, e, "weights are set", Access::set_weights(&layer), || set_weights(&layer, weights.0))
    })
}

/// Sets the state that a layer holds.
#[napi]
pub fn set_layer_state(env: Env, id: f64, state: Wire) -> Result<()> {
    run_with(&env, id, |e, layer| {
        change(&env, e, "state is set", Access::set_state(&layer), || set_state(&layer, state.0))
    })
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
        key: Option<Vec<u32>>,
    ) -> Outcome<Self> {
        let [weights, state] = given.map(|wire| wire.map(|w| w.0));
        let key = key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?;
        Ok(Self { inputs: e.tensors(inputs)?, layer, weights, state, key })
    }
    fn access(&self) -> Access {
        Access::call(&self.layer, self.weights.is_some())
    }
    /// Runs it from the weights and state held now, and keeps the new state. `allow` is asked before anything changes.
    fn run(self, allow: impl Fn(&str, Access) -> Outcome<()>) -> Outcome<Vec<Tensor>> {
        let Self { layer, inputs, weights, state, key } = self;
        if let Some(weights) = weights {
            allow("a call sets weights", Access::set_weights(&layer))?;
            set_weights(&layer, weights)?;
        }
        if let Some(state) = state {
            allow("a call sets state", Access::set_state(&layer))?;
            set_state(&layer, state)?;
        }
        let (weights, before) = layers::held(&layer);
        let signatures: Vec<TensorSpec> = inputs.iter().map(TensorSpec::of).collect();
        let state = layers::ensure_state(&layer, before.clone(), &signatures, key)?;
        let (ys, after) = layers::pure_fn(&layer, inputs, &weights, state, key)?;
        cancel::check()?;
        let changed = layers::changed(&before, after);
        if !changed.is_empty() {
            allow("a call changes state", Access::set_state_in(&layer, &changed))?;
            layers::hold(&layer, None, Some(&changed));
        }
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
    key: Option<Vec<u32>>,
    keep: Option<f64>,
) -> Result<Vec<f64>> {
    run_with(&env, id, |e, layer| {
        let call = Call::new(e, layer, &inputs, [weights, state], key)?;
        let beside = done_before(&env, e, || call.access());
        let allow = |what: &str, access| beside.as_ref().map_or(Ok(()), |b| b.refuse(what, &access));
        let ys = keeping_for(e, keep, || call.run(allow))?;
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
    key: Option<Vec<u32>>,
    cancel: Option<f64>,
    keep: Option<f64>,
) -> Result<Object<'env>> {
    run_with(env, id, |e, layer| {
        let call = Call::new(e, layer, &inputs, [weights, state], key)?;
        let kept = keep.map(|number| e.guard(number));
        let asked = Asked { access: call.access(), endless: false, cancel };
        let work = move || {
            let room = call.layer.clone();
            let run = || call.run(|_, _| Ok(()));
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
    key: Option<Vec<u32>>,
    keep: Option<f64>,
) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        let inputs = e.tensors(&inputs)?;
        let weights = layers::load_weights(&layer, &weights.0.into_tree_like(&held_weights(&layer))?)?;
        let state = layers::load_state(&layer, &state.0.into_tree_like(&held_state(&layer))?)?;
        let key = key.map_or_else(|| Ok(held_key(&layer)), |words| key_of(&words))?;
        let call = || layers::pure_fn(&layer, inputs, &weights, state, key);
        let (ys, state) = keeping_for(e, keep, call)?;
        let state = HostValue::tree(&layers::view_state(&layer, &state));
        Ok(Wire(HostValue::List(vec![HostValue::List(ys.into_iter().map(HostValue::Tensor).collect()), state])))
    })
}
