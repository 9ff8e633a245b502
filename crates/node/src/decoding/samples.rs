//! Samples of a batch, as Trax makes them.
use super::slice::reading;
use crate::{
    bridge::{environment::run, lock::lock, wire::Wire},
    layer::run_with,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::sync::{Arc, Mutex};
use tallow_decoding::{Autoregressive, AutoregressiveOptions};
use tallow_layers::{self as layers, HostValue, LayerRef, Mode};

/// Samples under way.
#[napi]
pub struct NativeSamples {
    samples: Arc<Mutex<Autoregressive>>,
    model: LayerRef,
}

/// Samples of the layer behind `model`, which is run in the mode that the options say; `ends`: up to their ends.
#[napi]
pub fn new_samples(env: Env, model: f64, inputs: Wire, options: Wire, ends: bool) -> Result<NativeSamples> {
    run_with(&env, model, |e, layer| {
        let mode = if AutoregressiveOptions::parse(&options.0)?.eval_mode { Mode::Eval } else { Mode::Predict };
        let model = layers::charging(&e.account, || layers::with_mode(&layer, mode));
        let samples = Autoregressive::new(&model, &inputs.0, &options.0, ends)?;
        Ok(NativeSamples { samples: Arc::new(Mutex::new(samples)), model })
    })
}

#[napi]
impl NativeSamples {
    /// The next token of each row, on the compute thread; `null` where all have ended.
    #[napi(ts_return_type = "Promise<{ $tensor: number } | null>")]
    pub fn next<'env>(&self, env: &'env Env, cancel: Option<f64>) -> Result<Object<'env>> {
        run(env, |e| {
            let samples = self.samples.clone();
            reading(env, e, &self.model, cancel, move || {
                let tokens = lock(&samples).next_tokens()?;
                Ok(tokens.map_or(HostValue::Null, HostValue::Tensor))
            })
        })
    }
}
