//! Differentiation of JavaScript functions: `gradients.ts` marks variables, runs the function, and calls `backward`.
use crate::bridge::environment::run;
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{autodiff, Tensor};

/// The same values as a new variable that gradients can be asked for.
#[napi]
pub fn variable(env: Env, id: f64) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, e.tensor(id)?.variable())))
}

/// The same values, a constant to differentiation.
#[napi]
pub fn stop_gradient(env: Env, id: f64) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, e.tensor(id)?.detach())))
}

/// Gradients with respect to `wrt` of the outputs weighted by the cotangents; the graph is kept for further calls.
#[napi]
pub fn backward(env: Env, outputs: Vec<f64>, cotangents: Vec<f64>, wrt: Vec<f64>) -> Result<Vec<f64>> {
    run(&env, |e| {
        let seeds: Vec<(Tensor, Tensor)> = e.tensors(&outputs)?.into_iter().zip(e.tensors(&cotangents)?).collect();
        Ok(e.insert_all(&env, tallow_tensor::backward(&seeds, &e.tensors(&wrt)?, true)?))
    })
}

/// Starts recording, also inside code that is not recorded; gives what `end_recording` needs.
#[napi]
pub fn begin_recording(env: Env) -> Result<f64> {
    run(&env, |_| Ok(autodiff::begin_recording() as f64))
}

/// Goes back to the state before `begin_recording`.
#[napi]
pub fn end_recording(env: Env, before: f64) -> Result<()> {
    run(&env, |_| {
        autodiff::end_recording(before as usize);
        Ok(())
    })
}

/// New handles of `outputs` for the caller: constants, unless they depend on variables other than `wrt`.
#[napi]
pub fn detach_from(env: Env, outputs: Vec<f64>, wrt: Vec<f64>) -> Result<Vec<f64>> {
    run(&env, |e| {
        let wrt = e.tensors(&wrt)?;
        let outputs = e.tensors(&outputs)?.into_iter();
        Ok(e.insert_all(&env, outputs.map(|t| if t.depends_only_on(&wrt) { t.detach() } else { t }).collect()))
    })
}
