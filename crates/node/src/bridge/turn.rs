//! Whose turn it is to compute. Operations use all cores, so jobs and steps of loops come one after another, in the order in which they
//! asked for their turn: a loop gives it up between two steps, and what waits goes before its next one.
use super::lock::lock;
use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Turns of one kind of work. The first that asks is the first that gets one.
#[derive(Debug, Default)]
struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// The number that the next one who asks gets.
    next: u64,
    /// The number of the one whose turn it is.
    now: u64,
}

static TURNS: Turns = Turns { queue: Mutex::new(Queue { next: 0, now: 0 }), changed: Condvar::new() };

thread_local!(static MINE: Cell<bool> = const { Cell::new(false) });

impl Turns {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
    fn take(&self) {
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        while queue.now != number {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
    fn give(&self) {
        let mut queue = self.queue();
        queue.now += 1;
        let wanted = queue.now != queue.next;
        drop(queue);
        if wanted {
            self.changed.notify_all();
        }
    }
}

/// Sets whether it is this thread's turn, also when it is left by a panic.
struct Change(bool);

impl Change {
    fn to(mine: bool) -> Self {
        if mine {
            TURNS.take();
        } else {
            TURNS.give();
        }
        MINE.set(mine);
        Self(mine)
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.0 {
            TURNS.give();
        } else {
            TURNS.take();
        }
        MINE.set(!self.0);
    }
}

/// Runs `f` when it is this thread's turn.
pub(crate) fn in_turn<T>(f: impl FnOnce() -> T) -> T {
    if MINE.get() {
        return f();
    }
    let _mine = Change::to(true);
    f()
}

/// Runs `f` after giving up the turn, which is waited for again afterwards; for what does not compute. On a thread whose turn it is not, `f` just runs.
pub(crate) fn apart<T>(f: impl FnOnce() -> T) -> T {
    if !MINE.get() {
        return f();
    }
    let _others = Change::to(false);
    f()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering::SeqCst},
            Arc,
        },
        thread,
    };

    /// What happened, in its order.
    type Story = Arc<Mutex<Vec<String>>>;

    fn note(story: &Story, what: String) {
        lock(story).push(what);
    }

    /// Waits until `n` threads stand in the queue behind the one whose turn it is.
    fn until_waiting(n: u64) {
        while !is_waiting(n) {
            thread::yield_now();
        }
    }
    fn is_waiting(n: u64) -> bool {
        let queue = TURNS.queue();
        queue.next - queue.now > n
    }

    // One test, as all share the turns of the process.
    #[test]
    fn those_that_ask_get_their_turn_in_order_and_loops_alternate() {
        let story = Story::default();
        let threads: Vec<_> = in_turn(|| {
            let threads = (0..3).map(|i| {
                let own = story.clone();
                let made = thread::spawn(move || in_turn(|| note(&own, format!("job {i}"))));
                until_waiting(i + 1);
                made
            });
            let threads = threads.collect();
            note(&story, "first".into());
            apart(|| ());
            note(&story, "again".into());
            threads
        });
        threads.into_iter().for_each(|t| t.join().expect("a job"));
        assert_eq!(*story.lock().expect("a story"), ["first", "job 0", "job 1", "job 2", "again"]);

        let (story, ended) = (Story::default(), Arc::new(AtomicBool::new(false)));
        let steps = |name: &'static str| {
            let (story, ended) = (story.clone(), ended.clone());
            move || {
                in_turn(|| {
                    for _ in 0..4 {
                        while !ended.load(SeqCst) && !is_waiting(1) {
                            thread::yield_now();
                        }
                        note(&story, name.into());
                        apart(|| ());
                    }
                    ended.store(true, SeqCst);
                });
            }
        };
        let loops = in_turn(|| {
            let loops = [thread::spawn(steps("a")), thread::spawn(steps("b"))];
            until_waiting(2);
            loops
        });
        loops.into_iter().for_each(|t| t.join().expect("a loop"));
        let told = story.lock().expect("a story").join("");
        assert!(["abababab", "babababa"].contains(&told.as_str()), "{told}");
        let panicked = thread::spawn(|| in_turn(|| apart(|| panic!("planned")))).join();
        assert!(panicked.is_err());
        in_turn(|| ());
    }
}
