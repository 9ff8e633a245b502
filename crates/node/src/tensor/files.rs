//! Files of tensors that belong to no layer.
use crate::bridge::{
    environment::{run, Environment},
    error::Outcome,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{collections::BTreeMap, path::Path};
use tallow_tensor::Tensor;

/// A tensor of a file.
#[napi(object)]
pub struct NamedTensor {
    /// Its name.
    pub name: String,
    /// Its handle.
    pub tensor: f64,
}

type Named = Vec<(String, Tensor)>;

fn handles(env: &Env, e: &Environment, tensors: Named) -> Vec<NamedTensor> {
    tensors.into_iter().map(|(name, t)| NamedTensor { name, tensor: e.insert(env, t) }).collect()
}

fn tensors(e: &Environment, handles: Vec<NamedTensor>) -> Outcome<Named> {
    handles.into_iter().map(|t| Ok((t.name, e.tensor(t.tensor)?))).collect()
}

/// Reads the tensors of a safetensors file, or those of these names.
#[napi]
pub fn load_safetensors(env: Env, path: String, names: Option<Vec<String>>) -> Result<Vec<NamedTensor>> {
    run(&env, |e| {
        let path = Path::new(&path);
        let contents = match names {
            Some(names) => tallow_training::read_named_safetensors(path, &names)?,
            None => tallow_training::read_safetensors(path)?.0,
        };
        Ok(handles(&env, e, contents))
    })
}

/// Writes tensors to a safetensors file.
#[napi]
pub fn save_safetensors(env: Env, named: Vec<NamedTensor>, path: String) -> Result<()> {
    run(&env, |e| Ok(tallow_training::write_safetensors(Path::new(&path), &tensors(e, named)?, &BTreeMap::new())?))
}

/// Reads the arrays of a `.npz` file.
#[napi]
pub fn load_npz(env: Env, path: String) -> Result<Vec<NamedTensor>> {
    run(&env, |e| Ok(handles(&env, e, tallow_training::load_npz(Path::new(&path))?)))
}

/// Writes arrays to a `.npz` file.
#[napi]
pub fn save_npz(env: Env, path: String, named: Vec<NamedTensor>) -> Result<()> {
    run(&env, |e| Ok(tallow_training::save_npz(Path::new(&path), &tensors(e, named)?)?))
}

/// Reads the tensors of a file of any kind.
#[napi]
pub fn load_tensors(env: Env, path: String) -> Result<Vec<NamedTensor>> {
    run(&env, |e| Ok(handles(&env, e, tallow_training::load_tensors(Path::new(&path))?)))
}
