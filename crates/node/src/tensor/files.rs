//! Files of tensors that belong to no layer.
use crate::bridge::{environment::run, error::Outcome};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{collections::BTreeMap, path::Path};

/// A tensor of a file.
#[napi(object)]
pub struct NamedTensor {
    /// Its name.
    pub name: String,
    /// Its handle.
    pub tensor: f64,
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
        Ok(contents.into_iter().map(|(name, t)| NamedTensor { name, tensor: e.insert(&env, t) }).collect())
    })
}

/// Writes tensors to a safetensors file.
#[napi]
pub fn save_safetensors(env: Env, tensors: Vec<NamedTensor>, path: String) -> Result<()> {
    run(&env, |e| {
        let named = tensors.into_iter().map(|t| Ok((t.name, e.tensor(t.tensor)?))).collect::<Outcome<Vec<_>>>()?;
        Ok(tallow_training::write_safetensors(Path::new(&path), &named, &BTreeMap::new())?)
    })
}
