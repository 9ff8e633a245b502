//! Beam search.
use super::slice::{reading, steps};
use crate::{
    bridge::{environment::run, lock::lock, wire::Wire},
    data::NativeEncoder,
    layer::run_with,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::sync::{Arc, Mutex};
use tallow_decoding::{BeamSearch, Found, Model, Reading};
use tallow_layers::{self as layers, HostValue, LayerRef, Mode};

/// A search under way.
#[napi]
pub struct NativeBeamSearch {
    search: Arc<Mutex<BeamSearch>>,
    model: LayerRef,
}

/// A search with the layer behind `model`, in mode `'predict'`.
#[napi]
pub fn new_beam_search(
    env: Env,
    model: f64,
    prompt: Wire,
    inputs: Wire,
    options: Wire,
    encoder: Option<ClassInstance<'_, NativeEncoder>>,
) -> Result<NativeBeamSearch> {
    run_with(&env, model, |e, layer| {
        let model = layers::charging(&e.account, || layers::with_mode(&layer, Mode::Predict));
        let encoder = NativeEncoder::given(encoder)?;
        let asked = [&prompt.0, &inputs.0, &options.0];
        let search = BeamSearch::new(Model::new(model.clone(), Reading::Next), asked, encoder)?;
        Ok(NativeBeamSearch { search: Arc::new(Mutex::new(search)), model })
    })
}

fn told(found: Found) -> HostValue {
    let tokens = found.tokens.iter().map(|&t| HostValue::Number(f64::from(t))).collect();
    let mut fields = vec![
        ("tokens".to_owned(), HostValue::List(tokens)),
        ("logProb".to_owned(), found.log_prob.into()),
        ("score".to_owned(), found.score.into()),
    ];
    fields.extend(found.text.map(|text| ("text".to_owned(), HostValue::Text(text))));
    HostValue::Record(fields)
}

#[napi]
impl NativeBeamSearch {
    /// Some steps on the compute thread: what was found, once the search is over; `null` before.
    #[napi(ts_return_type = "Promise<{ tokens: number[], logProb: number, score: number, text?: string }[] | null>")]
    pub fn advance<'env>(&self, env: &'env Env, cancel: Option<f64>) -> Result<Object<'env>> {
        run(env, |e| {
            let search = self.search.clone();
            reading(env, e, &self.model, cancel, move || {
                let mut found = HostValue::Null;
                steps(|| {
                    let mut search = lock(&search);
                    let over = search.step()?;
                    if over {
                        found = HostValue::List(search.found()?.into_iter().map(told).collect());
                    }
                    Ok(over)
                })?;
                Ok(found)
            })
        })
    }
}
