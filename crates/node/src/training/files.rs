//! Files of layers' weights and of arrays.
use crate::{
    bridge::{
        args::{Arg, Size},
        compute::promised,
        environment::run,
        error::{Failure, Outcome},
        lock::lock,
        order::Access,
        wire::Wire,
    },
    layer::{change, held_key, keeping_device, run_with, specs},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};
use tallow_layers::{HostValue, TensorSpec};
use tallow_training::{CheckpointInfo, FileInfo, LoadOptions, LoadReport, Mismatch, TensorInfo};

/// Writes the weights, and unless `weights_only` the state, that a layer holds, with the signature it was initialized for, if given;
/// with patterns, only the weights that these match.
#[napi]
pub fn save_layer(
    env: Env,
    id: f64,
    path: String,
    weights_only: bool,
    signature: Option<Wire>,
    patterns: Option<Vec<String>>,
) -> Result<()> {
    run_with(&env, id, |e, layer| {
        let signature = signature.map(|s| specs(s.0)).transpose()?;
        e.order.done_before(&env, || Access::read(&layer));
        let (path, patterns) = (Path::new(&path), patterns.as_deref());
        Ok(tallow_training::save_to_file(path, &layer, weights_only, patterns, signature.as_deref())?)
    })
}

/// Reads weights, and unless `weights_only` state, into a layer. It is initialized first for the signature, if one is given, or
/// else for the file's if it was not yet. What was taken, and what did not fit.
#[napi(
    ts_return_type = "{ taken: string[], missing: string[], unused: string[], mismatched: { name: string, file: { shape: number[], dtype: string }, model: { shape: number[], dtype: string } }[] }"
)]
pub fn load_layer(
    env: Env,
    id: f64,
    path: String,
    weights_only: bool,
    signature: Option<Wire>,
    options: Wire,
) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        let signature = signature.map(|s| specs(s.0)).transpose()?;
        let options = LoadOptions::parse(&options.0)?;
        let (path, key) = (Path::new(&path), held_key(&layer));
        let read =
            || Ok(tallow_training::init_from_file(path, &layer, weights_only, signature.as_deref(), key, &options)?);
        let load = || keeping_device(&layer, read);
        Ok(Wire(reported(change(&env, e, "weights are loaded", Access::set(&layer), load)?)))
    })
}

fn reported(report: LoadReport) -> HostValue {
    let texts = |names: Vec<String>| HostValue::List(names.into_iter().map(HostValue::Text).collect());
    let mismatched = |m: Mismatch| {
        HostValue::from([("name", HostValue::Text(m.name)), ("file", spec(&m.file)), ("model", spec(&m.model))])
    };
    HostValue::from([
        ("taken", texts(report.taken)),
        ("missing", texts(report.missing)),
        ("unused", texts(report.unused)),
        ("mismatched", HostValue::List(report.mismatched.into_iter().map(mismatched).collect())),
    ])
}

fn spec(s: &TensorSpec) -> HostValue {
    HostValue::from([("shape", sizes(&s.shape)), ("dtype", HostValue::Text(s.dtype.name().into()))])
}

fn sizes(shape: &[usize]) -> HostValue {
    HostValue::List(shape.iter().map(|n| HostValue::Number(*n as f64)).collect())
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

/// Reads a file on a thread of its own, as nothing is computed: a training loop goes on beside it.
fn beside<'env, T: Send + 'static>(
    env: &'env Env,
    work: impl FnOnce() -> tallow_layers::Result<T> + Send + 'static,
    finish: impl FnOnce(T) -> HostValue + Send + 'static,
) -> Outcome<Object<'env>> {
    let (settle, promise) = promised(env, |_, _, value| Ok(Wire(finish(value))))?;
    let job = move || {
        let worked = catch_unwind(AssertUnwindSafe(work));
        settle(worked.map_err(Failure::from_panic).and_then(|done| Ok(done?)));
    };
    // A promise that was made must be settled, also where no thread can be started.
    let job = Arc::new(Mutex::new(Some(job)));
    let run = |job: &Mutex<Option<_>>| {
        let taken = lock(job).take();
        if let Some(job) = taken {
            let job: Box<dyn FnOnce() + Send> = Box::new(job);
            job();
        }
    };
    let own = job.clone();
    if thread::Builder::new().name("tallow-files".to_owned()).spawn(move || run(&own)).is_err() {
        run(&job);
    }
    Ok(promise)
}

fn infos(tensors: Vec<TensorInfo>) -> HostValue {
    let tensor = |t: TensorInfo| {
        HostValue::from([
            ("name", HostValue::Text(t.name)),
            ("shape", sizes(&t.shape)),
            ("dtype", HostValue::Text(t.dtype)),
            ("bytes", HostValue::Number(t.bytes as f64)),
        ])
    };
    HostValue::List(tensors.into_iter().map(tensor).collect())
}

fn described(info: CheckpointInfo) -> HostValue {
    HostValue::from([
        ("step", info.step.map_or(HostValue::Null, |s| HostValue::Number(s as f64))),
        ("notes", info.notes.map_or(HostValue::Null, HostValue::Text)),
        ("tensors", infos(info.tensors)),
    ])
}

fn file_described(info: FileInfo) -> HostValue {
    let signature = |specs: Vec<TensorSpec>| HostValue::List(specs.iter().map(spec).collect());
    HostValue::from([
        ("format", HostValue::Text(info.format.name().into())),
        ("step", info.step.map_or(HostValue::Null, |s| HostValue::Number(s as f64))),
        ("notes", info.notes.map_or(HostValue::Null, HostValue::Text)),
        ("signature", info.signature.map_or(HostValue::Null, signature)),
        ("tensors", infos(info.tensors)),
    ])
}

/// What a file of tensors says of itself, whatever its format; its notes as JSON.
#[napi(
    ts_return_type = "Promise<{ format: 'safetensors' | 'npy' | 'npz' | 'npy.gz' | 'pkl.gz', step: number | null, notes: string | null, signature: { shape: number[], dtype: string }[] | null, tensors: { name: string, shape: number[], dtype: string, bytes: number }[] }>"
)]
pub fn file_info(env: &Env, path: String) -> Result<Object<'_>> {
    run(env, |_| beside(env, move || tallow_training::file_info(Path::new(&path)), file_described))
}

/// What the header of a checkpoint says; its notes as JSON.
#[napi(
    ts_return_type = "Promise<{ step: number | null, notes: string | null, tensors: { name: string, shape: number[], dtype: string, bytes: number }[] }>"
)]
pub fn checkpoint_info(env: &Env, path: String) -> Result<Object<'_>> {
    run(env, |_| beside(env, move || tallow_training::checkpoint_info(Path::new(&path)), described))
}

/// Reads a checkpoint to its end, and checks every checksum.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn verify_checkpoint(env: &Env, path: String) -> Result<Object<'_>> {
    run(env, |_| beside(env, move || tallow_training::verify_checkpoint(Path::new(&path)), |()| HostValue::Null))
}
