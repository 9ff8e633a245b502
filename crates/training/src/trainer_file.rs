//! Checkpoints of a trainer: weights, state, the optimizer's slots and the step.
use crate::{
    checkpoint::{loaded, save_layer, NOTES, STEP},
    checkpoint_info::is_record,
    finite,
    names::{bare, from_bare, named, named_leaves},
    Error, Result, Trainer,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};
use tallow_layers::{files::io_error, held, hold, ErrorKind, Store, Tree};
use tallow_tensor::Tensor;

/// How the names of slots begin.
const SLOTS: &str = "slots";
/// How the names of the states of several devices begin, and the key of the metadata that holds their structure.
const DEVICES: &str = "devices";

impl Trainer {
    /// Writes weights, state, slots and the number of the next step to a safetensors file, and `notes`, a JSON object that
    /// [`crate::checkpoint_info`] gives back: keys, where the data stands, a history.
    ///
    /// # Errors
    /// `InvalidArgument` for notes that are no JSON object; `Io`, with the old file untouched; `NotInitialized` for a model that holds nothing; `NotFinite` naming the first tensor that holds NaN:
    /// a broken run must not replace a good checkpoint.
    pub fn save(&self, path: &Path, step: u64, notes: Option<&str>) -> Result<()> {
        if notes.is_some_and(|n| !is_record(n)) {
            let what = "Trainer.save: notes must be an object in JSON";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let slots = self.slots().into_iter().enumerate();
        let mut extra: Vec<(String, Tensor)> = slots
            .flat_map(|(i, s)| s.into_iter().enumerate().map(move |(j, t)| (format!("{SLOTS}/{i:05}/{j}"), t)))
            .collect();
        let mut metadata = BTreeMap::from([(STEP.to_string(), step.to_string())]);
        metadata.extend(notes.map(|n| (NOTES.to_string(), n.to_string())));
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
    /// so many devices leaves none of those that were there.
    ///
    /// # Errors
    /// Those of [`crate::load_layer`]; `WeightsMismatch` for slots of another optimizer.
    pub fn load(&mut self, path: &Path) -> Result<u64> {
        let (layers, file) = loaded(path, self.model_with_loss())?;
        let damaged = |what: &str| io_error("read", path, &format!("it is damaged: {what}"));
        let step = match file.metadata.get(STEP) {
            Some(text) => text.parse().map_err(|_| damaged(&format!("{text} is no number of a step")))?,
            None => 0,
        };
        let slots = in_groups(&file.extra);
        let slots = if slots.is_empty() { HashMap::new() } else { self.fitting(slots)? };
        let devices = match file.metadata.get(DEVICES) {
            Some(text) => {
                let json: Option<Value> = serde_json::from_str(text).ok();
                let names = json.and_then(|v| from_bare(&v)).map(|tree| named(&tree, DEVICES));
                let tree = names.and_then(|n| n.try_map(&mut |name| file.extra.get(name).cloned().ok_or(())).ok());
                tree.ok_or_else(|| damaged("its states of devices do not add up"))?
            }
            None => Tree::EMPTY,
        };
        hold(self.model_with_loss(), Some(&layers.weights), layers.state.as_ref());
        self.put_slots(slots);
        self.set_states_of_devices(devices);
        Ok(step)
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

/// Slots by weight: those whose names differ in the last part only.
fn in_groups(extra: &HashMap<String, Tensor>) -> Vec<Vec<Tensor>> {
    let mut groups: BTreeMap<&str, BTreeMap<usize, Tensor>> = BTreeMap::new();
    for (name, t) in extra {
        let parts = name.strip_prefix(SLOTS).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
        if let Some((weight, slot)) = parts {
            groups.entry(weight).or_default().insert(slot.parse().unwrap_or(usize::MAX), t.clone());
        }
    }
    groups.into_values().map(|slots| slots.into_values().collect()).collect()
}
