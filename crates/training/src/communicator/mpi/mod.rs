//! Ranks that are processes which a launcher of MPI started, on one machine or many.
//!
//! A thread of its own talks to MPI (`lane`); beside the operations ranks say that they live and when they fail (`control`), so that none waits
//! for one that is gone.
mod control;
mod lane;
mod round;

use super::operations::{check_all_gather, check_broadcast, check_exchange, failed, Communicator};
use crate::{Error, Result};
use lane::{Asked, Leave};
use parking_lot::Mutex;
use round::{Operation, Round};
use std::{
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{channel, Receiver, RecvTimeoutError, Sender},
        Arc,
    },
    thread,
    time::Duration,
};
use tallow_layers::ErrorKind;
use tallow_tensor::{cancel, memory};

/// How often who waits looks whether its work was cancelled.
const LOOK: Duration = Duration::from_millis(10);
/// How many seconds a rank that lives may be waited for, and what says otherwise.
const PATIENCE: u64 = 600;
const PATIENCE_VARIABLE: &str = "TALLOW_RANK_TIMEOUT";

/// MPI in this process: it can be started once.
static WORLD: Mutex<World> = Mutex::new(World::Untried);

enum World {
    Untried,
    Runs(Arc<MpiRank>),
    Over,
}

/// This process as a rank.
#[derive(Debug)]
pub struct MpiRank {
    rank: usize,
    size: usize,
    lane: Sender<Asked>,
    /// One operation at a time.
    one: Mutex<()>,
    sent: AtomicU64,
}

/// The rank that this process is among those that the launcher started. All must call it: MPI waits for them.
///
/// # Errors
/// `InvalidArgument` where MPI cannot be started, or was ended; `InvalidOption` for a time limit that is no number of seconds; `RankFailed` if
/// other ranks do not start in time.
pub(super) fn rank() -> Result<Arc<MpiRank>> {
    let mut world = WORLD.lock();
    match &*world {
        World::Runs(rank) => return Ok(rank.clone()),
        World::Over => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the ranks of this process have parted: MPI cannot be started again",
            ))
        }
        World::Untried => {}
    }
    let patience = patience(std::env::var(PATIENCE_VARIABLE).ok())?;
    *world = World::Over;
    let (started, start) = channel();
    let (lane, asked) = channel();
    let body = move || lane::run(&started, asked, patience);
    thread::Builder::new()
        .name("tallow-mpi".to_owned())
        .spawn(body)
        .map_err(|e| Error::new(ErrorKind::OutOfMemory, format!("the thread for MPI cannot be started: {e}")))?;
    let (rank, size) = start.recv_timeout(patience).unwrap_or_else(|_| {
        let what = format!("not all ranks have started MPI within {} s ({PATIENCE_VARIABLE})", patience.as_secs());
        Err(failed(what))
    })?;
    let rank = Arc::new(MpiRank { rank, size, lane, one: Mutex::new(()), sent: AtomicU64::new(0) });
    *world = World::Runs(rank.clone());
    Ok(rank)
}

/// Ends MPI, if it runs, as this process ends: waits until all others end too. With a reason, their work has failed.
pub(super) fn leave(failure: Option<String>) {
    let world = std::mem::replace(&mut *WORLD.lock(), World::Over);
    let World::Runs(rank) = world else { return };
    let (left, may_end) = channel();
    let failure = failure.map(|why| format!("rank {} has ended: {why}", rank.rank));
    if rank.lane.send(Asked::Leave(Leave { failure, left })).is_ok() {
        // An error where that thread has gone already, so that there is nothing to wait for.
        let _ = may_end.recv();
    }
}

/// How long a rank may be waited for.
///
/// # Errors
/// `InvalidOption`.
fn patience(told: Option<String>) -> Result<Duration> {
    let seconds = told.map_or(Some(PATIENCE), |text| text.parse().ok().filter(|s| *s > 0));
    let refused = || {
        Error::new(ErrorKind::InvalidOption, format!("{PATIENCE_VARIABLE} must be a whole number of seconds above 0"))
    };
    seconds.map(Duration::from_secs).ok_or_else(refused)
}

