//! What a step is made of: the losses and gradients of its batches.
use crate::{
    finite,
    groups::at_mut,
    names::named_leaves,
    shards::{Part, Place},
    trainer::Gathered,
    Error, Result, Trainer,
};
use tallow_layers::{computing_in, held, ErrorKind, Store};
use tallow_tensor::{backward, cancel::shielded, random::Key, Tensor};

impl Trainer {
    /// The loss and gradients of a batch of step `step`, added to those of the batches before it. Changes nothing that the layers hold.
    ///
    /// # Errors
    /// Those of [`Trainer::one_step`] but for its number of batches.
    pub(crate) fn gather(
        &mut self,
        batch: Vec<Tensor>,
        key: Key,
        step: u64,
        before: Option<Gathered>,
    ) -> Result<Gathered> {
        self.check_own_weights()?;
        if self.shards.must_compare() {
            let own = self.beginning();
            self.shards.begin_alike(own)?;
        }
        let mut out = match before {
            Some(gathered) => gathered,
            None => self.nothing_gathered()?,
        };
        let key = if self.accumulate() > 1 { key.fold_in(out.batches as u32) } else { key };
        let place = Place { step, batch: out.batches, key };
        let mut tracked: Store = out.weights.clone();
        let mut variables: Vec<Tensor> = Vec::with_capacity(self.plan.trained.len());
        for place in self.plan.trained_places() {
            let weight = at_mut(&mut tracked, place)?;
            *weight = weight.variable();
            variables.push(weight.clone());
        }
        let weights = &out.weights;
        let Part { loss, gradients, state } = self.shards.compute(&self.running, batch, place, &mut |parts, i| {
            self.check_shares(parts.inputs(i))?;
            let (outputs, state) =
                computing_in(self.policy.compute_dtype(), || parts.apply(i, &tracked, out.new_state.clone()))?;
            let (loss, gradients) = self.differentiate(outputs, &variables, weights, step)?;
            Ok(Part { loss, gradients, state })
        })?;
        drop((variables, tracked));
        out.gradients = if out.batches == 0 {
            gradients
        } else {
            // In the order of the batches, so that the sum is the same however they come.
            let both = std::mem::take(&mut out.gradients).into_iter().zip(gradients);
            // Who is cancelled waits: other ranks count on this batch.
            shielded(|| both.map(|(sum, g)| Ok(sum.add(&g)?)).collect::<Result<_>>())?
        };
        out.new_state = state;
        out.loss += loss;
        out.batches += 1;
        Ok(out)
    }
    /// The loss that the model gave, and the gradients of the trained weights.
    fn differentiate(
        &self,
        outputs: Vec<Tensor>,
        variables: &[Tensor],
        weights: &Store,
        step: u64,
    ) -> Result<(f64, Vec<Tensor>)> {
        let loss = match &outputs[..] {
            [loss] if self.n_devices == 1 && loss.size() == 1 => loss.clone(),
            [losses] if self.n_devices > 1 && losses.size() == self.n_devices => losses.mean(None, false)?,
            other => {
                return Err(Error::shape(format!(
                    "a model with loss must return one number, this one returned {other:?}"
                )))
            }
        };
        drop(outputs);
        let value = loss.item()?;
        if !value.is_finite() {
            let cause = finite::first_nan(&named_leaves("weights", self.model_with_loss(), weights))?;
            let cause = cause.map_or_else(String::new, |name| format!(", as {name} is NaN"));
            return Err(finite::refused(&format!("the loss is {value} at step {step}{cause}")));
        }
        let seed = self.scale.seed(&loss)?;
        let gradients = computing_in(self.policy.compute_dtype(), || backward(&[(loss, seed)], variables, false))?;
        Ok((value, self.scale.unscaled(gradients)?))
    }
    /// What a step starts from.
    fn nothing_gathered(&mut self) -> Result<Gathered> {
        let (weights, state) = held(&self.running);
        if !self.plan.holds(self.model_with_loss(), &weights) {
            self.plan = self.planned(&weights)?;
        }
        if self.plan.places.is_empty() {
            return Err(Error::new(
                ErrorKind::NotInitialized,
                "the model has no weights to train; call init(signature) first",
            ));
        }
        let new_state = state.clone();
        Ok(Gathered { weights, state, new_state, gradients: Vec::new(), loss: 0.0, batches: 0 })
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
}
