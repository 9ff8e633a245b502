//! What a layer says about itself.
use super::handle::run_with;
use crate::bridge::{environment::run, error::Outcome};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::{self as layers, options::OptionType, print, LayerId, LayerRef, Mode};

/// What does not change about a layer.
#[napi(object)]
pub struct LayerInfo {
    /// The identities of what was made with it: of the layer (shared with its copies in other modes), and of what is below it, unless
    /// that was there before.
    pub instances: Vec<f64>,
    /// Its name.
    pub name: String,
    /// Inputs.
    pub n_in: u32,
    /// Outputs.
    pub n_out: u32,
    /// Whether it brings its own backward pass.
    pub has_backward: bool,
}

/// The mode of a layer: its own, or that of the first layer below it that has one; layers that are made in no mode train.
#[napi]
pub fn layer_mode(env: Env, id: f64) -> Result<String> {
    run(&env, |e| Ok(e.layer(id)?.mode().unwrap_or(Mode::Train).name().to_owned()))
}

pub(crate) fn mode_of(name: String) -> Outcome<Mode> {
    let expected = <Mode as OptionType>::EXPECTED;
    let wrong = || tallow_layers::Error::option(format!("`mode` must be {expected}, got {name:?}"));
    Ok(<Mode as OptionType>::parse(&name.as_str().into()).ok_or_else(wrong)?)
}

/// Sets the mode of a class of the host.
#[napi]
pub fn set_layer_mode(env: Env, id: f64, mode: String) -> Result<()> {
    run(&env, |e| {
        let (layer, mode) = (e.layer(id)?, mode_of(mode)?);
        if layer.set_mode(mode) {
            return Ok(());
        }
        let (name, mode) = (&layer.base().name, mode.name());
        let why = format!("the mode of {name} is fixed; withMode('{mode}') makes a copy in another");
        Err(tallow_layers::Error::option(why))?
    })
}

/// What does not change about a layer.
#[napi]
pub fn layer_info(env: Env, id: f64) -> Result<LayerInfo> {
    run(&env, |e| {
        let layer = e.layer(id)?;
        let arity = layer.arity();
        let mut instances = Vec::new();
        made_since(&layer, e.made_from.get(), &mut instances);
        Ok(LayerInfo {
            instances,
            name: layer.base().name.clone(),
            n_in: arity.n_in as u32,
            n_out: arity.n_out as u32,
            has_backward: layer.has_backward(),
        })
    })
}

/// Whether a layer's inputs follow from its outputs.
#[napi]
pub fn layer_is_reversible(env: Env, id: f64) -> Result<bool> {
    run(&env, |e| Ok(e.layer(id)?.reversible().is_some()))
}

/// Identities from `first` on. Layers are made after those they run, so there is none below one that is older: the time goes with what is new.
fn made_since(layer: &LayerRef, first: LayerId, out: &mut Vec<f64>) {
    let id = layer.base().id;
    let number = id.0 as f64;
    if id >= first && !out.contains(&number) {
        out.push(number);
        layer.sublayers().iter().for_each(|l| layers::deep(|| made_since(l, first, out)));
    }
}

/// Notes the model that a layer is, for the paths of errors.
#[napi]
pub fn name_model(env: Env, id: f64, model: String) -> Result<()> {
    run(&env, |e| {
        e.layer(id)?.base().name_model(&model);
        Ok(())
    })
}

/// Whether a layer is or runs another.
#[napi]
pub fn layer_runs(env: Env, id: f64, other: f64) -> Result<bool> {
    run_with(&env, id, |e, layer| {
        let (wanted, mut found) = (e.layer(other)?.base().id, false);
        layers::for_each_instance(&layer, &mut |l| found |= l.base().id == wanted);
        Ok(found)
    })
}

/// A layer's printed form.
#[napi]
pub fn layer_text(env: Env, id: f64) -> Result<String> {
    run_with(&env, id, |_, layer| Ok(print(&layer)))
}

/// Handles of the sublayers.
#[napi]
pub fn sublayers(env: Env, id: f64) -> Result<Vec<f64>> {
    run(&env, |e| Ok(e.layer(id)?.sublayers().iter().map(|l| e.insert_layer(l.clone())).collect()))
}
