//! Numbers that are not finite: no step lets them into weights, slots or state, and no checkpoint of a trainer has NaN.
use crate::{
    event_file::SUMMARIES,
    names::{named, paths},
    Error, Result,
};
use std::collections::HashMap;
use tallow_layers::{ErrorKind, LayerRef, Store};
use tallow_tensor::{ops::global_norm, Tensor};

/// The error for a step that is not made.
pub(crate) fn refused(what: &str) -> Error {
    Error::new(ErrorKind::NotFinite, format!("{what}; weights, state and slots are as before this step"))
}

/// The first number of a tensor of floats that is `bad`, of those that are not finite.
pub(crate) fn first(t: &Tensor, bad: fn(f64) -> bool) -> Result<Option<f64>> {
    // The norm is one quick pass, and tells nearly always.
    if !t.dtype().is_float() || global_norm(std::slice::from_ref(t))?.is_finite() {
        return Ok(None);
    }
    Ok(t.detach().to_f64_vec()?.into_iter().find(|v| bad(*v)))
}

/// Whether a number is NaN or infinite.
pub(crate) fn not_finite(v: f64) -> bool {
    !v.is_finite()
}

/// The name of the first tensor that holds NaN.
pub(crate) fn first_nan(tensors: &[(String, Tensor)]) -> Result<Option<String>> {
    for (name, t) in tensors {
        if first(t, f64::is_nan)?.is_some() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// Refuses a step whose gradients are not finite, though its loss is.
///
/// # Errors
/// `NotFinite` naming the first weight that has such a gradient.
pub(crate) fn check_gradients(names: &[String], gradients: &[Tensor], loss: f64, step: u64) -> Result<()> {
    for (name, gradient) in names.iter().zip(gradients) {
        if let Some(value) = first(gradient, not_finite)? {
            return Err(refused(&format!(
                "the gradient of {name} is {value} at step {step}, though the loss is {loss}: a root, logarithm or division in the \
                 model has no finite slope there"
            )));
        }
    }
    Ok(())
}

/// Refuses a step after which state is not finite that was so before. Summaries are only shown.
///
/// # Errors
/// `NotFinite` naming the first such state.
pub(crate) fn check_state(layer: &LayerRef, old: &Store, new: &Store, step: u64) -> Result<()> {
    for (layer, path) in paths(layer) {
        let id = layer.base().id;
        let Some(tree) = new.get(&id) else { continue };
        let names = named(tree, &format!("state{path}"));
        let before = old.get(&id).map(|t| {
            let names = named(t, &format!("state{path}"));
            names.leaves().into_iter().cloned().zip(t.leaves().into_iter().cloned()).collect::<HashMap<_, _>>()
        });
        for (name, t) in names.leaves().into_iter().zip(tree.leaves()) {
            let before = before.as_ref().and_then(|b| b.get(name));
            let shown = name.rsplit('/').next().is_some_and(|key| key.starts_with(SUMMARIES));
            if shown || before.is_some_and(|b| b.storage_id() == t.storage_id()) {
                continue;
            }
            if let Some(value) = first(t, not_finite)? {
                let was = before.map(|b| first(b, not_finite)).transpose()?.flatten();
                if was.is_none() {
                    return Err(refused(&format!("{name} would become {value} at step {step}")));
                }
            }
        }
    }
    Ok(())
}
