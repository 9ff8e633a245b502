//! The first layer that makes a number that is not finite.
use super::place::Around;
use crate::{finite, names::named, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tallow_layers::{call, call_beside, observing, LayerRef, Observer, Tree};
use tallow_tensor::{autodiff::Watch, no_grad, random::Key, Tensor};

/// A tensor with numbers that are not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFinite {
    /// Names of the layers around and of the layer itself, with their positions; empty for the layer that was called.
    pub path: String,
    /// What it is to the layer: `input 0`, `weight 1`, `output 0`.
    pub what: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

#[derive(Default)]
struct Finder(Mutex<State>);

#[derive(Default)]
struct State {
    open: Vec<Around>,
    found: Option<NotFinite>,
    failed: Option<crate::Error>,
}

impl State {
    fn look<'a>(&mut self, path: &str, what: &str, tensors: impl IntoIterator<Item = (String, &'a Tensor)>) {
        if self.found.is_some() {
            return;
        }
        for (name, t) in tensors {
            match finite::first(&t.detach(), finite::not_finite) {
                Ok(None) => {}
                Ok(Some(_)) => {
                    let what = format!("{what}{name}");
                    self.found = Some(NotFinite { path: path.to_owned(), what, shape: t.shape().to_vec() });
                    return;
                }
                Err(e) => self.failed = self.failed.take().or(Some(e)),
            }
        }
    }
}

fn numbered(tensors: &[Tensor]) -> impl Iterator<Item = (String, &Tensor)> {
    tensors.iter().enumerate().map(|(i, t)| (format!(" {i}"), t))
}

impl Watch for Finder {
    fn begin(&self, _node: u64) {}
    fn end(&self, _node: u64) {}
}

impl Observer for Finder {
    fn enter(&self, layer: &LayerRef, xs: &[Tensor], weights: &Tree<Tensor>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let base = layer.base();
        let path = state.open.last_mut().map_or_else(String::new, |around| around.path_of(base.id, &base.name));
        if state.open.is_empty() {
            state.look(&path, "input", numbered(xs));
        }
        let names = named(weights, "");
        state.look(&path, "weight", names.leaves().into_iter().cloned().zip(weights.leaves()));
        state.open.push(Around::new(path, layer.sublayers().iter().map(|l| l.base().id)));
    }
    fn leave(&self, _layer: &LayerRef, ys: Option<&[Tensor]>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Around { path, .. }) = state.open.pop() {
            state.look(&path, "output", numbered(ys.unwrap_or_default()));
        }
    }
    fn watch(self: Arc<Self>) -> Arc<dyn Watch> {
        self
    }
}

/// Runs a layer once, and tells the first tensor with a number that is not finite: an input of the layer, a weight, or what a layer made of
/// finite numbers. State is not kept; `beside` says whether others may change weights meanwhile.
///
/// # Errors
/// Those of the layer, unless a number that is not finite was found before.
pub fn first_not_finite(layer: &LayerRef, xs: Vec<Tensor>, key: Key, beside: bool) -> Result<Option<NotFinite>> {
    let finder = Arc::new(Finder::default());
    let run = if beside { call_beside } else { call };
    let ran = no_grad(|| observing(Some(finder.clone()), || run(layer, xs, key).map(drop)));
    let mut state = finder.0.lock().unwrap_or_else(PoisonError::into_inner);
    match (state.found.take(), state.failed.take()) {
        (Some(found), _) => Ok(Some(found)),
        (None, Some(e)) => Err(e),
        (None, None) => ran.map(|()| None),
    }
}
