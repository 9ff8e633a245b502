//! Files of tensors that belong to no layer.
use crate::bridge::environment::run;
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{collections::BTreeMap, path::Path};

/// Named tensors, the names beside their handles.
#[napi(object)]
pub struct NamedTensors {
    /// The names, in order.
    pub names: Vec<String>,
    /// The tensors, in the same order.
    pub tensors: Vec<f64>,
}

/// Reads the tensors of a safetensors file, or those of these names.
#[napi]
pub fn load_safetensors(env: Env, path: String, names: Option<Vec<String>>) -> Result<NamedTensors> {
    run(&env, |e| {
        let path = Path::new(&path);
        let contents = match names {
            Some(names) => tallow_training::read_named_safetensors(path, &names)?,
            None => tallow_training::read_safetensors(path)?.0,
        };
        let (names, tensors) = contents.into_iter().unzip();
        Ok(NamedTensors { names, tensors: e.insert_all(&env, tensors) })
    })
}

/// Writes tensors to a safetensors file.
#[napi]
pub fn save_safetensors(env: Env, tensors: NamedTensors, path: String) -> Result<()> {
    run(&env, |e| {
        let named: Vec<_> = tensors.names.into_iter().zip(e.tensors(&tensors.tensors)?).collect();
        Ok(tallow_training::write_safetensors(Path::new(&path), &named, &BTreeMap::new())?)
    })
}
