//! Signatures: of inputs and outputs, of weights and state.
use super::handle::run_with;
use crate::bridge::{
    error::{Failure, Outcome},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, HostValue, TensorSpec, Tree};
use tallow_tensor::{random::Key, DType, Tensor};

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

/// Signatures of the outputs for inputs of these signatures.
#[napi]
pub fn output_signature(env: Env, id: f64, inputs: Wire) -> Result<Wire> {
    run_with(&env, id, |_, layer| {
        let outputs = layers::signature(&layer, &specs(inputs.0)?)?;
        Ok(Wire(HostValue::List(outputs.iter().map(HostValue::signature).collect())))
    })
}

/// Makes weights and state without keeping them: their signatures.
#[napi]
pub fn weights_and_state_signature(env: Env, id: f64, inputs: Wire) -> Result<Wire> {
    run_with(&env, id, |_, layer| {
        let (weights, state) = layers::init_signature(&layer, &specs(inputs.0)?, Key::new(0))?;
        let signatures = |tree: Tree<Tensor>| signature_tree(&tree);
        Ok(Wire(HostValue::List(vec![
            signatures(layers::view_weights(&layer, &weights)),
            signatures(layers::view_state(&layer, &state)?),
        ])))
    })
}

fn signature_tree(tree: &Tree<Tensor>) -> HostValue {
    layers::deep(|| match tree {
        Tree::Leaf(t) => HostValue::signature(&TensorSpec::of(t)),
        Tree::Tuple(items) => HostValue::List(items.iter().map(signature_tree).collect()),
        Tree::Dict(fields) => HostValue::Record(fields.iter().map(|(k, t)| (k.clone(), signature_tree(t))).collect()),
        Tree::Cached => HostValue::Cached,
        // A view shows all as tensors.
        Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) | Tree::Quantized(_) => HostValue::Null,
    })
}
