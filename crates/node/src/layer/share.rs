//! Layers on the weights of a layer of another thread.
use super::handle::run_with;
use crate::bridge::{environment::run, error::Outcome, order::Access, shared};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, LayerId, LayerRef};
use tallow_tensor::{Error as TensorError, ErrorKind};

/// What another thread makes a layer of.
#[napi(object)]
pub struct SharedToken {
    /// The process, and the copy of the addon, that can make it.
    pub process: f64,
    /// The number of the layer in it.
    pub layer: f64,
}

/// Lets other threads make layers on the weights that a layer holds now, as long as it has handles.
#[napi]
pub fn share_layer(env: Env, id: f64) -> Result<SharedToken> {
    run_with(&env, id, |e, layer| {
        e.run_of(&layer).map_or(Ok(()), |run| Err(run.refuse("weights", &layer)))?;
        e.order.done_before(&env, || Access::read(&layer));
        let number = e.share(id, layers::share(&layer)?);
        Ok(SharedToken { process: shared::process() as f64, layer: number as f64 })
    })
}

fn found(token: &SharedToken) -> Outcome<LayerRef> {
    let refuse = |kind, message: &str| Err(TensorError::new(kind, message).into());
    if token.process != shared::process() as f64 {
        let what = "fromShared: the token is of another process, or of another copy of the package; weights are shared by threads of one process, send others a file";
        return refuse(ErrorKind::InvalidArgument, what);
    }
    // What is no whole number is none that was given.
    let number = token.layer as u64;
    let number = if number as f64 == token.layer { number } else { 0 };
    match shared::find(number) {
        Ok(layer) => Ok(layer),
        Err(true) => {
            let what = "fromShared: the layer that was shared is gone, as it was disposed or collected, or its thread has ended; keep it until all others have made theirs";
            refuse(ErrorKind::Disposed, what)
        }
        Err(false) => {
            let what = "fromShared: nothing was shared by this token; give one that layer.share() returned";
            refuse(ErrorKind::InvalidArgument, what)
        }
    }
}

/// A layer on the weights of one that was shared.
#[napi]
pub fn layer_from_shared(env: Env, token: SharedToken) -> Result<f64> {
    run(&env, |e| {
        let shared = found(&token)?;
        e.made_from.set(LayerId::next());
        let room = shared.clone();
        let make = || layers::charging(&e.account, || layers::from_shared(&shared));
        Ok(e.insert_layer(e.with_room_for(&room, make)))
    })
}
