//! Averages of the weights over the steps, which a model often does better with than with its last weights.
use crate::{
    groups::{at, Place},
    optimizers::wide,
    Result,
};
use std::collections::HashMap;
use tallow_layers::Store;
use tallow_tensor::{
    ops::{sgd_update, Clip, SgdStep},
    Tensor,
};

/// The averages of trained weights, by their places. Those of float16 and bfloat16 are in float32.
pub(crate) type Averages = HashMap<Place, Tensor>;

/// `average ← decay · average + (1 - decay) · weight`, in place where nobody else holds the average.
fn averaged(average: Tensor, weight: &Tensor, decay: f64) -> Result<Tensor> {
    // A step down the weights by a negative rate, with what the average loses as its decay.
    let step = SgdStep { lr: decay - 1.0, weight_decay_rate: 1.0 - decay, l2: 0.0 };
    Ok(sgd_update(average, weight, Clip::NONE, &step)?)
}

/// Moves averages to the `new` weights of a step, those at `places`. They begin with the `old` ones.
pub(crate) fn move_averages(
    averages: &mut Averages,
    places: impl Iterator<Item = Place>,
    decay: f64,
    [old, new]: [&Store; 2],
) -> Result<()> {
    for place in places {
        let weight = at(new, place)?;
        let average = match averages.remove(&place) {
            Some(average) => average,
            None => at(old, place)?.cast(wide(weight.dtype()))?,
        };
        averages.insert(place, averaged(average, weight, decay)?);
    }
    Ok(())
}
