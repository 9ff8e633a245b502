//! Ranks that are threads of one process.
use super::operations::{check_all_gather, check_broadcast, check_exchange, failed, Communicator};
use crate::Result;
use parking_lot::{Condvar, Mutex};
use std::{
    mem::{size_of, take},
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc,
    },
    time::Duration,
};
use tallow_tensor::{cancel, memory};

/// How often who waits looks whether its work was cancelled. What other ranks do wakes it at once.
const LOOK: Duration = Duration::from_millis(10);

/// `n` ranks, one for each thread that is to train.
///
/// A rank that is dropped has ended, and one that is dropped by a panic has failed: the others are told where they wait for it.
#[must_use]
pub fn threads(n: usize) -> Vec<ThreadRank> {
    let meeting = Arc::new(Meeting { state: Mutex::new(State::of(n)), changed: Condvar::new() });
    let rank = |rank| ThreadRank { rank, size: n, meeting: meeting.clone(), sent: AtomicU64::new(0) };
    (0..n).map(rank).collect()
}

/// A rank that is a thread of this process, see [`threads`].
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
    sent: AtomicU64,
}

/// Where the ranks meet: each brings something, and when all have, each sees what all brought.
#[derive(Debug)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// What each rank has brought to the meeting under way.
    brought: Vec<Option<Brought>>,
    /// Meetings that are over.
    over: u64,
    /// What was brought to the last one, and how many ranks have not seen it yet.
    last: Option<(Arc<[Brought]>, usize)>,
    /// Why there are no more meetings.
    ended: Option<String>,
}

impl State {
    fn of(n: usize) -> Self {
        Self { brought: (0..n).map(|_| None).collect(), over: 0, last: None, ended: None }
    }
    /// Ends the meetings, for the first reason that there is.
    fn end(&mut self, why: String) {
        self.ended.get_or_insert(why);
    }
}

/// What a rank calls, with the lengths that all ranks must have alike, and its values.
#[derive(Debug)]
struct Brought {
    call: (&'static str, Vec<usize>),
    values: Values,
}

#[derive(Debug)]
enum Values {
    Numbers(Vec<f32>),
    Bytes(Vec<u8>),
}

impl Brought {
    fn numbers(&self) -> &[f32] {
        match &self.values {
            Values::Numbers(v) => v,
            Values::Bytes(_) => &[],
        }
    }
    fn bytes(&self) -> &[u8] {
        match &self.values {
            Values::Bytes(v) => v,
            Values::Numbers(_) => &[],
        }
    }
    /// As errors show it.
    fn shown(&self) -> String {
        match &self.call {
            (name, lengths) if lengths.is_empty() => (*name).to_string(),
            (name, lengths) => format!("{name} {lengths:?}"),
        }
    }
}

impl ThreadRank {
    /// Brings `values`, and waits until all have brought theirs.
    fn meet(&self, name: &'static str, lengths: Vec<usize>, values: Values) -> Result<Arc<[Brought]>> {
        let mut state = self.meeting.state.lock();
        if let Some(why) = &state.ended {
            return Err(failed(why.clone()));
        }
        let meeting = state.over;
        state.brought[self.rank] = Some(Brought { call: (name, lengths), values });
        if state.brought.iter().all(Option::is_some) {
            let all = take(&mut state.brought).into_iter().flatten().collect();
            state.brought = State::of(self.size).brought;
            state.over += 1;
            state.last = Some((all, self.size));
            self.meeting.changed.notify_all();
        }
        while state.over == meeting {
            if let Some(why) = &state.ended {
                return Err(failed(why.clone()));
            }
            if let Err(e) = cancel::check() {
                state.end(format!("the work of rank {} was cancelled", self.rank));
                self.meeting.changed.notify_all();
                return Err(e.into());
            }
            self.meeting.changed.wait_for(&mut state, LOOK);
        }
        let seen = state.last.as_mut().map(|(all, left)| {
            *left -= 1;
            (all.clone(), *left)
        });
        // Who sees it last clears it away, so that nothing is kept between two meetings.
        if seen.as_ref().is_some_and(|(_, left)| *left == 0) {
            state.last = None;
        }
        let Some((all, _)) = seen else { return Err(failed("the ranks have lost what they brought")) };
        match all.iter().position(|b| b.call != all[0].call) {
            None => Ok(all),
            Some(other) => {
                let (one, two) = (all[other].shown(), all[0].shown());
                let why = format!("rank {other} calls {one} where rank 0 calls {two}");
                state.end(why.clone());
                Err(failed(why))
            }
        }
    }
    fn count(&self, numbers: usize) {
        self.sent.fetch_add((numbers * (self.size - 1) * size_of::<f32>()) as u64, Relaxed);
    }
    fn end(&self, why: String) {
        self.meeting.state.lock().end(why);
        self.meeting.changed.notify_all();
    }
}

impl Communicator for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.size
    }
    fn exchange(&self, sent: &[f32], counts: &[usize], received: &mut [f32]) -> Result<()> {
        check_exchange(self, sent, counts, received)?;
        self.count(counts[self.rank]);
        let all = self.meet("exchange", counts.to_vec(), Values::Numbers(memory::copy(sent)?))?;
        let mut rest = received;
        for (one, &count) in all.iter().zip(counts) {
            let (mine, others) = rest.split_at_mut(count);
            mine.copy_from_slice(&one.numbers()[self.rank * count..(self.rank + 1) * count]);
            rest = others;
        }
        Ok(())
    }
    fn all_gather(&self, part: &[f32], all: &mut [f32]) -> Result<()> {
        check_all_gather(self, part, all)?;
        self.count(part.len());
        let brought = self.meet("all_gather", [part.len()].into(), Values::Numbers(memory::copy(part)?))?;
        for (to, one) in all.chunks_exact_mut(part.len().max(1)).zip(brought.iter()) {
            to.copy_from_slice(one.numbers());
        }
        Ok(())
    }
    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let brought = self.meet("all_gather_bytes", Vec::new(), Values::Bytes(memory::copy(bytes)?))?;
        brought.iter().map(|one| Ok(memory::copy(one.bytes())?)).collect()
    }
    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()> {
        check_broadcast(self, root)?;
        let lengths = [values.len(), root].into();
        let own = if self.rank == root { memory::copy(values)? } else { Vec::new() };
        self.count(own.len());
        let brought = self.meet("broadcast", lengths, Values::Numbers(own))?;
        values.copy_from_slice(brought[root].numbers());
        Ok(())
    }
    fn barrier(&self) -> Result<()> {
        self.meet("barrier", Vec::new(), Values::Bytes(Vec::new())).map(|_| ())
    }
    fn abort(&self, reason: &str) {
        self.end(format!("rank {} ended the work of all ranks: {reason}", self.rank));
    }
    fn bytes_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        let how = if std::thread::panicking() { "panicked" } else { "has ended" };
        self.end(format!("rank {} {how}", self.rank));
    }
}
