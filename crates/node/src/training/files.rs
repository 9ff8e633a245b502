//! Files of layers' weights and of arrays.
use crate::{
    bridge::{
        args::{Arg, Size},
        environment::run,
        error::Outcome,
        order::Access,
        wire::Wire,
    },
    layer::{change, held_key, run_with, specs},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::path::Path;

/// Writes the weights, and unless `weights_only` the state, that a layer holds, with the signature it was initialized for, if given.
#[napi]
pub fn save_layer(env: Env, id: f64, path: String, weights_only: bool, signature: Option<Wire>) -> Result<()> {
    run_with(&env, id, |e, layer| {
        let signature = signature.map(|s| specs(s.0)).transpose()?;
        e.order.done_before(&env, || Access::read(&layer));
        Ok(tallow_training::save_to_file(Path::new(&path), &layer, weights_only, signature.as_deref())?)
    })
}

/// Reads weights, and unless `weights_only` state, into a layer. It is initialized first for the signature, if one is given, or
/// else for the file's if it was not yet.
#[napi]
pub fn load_layer(env: Env, id: f64, path: String, weights_only: bool, signature: Option<Wire>) -> Result<()> {
    run_with(&env, id, |e, layer| {
        let signature = signature.map(|s| specs(s.0)).transpose()?;
        let key = held_key(&layer);
        let load =
            || Ok(tallow_training::init_from_file(Path::new(&path), &layer, weights_only, signature.as_deref(), key)?);
        change(&env, e, "weights are loaded", Access::set(&layer), load)
    })
}

fn level_of(what: &str, level: Arg<Size>) -> Outcome<u32> {
    Ok(u32::try_from(level.named(format_args!("{what}: compresslevel"))?.0).unwrap_or(u32::MAX))
}

/// Writes arrays to a gzip file of `.npy` arrays.
#[napi]
pub fn np_to_file(env: Env, arrays: Vec<f64>, path: String, level: Arg<Size>) -> Result<()> {
    run(&env, |e| {
        let level = level_of("npToFile", level)?;
        Ok(tallow_training::np_to_file(&e.tensors(&arrays)?, Path::new(&path), level)?)
    })
}

/// Reads the arrays of a gzip file of `.npy` arrays.
#[napi]
pub fn np_from_file(env: Env, path: String, level: Arg<Size>) -> Result<Vec<f64>> {
    run(&env, |e| {
        let level = level_of("npFromFile", level)?;
        Ok(e.insert_all(&env, tallow_training::np_from_file(Path::new(&path), level)?))
    })
}
