//! What exports of layers share: the layer of a handle, keys, what a graph keeps.
use crate::bridge::{
    environment::{run, Environment},
    error::{Failure, Outcome},
};
use napi::{bindgen_prelude::*, Env};
use tallow_layers::LayerRef;
use tallow_tensor::{autodiff::keeping, random::Key};

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

pub(crate) fn key_of(words: &[u32]) -> Outcome<Key> {
    match *words {
        [a, b] => Ok(Key([a, b])),
        _ => Err(Failure::Type("a random key has two words".to_owned())),
    }
}
