//! Batches in parts whose gradients are computed alone and added up in a fixed order: on one rank, or shared out among several.
mod beginning;
mod computing;
mod gradients;
mod states;
mod sum_tree;
mod transport;
mod words;

pub(crate) use beginning::{checksum, Beginning};
pub(crate) use computing::{Part, Place};

use crate::{
    communicator::{failed, of_process, take_local, Communicator},
    Error, Result,
};
use std::{ops::Range, sync::Arc};
use tallow_layers::{options::OptionType, HostValue};
pub use transport::Transport;
pub(crate) use words::Ready;
use words::{said_by_all, Word};

/// The ranks that a trainer shares its batches with, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranks {
    /// Those that a launcher started with this process; none where it was started alone.
    Auto,
    /// Threads of this process, of which this is the one with this number ([`crate::communicator::offer_local`]).
    Local(u64),
}

impl Ranks {
    /// This process or thread as one of them; `None` where there are no others.
    ///
    /// # Errors
    /// Those of [`of_process`] and [`take_local`].
    pub fn join(self) -> Result<Option<Arc<dyn Communicator>>> {
        match self {
            Self::Auto => of_process(),
            Self::Local(id) => take_local(id).map(Some),
        }
    }
}

impl OptionType for Ranks {
    const TS: &'static str = "'auto' | LocalRank";
    const EXPECTED: &'static str = "'auto', or one of what training.localRanks gives";
    fn parse(v: &HostValue) -> Option<Self> {
        if let Some(text) = v.text() {
            return (text == "auto").then_some(Self::Auto);
        }
        let id = v.get("id").and_then(HostValue::number)?;
        (id >= 0.0 && id.fract() == 0.0 && id < 9e15).then_some(Self::Local(id as u64))
    }
    fn show(&self) -> String {
        match self {
            Self::Auto => "'auto'".into(),
            Self::Local(id) => format!("rank number {id}"),
        }
    }
}

/// The parts, of `parts`, that rank `rank` of `size` computes.
fn own_parts(parts: usize, rank: usize, size: usize) -> Range<usize> {
    let begin = |rank: usize| parts / size * rank + (parts % size).min(rank);
    begin(rank)..begin(rank + 1)
}

/// How the batches of a trainer are shared out.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    /// Parts of each batch.
    parts: usize,
    /// All ranks, if there are others.
    ranks: Option<Arc<dyn Communicator>>,
    /// What gradients are sent as.
    transport: Transport,
    /// Whether the ranks have found that they hold the same.
    are_alike: bool,
}

impl Shards {
    /// One part, computed here.
    pub(crate) const WHOLE: Self = Self { parts: 1, ranks: None, transport: Transport::Float32, are_alike: false };

    /// `parts` of each batch, or without it one for each rank, and gradients sent as `transport` says.
    ///
    /// # Errors
    /// `InvalidOption` for fewer parts than ranks.
    pub(crate) fn new(
        parts: Option<usize>,
        ranks: Option<Arc<dyn Communicator>>,
        transport: Transport,
    ) -> Result<Self> {
        let size = ranks.as_ref().map_or(1, |r| r.size());
        let parts = parts.unwrap_or(size);
        if parts < size {
            let what = format!("Trainer: `gradientShards` {parts} are fewer than the {size} ranks that share them");
            return Err(Error::option(what));
        }
        Ok(Self { parts, ranks: ranks.filter(|_| size > 1), transport, are_alike: false })
    }
    /// What gradients are sent as.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }
    /// Parts of each batch.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }
    /// Whether batches are shared with other ranks.
    pub(crate) fn are_shared(&self) -> bool {
        self.ranks.is_some()
    }
    /// What this rank holds was set: before the next step, ranks find out anew whether they hold the same.
    pub(crate) fn forget(&mut self) {
        self.are_alike = false;
    }
    /// Waits until all ranks are ready to change weights: what this one has come to, for which `ready` is what all must have alike.
    ///
    /// # Errors
    /// That of `own`; what other ranks fail by; `RankFailed` where they come to other numbers.
    pub(crate) fn ready<T>(&self, own: Result<T>, ready: impl Fn(&T) -> Ready) -> Result<T> {
        let Some(ranks) = &self.ranks else { return own };
        let word = own.as_ref().map_or_else(Word::of_error, |own| Word::Ready(ready(own)));
        let words = said_by_all(&**ranks, &word);
        let own = own?;
        let words = words?;
        match words.iter().position(|w| *w != words[0]) {
            None => Ok(own),
            Some(rank) => Err(failed(format!(
                "rank {rank} and rank 0 are ready for other updates: the step, the learning rate, the gradients or the weights differ between \
                 them; give all ranks the same schedule, and change weights on all of them alike"
            ))),
        }
    }
    /// Tells the others if this rank has no batch to begin with.
    ///
    /// # Errors
    /// That of `batch`.
    pub(crate) fn told<T>(&self, batch: Result<T>) -> Result<T> {
        if let (Some(ranks), Err(e)) = (&self.ranks, &batch) {
            // What the others answer is no news: they stop with this.
            let _ = said_by_all(&**ranks, &Word::of_error(e));
        }
        batch
    }
    /// Tells that there are no more batches here.
    ///
    /// # Errors
    /// What other ranks fail by; `RankFailed` where they have more.
    pub(crate) fn end(&self) -> Result<()> {
        self.ranks.as_ref().map_or(Ok(()), |ranks| said_by_all(&**ranks, &Word::Ends).map(drop))
    }
    /// What the programs of all ranks tell each other, in the order of the ranks.
    ///
    /// # Errors
    /// What other ranks fail by.
    pub(crate) fn tell(&self, text: String) -> Result<Vec<String>> {
        let Some(ranks) = &self.ranks else { return Ok(vec![text]) };
        let told = |word| match word {
            Word::Tells(text) => text,
            _ => String::new(),
        };
        Ok(said_by_all(&**ranks, &Word::Tells(text))?.into_iter().map(told).collect())
    }
    /// Ends the work of all ranks: this one cannot go on.
    pub(crate) fn abort(&self, why: &str) {
        if let Some(ranks) = &self.ranks {
            ranks.abort(why);
        }
    }
}
