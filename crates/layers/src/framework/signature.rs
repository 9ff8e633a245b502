//! Signatures of outputs: shapes and types without values.
use crate::{agreement, stack::deep, Error, ErrorKind, LayerId, LayerRef, Phase, Result, TensorSpec};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

/// How many of `got` inputs a layer takes: all, or as many as it wants if it leaves others be.
pub(crate) fn taken(layer: &LayerRef, got: usize) -> Result<usize> {
    let n_in = layer.arity().n_in;
    let taken = if layer.open() { got.min(n_in) } else { got };
    check_count("takes", "input", n_in, taken)?;
    Ok(taken)
}

pub(super) fn check_count(verb: &str, what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    let s = if expected == 1 { "" } else { "s" };
    Err(Error::new(ErrorKind::ArityMismatch, format!("the layer {verb} {expected} {what}{s}, got {got}")))
}

/// Signatures after layers in series have run on a stack.
///
/// # Errors
/// Those of the layers, with their path.
pub fn stack_signature(layers: &[LayerRef], inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    let mut stack = inputs.to_vec();
    for layer in layers {
        let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
        stack = signature(layer, &stack)?;
        stack.extend(rest);
    }
    Ok(stack)
}

/// Outputs by layer (its identity and place in memory, as copies in other modes have the same identity) and inputs.
type Signatures = HashMap<(LayerId, usize, Vec<TensorSpec>), Vec<TensorSpec>>;

thread_local!(static SIGNATURES: RefCell<Option<Signatures>> = const { RefCell::new(None) });

/// Runs `f` with signatures computed once: an initialization asks for that of each layer at each level
/// above it, which would take time by the square of the levels.
pub(crate) fn remembering<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Signatures>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SIGNATURES.set(self.0.take());
        }
    }
    let _restore = Restore(SIGNATURES.replace(Some(Signatures::new())));
    f()
}

/// Signatures of a layer's outputs; checks its arity, and names it in errors.
///
/// # Errors
/// `ArityMismatch`, `ShapeMismatch` for an instance used in two places for which it would need weights of different shapes, or the layer's
/// own error with this layer added to its path.
pub fn signature(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    let leaf = layer.sublayers().is_empty();
    let place = || (layer.base().id, Arc::as_ptr(layer).cast::<()>() as usize, inputs.to_vec());
    let known = || SIGNATURES.with_borrow(|all| all.as_ref().and_then(|all| all.get(&place()).cloned()));
    if let Some(outputs) = (!leaf).then(known).flatten() {
        return Ok(outputs);
    }
    let _one_tree = agreement::begin();
    let outputs = taken(layer, inputs.len())
        .and_then(|n| {
            agreement::check(layer, &inputs[..n])?;
            Ok([deep(|| layer.signature(&inputs[..n]))?, inputs[n..].to_vec()].concat())
        })
        .map_err(|e| layer.base().within(e, Phase::Forward, || inputs.to_vec()))?;
    if !leaf {
        SIGNATURES.with_borrow_mut(|all| all.as_mut().map(|all| all.insert(place(), outputs.clone())));
    }
    Ok(outputs)
}
