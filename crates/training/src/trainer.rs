//! One training step: forward, backward, optimizer.
use crate::{
    averages::{move_averages, Averages},
    communicator::Communicator,
    finite,
    groups::{at, at_mut, Place, Plan, WeightGroup, WeightGroups},
    names::{float_weights, named_leaves},
    optimizers::{wide, OptimizerRef, Update},
    policy::{LossScale, Policy, Scale},
    progress::StepReport,
    shards::{Ranks, Ready, Shards, Transport},
};
use std::{collections::HashMap, sync::Arc};
use tallow_layers::{
    acceleration::accelerate, held, hold, options, refuse_shared, Dim, Error, ErrorKind, LayerRef, Rate, Result, Store,
};
use tallow_tensor::{cancel::shielded, memory, ops::global_norm, random::Key, Tensor};

options! {
    /// A trainer.
    pub struct TrainerOptions for "Trainer" () {
        /// Number of devices that share each batch; without it, all there are: one, on the CPU.
        n_devices "nDevices": Option<Dim> = None,
        /// Weights that are trained in a way of their own, or not at all; the first group whose patterns match a weight's name has it.
        groups "groups": WeightGroups = WeightGroups(Vec::new()),
        /// Batches of a step: it is made with the mean of their gradients.
        accumulate "accumulate": Dim = Dim(1),
        /// What stays of the averages of the weights at each step; `null`: no averages are kept.
        average_decay "averageDecay": Option<Rate> = None,
        /// What layers with matrices of weights compute in. Weights, slots, state and losses are float32 in any case.
        policy "policy": Policy = Policy::Float32,
        /// What the loss is multiplied by before gradients are computed, which are divided by it; `'dynamic'`: as much as they allow.
        loss_scale "lossScale": LossScale = LossScale::Fixed(1.0),
        /// Parts that each batch is cut into, of which each is computed alone, and whose gradients are added up in a fixed order; without it, one for each rank.
        gradient_shards "gradientShards": Option<Dim> = None,
        /// What gradients are sent as, between ranks: as they are, or rounded in half as many bytes.
        gradient_transport "gradientTransport": Transport = Transport::Float32,
        /// The ranks that each batch is shared out among; `null`: this one alone.
        communicator "communicator": Option<Ranks> = None,
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
    pub(crate) groups: Vec<WeightGroup>,
    /// What is trained by what, for the weights that the model last held.
    pub(crate) plan: Plan,
    accumulate: usize,
    pub(crate) average_decay: Option<f64>,
    pub(crate) averages: Averages,
    /// The weights, while the layers hold the averages in place of them.
    pub(crate) lent: Option<Store>,
    slots: Slots,
    pub(crate) policy: Policy,
    pub(crate) scale: Scale,
    pub(crate) shards: Shards,
    /// Updates made since this was made.
    updates: u64,
}

/// Slots of each trained weight.
pub(crate) type Slots = HashMap<Place, Vec<Tensor>>;
/// Bytes that the update of a half takes: the new half, its gradient in float32, and moments that may still be halves.
const HALF_UPDATE: usize = 2 + 4 + 2 * 4;

/// What the batches of one step came to so far.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The weights that the step starts from.
    pub(crate) weights: Store,
    /// The state before the first batch, and after the last one.
    pub(crate) state: Store,
    pub(crate) new_state: Store,
    /// The sum of the trained weights' gradients.
    pub(crate) gradients: Vec<Tensor>,
    /// The sum of the losses.
    pub(crate) loss: f64,
    pub(crate) batches: u64,
}

