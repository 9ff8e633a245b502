//! Ranks that are threads of this process, by numbers that threads can hand each other.
use super::{operations::Communicator, threads::threads, ThreadRank};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc, Weak,
    },
    thread::{self, ThreadId},
};
use tallow_layers::ErrorKind;

/// A rank that is offered: it waits for a thread, or has one.
enum Offer {
    Waits(ThreadRank),
    Taken(Weak<ThreadRank>, ThreadId),
}

static OFFERS: Mutex<BTreeMap<u64, Offer>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The most ranks of one process.
const MOST: usize = 1024;

/// `n` ranks, one for each thread that is to train; the numbers that [`take_local`] finds them by.
///
/// # Errors
/// `InvalidArgument` for none, or more than 1,024.
pub fn offer_local(n: usize) -> Result<Vec<u64>> {
    if !(1..=MOST).contains(&n) {
        let what = format!("localRanks: n must be a number of ranks from 1 to {MOST}, got {n}");
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    let mut offers = OFFERS.lock();
    offers.retain(|_, offer| !matches!(offer, Offer::Taken(rank, _) if rank.strong_count() == 0));
    let offer = |rank| {
        let id = NEXT.fetch_add(1, Relaxed);
        offers.insert(id, Offer::Waits(rank));
        id
    };
    Ok(threads(n).into_iter().map(offer).collect())
}

/// The rank that was offered by this number: this thread is it from now on, until all that hold it are dropped.
///
/// # Errors
/// `InvalidOption` for a rank that another thread is, that has ended, or that was never offered.
pub fn take_local(id: u64) -> Result<Arc<dyn Communicator>> {
    let refused =
        |why: &str| Err(Error::option(format!("the rank with the number {id} {why}; see training.localRanks")));
    let mut offers = OFFERS.lock();
    let here = thread::current().id();
    match offers.remove(&id) {
        None => refused("is none that this process has offered"),
        Some(Offer::Waits(rank)) => {
            let rank = Arc::new(rank);
            offers.insert(id, Offer::Taken(Arc::downgrade(&rank), here));
            Ok(rank)
        }
        Some(Offer::Taken(rank, thread)) => match rank.upgrade() {
            None => refused("has ended"),
            Some(found) => {
                offers.insert(id, Offer::Taken(rank, thread));
                if thread == here {
                    Ok(found)
                } else {
                    refused("is another thread")
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_one_thread_until_it_ends() {
        let ids = offer_local(2).expect("two ranks");
        assert_eq!([0, 1025].map(|n| offer_local(n).expect_err("refused").kind()), [ErrorKind::InvalidArgument; 2]);
        let first = take_local(ids[0]).expect("the first rank");
        assert_eq!((first.rank(), first.size()), (0, 2));
        let again = take_local(ids[0]).expect("the same");
        assert_eq!(again.rank(), 0);
        let why = |id: u64| take_local(id).expect_err("refused").message().to_owned();
        let other = thread::spawn({
            let id = ids[0];
            move || take_local(id).expect_err("refused").message().to_owned()
        });
        assert!(other.join().expect("a message").contains("is another thread"));
        drop((first, again));
        assert!(why(ids[0]).contains("has ended"), "{}", why(ids[0]));
        // What is left is told so.
        let second = take_local(ids[1]).expect("the second rank");
        assert!(second.barrier().expect_err("alone").message().contains("rank 0 has ended"));
        assert!(why(u64::MAX).contains("is none that this process has offered"));
    }
}
