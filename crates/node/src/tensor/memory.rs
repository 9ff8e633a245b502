//! Memory of tensors, the threads of kernels, and what they run on.
use crate::bridge::{
    args::{Arg, Size},
    environment::run,
    log::features,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;

/// Memory in use.
#[napi(object)]
pub struct MemoryUse {
    /// Handles of tensors in this environment.
    pub tensors: f64,
    /// Handles of layers in this environment.
    pub layers: f64,
    /// Blocks of tensor data in the process.
    pub storages: f64,
    /// Bytes of tensor data in the process.
    pub bytes: f64,
    /// The most bytes at once.
    pub peak_bytes: f64,
}

/// Memory in use now.
#[napi]
pub fn memory(env: Env) -> Result<MemoryUse> {
    run(&env, |e| {
        let used = tallow_tensor::memory();
        let [tensors, layers] = e.handles().map(|n| n as f64);
        let [storages, bytes, peak_bytes] = [used.storages, used.bytes, used.peak_bytes].map(|n| n as f64);
        Ok(MemoryUse { tensors, layers, storages, bytes, peak_bytes })
    })
}

/// Starts a new measurement of the peak.
#[napi]
pub fn reset_peak_memory(env: Env) -> Result<()> {
    run(&env, |_| {
        tallow_tensor::reset_peak();
        Ok(())
    })
}

/// The most bytes that tensors may take.
#[napi]
pub fn memory_limit(env: Env) -> Result<f64> {
    run(&env, |_| Ok(tallow_tensor::memory_limit() as f64))
}

/// Sets the most bytes that tensors may take; `null`: the machine's memory.
#[napi]
pub fn set_memory_limit(env: Env, bytes: Arg<Option<Size>>) -> Result<()> {
    run(&env, |_| Ok(tallow_tensor::set_memory_limit(bytes.named("setMemoryLimit: bytes")?.map(|n| n.0))?))
}

/// The number of threads that kernels use.
#[napi]
pub fn num_threads(env: Env) -> Result<f64> {
    run(&env, |_| Ok(tallow_tensor::threads::num_threads() as f64))
}

/// Sets the number of threads that kernels use.
#[napi]
pub fn set_num_threads(env: Env, n: Arg<Size>) -> Result<()> {
    run(&env, |_| Ok(tallow_tensor::threads::set_num_threads(n.named("setNumThreads: n")?.0)?))
}

/// The version of the addon.
#[napi]
pub fn version(env: Env) -> Result<String> {
    run(&env, |_| Ok(env!("CARGO_PKG_VERSION").to_owned()))
}

/// The features of the processor that kernels are chosen by.
#[napi]
pub fn cpu_features(env: Env) -> Result<Vec<String>> {
    run(&env, |_| Ok(features().into_iter().map(str::to_owned).collect()))
}