/// What the update of a step takes.
struct Prepared {
    weights: Store,
    new_state: Store,
    /// `None` in a step that is left out, as they overflowed.
    gradients: Option<Vec<Tensor>>,
    report: StepReport,
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
        Self {
            model_with_loss,
            running,
            n_devices: n_devices.max(1),
            optimizer,
            groups: Vec::new(),
            plan: Plan::default(),
            accumulate: 1,
            average_decay: None,
            averages: HashMap::new(),
            lent: None,
            slots: HashMap::new(),
            policy: Policy::Float32,
            scale: LossScale::Fixed(1.0).into(),
            shards: Shards::WHOLE,
            updates: 0,
        }
    }
    /// The same trainer, which cuts each batch into `parts` parts, without it one for each rank, and shares them out among `ranks`.
    ///
    /// All ranks make the same trainer of the same weights, and take the same batches; each computes its parts. A part is computed alone, draws
    /// from a key of its own, and gradients are added up in an order that depends on the number of parts alone: for one number of parts
    /// losses and weights have the same bits on any number of ranks.
    ///
    /// # Errors
    /// `InvalidOption` for fewer parts than ranks.
    pub fn among(mut self, parts: Option<usize>, ranks: Option<Arc<dyn Communicator>>) -> Result<Self> {
        self.shards = Shards::new(parts, ranks, Transport::Float32)?;
        Ok(self)
    }
    /// As [`Trainer::new`], with options, and with the ranks that their `communicator` has joined.
    ///
    /// # Errors
    /// `InvalidArgument` for a model with weights that can only be read; `InvalidOption` for a pattern of a group that matches no weight, or if all weights are frozen; `NotInitialized` for groups of a model
    /// without weights; `InvalidOption` for fewer parts than ranks.
    pub fn with_options(
        model_with_loss: LayerRef,
        optimizer: OptimizerRef,
        o: TrainerOptions,
        ranks: Option<Arc<dyn Communicator>>,
    ) -> Result<Self> {
        refuse_shared("Trainer", &model_with_loss)?;
        let mut trainer = Self::on_devices(model_with_loss, optimizer, o.n_devices.map_or(1, |n| n.0));
        trainer.groups = o.groups.0;
        trainer.accumulate = o.accumulate.0;
        trainer.average_decay = o.average_decay.map(|d| d.0);
        (trainer.policy, trainer.scale) = (o.policy, o.loss_scale.into());
        trainer.shards = Shards::new(o.gradient_shards.map(|n| n.0), ranks, o.gradient_transport)?;
        let weights = held(&trainer.model_with_loss).0;
        trainer.plan = trainer.planned(&weights)?;
        Ok(trainer)
    }
    /// The model with its loss.
    pub fn model_with_loss(&self) -> &LayerRef {
        &self.model_with_loss
    }
    /// The optimizer.
    pub fn optimizer(&self) -> &OptimizerRef {
        &self.optimizer
    }
    /// Batches of a step.
    pub fn accumulate(&self) -> usize {
        self.accumulate
    }
    /// Updates made since this trainer was made: each changes weights, state and slots together.
    pub fn updates(&self) -> u64 {
        self.updates
    }
    /// What the programs of all ranks tell each other, in the order of the ranks; `text` alone where there are no others.
    ///
    /// # Errors
    /// `RankFailed` where another rank has failed, or does something else; `Aborted` where one was stopped.
    pub fn tell_ranks(&self, text: String) -> Result<Vec<String>> {
        self.shards.tell(text)
    }
    /// What is trained by what where the model holds `weights`.
    pub(crate) fn planned(&self, weights: &Store) -> Result<Plan> {
        Plan::new(&self.model_with_loss, weights, &self.groups)
    }
    /// Slots of each weight, in the order of the model's float weights, none where it is frozen; empty before the first step.
    ///
    /// # Errors
    /// Those of [`Trainer::with_options`], if the model holds other weights by now.
    pub fn slots(&self) -> Result<Vec<Vec<Tensor>>> {
        if self.slots.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.planned(&held(&self.model_with_loss).0)?;
        Ok(plan.places.iter().map(|place| self.slots.get(place).cloned().unwrap_or_default()).collect())
    }
    /// Sets the slots, given as [`Trainer::slots`] gives them.
    ///
    /// # Errors
    /// `WeightsMismatch` if their number or shapes are not those of the weights.
    pub fn set_slots(&mut self, slots: Vec<Vec<Tensor>>) -> Result<()> {
        let weights = held(&self.model_with_loss).0;
        let plan = self.planned(&weights)?;
        if plan.places.len() != slots.len() {
            let what = format!("the model has {} weights, but slots for {} were given", plan.places.len(), slots.len());
            return Err(Error::new(ErrorKind::WeightsMismatch, what));
        }
        let mut new = Slots::new();
        for (i, given) in slots.into_iter().enumerate() {
            if self.takes(&plan, i, at(&weights, plan.places[i])?, &given)? {
                new.insert(plan.places[i], given);
            }
        }
        self.put_slots(new);
        Ok(())
    }
    pub(crate) fn put_slots(&mut self, slots: Slots) {
        self.slots = slots;
        self.shards.forget();
    }
    /// Whether there are slots of weight number `i`, which those given fit.
    ///
    /// # Errors
    /// `WeightsMismatch` if their number or shapes are not those that its optimizer makes.
    pub(crate) fn takes(&self, plan: &Plan, i: usize, weight: &Tensor, given: &[Tensor]) -> Result<bool> {
        let optimizer = plan.optimizer(i, &self.groups, &self.optimizer);
        let made = optimizer.map(|o| o.init(weight)).transpose()?.unwrap_or_default();
        let unlike = |(a, b): (&Tensor, &Tensor)| a.shape() != b.shape() || !b.dtype().is_float();
        if made.len() != given.len() || made.iter().zip(given).any(unlike) {
            let what = format!("slots {given:?} do not fit a weight of shape {:?}", weight.shape());
            let why = if optimizer.is_none() { ", which is frozen and has none" } else { "" };
            return Err(Error::new(ErrorKind::WeightsMismatch, format!("{what}{why}")));
        }
        Ok(optimizer.is_some())
    }
    /// One step on a batch: updates the weights and state the model's layers hold, and the slots.
    ///
    /// `step` counts from 0; `learning_rate: None` takes the optimizer's. On an error weights, state and slots are as before.
    ///
    /// # Errors
    /// `NotInitialized` for a model without weights; `ShapeMismatch` for a batch that the devices do not divide; `InvalidArgument` for a
    /// learning rate that is not finite, or if a step takes several batches; `NotFinite` when the loss, a gradient or what the state becomes is
    /// NaN or infinite, or a weight is NaN, naming it; `Busy` while averages stand for the weights; the layers' own errors.
    pub fn one_step(
        &mut self,
        batch: Vec<Tensor>,
        key: Key,
        step: u64,
        learning_rate: Option<f64>,
    ) -> Result<StepReport> {
        if self.accumulate > 1 {
            let n = self.accumulate;
            let what =
                format!("Trainer.oneStep takes one batch, but a step of this trainer takes `accumulate` {n}; call fit");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let rate = self.rate(step, learning_rate)?;
        let gathered = self.gather(batch, key, step, None)?;
        self.finish(gathered, step, rate, &mut |_| Ok(()))
    }
    /// The learning rate of a step; `None`: the optimizer's.
    ///
    /// # Errors
    /// `InvalidArgument` for one that is not finite, or that groups cannot follow.
    pub(crate) fn rate(&self, step: u64, learning_rate: Option<f64>) -> Result<f64> {
        let main = self.optimizer.learning_rate();
        let rate = learning_rate.unwrap_or(main);
        let refused = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        if !rate.is_finite() {
            return refused(format!("the learning rate of step {step} must be a finite number, got {rate}"));
        }
        if main == 0.0 && rate != 0.0 && self.groups.iter().any(|g| g.optimizer.is_some()) {
            return refused(format!(
                "the learning rate of step {step} is {rate}, and those of groups change as that of the trainer's optimizer does, but that is 0; \
                 give that optimizer a `learningRate` above 0"
            ));
        }
        Ok(rate)
    }
    /// Makes the step that was gathered. Calls `before_update` when everything is computed and nothing is changed yet.
    ///
    /// # Errors
    /// Those of [`Trainer::one_step`], and of `before_update`.
    pub(crate) fn finish(
        &mut self,
        gathered: Gathered,
        step: u64,
        learning_rate: f64,
        before_update: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<StepReport> {
        let prepared = self.prepare(gathered, step, before_update);
        let Prepared { weights, new_state, gradients, report } = self.shards.ready(prepared, |prepared| {
            let StepReport { gradients_l2, weights_l2, .. } = prepared.report;
            Ready::of(step, [learning_rate, gradients_l2, weights_l2])
        })?;
        let Some(gradients) = gradients else { return Ok(report) };
        let model = self.running.clone();
        // Once slots are written nothing may fail or stop: there is room for all that is new, and who cancels waits.
        let new_weights = shielded(|| {
            let new = self.updated(&weights, gradients, step, learning_rate, report.gradients_l2)?;
            if let Some(decay) = self.average_decay {
                move_averages(&mut self.averages, self.plan.trained_places(), decay, [&weights, &new])?;
            }
            Ok::<_, Error>(new)
        })?;
        hold(&model, Some(&new_weights), Some(&new_state));
        self.updates += 1;
        self.scale.went_well();
        Ok(report)
    }
    /// All that the update of a step takes, checked; changes nothing that the layers hold.
    fn prepare(
        &mut self,
        gathered: Gathered,
        step: u64,
        before_update: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<Prepared> {
        let Gathered { weights, state, new_state, mut gradients, loss, batches } = gathered;
        let loss = loss / batches as f64;
        if batches > 1 {
            for g in &mut gradients {
                *g = g.div_scalar(batches as f64)?;
            }
        }
        let gradients_l2 = global_norm(&gradients)?;
        let left_out = !gradients_l2.is_finite() && self.scale.overflowed();
        if !gradients_l2.is_finite() && !left_out {
            finite::check_gradients(&self.trained_names(&weights), &gradients, loss, step)?;
        }
        let flat = self.plan.places.iter().map(|&place| Ok(at(&weights, place)?.clone()));
        let weights_l2 = global_norm(&flat.collect::<Result<Vec<_>>>()?)?;
        if weights_l2.is_nan() {
            let name = finite::first_nan(&named_leaves("weights", &self.model_with_loss, &weights))?;
            return Err(finite::refused(&format!("{} is NaN at step {step}", name.unwrap_or("a weight".into()))));
        }
        let report = StepReport { loss, gradients_l2, weights_l2 };
        if left_out {
            return Ok(Prepared { weights, new_state, gradients: None, report });
        }
        finite::check_state(&self.running, &state, &new_state, step)?;
        drop(state);
        before_update(self)?;
        self.make_missing_slots(&weights)?;
        self.check_room(&weights)?;
        Ok(Prepared { weights, new_state, gradients: Some(gradients), report })
    }
    /// The names of the trained weights, as files have them.
    fn trained_names(&self, weights: &Store) -> Vec<String> {
        let names = float_weights(&self.model_with_loss, weights);
        self.plan.trained.iter().filter_map(|&i| names.get(i)).map(|(name, _)| format!("weights/{name}")).collect()
    }
    /// Refuses what must not see averages in place of weights.
    ///
    /// # Errors
    /// `Busy` while the layers hold the averages.
    pub(crate) fn check_own_weights(&self) -> Result<()> {
        if self.lent.is_none() {
            return Ok(());
        }
        let what = "the layers hold the averages of this trainer in place of its weights; wait for the end of withAverages first";
        Err(Error::new(ErrorKind::Busy, what))
    }
    fn optimizer_of(&self, i: usize) -> Result<&OptimizerRef> {
        let found = self.plan.optimizer(i, &self.groups, &self.optimizer);
        found.ok_or_else(|| Error::new(ErrorKind::Internal, "a frozen weight has no optimizer"))
    }
    fn make_missing_slots(&mut self, weights: &Store) -> Result<()> {
        for &i in &self.plan.trained {
            let place = self.plan.places[i];
            let weight = at(weights, place)?;
            // A layer may have been moved to another device since.
            follow(self.averages.get_mut(&place), weight)?;
            match self.slots.get_mut(&place) {
                Some(slots) => follow(slots, weight)?,
                None => {
                    let made = self.optimizer_of(i)?.init(weight)?;
                    self.slots.insert(place, made);
                }
            }
        }
        Ok(())
    }
    /// Refuses a step that there is no memory for.
    fn check_room(&self, weights: &Store) -> Result<()> {
        let (mut new, mut scratch) = (0_usize, 0);
        for &i in &self.plan.trained {
            let weight = at(weights, self.plan.places[i])?;
            let (own, average) = (weight.dtype().size(), wide(weight.dtype()).size());
            let each = if own < 4 { HALF_UPDATE } else { own } + self.average_decay.map_or(0, |_| average);
            new = new.saturating_add(weight.size().saturating_mul(each));
            scratch = scratch.max(self.optimizer_of(i)?.scratch(weight));
        }
        Ok(memory::admit(new.saturating_add(scratch), 1)?)
    }
    /// The new weights. The old ones stay as they are: the layers, and whoever else holds them, may be reading.
    fn updated(
        &mut self,
        weights: &Store,
        gradients: Vec<Tensor>,
        step: u64,
        learning_rate: f64,
        gradients_l2: f64,
    ) -> Result<Store> {
        let mut new = Store::new();
        let main = self.optimizer.learning_rate();
        for (&i, gradient) in self.plan.trained.iter().zip(gradients) {
            let place = self.plan.places[i];
            let optimizer = self.optimizer_of(i)?.clone();
            // One schedule moves all: the rates of groups keep their proportion to the trainer's.
            let own = optimizer.learning_rate();
            let own = if learning_rate == main { own } else { own * (learning_rate / main) };
            let by_main = Arc::ptr_eq(&optimizer, &self.optimizer);
            let update = Update {
                step,
                learning_rate: if by_main { learning_rate } else { own },
                clip: optimizer.clipping().clip(gradients_l2),
            };
            new.entry(place.0).or_insert_with(|| weights[&place.0].clone());
            let leaf = at_mut(&mut new, place)?;
            let slots = self.slots.remove(&place).unwrap_or_default();
            let (weight, new_slots) = optimizer.update(leaf.clone(), &gradient, slots, &update)?;
            *leaf = weight;
            self.slots.insert(place, new_slots);
        }
        Ok(new)
    }
}

/// Moves what belongs to a weight to where that lies; what lies there stays the same.
fn follow<'a>(own: impl IntoIterator<Item = &'a mut Tensor>, weight: &Tensor) -> Result<()> {
    for t in own {
        if !t.device().same_device(weight.device()) {
            *t = t.to_device(weight.device())?;
        }
    }
    Ok(())
}
