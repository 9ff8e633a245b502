//! Jobs that do a part of a longer work with a model that they only read.
use crate::bridge::{
    compute::{submit, Asked},
    environment::Environment,
    error::Outcome,
    order::{Access, Way},
    turn::apart,
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use std::time::{Duration, Instant};
use tallow_layers::{depth, with_room, HostValue, LayerRef};
use tallow_tensor::cancel;

/// How long a job goes on with further steps: what JavaScript does between two jobs takes a hundredth of it.
const SLICE: Duration = Duration::from_millis(4);

/// Steps until one says that it is enough, or the time of a job is over; others that wait have their turn between two of them.
pub(crate) fn steps(mut step: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let begun = Instant::now();
    while !step()? && begun.elapsed() < SLICE {
        cancel::check()?;
        apart(|| ());
    }
    Ok(())
}

/// A job that reads the weights of `model` and tells JavaScript what it came to.
pub(crate) fn reading<'env>(
    env: &'env Env,
    e: &Environment,
    model: &LayerRef,
    cancel: Option<f64>,
    work: impl FnOnce() -> Outcome<HostValue> + Send + 'static,
) -> Outcome<Object<'env>> {
    let asked = Asked { access: Access::read_weights(model), way: Way::Beside, cancel };
    let room = model.clone();
    submit(env, e, asked, move |_| with_room(depth(&room), work), |_, _, value| Ok(Wire(value)))
}
