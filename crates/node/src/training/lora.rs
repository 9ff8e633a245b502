//! LoRA: a model with it and without it, and its files.
use crate::{
    bridge::{order::Access, wire::Wire},
    layer::{change, run_with},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::path::Path;
use tallow_layers::{charging, core};
use tallow_training::WithLoraOptions;

/// The layer with LoRA around those of its `Dense` layers whose weights match one of the patterns.
#[napi]
pub fn with_lora(env: Env, id: f64, patterns: Vec<String>, options: Wire) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        let options = WithLoraOptions::parse(&options.0)?;
        e.order.done_before(&env, || Access::read_weights(&layer));
        let made = || tallow_training::with_lora(&layer, &patterns, &options);
        Ok(e.insert_layer(charging(&e.account, made)?))
    })
}

/// The layer with what LoRA has learned in its weights, and without LoRA.
#[napi]
pub fn merge_lora(env: Env, id: f64) -> Result<f64> {
    run_with(&env, id, |e, layer| {
        e.order.done_before(&env, || Access::read_weights(&layer));
        Ok(e.insert_layer(charging(&e.account, || core::merge_lora(&layer))?))
    })
}

/// Writes what LoRA adds to a file.
#[napi]
pub fn save_lora(env: Env, id: f64, path: String) -> Result<()> {
    run_with(&env, id, |e, layer| {
        e.order.done_before(&env, || Access::read_weights(&layer));
        Ok(tallow_training::save_lora(Path::new(&path), &layer)?)
    })
}

/// Reads what LoRA adds from a file.
#[napi]
pub fn load_lora(env: Env, id: f64, path: String) -> Result<()> {
    run_with(&env, id, |e, layer| {
        let load = || Ok(tallow_training::load_lora(Path::new(&path), &layer)?);
        change(&env, e, "weights are loaded", Access::set_weights(&layer), load)
    })
}
