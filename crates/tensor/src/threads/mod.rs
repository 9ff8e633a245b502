//! How work is split over threads.
//!
//! Work is always cut at the same places, whatever the number of threads, so results have the same bits on 1, 2 or 4 of them.
//! A loop that is worth several threads stops between two of its pieces when the work is cancelled; it is then an error, so that
//! nobody takes what it left unwritten for a result.
mod open;
mod shares;
mod team;
mod under_way;

use crate::{cancel, general_path::Forced, memory, Error, Result};
pub(crate) use piece::Piece;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use team::Team;
use under_way::Body;

/// The most threads that kernels may be given.
const MOST: usize = 1024;

fn team() -> &'static RwLock<Arc<Team>> {
    static TEAM: OnceLock<RwLock<Arc<Team>>> = OnceLock::new();
    TEAM.get_or_init(|| {
        let n = std::env::var("TALLOW_NUM_THREADS").ok().and_then(|s| s.trim().parse().ok()).filter(|&n: &usize| n > 0);
        let n = n.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        RwLock::new(Arc::new(Team::at_most(n.min(MOST))))
    })
}

fn current() -> Arc<Team> {
    team().read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sets how many threads kernels use from now on. Work under way keeps its threads.
///
/// # Errors
/// `InvalidArgument` unless `1 <= n <= 1024`, and where the system refuses to start so many; kernels then keep the threads they have.
pub fn set_num_threads(n: usize) -> Result<()> {
    if !(1..=MOST).contains(&n) {
        return Err(Error::argument(format!("the number of threads must be from 1 to {MOST}, got {n}")));
    }
    let new = Arc::new(Team::new(n)?);
    *team().write().unwrap_or_else(PoisonError::into_inner) = new;
    Ok(())
}

/// How many threads kernels use: what [`set_num_threads`] said, else `TALLOW_NUM_THREADS` (at most 1024), else the machine's cores;
/// fewer where the system refuses to start so many.
pub fn num_threads() -> usize {
    current().threads()
}

/// Elements below which splitting costs more than it gains.
pub(crate) const GRAIN: usize = 16 * 1024;

fn each(n: usize, work: usize, f: &Body<'_>) -> Result<()> {
    if work < 2 * GRAIN {
        (0..n).try_for_each(f)
    } else {
        current().run(n, under_way::token(), f)
    }
}

/// An error if the work that this thread does should stop, also where it helps another one: for long work that is not a loop.
pub(crate) fn check() -> Result<()> {
    under_way::token().map_or(Ok(()), |token| token.check())
}

mod piece {
    use crate::Result;

    /// What a piece of a loop gives: nothing, or also an error, which ends the loop.
    pub(crate) trait Piece {
        fn outcome(self) -> Result<()>;
    }
    impl Piece for () {
        #[inline(always)]
        fn outcome(self) -> Result<()> {
            Ok(())
        }
    }
    impl Piece for Result<()> {
        #[inline(always)]
        fn outcome(self) -> Result<()> {
            self
        }
    }
}

/// `f(i)` for `i` in `0..n`, side by side on the threads, in order of `i`: for whole computations that use kernels themselves.
///
/// Each call is stopped with the caller. It may run on any thread, also in the middle of another call that waits for a kernel,
/// so it must say itself whether operations are recorded, and hold no lock across a kernel.
pub fn side_by_side<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (forced, token) = (crate::general_path_forced(), cancel::current().unwrap_or_default());
    let made: Vec<Mutex<Option<T>>> = (0..n).map(|_| Mutex::new(None)).collect();
    // Every call is made and gives what it gives, also where it was stopped, so the loop itself has no token and no error.
    let done = current().run(n, None, &|i| {
        let _restore = Forced::set(forced);
        let value = cancel::running(&token, || f(i));
        *made[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    });
    debug_assert!(done.is_ok());
    made.into_iter().filter_map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// The start of a buffer whose disjoint parts are handed to different threads.
struct Start<T>(*mut T);
// SAFETY: only `for_chunks_of` makes one, and hands each part of the buffer to one call alone. Tested below.
unsafe impl<T: Send> Sync for Start<T> {}

/// Calls `f(start, part)` for consecutive parts of `out`, `chunk` elements each (the last may be shorter), in parallel when it pays.
///
/// # Errors
/// As all loops here: the first of `f`; `Aborted` when the work is cancelled meanwhile.
pub(crate) fn for_chunks<T: Send, P: Piece>(
    out: &mut [T],
    chunk: usize,
    f: impl Fn(usize, &mut [T]) -> P + Sync,
) -> Result<()> {
    let work = out.len();
    for_chunks_of(out, chunk, work, f)
}

/// [`for_chunks`] where `work` elements are touched to make `out`.
pub(crate) fn for_chunks_of<T: Send, P: Piece>(
    out: &mut [T],
    chunk: usize,
    work: usize,
    f: impl Fn(usize, &mut [T]) -> P + Sync,
) -> Result<()> {
    let (chunk, len) = (chunk.max(1), out.len());
    let first = Start(out.as_mut_ptr());
    let first = &first;
    each(len.div_ceil(chunk), work, &|i| {
        let start = i * chunk;
        // SAFETY: parts `start..start + chunk` of different `i` do not overlap and lie inside `out`, which is borrowed
        // mutably for the whole call.
        let part = unsafe { std::slice::from_raw_parts_mut(first.0.add(start), chunk.min(len - start)) };
        f(start, part).outcome()
    })
}

/// Calls `f(i)` for `i` in `0..n`, in parallel when `work` (elements touched in all) pays.
pub(crate) fn for_each_index<P: Piece>(n: usize, work: usize, f: impl Fn(usize) -> P + Sync) -> Result<()> {
    each(n, work, &|i| f(i).outcome())
}

/// Calls `f` for each task, in parallel when `work` (elements touched in all) pays. For kernels that write several outputs:
/// a task holds its part of each.
pub(crate) fn for_tasks<T: Send, P: Piece>(tasks: Vec<T>, work: usize, f: impl Fn(T) -> P + Sync) -> Result<()> {
    let tasks = memory::collect(tasks.into_iter().map(|t| Mutex::new(Some(t))))?;
    each(tasks.len(), work, &|i| {
        let task = tasks[i].lock().unwrap_or_else(PoisonError::into_inner).take();
        task.map_or(Ok(()), |task| f(task).outcome())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    /// A size that is `n`, or a hundredth of it where Miri interprets each step.
    const fn size(n: usize) -> usize {
        if cfg!(miri) {
            n / 100
        } else {
            n
        }
    }

    #[test]
    fn side_by_side_keeps_order_and_uses_kernels() {
        let sums = side_by_side(7, |i| {
            let x = Tensor::full(&[300, size(300)], i as f64, crate::DType::F64, &crate::Device::Cpu)?;
            x.sum(None, false)?.item()
        });
        let sums: Vec<f64> = sums.into_iter().collect::<Result<_>>().expect("sums");
        assert_eq!(sums, (0..7).map(|i| f64::from(i) * (300 * size(300)) as f64).collect::<Vec<_>>());
        assert_eq!(side_by_side(0, |i| i), Vec::<usize>::new());
    }

    #[test]
    fn parts_cover_the_buffer_once() {
        for (len, chunk) in [(0, 5), (1, 5), (5, 5), (11, 5), (size(100_003), 7), (size(100_000), 1 << 20), (3, 0)] {
            let mut out = vec![0u32; len];
            for_chunks_of(&mut out, chunk, usize::MAX, |start, part| {
                assert!(part.len() == chunk.max(1) || start + part.len() == len);
                part.iter_mut().enumerate().for_each(|(i, v)| *v += (start + i) as u32 + 1);
            })
            .expect("a loop without errors");
            assert!(out.iter().enumerate().all(|(i, &v)| v == i as u32 + 1), "{len} by {chunk}");
        }
    }

    #[test]
    fn threads_are_replaced_under_way() {
        let before = num_threads();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for n in 2..2 + size(200) {
                        let squares = side_by_side(n, |i| side_by_side(2, |j| i * i + j));
                        assert!(squares.iter().enumerate().all(|(i, s)| s[..] == [i * i, i * i + 1]));
                    }
                });
            }
            for n in [1, 4, 2, 3, 1, 2] {
                set_num_threads(n).expect("threads");
            }
        });
        for n in [0, 1025] {
            assert!(set_num_threads(n).is_err());
        }
        set_num_threads(before).expect("threads");
    }

    #[test]
    #[cfg_attr(miri, ignore = "a loop that is worth several threads is too long to be interpreted")]
    fn a_loop_stops_when_its_work_is_cancelled() {
        let token = cancel::Token::default();
        let mut out = vec![0u8; 1 << 20];
        let mut run = |cancel_at: usize| {
            cancel::running(&token, || {
                for_chunks(&mut out, 16, |start, part| {
                    part.fill(1);
                    if start == cancel_at {
                        token.cancel();
                    }
                })
            })
        };
        assert!(run(usize::MAX).is_ok());
        assert_eq!(run(160).map_err(|e| e.kind()), Err(crate::ErrorKind::Aborted));
        // Other work goes on, and so does what must not stop half-way.
        assert!(for_chunks(&mut out, 16, |_, part| part.fill(2)).is_ok() && out.iter().all(|&v| v == 2));
        let shielded = || for_chunks(&mut out, 16, |_, part| part.fill(3));
        assert!(cancel::running(&token, || cancel::shielded(shielded)).is_ok() && out.iter().all(|&v| v == 3));
    }

    #[test]
    fn side_by_side_is_stopped_with_its_caller() {
        let token = cancel::Token::default();
        token.cancel();
        let found = cancel::running(&token, || side_by_side(3, |_| cancel::check().is_err()));
        assert_eq!(found, [true; 3]);
        assert_eq!(side_by_side(3, |_| cancel::check().is_err()), [false; 3]);
    }
}
