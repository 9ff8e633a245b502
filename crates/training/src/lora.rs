//! LoRA in a model: around chosen layers, and in files of its own.
use crate::{
    checkpoint::{save, Part},
    fitting::{LoadReport, Plan, Wanted},
    names::{matching, named, paths, weight_names, without_kind},
    safetensors_file::Reader,
    Error, Result,
};
use std::{collections::BTreeMap, path::Path};
use tallow_layers::{
    core::{dense_layers, with_lora as adapted, LoRAAdapterOptions},
    held, hold, options, refuse_shared, ErrorKind, KeyArg, LayerRef,
};

options! {
    /// LoRA in a model.
    pub struct WithLoraOptions for "withLora" () with (adapter: LoRAAdapterOptions) {
        /// Random key that new weights are drawn with.
        rng "rng": KeyArg,
    }
}

/// The names of what LoRA adds.
const ADAPTERS: &str = "**/*.LoRA{Down,Up}";

/// The model with LoRA around each `Dense` layer that has a weight whose name matches one of `patterns` ([`matching`]). All other weights are shared
/// with the model.
///
/// # Errors
/// `NotInitialized` for a model without weights; `InvalidOption` for a pattern that matches no weight of a `Dense` layer, and for a rank that is too
/// large.
pub fn with_lora(model: &LayerRef, patterns: &[String], o: &WithLoraOptions) -> Result<LayerRef> {
    let all = weight_names(model);
    if all.is_empty() {
        let what = format!("withLora: {} has no weights to adapt; call init(signature) first", model.base().name);
        return Err(Error::new(ErrorKind::NotInitialized, what));
    }
    let layers = dense_layers(model);
    let weights = held(model).0;
    let mut own: Vec<(String, usize)> = Vec::new();
    for (layer, path) in paths(model) {
        let at = layers.iter().position(|l| l.base().id == layer.base().id);
        if let Some((i, tree)) = at.zip(weights.get(&layer.base().id)) {
            let names = named(tree, path.trim_start_matches('/'));
            own.extend(names.leaves().into_iter().map(|name| (name.trim_start_matches('/').to_owned(), i)));
        }
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let own_names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    matching("withLora: `weights`", patterns, &all)?;
    for pattern in patterns {
        let one = std::slice::from_ref(pattern);
        if own_names.is_empty() || matching("withLora: `weights`", one, &own_names).is_err() {
            let matched = matching("withLora: `weights`", one, &all)?;
            let other = all.iter().zip(matched).find(|(_, m)| *m).map_or("", |(name, _)| name);
            let known = own_names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "it has none".into() } else { format!("such as {known}") };
            return Err(Error::option(format!(
                "withLora: `weights`: the pattern '{pattern}' matches {other}, but no weight of a Dense layer that is not adapted yet; \
                 LoRA is for those of the model: {known}"
            )));
        }
    }
    let mut chosen = vec![false; layers.len()];
    for ((_, i), matched) in own.iter().zip(matching("withLora: `weights`", patterns, &own_names)?) {
        chosen[*i] |= matched;
    }
    let chosen: Vec<LayerRef> = layers.into_iter().zip(chosen).filter(|(_, c)| *c).map(|(l, _)| l).collect();
    adapted(model, &chosen, &o.adapter, o.rng.0)
}

/// Saves what LoRA adds to a model, and nothing else, as safetensors.
///
/// # Errors
/// `Io`, with the old file untouched; `NotInitialized` for a model without weights; `InvalidArgument` for one without LoRA.
pub fn save_lora(path: &Path, model: &LayerRef) -> Result<()> {
    check_adapted("saveLora", model)?;
    save(path, model, Part::Matching(&[ADAPTERS.to_owned()]), Vec::new(), BTreeMap::new())
}

/// Sets what LoRA adds to a model from a file that [`save_lora`] wrote, all or nothing. The rest of the model stays as it is.
///
/// # Errors
/// `Io` for a file that is missing or damaged; `InvalidArgument` for a model without LoRA, or with weights that can only be read; `WeightsMismatch` naming what is missing in the file, has
/// another shape, or is in the file but not in the model: also where rank, alpha or the layers were others.
pub fn load_lora(path: &Path, model: &LayerRef) -> Result<()> {
    check_adapted("loadLora", model)?;
    refuse_shared("loadLora", model)?;
    let weights = held(model).0;
    let mut reader = Reader::open(path)?;
    let plan = Plan::new(&reader, model, &weights, None, Wanted { strict: false, prefix: Some("") })?;
    let (loaded, _, report) = plan.read(&mut reader, false)?;
    let missing: Vec<String> = report.missing.iter().map(|name| without_kind(name).to_owned()).collect();
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    let of_lora = are_adapters(&names);
    let missing = report.missing.into_iter().zip(of_lora).filter(|(_, is)| *is).map(|(name, _)| name).collect();
    let misfits = LoadReport { missing, taken: Vec::new(), ..report };
    match misfits.refusal(|name| format!("the file has no tensor {name}")) {
        Some(error) => Err(error),
        None => {
            hold(model, Some(&loaded.weights), None);
            Ok(())
        }
    }
}

/// Which names are of what LoRA adds.
fn are_adapters(names: &[&str]) -> Vec<bool> {
    let none = || vec![false; names.len()];
    matching("names", &[ADAPTERS.to_owned()], names).unwrap_or_else(|_| none())
}

fn check_adapted(what: &str, model: &LayerRef) -> Result<()> {
    let names = weight_names(model);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() {
        let message = format!("{what}: {} has no weights yet; call init(signature) first", model.base().name);
        return Err(Error::new(ErrorKind::NotInitialized, message));
    }
    if are_adapters(&names).contains(&true) {
        return Ok(());
    }
    let message = format!("{what}: there is no LoRA in {}; give the model that withLora returned", model.base().name);
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
