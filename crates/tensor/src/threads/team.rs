//! The threads that share a loop: the one that starts it, and workers of a rayon pool that help.
//!
//! A worker that finds nothing more to do lingers for a moment before it goes back to sleep, for waking it costs as much as a
//! small kernel. A loop that waits for its helpers takes part in the loops that those start meanwhile.
use super::{
    open::{Open, State},
    shares::Shares,
    under_way::{in_turn, lock, Body, Loop, Stopped, INSIDE},
};
use crate::{cancel::Token, memory, planted, Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    hint,
    panic::resume_unwind,
    ptr,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Release},
        },
        Arc, Mutex, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

/// How long a thread looks for work before it sleeps: longer than what lies between most operations of a program. It keeps the
/// processor meanwhile. Whoever yields it on a busy machine gets it back at the system's next tick, milliseconds later, and misses
/// loops until then; a sleeper is woken at once.
const LINGER: Duration = Duration::from_micros(150);

/// So many threads, counting the one that starts a loop.
pub(super) struct Team {
    /// None where there is nobody to help.
    pool: Option<ThreadPool>,
    work: Arc<Work>,
}

/// What the helpers share.
struct Work {
    threads: usize,
    /// Loops announced so far: what lingering threads watch.
    announced: AtomicUsize,
    state: Mutex<State>,
}

/// Bytes of each helper's stack.
const STACK: usize = 16 << 20;
/// Addresses that a helper may take: its stack, and what allocators reserve for a thread.
const ADDRESSES: usize = STACK + (64 << 20);

impl Team {
    /// # Errors
    /// `InvalidArgument` if the system refuses to start so many.
    pub(super) fn new(threads: usize) -> Result<Self> {
        let refused = |why: &dyn std::fmt::Display| {
            Error::argument(format!("{threads} threads cannot be started, ask for fewer: {why}"))
        };
        let pool = |helpers: usize| {
            // To start threads until no address is left would leave none to the rest of the process, which then ends.
            let wanted = helpers.saturating_mul(ADDRESSES);
            if memory::addresses_left().is_some_and(|left| wanted > left / 2) {
                return Err(refused(&format_args!("they take up to {wanted} bytes of a limited address space")));
            }
            ThreadPoolBuilder::new()
                .num_threads(helpers)
                .stack_size(STACK)
                .thread_name(|i| format!("tallow-{i}"))
                .build()
                .map_err(|e| refused(&e))
        };
        let pool = if threads > 1 { Some(pool(threads - 1)?) } else { None };
        let work = Work { threads, announced: AtomicUsize::new(0), state: Mutex::default() };
        Ok(Self { pool, work: Arc::new(work) })
    }

    /// So many threads, or as many of them as the system lets start.
    pub(super) fn at_most(threads: usize) -> Self {
        let mut threads = threads;
        loop {
            match Self::new(threads) {
                Ok(team) => return team,
                // The one that starts loops is there always.
                Err(_) => threads /= 2,
            }
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.work.threads
    }

    /// `body(i)` for `i` in `0..len`, each once, on any of the threads. A panic or an error in one of them comes out of this call,
    /// once no thread is in the loop; indices that nobody has begun are then left out.
    ///
    /// # Errors
    /// The first of the body; `Aborted` when `token` is cancelled meanwhile.
    pub(super) fn run(&self, len: usize, token: Option<Token>, body: &Body<'_>) -> Result<()> {
        let (Some(pool), 2..) = (&self.pool, len) else { return in_turn(0..len, token.as_ref(), body) };
        // SAFETY: only the lifetime changes. `Announced` keeps this call from ending, also by a panic, before every thread that
        // could call the body has left the loop.
        let body: *const Body<'static> = unsafe { std::mem::transmute(ptr::from_ref(body)) };
        let this = Loop {
            body,
            token,
            shares: Shares::new(len, self.threads()),
            helpers: AtomicUsize::new(0),
            stopped: Mutex::new(None),
            owner: thread::current(),
            above: INSIDE.get(),
        };
        let announced = Announced { work: &self.work, this: &this };
        for _ in 0..self.work.announce(&this, len) {
            let work = self.work.clone();
            pool.spawn(move || work.help());
        }
        this.work();
        drop(announced);
        match this.stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(Stopped::Error(e)) => Err(e),
            Some(Stopped::Panic(panic)) => resume_unwind(panic),
        }
    }
}

/// A loop on the list of open ones, until this is dropped: then it is off the list, and nobody is in it.
struct Announced<'a> {
    work: &'a Work,
    this: &'a Loop,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        lock(&self.work.state).open.retain(|open| !ptr::eq(open.0, self.this));
        if !planted::fault("threads") {
            self.work.wait(self.this);
        }
    }
}

impl Work {
    /// Puts a loop on the list; how many workers are to be woken for it.
    fn announce(&self, this: &Loop, len: usize) -> usize {
        let mut state = lock(&self.state);
        state.open.push(Open(this));
        let awake = state.helpers - state.busy;
        let wanted = (len - 1).min(self.threads - 1).saturating_sub(awake).min(self.threads - 1 - state.helpers);
        state.helpers += wanted;
        drop(state);
        self.announced.fetch_add(1, Release);
        // Those who wait for a loop around this one may sleep.
        let mut above = this.above;
        // SAFETY: this thread is in the bodies of the loops above, so whoever started them waits for it.
        while let Some(outer) = unsafe { above.as_ref() } {
            outer.owner.unpark();
            above = outer.above;
        }
        wanted
    }

    /// Works on open loops until there have been none for a while.
    fn help(&self) {
        loop {
            let seen = self.announced.load(Acquire);
            let mut state = lock(&self.state);
            if let Some(joined) = state.join(ptr::null()) {
                state.busy += 1;
                drop(state);
                joined.work_and_leave();
                lock(&self.state).busy -= 1;
                continue;
            }
            drop(state);
            if !linger(|| self.announced.load(Acquire) != seen) {
                let mut state = lock(&self.state);
                if !state.open.iter().any(Open::has_work) {
                    state.helpers -= 1;
                    return;
                }
            }
        }
    }

    /// Waits until nobody is in a loop that is off the list, and helps with the loops within it.
    fn wait(&self, this: &Loop) {
        let left = || this.helpers.load(Acquire) == 0;
        while !left() {
            let seen = self.announced.load(Acquire);
            let joined = lock(&self.state).join(this);
            if let Some(joined) = joined {
                joined.work_and_leave();
            } else if !linger(|| left() || self.announced.load(Acquire) != seen) {
                // Whoever leaves the loop or starts one within it wakes this thread; a wake-up since then is not lost.
                thread::park();
            }
        }
    }
}

/// Waits a while for something to happen; whether it did.
fn linger(happened: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..32 {
            if happened() {
                return true;
            }
            hint::spin_loop();
        }
        if begin.elapsed() > LINGER {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
