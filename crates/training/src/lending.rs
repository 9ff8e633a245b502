//! A trainer's averages in place of the weights, for a while.
use crate::{
    groups::{at, at_mut, Place},
    Error, Result, Trainer,
};
use tallow_layers::{held, hold};
use tallow_tensor::Tensor;

impl Trainer {
    /// The averages of the weights, in the order of the model's float weights; the weights themselves before the first step, and where they are
    /// frozen. Empty if none are kept.
    ///
    /// # Errors
    /// Those of memory.
    pub fn averages(&self) -> Result<Vec<Tensor>> {
        if self.average_decay.is_none() {
            return Ok(Vec::new());
        }
        let own = held(self.model_with_loss()).0;
        let weights = self.lent.as_ref().unwrap_or(&own);
        let plan = self.planned(weights)?;
        let average = |&place: &Place| match self.averages.get(&place) {
            Some(average) => Ok(average.clone()),
            None => Ok(at(weights, place)?.clone()),
        };
        plan.places.iter().map(average).collect()
    }
    /// Lets the layers hold the averages in place of the weights, until [`Trainer::return_weights`].
    ///
    /// # Errors
    /// `InvalidOption` if no averages are kept; `Busy` if the layers hold them already.
    pub fn lend_averages(&mut self) -> Result<()> {
        if self.average_decay.is_none() {
            return Err(Error::option("Trainer: no averages are kept; give the trainer an `averageDecay`"));
        }
        self.check_own_weights()?;
        let weights = held(self.model_with_loss()).0;
        let mut averages = weights.clone();
        for (&place, average) in &self.averages {
            let slot = at_mut(&mut averages, place)?;
            *slot = average.cast(slot.dtype())?;
        }
        hold(self.model_with_loss(), Some(&averages), None);
        self.lent = Some(weights);
        Ok(())
    }
    /// Lets the layers hold the weights again that they held before [`Trainer::lend_averages`].
    pub fn return_weights(&mut self) {
        if let Some(weights) = self.lent.take() {
            hold(self.model_with_loss(), Some(&weights), None);
        }
    }
}
