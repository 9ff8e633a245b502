//! The loss and gradients of a batch, from those of its parts.
use super::{
    beginning::checksum,
    gradients::{sum_over_ranks, Sums},
    own_parts, states,
    sum_tree::SumTree,
    words::{said_by_all, Computed, Word},
    Shards,
};
use crate::{
    communicator::{failed, Communicator},
    optimizers::wide,
    Error, Result,
};
use tallow_layers::{
    acceleration::{merge_parts, Parts},
    ErrorKind, LayerRef, Store,
};
use tallow_tensor::{cancel::shielded, random::Key, Tensor};

/// What a part of a batch, or all of it, came to.
pub(crate) struct Part {
    pub(crate) loss: f64,
    pub(crate) gradients: Vec<Tensor>,
    /// The state behind it.
    pub(crate) state: Store,
}

/// Which batch of which step, and the key that it draws from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) step: u64,
    pub(crate) batch: u64,
    pub(crate) key: Key,
}

/// What the parts of a batch came to that are computed here.
struct Own {
    losses: Vec<f64>,
    gradients: Sums,
    states: Vec<Store>,
}

impl Shards {
    /// What a batch comes to: the means of losses and gradients, and the state. `part` computes a part for the layer.
    ///
    /// # Errors
    /// Those of `part`; `ShapeMismatch` for a batch that cannot be cut; what other ranks fail by; `RankFailed` where they have another batch.
    pub(crate) fn compute(
        &self,
        layer: &LayerRef,
        batch: Vec<Tensor>,
        place: Place,
        part: &mut dyn FnMut(&mut Parts, usize) -> Result<Part>,
    ) -> Result<Part> {
        match &self.ranks {
            None => {
                let Own { losses, gradients, states } = self.compute_own(layer, batch, place, part)?;
                let gradients = gradients.into_iter().next().map_or_else(Vec::new, |(_, sums)| sums);
                self.mean(layer, losses, gradients, states)
            }
            Some(ranks) => {
                let checksum = checksum(&batch);
                let own = checksum.and_then(|sum| Ok((sum, self.compute_own(layer, batch, place, part)?)));
                self.share(&**ranks, layer, place, own)
            }
        }
    }
    /// The same from the parts of all ranks, where this one has come to `own`, with a checksum of the batch.
    fn share(&self, ranks: &dyn Communicator, layer: &LayerRef, place: Place, own: Result<(u32, Own)>) -> Result<Part> {
        let word = match &own {
            Ok((checksum, own)) => Word::Computed(Computed {
                step: place.step,
                batch: place.batch,
                checksum: *checksum,
                key: place.key.0,
                losses: own.losses.iter().map(|loss| loss.to_bits()).collect(),
            }),
            Err(e) => Word::of_error(e),
        };
        let words = said_by_all(ranks, &word);
        let (_, Own { gradients, states, .. }) = own?;
        let losses = losses(words?)?;
        // Who is cancelled waits from here on: the others count on the rest.
        shielded(|| {
            let gradients = sum_over_ranks(ranks, self.parts, self.transport, &gradients)?;
            let states = states::of_all_parts(ranks, layer, states)?;
            self.mean(layer, losses, gradients, states)
        })
    }
    /// The means over all parts, from the sum of the gradients.
    fn mean(&self, layer: &LayerRef, losses: Vec<f64>, gradients: Vec<Tensor>, states: Vec<Store>) -> Result<Part> {
        if self.parts == 1 {
            let (Some(&loss), Some(state)) = (losses.first(), states.into_iter().next()) else {
                return Err(Error::new(ErrorKind::Internal, "no part of a batch was computed"));
            };
            return Ok(Part { loss, gradients, state });
        }
        let mut tree = SumTree::new(self.parts);
        for (i, loss) in losses.into_iter().enumerate() {
            tree.push(i..i + 1, loss, |a, b| Ok(a + b))?;
        }
        let sum = tree.sum().ok_or_else(|| Error::new(ErrorKind::Internal, "the loss of a part is missing"))?;
        let n = self.parts as f64;
        let gradients = gradients.iter().map(|g| Ok(g.div_scalar(n)?)).collect::<Result<_>>()?;
        Ok(Part { loss: sum / n, gradients, state: merge_parts(layer, states)? })
    }
    /// The parts that are computed here, one by one.
    fn compute_own(
        &self,
        layer: &LayerRef,
        batch: Vec<Tensor>,
        place: Place,
        part: &mut dyn FnMut(&mut Parts, usize) -> Result<Part>,
    ) -> Result<Own> {
        let mut parts = Parts::of(layer, &batch, place.key, self.parts)?;
        drop(batch);
        let (rank, size) = self.ranks.as_ref().map_or((0, 1), |r| (r.rank(), r.size()));
        let mut tree = SumTree::new(self.parts);
        let (mut losses, mut states) = (Vec::new(), Vec::new());
        for i in own_parts(self.parts, rank, size) {
            let Part { loss, gradients, state } = part(&mut parts, i)?;
            losses.push(loss);
            states.push(state);
            let gradients = match self.parts {
                1 => gradients,
                // Halves are added up in float32, here and between ranks.
                _ => gradients.into_iter().map(|g| Ok(g.cast(wide(g.dtype()))?)).collect::<Result<_>>()?,
            };
            tree.push(i..i + 1, gradients, |a, b| a.into_iter().zip(b).map(|(a, b)| Ok(a.add(&b)?)).collect())?;
        }
        Ok(Own { losses, gradients: tree.into_nodes(), states })
    }
}

/// The losses of all parts, in their order.
///
/// # Errors
/// `RankFailed` where a rank has computed parts of another batch.
fn losses(words: Vec<Word>) -> Result<Vec<f64>> {
    let computed = |word| match word {
        Word::Computed(computed) => Some(computed),
        _ => None,
    };
    let all: Vec<Computed> = words.into_iter().filter_map(computed).collect();
    for (rank, one) in all.iter().enumerate() {
        let first = &all[0];
        if (one.step, one.batch) != (first.step, first.batch) {
            let what = format!("rank {rank} makes step {}, but rank 0 step {}", one.step, first.step);
            return Err(failed(format!("{what}; begin all ranks at the same step, or from the same checkpoint")));
        }
        if one.key != first.key {
            let what = format!("rank {rank} has another random key than rank 0 at step {}", one.step);
            return Err(failed(format!("{what}; give all ranks the same seed")));
        }
        if one.checksum != first.checksum {
            let what = format!("rank {rank} has another batch than rank 0 at step {}", one.step);
            return Err(failed(format!(
                "{what}; all ranks take the same batches, and each computes its own part of them"
            )));
        }
    }
    Ok(all.into_iter().flat_map(|one| one.losses).map(f64::from_bits).collect())
}
