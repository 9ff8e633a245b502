//! Handles given back, and what JavaScript holds for the addon.
use super::environment::run;
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;

/// The numbers of what JavaScript need not keep any more, each once.
#[napi]
pub fn released(env: Env) -> Result<Vec<f64>> {
    run(&env, |e| Ok(e.released()))
}

/// Gives one handle of a layer back.
#[napi]
pub fn release_layer(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.release_layer(&env, id);
        Ok(())
    })
}

/// Ends all handles of a layer.
#[napi]
pub fn dispose_layer(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.forget_layer(&env, id);
        Ok(())
    })
}

/// Ends the handles of those of these layers that nothing else holds: no other layer, no job, no graph of autodiff. Gives these.
#[napi]
pub fn dispose_layers_at_rest(env: Env, ids: Vec<f64>) -> Result<Vec<f64>> {
    run(&env, |e| {
        let (mut rest, mut ended) = (ids, Vec::new());
        loop {
            let before = ended.len();
            // A layer that runs others lets go of them, so that they may be next, in this round or in another one.
            rest.retain(|&id| {
                let at_rest = e.is_at_rest(id);
                if at_rest {
                    e.forget_layer(&env, id);
                    ended.push(id);
                }
                !at_rest
            });
            if ended.len() == before {
                return Ok(ended);
            }
        }
    })
}

/// Gives handles back; dead ones are passed over.
#[napi]
pub fn release(env: Env, ids: Vec<f64>) -> Result<()> {
    run(&env, |e| {
        ids.iter().for_each(|&id| drop(e.take(&env, id)));
        Ok(())
    })
}

/// Gives one handle back; a dead one is passed over.
#[napi]
pub fn release_one(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        drop(e.take(&env, id));
        Ok(())
    })
}

/// Another handle of the same tensor.
#[napi]
pub fn retain(env: Env, id: f64) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, e.tensor(id)?)))
}
