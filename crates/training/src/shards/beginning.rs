//! What ranks must have alike before their first step.
use super::{
    words::{said_by_all, Word},
    Shards,
};
use crate::{communicator::failed, Result};
use tallow_layers::elements;
use tallow_tensor::Tensor;

/// What a rank begins with: names and what they stand for.
pub(crate) type Beginning = Vec<(String, String)>;

/// A checksum of tensors: of their types, shapes and values.
///
/// # Errors
/// Those of reading them.
pub(crate) fn checksum<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<u32> {
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

impl Shards {
    /// Whether ranks have yet to find out whether they begin alike.
    pub(crate) fn must_compare(&self) -> bool {
        self.are_shared() && !self.are_alike
    }
    /// Refuses ranks that do not begin alike, before their first step; `own` is what this one begins with.
    ///
    /// # Errors
    /// That of `own`; `RankFailed` naming what differs; those of the communicator.
    pub(crate) fn begin_alike(&mut self, own: Result<Beginning>) -> Result<()> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let word = own.as_ref().map_or_else(Word::of_error, |own| Word::Begins(own.clone()));
        let words = said_by_all(&**ranks, &word);
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
        self.are_alike = true;
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
