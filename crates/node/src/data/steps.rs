//! The options of the steps of a pipeline.
use crate::bridge::{environment::run, wire::Wire};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;

/// All options of a source or step, checked, with those filled in that were left out.
#[napi]
pub fn step_options(env: Env, step: String, options: Wire) -> Result<Wire> {
    run(&env, |_| Ok(Wire(tallow_data::step_options(&step, &options.0)?)))
}
