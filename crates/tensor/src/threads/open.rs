//! The loops that want helpers, and how threads join them.
use super::under_way::Loop;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// What a lock guards.
#[derive(Default)]
pub(super) struct State {
    /// The loops that still want helpers, the oldest first.
    pub(super) open: Vec<Open>,
    /// Workers that were woken and have not gone back to sleep.
    pub(super) helpers: usize,
    /// Those of them that work on a loop.
    pub(super) busy: usize,
}

/// A loop that somebody waits for.
pub(super) struct Open(pub(super) *const Loop);
// SAFETY: a loop is only used through it by threads that have joined it or hold the lock of the list it stands in, and whoever
// started the loop keeps it until it is off the list and all of them have left. What they use of it is atomic, locked or `Sync`.
unsafe impl Send for Open {}

impl State {
    /// Joins the oldest loop that has work left, within the loop `above` if this is not null.
    pub(super) fn join(&self, above: *const Loop) -> Option<Joined> {
        let open = self.open.iter().find(|open| open.has_work() && (above.is_null() || open.is_within(above)))?;
        // SAFETY: a loop on the list lives, and waits for whoever joined it before it went off the list.
        unsafe { &*open.0 }.helpers.fetch_add(1, Relaxed);
        Some(Joined(open.0))
    }
}

impl Open {
    /// Whether there are indices that nobody has taken. The caller holds the list's lock.
    pub(super) fn has_work(&self) -> bool {
        // SAFETY: a loop on the list lives.
        unsafe { &*self.0 }.shares.left()
    }

    /// Whether it was started in the body of `outer`, or of a loop started there. The caller holds the list's lock.
    fn is_within(&self, outer: *const Loop) -> bool {
        // SAFETY: a loop on the list lives, and so do those in whose bodies it was started.
        let above = |this: *const Loop| unsafe { (*this).above };
        let mut this = above(self.0);
        while !this.is_null() {
            if this == outer {
                return true;
            }
            this = above(this);
        }
        false
    }
}

/// A loop that this thread has joined.
pub(super) struct Joined(*const Loop);

impl Joined {
    pub(super) fn work_and_leave(self) {
        // SAFETY: who started the loop keeps it until this thread has left it.
        let this = unsafe { &*self.0 };
        this.work();
        let owner = this.owner.clone();
        // From here on the loop may be gone.
        this.helpers.fetch_sub(1, Release);
        owner.unpark();
    }
}
