//! What ranks must have alike before their first step.
use super::words::{said_by_all, Word};
use crate::{communicator::failed, names::named_leaves, Error, Result, Trainer};
use tallow_layers::{elements, held, ErrorKind};
use tallow_tensor::{DType, Tensor};

/// What a rank begins with: names and what they stand for.
type Beginning = Vec<(String, String)>;

/// A checksum of tensors: of their types, shapes and values.
///
/// # Errors
/// Those of reading them.
pub(super) fn checksum<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<u32> {
    let mut sum = 0;
    for t in tensors {
        sum = crc32c::crc32c_append(sum, format!("{t:?}").as_bytes());
        elements::write(t, &mut |piece| {
            sum = crc32c::crc32c_append(sum, piece);
            Ok(())
        })?;
    }
    Ok(sum)
}

impl Trainer {
    /// What this rank begins with.
    fn beginning(&self) -> Result<Beginning> {
        let (weights, state) = held(self.model_with_loss());
        let named = |name: &str, value: String| (name.to_owned(), value);
        let mut all = vec![
            named("the version of tallow", env!("CARGO_PKG_VERSION").to_owned()),
            named("`gradientShards`", self.shards.parts.to_string()),
            named("`nDevices`", self.n_devices.to_string()),
            named("`accumulate`", self.accumulate().to_string()),
            named("`averageDecay`", format!("{:?}", self.average_decay)),
            named("`policy`", format!("{:?}", self.policy)),
            named("`lossScale`", format!("{:?}", self.scale)),
            named("the optimizer", format!("{:?}", self.optimizer())),
            named("`groups`", format!("{:?}", self.groups)),
        ];
        for (kind, store) in [("weights", &weights), ("state", &state)] {
            for (name, t) in named_leaves(kind, self.model_with_loss(), store) {
                if kind == "weights" && t.dtype() == DType::F64 {
                    let what =
                        format!("{name} is float64, and ranks add up gradients in float32; train it on one rank");
                    return Err(Error::new(ErrorKind::DTypeMismatch, what));
                }
                all.push((name, format!("{t:?} with checksum {:08x}", checksum([&t])?)));
            }
        }
        let slots = self.slots()?;
        all.push(named(
            "what the optimizer keeps",
            format!("slots with checksum {:08x}", checksum(slots.iter().flatten())?),
        ));
        Ok(all)
    }
    /// Refuses ranks that do not begin alike, before their first step.
    ///
    /// # Errors
    /// `RankFailed` naming what differs; those of the communicator.
    pub(crate) fn begin_alike(&mut self) -> Result<()> {
        let Some(ranks) = self.shards.ranks.clone().filter(|_| !self.shards.are_alike) else { return Ok(()) };
        let own = self.beginning();
        let word = own.as_ref().map_or_else(Word::of_error, |own| Word::Begins(own.clone()));
        let words = said_by_all(&*ranks, &word);
        own?;
        let begin = |word| match word {
            Word::Begins(all) => all,
            _ => Vec::new(),
        };
        let all: Vec<Beginning> = words?.into_iter().map(begin).collect();
        for (rank, other) in all.iter().enumerate() {
            if let Some(what) = difference(&all[0], other, rank) {
                return Err(failed(what));
            }
        }
        self.shards.are_alike = true;
        Ok(())
    }
}

/// How what `rank` begins with differs from what rank 0 does.
fn difference(first: &Beginning, other: &Beginning, rank: usize) -> Option<String> {
    let place = first.iter().zip(other).position(|(a, b)| a != b);
    let (a, b) = match place {
        Some(i) => (first.get(i), other.get(i)),
        None if first.len() == other.len() => return None,
        None => (first.get(other.len()), other.get(first.len())),
    };
    let told = |own: Option<&(String, String)>, rank: usize| match own {
        Some((name, value)) => format!("{name} is {value} on rank {rank}"),
        None => format!("rank {rank} has nothing of the kind"),
    };
    Some(format!(
        "ranks do not begin alike: {}, and {}; make the same model with the same options and the same seed on each, or load the same checkpoint",
        told(a, 0),
        told(b, rank)
    ))
}
