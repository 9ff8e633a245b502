//! A loop that several threads work on: what is left of it, and who is in it.
use super::shares::Shares;
use crate::{
    cancel::{self, Token},
    Error, Result,
};
use std::{
    any::Any,
    cell::Cell,
    ops::Range,
    panic::{catch_unwind, AssertUnwindSafe},
    ptr,
    sync::{atomic::AtomicUsize, Mutex, MutexGuard, PoisonError},
    thread::Thread,
};

/// What a loop does for each index.
pub(super) type Body<'a> = dyn Fn(usize) -> Result<()> + Sync + 'a;

/// Why a loop stopped before its end: the first panic or error.
pub(super) enum Stopped {
    Panic(Box<dyn Any + Send>),
    Error(Error),
}

/// A loop under way, on the stack of the thread that started it.
pub(super) struct Loop {
    /// The body; borrowed by who started the loop for as long as the loop lives.
    pub(super) body: *const Body<'static>,
    /// What stops the loop between two indices.
    pub(super) token: Option<Token>,
    /// The indices that nobody has taken.
    pub(super) shares: Shares,
    /// Threads that joined and have not left.
    pub(super) helpers: AtomicUsize,
    /// Why it stopped early, if it did.
    pub(super) stopped: Mutex<Option<Stopped>>,
    /// Who started it.
    pub(super) owner: Thread,
    /// The loop in whose body it was started, or null.
    pub(super) above: *const Loop,
}

thread_local!(
    /// The loop whose body runs on this thread.
    pub(super) static INSIDE: Cell<*const Loop> = const { Cell::new(ptr::null()) }
);

/// What stops the work that this thread does: its own token, or that of the loop in whose body it is.
pub(super) fn token() -> Option<Token> {
    // SAFETY: this thread is in the body of that loop, so whoever started it keeps it.
    cancel::current().or_else(|| unsafe { INSIDE.get().as_ref() }.and_then(|inside| inside.token.clone()))
}

/// `body(i)` for these indices, while neither it fails nor `token` is cancelled.
pub(super) fn in_turn(mut range: Range<usize>, token: Option<&Token>, body: &Body<'_>) -> Result<()> {
    range.try_for_each(|i| {
        token.map_or(Ok(()), Token::check)?;
        body(i)
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loop {
    /// Calls the body for indices that nobody else has taken, until none is left.
    pub(super) fn work(&self) {
        let outside = INSIDE.replace(self);
        // SAFETY: the body lives as long as the loop.
        let body = unsafe { &*self.body };
        let own = rayon::current_thread_index().map_or(0, |i| i + 1);
        let result = catch_unwind(AssertUnwindSafe(|| {
            while let Some(range) = self.shares.take(own) {
                in_turn(range, self.token.as_ref(), body)?;
            }
            Ok(())
        }));
        INSIDE.set(outside);
        let stopped = match result {
            Ok(Ok(())) => return,
            Ok(Err(e)) => Stopped::Error(e),
            Err(panic) => Stopped::Panic(panic),
        };
        self.shares.stop();
        lock(&self.stopped).get_or_insert(stopped);
    }
}