impl MpiRank {
    /// Sends and receives what an operation does: the bytes that came from each rank.
    fn round(&self, round: Round) -> Result<Vec<Vec<u8>>> {
        let bytes = round.bytes_to_others(self.rank);
        let counts = round.expected.is_some();
        let (answer, answered) = channel();
        let gone = || failed(format!("the thread for MPI of rank {} has ended", self.rank));
        let _one = self.one.lock();
        self.lane.send(Asked::Round(round, answer)).map_err(|_| gone())?;
        let received = self.answer(&answered).unwrap_or_else(|| Err(gone()))?;
        if counts {
            self.sent.fetch_add(bytes, Relaxed);
        }
        Ok(received)
    }
    /// Waits for the answer; none where the thread is gone.
    fn answer<T>(&self, answered: &Receiver<Result<T>>) -> Option<Result<T>> {
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(e) = cancel::check() {
                        let why = format!("the work of rank {} was cancelled", self.rank);
                        return self.lane.send(Asked::Fail(why)).is_ok().then(|| Err(e.into()));
                    }
                }
            }
        }
    }
}

impl Communicator for MpiRank {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.size
    }
    fn exchange(&self, sent: &[f32], counts: &[usize], received: &mut [f32]) -> Result<()> {
        check_exchange(self, sent, counts, received)?;
        let own = counts[self.rank];
        let parts = (0..self.size).map(|to| to * own..(to + 1) * own).collect();
        let round = Round::of_values(Operation::Exchange, received.len(), sent, parts, counts)?;
        fill(received, &self.round(round)?)
    }
    fn all_gather(&self, part: &[f32], all: &mut [f32]) -> Result<()> {
        check_all_gather(self, part, all)?;
        let parts = (0..self.size).map(|_| 0..part.len()).collect();
        let counts = memory::full(self.size, part.len())?;
        let round = Round::of_values(Operation::AllGather, all.len(), part, parts, &counts)?;
        fill(all, &self.round(round)?)
    }
    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.round(Round::of_bytes(Operation::AllGatherBytes, bytes, self.size)?)
    }
    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()> {
        check_broadcast(self, root)?;
        // In two operations, so that `root` sends little more than the others: it hands a piece to each, and all hand on theirs.
        let (n, all) = (self.size, values.len());
        let each = all.div_ceil(n);
        let piece = |rank: usize| (rank * each).min(all)..((rank + 1) * each).min(all);
        let to = |rank: usize| if self.rank == root { piece(rank) } else { 0..0 };
        let mut counts = memory::zeros(n)?;
        counts[root] = piece(self.rank).len();
        let scatter = Round::of_values(Operation::Scatter, all, values, (0..n).map(to).collect(), &counts)?;
        fill(&mut values[piece(self.rank)], &self.round(scatter)?)?;
        let parts = (0..n).map(|_| piece(self.rank)).collect();
        let counts: Vec<usize> = (0..n).map(|rank| piece(rank).len()).collect();
        let gather = Round::of_values(Operation::AllGather, all, values, parts, &counts)?;
        fill(values, &self.round(gather)?)
    }
    fn barrier(&self) -> Result<()> {
        self.round(Round::of_bytes(Operation::Barrier, &[], self.size)?).map(drop)
    }
    fn abort(&self, reason: &str) {
        let why = format!("rank {} ended the work of all ranks: {reason}", self.rank);
        // Where the thread is gone, the others are told by its silence.
        let _ = self.lane.send(Asked::Fail(why));
    }
    fn bytes_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

/// Writes the bytes that came from the ranks, one after another.
///
/// # Errors
/// `Internal`.
fn fill(values: &mut [f32], received: &[Vec<u8>]) -> Result<()> {
    let mut rest = bytemuck::cast_slice_mut::<f32, u8>(values);
    for bytes in received {
        let lost = || Error::new(ErrorKind::Internal, "more bytes came than were asked for");
        let (to, others) = rest.split_at_mut_checked(bytes.len()).ok_or_else(lost)?;
        to.copy_from_slice(bytes);
        rest = others;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_is_a_number_of_seconds() {
        assert_eq!(patience(None).unwrap(), Duration::from_secs(PATIENCE));
        assert_eq!(patience(Some("3".to_owned())).unwrap(), Duration::from_secs(3));
        for wrong in ["", "0", "-1", "1.5", "soon"] {
            assert_eq!(patience(Some(wrong.to_owned())).unwrap_err().kind(), ErrorKind::InvalidOption, "{wrong}");
        }
    }

    #[test]
    fn bytes_are_written_in_the_order_of_the_ranks() {
        let mut values = [0.0, 0.0, 0.0];
        let of = |v: &[f32]| bytemuck::cast_slice(v).to_vec();
        fill(&mut values, &[of(&[1.0, -0.0]), of(&[]), of(&[2.5])]).unwrap();
        assert_eq!(values.map(f32::to_bits), [1.0f32, -0.0, 2.5].map(f32::to_bits));
        assert_eq!(fill(&mut values, &[of(&[1.0; 4])]).unwrap_err().kind(), ErrorKind::Internal);
    }
}
