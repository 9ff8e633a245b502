//! Summaries, profiles, the first number that is not finite, gradients against differences.
use crate::{
    bridge::{args::Words, environment::run, order::Access, wire::Wire},
    layer::{held_key, run_with, specs},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::sync::Arc;
use tallow_layers::{observer, set_observer, Error, ErrorKind, HostValue, Observer, TensorSpec};
use tallow_training::seeing::{self, CheckGradientsOptions, GradientReport, ProfileRow, SummaryRow};

fn number(n: usize) -> HostValue {
    HostValue::Number(n as f64)
}

fn signatures(specs: &[TensorSpec]) -> HostValue {
    HostValue::List(specs.iter().map(HostValue::signature).collect())
}

fn summary_row(row: SummaryRow) -> HostValue {
    HostValue::from([
        ("path", HostValue::Text(row.path)),
        ("name", HostValue::Text(row.name)),
        ("depth", number(row.depth)),
        ("inputs", signatures(&row.inputs)),
        ("outputs", signatures(&row.outputs)),
        ("height", number(row.height)),
        ("weights", number(row.holds.weights)),
        ("trainable", number(row.holds.trainable)),
        ("bytes", number(row.holds.bytes)),
        ("shared", row.shared.into()),
        ("quantized", row.quantized.map_or(HostValue::Null, |q| HostValue::Text(q.name().into()))),
    ])
}

/// What a layer is made of when it is called with inputs of these signatures.
#[napi]
pub fn layer_summary(env: Env, id: f64, inputs: Wire) -> Result<Wire> {
    run_with(&env, id, |_, layer| {
        let seen = seeing::summary(&layer, &specs(inputs.0)?)?;
        Ok(Wire(HostValue::List(seen.rows.into_iter().map(summary_row).collect())))
    })
}

/// The first tensor with a number that is not finite when a layer is called; null if there is none.
#[napi]
pub fn first_not_finite(env: Env, id: f64, inputs: Vec<f64>, key: Option<Words>) -> Result<Wire> {
    run_with(&env, id, |e, layer| {
        let inputs = e.tensors(&inputs)?;
        let key = key.map_or_else(|| held_key(&layer), |words| words.0);
        let beside = e.order.done_before(&env, || Access::call(&layer, false)).is_some();
        let found = seeing::first_not_finite(&layer, inputs, key, beside)?;
        Ok(Wire(found.map_or(HostValue::Null, |found| {
            HostValue::from([
                ("path", HostValue::Text(found.path)),
                ("what", HostValue::Text(found.what)),
                ("shape", HostValue::shape(&found.shape)),
            ])
        })))
    })
}

fn gradient_report(report: GradientReport) -> HostValue {
    let worst = HostValue::from([
        ("path", HostValue::Text(report.worst.path)),
        ("index", report.worst.index.map_or(HostValue::Null, |index| HostValue::shape(&index))),
        ("analytic", report.worst.analytic.into()),
        ("numeric", report.worst.numeric.into()),
    ]);
    HostValue::from([
        ("ok", report.ok.into()),
        ("maxError", report.max_error.into()),
        ("worst", worst),
        ("compared", number(report.compared)),
        ("precision", report.precision.name().into()),
    ])
}

/// Holds the gradients of a layer or function against differences.
#[napi]
pub fn check_gradients(env: Env, of: Wire, inputs: Vec<f64>, options: Wire) -> Result<Wire> {
    run(&env, |e| {
        let options = CheckGradientsOptions::parse(&options.0)?;
        let inputs = e.tensors(&inputs)?;
        let report = match of.0 {
            HostValue::Layer(layer) => {
                e.order.done_before(&env, || Access::call(&layer, false));
                e.with_room_for(&layer.clone(), || seeing::check_layer(&layer, &inputs, &options))
            }
            HostValue::Function(f) => seeing::check_function(&f, &inputs, &options),
            other => {
                Err(Error::option(format!("checkGradients: a layer or a function is wanted, got {}", other.what())))
            }
        }?;
        Ok(Wire(gradient_report(report)))
    })
}

/// A profile of what this environment runs.
#[napi]
pub struct NativeProfile {
    profile: Arc<seeing::Profile>,
}

fn profile_row(row: ProfileRow) -> HostValue {
    HostValue::from([
        ("path", HostValue::Text(row.path)),
        ("name", HostValue::Text(row.name)),
        ("depth", number(row.depth)),
        ("calls", number(row.calls)),
        ("forwardMs", row.forward_ms.into()),
        ("forwardSelfMs", row.forward_self_ms.into()),
        ("backwardMs", row.backward_ms.into()),
        ("backwardSelfMs", row.backward_self_ms.into()),
        ("outputBytes", number(row.output_bytes)),
        ("keptBytes", number(row.kept_bytes)),
        ("peakBytes", number(row.peak_bytes)),
    ])
}

/// Begins to measure what runs on this thread, and the jobs that it asks for from now on.
#[napi]
pub fn begin_profile(env: Env) -> Result<NativeProfile> {
    run(&env, |_| {
        if observer().is_some() {
            let why = "profile: a profile is being taken; await it before the next one, or take one of both";
            return Err(Error::new(ErrorKind::InvalidArgument, why))?;
        }
        let profile = Arc::new(seeing::Profile::default());
        set_observer(Some(profile.clone() as Arc<dyn Observer>));
        Ok(NativeProfile { profile })
    })
}

#[napi]
impl NativeProfile {
    /// Ends it: what each layer took. `complete`: whether all was measured.
    #[napi]
    pub fn end(&self, env: Env) -> Result<Wire> {
        run(&env, |_| {
            set_observer(None);
            self.profile.end();
            let rows = self.profile.rows().into_iter().map(profile_row).collect();
            let complete = self.profile.is_complete().into();
            Ok(Wire(HostValue::from([("rows", HostValue::List(rows)), ("complete", complete)])))
        })
    }

    /// The same as a trace in Chrome's format.
    #[napi]
    pub fn chrome_trace(&self) -> String {
        self.profile.chrome_trace()
    }
}
