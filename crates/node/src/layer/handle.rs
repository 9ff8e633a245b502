//! What exports of layers share: the layer of a handle, what a graph keeps.
use crate::bridge::{
    environment::{run, Environment},
    error::Outcome,
};
use napi::{bindgen_prelude::*, Env};
use tallow_layers::LayerRef;
use tallow_tensor::autodiff::keeping;

/// Runs `body` with a layer, where there is room for as many levels as it has.
pub(crate) fn run_with<T>(env: &Env, id: f64, body: impl FnOnce(&Environment, LayerRef) -> Outcome<T>) -> Result<T> {
    run(env, |e| {
        let layer = e.layer(id)?;
        e.with_room_for(&layer.clone(), || body(e, layer))
    })
}

/// Runs `body`; what it records keeps what JavaScript gave the number `keep` to.
pub(crate) fn keeping_for<T>(e: &Environment, keep: Option<f64>, body: impl FnOnce() -> T) -> T {
    match keep {
        Some(number) => keeping(e.guard(number), body),
        None => body(),
    }
}
