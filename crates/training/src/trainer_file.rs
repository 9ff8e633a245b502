//! Checkpoints of a trainer: weights, state, the optimizer's slots and the step.
use crate::{
    checkpoint::{loaded, save_layer, NOTES, STEP},
    checkpoint_info::is_record,
    finite,
    groups::Plan,
    names::{bare, float_weights, from_bare, named, named_leaves, weight_names},
    optimizers::wide,
    policy::{LossScale, Scale},
    trainer::Slots,
    Error, Result, Trainer,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};
use tallow_layers::{files::io_error, held, hold, ErrorKind, Store, Tree};
use tallow_tensor::Tensor;

/// How the names of slots begin.
const SLOTS: &str = "slots";
/// What the metadata says of slots that are named by their weights. Older files number them.
const BY_NAME: &str = "by name";
/// How the names of averages of weights begin.
const AVERAGES: &str = "averages";
/// The key of the metadata that holds where a dynamic scale of the loss is.
const LOSS_SCALE: &str = "lossScale";
/// How the names of the states of several devices begin, and the key of the metadata that holds their structure.
const DEVICES: &str = "devices";

impl Trainer {
    /// Writes weights, state, slots and the number of the next step to a safetensors file, and `notes`, a JSON object that
    /// [`crate::checkpoint_info`] gives back: keys, where the data stands, a history.
    ///
    /// # Errors
    /// `InvalidArgument` for notes that are no JSON object; `Busy` while averages stand for the weights; `Io`, with the old file untouched; `NotInitialized` for a model that holds nothing; `NotFinite` naming the first tensor that holds NaN:
    /// a broken run must not replace a good checkpoint.
    pub fn save(&self, path: &Path, step: u64, notes: Option<&str>) -> Result<()> {
        if notes.is_some_and(|n| !is_record(n)) {
            let what = "Trainer.save: notes must be an object in JSON";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        self.check_own_weights()?;
        let names = weight_names(self.model_with_loss());
        let mut extra: Vec<(String, Tensor)> = Vec::new();
        for (name, slots) in names.iter().zip(self.slots()?) {
            extra.extend(slots.into_iter().enumerate().map(|(j, t)| (format!("{SLOTS}/{name}/{j}"), t)));
        }
        let places = self.planned(&held(self.model_with_loss()).0)?.places;
        let averages = names.iter().zip(&places).filter_map(|(name, place)| Some((name, self.averages.get(place)?)));
        extra.extend(averages.map(|(name, t)| (format!("{AVERAGES}/{name}"), t.clone())));
        let by_name = (SLOTS.to_string(), BY_NAME.to_string());
        let mut metadata = BTreeMap::from([(STEP.to_string(), step.to_string()), by_name]);
        metadata.extend(notes.map(|n| (NOTES.to_string(), n.to_string())));
        metadata.extend(self.scale.saved().map(|scale| (LOSS_SCALE.to_string(), scale)));
        if let Some(devices) = self.states_of_devices() {
            let names = named(&devices, DEVICES);
            extra.extend(names.leaves().into_iter().cloned().zip(devices.leaves().into_iter().cloned()));
            metadata.insert(DEVICES.into(), bare(&devices).to_string());
        }
        let (weights, state) = held(self.model_with_loss());
        let own = [("weights", &weights), ("state", &state)];
        let own = own.into_iter().flat_map(|(kind, store)| named_leaves(kind, self.model_with_loss(), store));
        let all: Vec<(String, Tensor)> = own.chain(extra.iter().cloned()).collect();
        if let Some(name) = finite::first_nan(&all)? {
            let what = format!(
                "{name} is NaN, and a checkpoint of it is of no use: {} is left as it was; `saveToFile` of the layer saves it all the same",
                path.display()
            );
            return Err(Error::new(ErrorKind::NotFinite, what));
        }
        drop(all);
        save_layer(path, self.model_with_loss(), extra, metadata)
    }
    /// Reads what [`Trainer::save`] wrote, by name and shape; the number of the next step. All or nothing: a file without slots or without states of
    /// so many devices leaves none of those that were there, and one without averages or without a dynamic scale of the loss lets these begin anew.
    ///
    /// Not `strict`: slots that are missing begin anew, and those that do not fit are left out, as where other weights were frozen.
    ///
    /// # Errors
    /// Those of [`crate::load_layer`]; `WeightsMismatch` for slots of another optimizer, or of other weights; `Busy` while averages stand for
    /// the weights.
    pub fn load(&mut self, path: &Path, strict: bool) -> Result<u64> {
        self.check_own_weights()?;
        let (layers, file) = loaded(path, self.model_with_loss())?;
        let damaged = |what: &str| io_error("read", path, &format!("it is damaged: {what}"));
        let step = match file.metadata.get(STEP) {
            Some(text) => text.parse().map_err(|_| damaged(&format!("{text} is no number of a step")))?,
            None => 0,
        };
        let plan = self.planned(&layers.weights)?;
        let weights = float_weights(self.model_with_loss(), &layers.weights);
        let names: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
        let by_name = file.metadata.get(SLOTS).is_some_and(|how| how == BY_NAME);
        let (mut given, unknown) = by_weight(&file.extra, &names, by_name);
        let slots = if given.is_empty() && unknown.is_empty() {
            HashMap::new()
        } else {
            self.fitting(&plan, &weights, &mut given, unknown, strict)?
        };
        let averages = self.average_decay.map_or_else(Vec::new, |_| {
            let average = |&i: &usize| {
                let average = file.extra.get(&format!("{AVERAGES}/{}", names[i]))?;
                let fits = average.dtype().is_float() && average.shape() == weights[i].1.shape();
                fits.then(|| Ok((plan.places[i], average.cast(wide(weights[i].1.dtype()))?)))
            };
            plan.trained.iter().filter_map(average).collect()
        });
        let averages = averages.into_iter().collect::<Result<_>>()?;
        let devices = match file.metadata.get(DEVICES) {
            Some(text) => {
                let json: Option<Value> = serde_json::from_str(text).ok();
                let names = json.and_then(|v| from_bare(&v)).map(|tree| named(&tree, DEVICES));
                let tree = names.and_then(|n| n.try_map(&mut |name| file.extra.get(name).cloned().ok_or(())).ok());
                tree.ok_or_else(|| damaged("its states of devices do not add up"))?
            }
            None => Tree::EMPTY,
        };
        let scale = match file.metadata.get(LOSS_SCALE) {
            Some(text) => Scale::restored(text).ok_or_else(|| damaged(&format!("{text} is no scale of losses")))?,
            None => LossScale::Dynamic.into(),
        };
        hold(self.model_with_loss(), Some(&layers.weights), layers.state.as_ref());
        // A scale that is fixed is the trainer's own.
        if self.scale.is_dynamic() {
            self.scale = scale;
        }
        self.put_slots(slots);
        self.averages = averages;
        self.plan = plan;
        self.set_states_of_devices(devices);
        Ok(step)
    }
    /// The slots of a file that go to the weights of `plan`; those of the others begin anew.
    ///
    /// # Errors
    /// `WeightsMismatch` for slots that do not fit their weight; if `strict`, also for those that are missing, and those that nothing takes.
    fn fitting(
        &self,
        plan: &Plan,
        weights: &[(String, Tensor)],
        given: &mut HashMap<&str, BTreeMap<usize, Tensor>>,
        unknown: BTreeSet<String>,
        strict: bool,
    ) -> Result<Slots> {
        let mut new = Slots::new();
        let (mut missing, mut unused): (Vec<&str>, Vec<&str>) =
            (Vec::new(), unknown.iter().map(String::as_str).collect());
        for (i, (name, weight)) in weights.iter().enumerate() {
            let slots: Option<Vec<Tensor>> = given.remove(name.as_str()).map(|slots| slots.into_values().collect());
            let trained = plan.trained.binary_search(&i).is_ok();
            match (slots, trained) {
                (Some(slots), true) => match self.takes(plan, i, weight, &slots) {
                    Ok(_) => {
                        new.insert(plan.places[i], slots);
                    }
                    Err(e) if strict => return Err(refused(&format!(" {} ({name});", e.message()))),
                    Err(_) => {}
                },
                // An optimizer without slots has none in the file.
                (None, true) if self.takes(plan, i, weight, &[]).is_err() => missing.push(name),
                (Some(_), false) => unused.push(name),
                (None, _) => {}
            }
        }
        if strict && (!missing.is_empty() || !unused.is_empty()) {
            let mut what = String::new();
            if !missing.is_empty() {
                what += &format!(" it has none for {}, which are trained here;", first_names(&missing));
            }
            if !unused.is_empty() {
                what += &format!(" it has some for {}, which are not trained here;", first_names(&unused));
            }
            return Err(refused(&what));
        }
        Ok(new)
    }
    /// The states that the devices have come to, where these differ.
    fn states_of_devices(&self) -> Option<Tree<Tensor>> {
        let own = (self.n_devices > 1).then(|| self.running.base().slot.state()).flatten();
        own.filter(|t| !t.is_empty())
    }
    /// States of as many devices are taken; another number of them go on with what the model holds.
    fn set_states_of_devices(&self, states: Tree<Tensor>) {
        if self.n_devices > 1 {
            let fits = matches!(&states, Tree::Tuple(each) if each.len() == self.n_devices);
            let states = if fits { states } else { Tree::EMPTY };
            hold(&self.running, None, Some(&Store::from([(self.running.base().id, states)])));
        }
    }
}

/// Slots of a file by the name of their weight, and what they are called whose weight is not among `names`.
fn by_weight<'a>(
    extra: &HashMap<String, Tensor>,
    names: &[&'a str],
    by_name: bool,
) -> (HashMap<&'a str, BTreeMap<usize, Tensor>>, BTreeSet<String>) {
    let known: HashMap<&str, &'a str> = names.iter().map(|&name| (name, name)).collect();
    let (mut groups, mut unknown) = (HashMap::<&str, BTreeMap<_, _>>::new(), BTreeSet::new());
    for (name, t) in extra {
        let Some(rest) = name.strip_prefix(SLOTS).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let Some((weight, slot)) = rest.rsplit_once('/') else { continue };
        let found = match by_name {
            true => known.get(weight).copied(),
            false => weight.parse().ok().and_then(|i: usize| names.get(i).copied()),
        };
        match found {
            Some(name) => {
                groups.entry(name).or_default().insert(slot.parse().unwrap_or(usize::MAX), t.clone());
            }
            None => {
                unknown.insert(weight.to_owned());
            }
        }
    }
    (groups, unknown)
}

/// The error for slots that are not those of a trainer; `why` ends with a semicolon.
fn refused(why: &str) -> Error {
    let what = "Trainer.load: the slots of the file are not those of this trainer:";
    let fix = "give the trainer the optimizers and groups of the run that was saved, or load with { strict: false }, which takes those that fit";
    Error::new(ErrorKind::WeightsMismatch, format!("{what}{why} {fix}"))
}

/// The first few of some names.
fn first_names(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}
