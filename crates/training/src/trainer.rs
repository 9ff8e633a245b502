//! One training step: forward, backward, optimizer.
use crate::{
    finite,
    names::{named, named_leaves, paths},
    optimizers::{OptimizerRef, Update},
    progress::StepReport,
};
use std::collections::HashMap;
use tallow_layers::{
    acceleration::accelerate, for_each_instance, held, hold, options, pure_fn, Dim, Error, ErrorKind, LayerId,
    LayerRef, Result, Store, Tree,
};
use tallow_tensor::{backward, cancel::shielded, memory, ops::global_norm, random::Key, Tensor};

options! {
    /// A trainer.
    pub struct TrainerOptions for "Trainer" () {
        /// Number of devices that share each batch; without it, all there are: one, on the CPU.
        n_devices "nDevices": Option<Dim> = None,
    }
}

/// A model with its loss, and an optimizer with its slots. The weights are those the model's layers hold.
#[derive(Debug)]
pub struct Trainer {
    model_with_loss: LayerRef,
    /// What a step runs: the model, or its replicas.
    pub(crate) running: LayerRef,
    pub(crate) n_devices: usize,
    optimizer: OptimizerRef,
    /// Slots of each weight, in the order of the weights' leaves.
    slots: Slots,
    /// Updates made since this was made.
    updates: u64,
}

/// Slots of each weight of each instance.
pub(crate) type Slots = HashMap<LayerId, Vec<Vec<Tensor>>>;
/// Bytes that the update of a half takes: the new half, its gradient in float32, and moments that may still be halves.
const HALF_UPDATE: usize = 2 + 4 + 2 * 4;

/// Where the float weights of a model are: instance and leaf, in the order of first visit.
fn places(model: &LayerRef, weights: &Store) -> Vec<(LayerId, usize)> {
    let mut out = Vec::new();
    for_each_instance(model, &mut |l| {
        let id = l.base().id;
        if let Some(tree) = weights.get(&id) {
            let leaves = tree.leaves();
            out.extend((0..leaves.len()).filter(|&i| leaves[i].dtype().is_float()).map(|i| (id, i)));
        }
    });
    out
}

