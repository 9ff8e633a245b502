//! Which thread takes which indices of a loop.
//!
//! Most loops walk the rows of tensors that the loop before has written. Each thread has a share of the indices that is at the same
//! place in each loop, so that it finds most of what it reads in its own caches: what lies in those of another core comes slower. Who
//! has done its own share takes from the others, so that all end at about the same time.
use smallvec::SmallVec;
use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The indices of a loop that nobody has taken, one share for each thread.
pub(super) struct Shares(SmallVec<[Share; 4]>);

/// A cache line of its own, as each thread writes its share.
#[repr(align(64))]
struct Share {
    next: AtomicUsize,
    end: usize,
}

/// A thread takes so many parts of what is left of a share: many indices at first, one by one at the end.
const PARTS: usize = 4;

impl Shares {
    pub(super) fn new(len: usize, threads: usize) -> Self {
        let n = threads.min(len).max(1);
        // The first shares are the longer ones, by one index.
        let start = |i: usize| i * (len / n) + i.min(len % n);
        Self((0..n).map(|i| Share { next: AtomicUsize::new(start(i)), end: start(i + 1) }).collect())
    }

    /// Whether there are indices that nobody has taken.
    pub(super) fn left(&self) -> bool {
        self.0.iter().any(|share| share.next.load(Relaxed) < share.end)
    }

    /// Some indices, of the share of thread `own` while it has any.
    pub(super) fn take(&self, own: usize) -> Option<Range<usize>> {
        let n = self.0.len();
        (0..n).find_map(|i| self.0[(own + i) % n].take())
    }

    /// Takes all that is left.
    pub(super) fn stop(&self) {
        self.0.iter().for_each(|share| share.next.store(share.end, Relaxed));
    }
}

impl Share {
    fn take(&self) -> Option<Range<usize>> {
        let mut from = self.next.load(Relaxed);
        while from < self.end {
            let to = from + ((self.end - from) / PARTS).max(1);
            match self.next.compare_exchange_weak(from, to, Relaxed, Relaxed) {
                Ok(_) => return Some(from..to),
                Err(now) => from = now,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_taken_once() {
        for (len, threads) in [(0, 2), (1, 4), (7, 3), (100, 8), (1000, 1)] {
            for own in 0..=threads {
                let shares = Shares::new(len, threads);
                let mut taken: Vec<_> = std::iter::from_fn(|| shares.take(own)).flatten().collect();
                taken.sort_unstable();
                assert_eq!(taken, (0..len).collect::<Vec<_>>(), "{len} indices, {threads} threads");
                assert!(!shares.left());
            }
        }
    }

    #[test]
    fn a_thread_takes_its_own_share_first() {
        let shares = Shares::new(11, 2);
        assert_eq!([shares.take(1), shares.take(0), shares.take(1)], [Some(6..7), Some(0..1), Some(7..8)]);
        let rest: Vec<_> = std::iter::from_fn(|| shares.take(1)).flatten().collect();
        assert_eq!(rest, [8, 9, 10, 1, 2, 3, 4, 5]);
        let shares = Shares::new(11, 2);
        shares.stop();
        assert_eq!(shares.take(0), None);
    }
}
