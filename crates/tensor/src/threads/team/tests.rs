//! What a team of threads promises.
use super::*;
use crate::threads::under_way::token as token_of_work;
use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{atomic::Ordering::Relaxed, Barrier},
};

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
            team.run(times(1000), token_of_work(), &|j| {
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
