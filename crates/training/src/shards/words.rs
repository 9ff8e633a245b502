//! What ranks tell each other about a step, so that all make it, or none.
use crate::{
    communicator::{failed, Communicator},
    Error, Result,
};
use serde::{Deserialize, Serialize};
use tallow_layers::ErrorKind;
use tallow_tensor::cancel::shielded;

/// What a rank tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// What its trainer begins with: names and what they stand for.
    Begins(Vec<(String, String)>),
    /// It has computed its parts of a batch.
    Computed(Computed),
    /// It has all that the update takes.
    Ready(Ready),
    /// It has no more batches.
    Ends,
    /// Its work is cancelled: the step is not made.
    Stops,
    /// Its work has failed, with this message.
    Fails(String),
    /// What a program tells, see [`crate::Trainer::tell_ranks`].
    Tells(String),
}

/// The parts of a batch that a rank has computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Computed {
    pub(super) step: u64,
    /// Number of the batch within the step.
    pub(super) batch: u64,
    /// A checksum of the whole batch.
    pub(super) checksum: u32,
    pub(super) key: [u32; 2],
    /// The bits of the losses of its parts.
    pub(super) losses: Vec<u64>,
}

/// What all ranks must have alike before they change weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    step: u64,
    /// The bits of the learning rate, and of the norms of gradients and weights.
    numbers: [u64; 3],
}

impl Ready {
    /// For a step, with the learning rate, and the norms of gradients and weights.
    pub(crate) fn of(step: u64, numbers: [f64; 3]) -> Self {
        Self { step, numbers: numbers.map(f64::to_bits) }
    }
}

impl Word {
    /// What stands for an error of this rank.
    pub(super) fn of_error(e: &Error) -> Self {
        match e.kind() {
            ErrorKind::Aborted => Self::Stops,
            _ => Self::Fails(e.message().to_owned()),
        }
    }
    /// What a rank does that says so.
    fn does(&self) -> &'static str {
        match self {
            Self::Begins(_) => "begins",
            Self::Computed(_) => "makes another step",
            Self::Ready(_) => "is ready for an update",
            Self::Ends => "has no more batches",
            Self::Stops => "was stopped",
            Self::Fails(_) => "has failed",
            Self::Tells(_) => "tells what its program does",
        }
    }
}

/// What all ranks say, in their order.
///
/// # Errors
/// `Aborted` where a rank was stopped; `RankFailed` where another one has failed, or does something else than this one; those of the communicator.
pub(super) fn said_by_all(ranks: &dyn Communicator, own: &Word) -> Result<Vec<Word>> {
    let bytes = serde_json::to_vec(own).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    // Who is cancelled waits here, and is heard the next time: the others count on this answer.
    let all = shielded(|| ranks.all_gather_bytes(&bytes))?;
    let read = |(rank, bytes): (usize, Vec<u8>)| {
        serde_json::from_slice(&bytes).map_err(|e| failed(format!("rank {rank} says what is not understood here: {e}")))
    };
    let words: Vec<Word> = all.into_iter().enumerate().map(read).collect::<Result<_>>()?;
    for (rank, word) in words.iter().enumerate() {
        if let Word::Fails(why) = word {
            return Err(failed(format!("rank {rank} has failed, so no rank makes this step: {why}")));
        }
    }
    if let Some(rank) = words.iter().position(|w| *w == Word::Stops) {
        let what = format!("rank {rank} was stopped, and all ranks stop behind the last step that was made");
        return Err(Error::new(ErrorKind::Aborted, what));
    }
    let other = words.iter().position(|w| w.does() != words[0].does());
    match other {
        None => Ok(words),
        Some(rank) => Err(failed(format!("rank {rank} {}, but rank 0 {}", words[rank].does(), words[0].does()))),
    }
}