impl Trainer {
    /// A trainer of an initialized model; its layer's only output is the loss (one number).
    #[must_use]
    pub fn new(model_with_loss: LayerRef, optimizer: OptimizerRef) -> Self {
        Self::on_devices(model_with_loss, optimizer, 1)
    }
    /// As [`Trainer::new`], with each batch shared out to `n_devices` devices (at least 1).
    ///
    /// The loss is the mean over the devices' losses, and gradients are those of that mean, as in Trax. That is the loss on one
    /// device where the loss is a mean over items that all weigh the same.
    #[must_use]
    pub fn on_devices(model_with_loss: LayerRef, optimizer: OptimizerRef, n_devices: usize) -> Self {
        let running =
            if n_devices > 1 { accelerate(model_with_loss.clone(), n_devices) } else { model_with_loss.clone() };
        Self { model_with_loss, running, n_devices: n_devices.max(1), optimizer, slots: HashMap::new(), updates: 0 }
    }
    /// How many updates were made since the trainer was made.
    pub fn updates(&self) -> u64 {
        self.updates
    }
    /// The model with its loss.
    pub fn model_with_loss(&self) -> &LayerRef {
        &self.model_with_loss
    }
    /// The optimizer.
    pub fn optimizer(&self) -> &OptimizerRef {
        &self.optimizer
    }
    /// Slots of each weight, in the order of the weights; empty before the first step.
    pub fn slots(&self) -> Vec<Vec<Tensor>> {
        let (weights, _) = held(&self.model_with_loss);
        places(&self.model_with_loss, &weights)
            .into_iter()
            .filter_map(|(id, i)| self.slots.get(&id).and_then(|s| s.get(i)).cloned())
            .collect()
    }
    /// Sets the slots, given as [`Trainer::slots`] gives them.
    ///
    /// # Errors
    /// `WeightsMismatch` if their number or shapes are not those of the weights.
    pub fn set_slots(&mut self, slots: Vec<Vec<Tensor>>) -> Result<()> {
        let new = self.fitting(slots)?;
        self.put_slots(new);
        Ok(())
    }
    pub(crate) fn put_slots(&mut self, slots: Slots) {
        self.slots = slots;
    }
    /// Slots as [`Trainer::slots`] gives them, by the weights they are for.
    ///
    /// # Errors
    /// Those of [`Trainer::set_slots`].
    pub(crate) fn fitting(&self, slots: Vec<Vec<Tensor>>) -> Result<Slots> {
        let (weights, _) = held(&self.model_with_loss);
        let places = places(&self.model_with_loss, &weights);
        if places.len() != slots.len() {
            let what = format!("the model has {} weights, but slots for {} were given", places.len(), slots.len());
            return Err(Error::new(ErrorKind::WeightsMismatch, what));
        }
        let mut new = Slots::new();
        for ((id, i), given) in places.into_iter().zip(slots) {
            let weight = weights[&id].leaves()[i];
            let made = self.optimizer.init(weight)?;
            let unlike = |(a, b): (&Tensor, &Tensor)| a.shape() != b.shape() || !b.dtype().is_float();
            if made.len() != given.len() || made.iter().zip(&given).any(unlike) {
                let what = format!("slots {given:?} do not fit a weight of shape {:?}", weight.shape());
                return Err(Error::new(ErrorKind::WeightsMismatch, what));
            }
            let list = new.entry(id).or_default();
            list.resize(list.len().max(i + 1), Vec::new());
            list[i] = given;
        }
        Ok(new)
    }
    /// One step on a batch: updates the weights and state the model's layers hold, and the slots.
    ///
    /// `step` counts from 0; `learning_rate: None` takes the optimizer's. On an error weights, state and slots are as before.
    ///
    /// # Errors
    /// `NotInitialized` for a model without weights; `ShapeMismatch` for a batch that the devices do not divide; `InvalidArgument` for a
    /// learning rate that is not finite; `NotFinite` when the loss, a gradient or what the state becomes is NaN or infinite, or a weight is
    /// NaN, naming it; the layers' own errors.
    pub fn one_step(
        &mut self,
        batch: Vec<Tensor>,
        key: Key,
        step: u64,
        learning_rate: Option<f64>,
    ) -> Result<StepReport> {
        self.step_with(batch, key, step, learning_rate, &mut |_| Ok(()))
    }
    /// As [`Trainer::one_step`]; calls `before_update` when everything is computed and nothing is changed yet.
    pub(crate) fn step_with(
        &mut self,
        batch: Vec<Tensor>,
        key: Key,
        step: u64,
        learning_rate: Option<f64>,
        before_update: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<StepReport> {
        let learning_rate = learning_rate.unwrap_or_else(|| self.optimizer.learning_rate());
        if !learning_rate.is_finite() {
            let what = format!("the learning rate of step {step} must be a finite number, got {learning_rate}");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let model = self.running.clone();
        self.check_shares(&batch)?;
        let (weights, state) = held(&model);
        let places = places(&model, &weights);
        if places.is_empty() {
            return Err(Error::new(
                ErrorKind::NotInitialized,
                "the model has no weights to train; call init(signature) first",
            ));
        }
        let mut tracked: Store = weights.clone();
        let mut variables: Vec<Tensor> = Vec::with_capacity(places.len());
        for tree in tracked.values_mut() {
            *tree = tree.map(&mut |t: &Tensor| if t.dtype().is_float() { t.variable() } else { t.clone() });
        }
        for &(id, i) in &places {
            variables.push(tracked[&id].leaves()[i].clone());
        }
        let (outputs, new_state) = pure_fn(&model, batch, &tracked, state.clone(), key)?;
        let loss = match &outputs[..] {
            [loss] if self.n_devices == 1 && loss.size() == 1 => loss.clone(),
            [losses] if self.n_devices > 1 && losses.size() == self.n_devices => losses.mean(None, false)?,
            other => {
                return Err(Error::shape(format!(
                    "a model with loss must return one number, this one returned {other:?}"
                )))
            }
        };
        let loss_value = loss.item()?;
        if !loss_value.is_finite() {
            let cause = finite::first_nan(&named_leaves("weights", &self.model_with_loss, &weights))?;
            let cause = cause.map_or_else(String::new, |name| format!(", as {name} is NaN"));
            return Err(finite::refused(&format!("the loss is {loss_value} at step {step}{cause}")));
        }
        let ones = Tensor::ones(loss.shape(), loss.dtype(), loss.device())?;
        drop(outputs);
        let gradients = backward(&[(loss, ones)], &variables, false)?;
        drop((variables, tracked));
        let gradients_l2 = global_norm(&gradients)?;
        if !gradients_l2.is_finite() {
            finite::check_gradients(&self.names(&places, &weights), &gradients, loss_value, step)?;
        }
        let flat: Vec<Tensor> = places.iter().map(|&(id, i)| weights[&id].leaves()[i].clone()).collect();
        let weights_l2 = global_norm(&flat)?;
        if weights_l2.is_nan() {
            let name = finite::first_nan(&named_leaves("weights", &self.model_with_loss, &weights))?;
            return Err(finite::refused(&format!("{} is NaN at step {step}", name.unwrap_or("a weight".into()))));
        }
        drop(flat);
        finite::check_state(&model, &state, &new_state, step)?;
        drop(state);
        before_update(self)?;
        let clip = self.optimizer.clipping().clip(gradients_l2);
        let update = Update { step, learning_rate, clip };
        self.make_missing_slots(&places, &weights)?;
        // Once slots are written nothing may fail or stop: there must be room for all new weights, and who cancels waits.
        let bytes = |t: &Tensor| t.size() * if t.dtype().size() < 4 { HALF_UPDATE } else { t.dtype().size() };
        let new: usize = places.iter().map(|&(id, i)| bytes(weights[&id].leaves()[i])).sum();
        let scratch = places.iter().map(|&(id, i)| self.optimizer.scratch(weights[&id].leaves()[i])).max();
        memory::admit(new.saturating_add(scratch.unwrap_or(0)), 1)?;
        let new_weights = shielded(|| self.updated(&weights, &places, gradients, &update))?;
        hold(&model, Some(&new_weights), Some(&new_state));
        self.updates += 1;
        Ok(StepReport { loss: loss_value, gradients_l2, weights_l2 })
    }
    /// The names of weights, as checkpoints have them.
    fn names(&self, places: &[(LayerId, usize)], weights: &Store) -> Vec<String> {
        let trees: HashMap<LayerId, Vec<String>> = paths(&self.model_with_loss)
            .into_iter()
            .filter_map(|(layer, path)| {
                let id = layer.base().id;
                let names = named(weights.get(&id)?, &format!("weights{path}"));
                Some((id, names.leaves().into_iter().cloned().collect()))
            })
            .collect();
        places.iter().map(|(id, i)| trees.get(id).and_then(|n| n.get(*i)).cloned().unwrap_or_default()).collect()
    }
    /// Padding would count in the loss.
    fn check_shares(&self, batch: &[Tensor]) -> Result<()> {
        let n = self.n_devices;
        match batch.iter().find(|t| t.shape().first().is_some_and(|rows| !rows.is_multiple_of(n))) {
            Some(t) => Err(Error::shape(format!(
                "Trainer: `nDevices` {n} does not divide the {} items of a batch; give batches of a multiple of {n} items",
                t.shape()[0]
            ))),
            None => Ok(()),
        }
    }
    fn make_missing_slots(&mut self, places: &[(LayerId, usize)], weights: &Store) -> Result<()> {
        for &(id, i) in places {
            let list = self.slots.entry(id).or_default();
            if list.len() <= i {
                list.resize(i + 1, Vec::new());
            }
            if list[i].is_empty() {
                list[i] = self.optimizer.init(weights[&id].leaves()[i])?;
            }
        }
        Ok(())
    }
    /// The new weights. The old ones stay as they are: the layers, and whoever else holds them, may be reading.
    fn updated(
        &mut self,
        weights: &Store,
        places: &[(LayerId, usize)],
        gradients: Vec<Tensor>,
        update: &Update,
    ) -> Result<Store> {
        let mut new = Store::new();
        for (&(id, i), gradient) in places.iter().zip(gradients) {
            let tree = new.entry(id).or_insert_with(|| weights[&id].clone());
            let (Some(leaf), Some(slots)) = (nth_leaf(tree, i), self.slots.get_mut(&id).and_then(|l| l.get_mut(i)))
            else {
                return Err(Error::new(ErrorKind::Internal, "the weights changed during a step"));
            };
            let (weight, new_slots) = self.optimizer.update(leaf.clone(), &gradient, std::mem::take(slots), update)?;
            *leaf = weight;
            *slots = new_slots;
        }
        Ok(new)
    }
}

fn nth_leaf(tree: &mut Tree<Tensor>, n: usize) -> Option<&mut Tensor> {
    fn walk<'a>(tree: &'a mut Tree<Tensor>, n: &mut usize) -> Option<&'a mut Tensor> {
        match tree {
            Tree::Leaf(t) => {
                if *n == 0 {
                    return Some(t);
                }
                *n -= 1;
                None
            }
            Tree::Tuple(v) => v.iter_mut().find_map(|t| walk(t, n)),
            Tree::Dict(v) => {
                let mut sorted: Vec<_> = v.iter_mut().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                sorted.into_iter().find_map(|(_, t)| walk(t, n))
            }
            Tree::Cached => None,
        }
    }
    walk(tree, &mut { n })
}
