//! The threads that share a loop: the one that starts it, and workers of a rayon pool that help.
//!
//! A worker that finds nothing more to do lingers for a moment before it goes back to sleep, for waking it costs as much as a
//! small kernel. A loop that waits for its helpers takes part in the loops that those start meanwhile.
use crate::{
    cancel::{self, Token},
    memory, planted, Error, Result,
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    any::Any,
    cell::Cell,
    hint,
    ops::Range,
    panic::{catch_unwind, resume_unwind, AssertUnwindSafe},
    ptr,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long a thread looks for work before it sleeps: longer than what lies between two operations of a program.
const LINGER: Duration = Duration::from_micros(200);
/// How much of this it keeps the processor to itself.
const SPIN: Duration = Duration::from_micros(20);

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

#[derive(Default)]
struct State {
    /// The loops that still want helpers, the oldest first.
    open: Vec<Open>,
    /// Workers that were woken and have not gone back to sleep.
    helpers: usize,
    /// Those of them that work on a loop.
    busy: usize,
}

/// A loop that somebody waits for.
struct Open(*const Loop);
// SAFETY: a loop is only used through it by threads that have joined it or hold the lock of the list it stands in, and whoever
// started the loop keeps it until it is off the list and all of them have left. What they use of it is atomic, locked or `Sync`.
unsafe impl Send for Open {}

/// Bytes of each helper's stack.
const STACK: usize = 16 << 20;
/// Addresses that a helper may take: its stack, and what allocators reserve for a thread.
const ADDRESSES: usize = STACK + (64 << 20);

/// What a loop does for each index.
pub(super) type Body<'a> = dyn Fn(usize) -> Result<()> + Sync + 'a;

/// Why a loop stopped before its end: the first panic or error.
enum Stopped {
    Panic(Box<dyn Any + Send>),
    Error(Error),
}

/// A loop under way, on the stack of the thread that started it.
struct Loop {
    /// The body; borrowed by who started the loop for as long as the loop lives.
    body: *const Body<'static>,
    /// What stops the loop between two indices.
    token: Option<Token>,
    len: usize,
    /// The first index that nobody has taken.
    next: AtomicUsize,
    /// Shares to cut what is left into, so that all threads end at about the same time.
    shares: usize,
    /// Threads that joined and have not left.
    helpers: AtomicUsize,
    /// Why it stopped early, if it did.
    stopped: Mutex<Option<Stopped>>,
    /// Who started it.
    owner: Thread,
    /// The loop in whose body it was started, or null.
    above: *const Loop,
}

thread_local!(
    /// The loop whose body runs on this thread.
    static INSIDE: Cell<*const Loop> = const { Cell::new(ptr::null()) }
);

/// What stops the work that this thread does: its own token, or that of the loop in whose body it is.
pub(super) fn token() -> Option<Token> {
    // SAFETY: this thread is in the body of that loop, so whoever started it keeps it.
    cancel::current().or_else(|| unsafe { INSIDE.get().as_ref() }.and_then(|inside| inside.token.clone()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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
            len,
            next: AtomicUsize::new(0),
            shares: 4 * self.threads(),
            helpers: AtomicUsize::new(0),
            stopped: Mutex::new(None),
            owner: thread::current(),
            above: INSIDE.get(),
        };
        let announced = Announced { work: &self.work, this: &this };
        for _ in 0..self.work.announce(&this) {
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

/// `body(i)` for these indices, while neither it fails nor `token` is cancelled.
fn in_turn(mut range: Range<usize>, token: Option<&Token>, body: &Body<'_>) -> Result<()> {
    range.try_for_each(|i| {
        token.map_or(Ok(()), Token::check)?;
        body(i)
    })
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
    fn announce(&self, this: &Loop) -> usize {
        let mut state = lock(&self.state);
        state.open.push(Open(this));
        let awake = state.helpers - state.busy;
        let wanted = (this.len - 1).min(self.threads - 1).saturating_sub(awake).min(self.threads - 1 - state.helpers);
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
        let waited = begin.elapsed();
        if waited > LINGER {
            return false;
        }
        if waited > SPIN {
            thread::yield_now();
        }
    }
}

impl State {
    /// Joins the oldest loop that has work left, within the loop `above` if this is not null.
    fn join(&self, above: *const Loop) -> Option<Joined> {
        let open = self.open.iter().find(|open| open.has_work() && (above.is_null() || open.is_within(above)))?;
        // SAFETY: a loop on the list lives, and waits for whoever joined it before it went off the list.
        unsafe { &*open.0 }.helpers.fetch_add(1, Relaxed);
        Some(Joined(open.0))
    }
}

impl Open {
    /// Whether there are indices that nobody has taken. The caller holds the list's lock.
    fn has_work(&self) -> bool {
        // SAFETY: a loop on the list lives.
        let this = unsafe { &*self.0 };
        this.next.load(Relaxed) < this.len
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
struct Joined(*const Loop);

impl Joined {
    fn work_and_leave(self) {
        // SAFETY: who started the loop keeps it until this thread has left it.
        let this = unsafe { &*self.0 };
        this.work();
        let owner = this.owner.clone();
        // From here on the loop may be gone.
        this.helpers.fetch_sub(1, Release);
        owner.unpark();
    }
}

impl Loop {
    /// Calls the body for indices that nobody else has taken, until none is left.
    fn work(&self) {
        let outside = INSIDE.replace(self);
        // SAFETY: the body lives as long as the loop.
        let body = unsafe { &*self.body };
        let result = catch_unwind(AssertUnwindSafe(|| {
            while let Some(range) = self.take() {
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
        self.next.store(self.len, Relaxed);
        lock(&self.stopped).get_or_insert(stopped);
    }

    /// Takes some indices: many at first, one by one at the end.
    fn take(&self) -> Option<Range<usize>> {
        let mut from = self.next.load(Relaxed);
        while from < self.len {
            let to = from + ((self.len - from) / self.shares).max(1);
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
    use std::sync::Barrier;

    /// How often a test of chance is repeated: a few times where Miri interprets each step.
    const fn times(n: usize) -> usize {
        if cfg!(miri) {
            n.div_ceil(50)
        } else {
            n
        }
    }

    fn run(team: &Team, len: usize, body: impl Fn(usize) + Sync) {
        let body = |i| {
            body(i);
            Ok(())
        };
        team.run(len, None, &body).expect("a loop without errors");
    }

    /// How often a loop of `len` calls each index.
    fn calls(team: &Team, len: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
        run(team, len, |i| {
            counts[i].fetch_add(1, Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    fn eventually(what: &str, is: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn every_index_is_called_once() {
        for threads in [1, 2, 5] {
            let team = Team::new(threads).expect("a team");
            assert_eq!(team.threads(), threads);
            for len in [0, 1, 2, 3, 100, times(5000)] {
                for _ in 0..times(50) {
                    assert_eq!(calls(&team, len), vec![1; len], "{threads} threads, {len} indices");
                }
            }
        }
    }

    #[test]
    fn all_threads_work_at_the_same_time() {
        let team = Team::new(3).expect("a team");
        // Nobody passes before three have come.
        let barrier = Barrier::new(3);
        run(&team, 3, |_| {
            barrier.wait();
        });
        // Also after a pause in which the helpers have gone to sleep.
        eventually("helpers go to sleep", || lock(&team.work.state).helpers == 0);
        run(&team, 3, |_| {
            barrier.wait();
        });
    }

    #[test]
    fn idle_helpers_sleep() {
        let team = Team::new(4).expect("a team");
        calls(&team, 1000);
        eventually("helpers go to sleep", || lock(&team.work.state).helpers == 0);
        let state = lock(&team.work.state);
        assert_eq!((state.helpers, state.busy, state.open.len()), (0, 0, 0));
    }

    #[test]
    fn loops_within_loops_are_shared_too() {
        let team = Team::new(2).expect("a team");
        // One index ends at once, and its thread must come to help in the loop that the other starts, also if it fell asleep.
        for pause in [Duration::ZERO, 5 * LINGER] {
            let barrier = Barrier::new(2);
            run(&team, 2, |i| {
                barrier.wait();
                if i == 1 {
                    thread::sleep(pause);
                    let both = Barrier::new(2);
                    run(&team, 2, |_| {
                        both.wait();
                    });
                }
            });
        }
        let counts: Vec<_> = (0..30).map(|_| AtomicUsize::new(0)).collect();
        run(&team, 5, |i| {
            run(&team, 3, |j| {
                run(&team, 2, |k| {
                    counts[(i * 3 + j) * 2 + k].fetch_add(1, Relaxed);
                });
            });
        });
        assert!(counts.into_iter().all(|c| c.into_inner() == 1));
    }

    #[test]
    fn many_threads_may_start_loops_at_once() {
        let team = Team::new(2).expect("a team");
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for len in 2..2 + times(200) {
                        assert_eq!(calls(&team, len), vec![1; len]);
                    }
                });
            }
        });
        assert!(lock(&team.work.state).open.is_empty());
    }

    #[test]
    fn a_panic_comes_out_after_everybody_has_left() {
        let team = Team::new(3).expect("a team");
        for bad in [0, 3, 7] {
            let inside = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                run(&team, 8, |i| {
                    inside.fetch_add(1, Relaxed);
                    if i == bad {
                        inside.fetch_sub(1, Relaxed);
                        resume_unwind(Box::new(format!("index {i}")));
                    }
                    thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(1, Relaxed);
                });
            }));
            assert_eq!(inside.into_inner(), 0);
            let panic = result.expect_err("a panic");
            assert_eq!(panic.downcast_ref::<String>(), Some(&format!("index {bad}")));
            // The team goes on.
            assert_eq!(calls(&team, 100), vec![1; 100]);
        }
    }

    #[test]
    fn a_team_may_go_while_its_helpers_linger() {
        for _ in 0..times(50) {
            let team = Team::new(3).expect("a team");
            assert_eq!(calls(&team, 10), vec![1; 10]);
        }
    }

    #[test]
    fn an_error_ends_the_loop_and_comes_out_of_it() {
        for threads in [1, 3] {
            let team = Team::new(threads).expect("a team");
            let begun = AtomicUsize::new(0);
            let result = team.run(times(100_000), None, &|i| {
                begun.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_micros(10));
                if i == 5 {
                    Err(Error::index(format!("index {i}")))
                } else {
                    Ok(())
                }
            });
            assert_eq!(result.map_err(|e| e.message().to_owned()), Err("index 5".to_owned()));
            assert!(begun.into_inner() < times(100_000), "the rest is left out");
            assert_eq!(calls(&team, 100), vec![1; 100]);
        }
    }

    #[test]
    fn a_cancelled_loop_stops_between_two_indices_also_within_others() {
        for threads in [1, 3] {
            let team = Team::new(threads).expect("a team");
            let (token, done) = (Token::default(), AtomicUsize::new(0));
            let inner = |i| {
                team.run(times(1000), super::token(), &|j| {
                    done.fetch_add(1, Relaxed);
                    if (i, j) == (0, 3) {
                        token.cancel();
                    }
                    Ok(())
                })
            };
            let result = team.run(times(1000), Some(token.clone()), &inner);
            let kind = result.map_err(|e| e.kind());
            // A thread alone never enters the loop as such, so the inner ones have no token to see.
            assert_eq!(kind, Err(crate::ErrorKind::Aborted), "{threads} threads");
            assert!(done.into_inner() < times(1000) * times(1000), "{threads} threads");
            assert_eq!(calls(&team, 100), vec![1; 100]);
        }
    }
}
