//! The one pool of worker threads, and how work is split over it.
//!
//! Work is always cut at the same places, whatever the number of threads, so results have the same bits on 1, 2 or 4 of them.
use crate::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, OnceLock, RwLock};

fn build(n: usize) -> Result<Arc<ThreadPool>> {
    ThreadPoolBuilder::new()
        .num_threads(n)
        .stack_size(16 << 20)
        .thread_name(|i| format!("tallow-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|e| Error::internal(format!("cannot start {n} threads: {e}")))
}

fn pool() -> &'static RwLock<Arc<ThreadPool>> {
    static POOL: OnceLock<RwLock<Arc<ThreadPool>>> = OnceLock::new();
    POOL.get_or_init(|| {
        let n = std::env::var("TALLOW_NUM_THREADS").ok().and_then(|s| s.parse().ok()).filter(|&n: &usize| n > 0);
        let n = n.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        RwLock::new(build(n).expect("a thread pool can be made"))
    })
}

fn current() -> Arc<ThreadPool> {
    pool().read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// Sets how many threads kernels use from now on. Work under way keeps its threads.
///
/// # Errors
/// `InvalidArgument` unless `1 <= n <= 1024`.
pub fn set_num_threads(n: usize) -> Result<()> {
    if !(1..=1024).contains(&n) {
        return Err(Error::argument(format!("the number of threads must be from 1 to 1024, got {n}")));
    }
    let new = build(n)?;
    *pool().write().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
    Ok(())
}

/// How many threads kernels use: `TALLOW_NUM_THREADS`, else the machine's cores, else what [`set_num_threads`] said.
pub fn num_threads() -> usize {
    current().current_num_threads()
}

/// Runs `f` on the pool, so that rayon inside it uses our threads. Free when already there or with one thread of work.
pub fn install<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return f();
    }
    current().install(f)
}

/// Elements below which splitting costs more than it gains.
pub(crate) const GRAIN: usize = 16 * 1024;

/// Calls `f(start, part)` for consecutive parts of `out`, `chunk` elements each (the last may be shorter), in parallel when it pays.
pub(crate) fn for_chunks<T: Send>(out: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    use rayon::prelude::*;
    let chunk = chunk.max(1);
    if out.len() < 2 * GRAIN || out.len() <= chunk {
        for (i, part) in out.chunks_mut(chunk).enumerate() {
            f(i * chunk, part);
        }
    } else {
        install(|| out.par_chunks_mut(chunk).enumerate().for_each(|(i, part)| f(i * chunk, part)));
    }
}

/// Calls `f(i)` for `i` in `0..n`, in parallel when `work` (elements touched in all) pays.
pub(crate) fn for_each_index(n: usize, work: usize, f: impl Fn(usize) + Sync + Send) {
    use rayon::prelude::*;
    if n < 2 || work < 2 * GRAIN {
        (0..n).for_each(f);
    } else {
        install(|| (0..n).into_par_iter().for_each(f));
    }
}

/// Calls `f` for each task, in parallel when `work` (elements touched in all) pays. For kernels that write several outputs:
/// a task holds its part of each.
pub(crate) fn for_tasks<T: Send>(tasks: Vec<T>, work: usize, f: impl Fn(T) + Sync + Send) {
    use rayon::prelude::*;
    if tasks.len() < 2 || work < 2 * GRAIN {
        tasks.into_iter().for_each(f);
    } else {
        install(|| tasks.into_par_iter().for_each(f));
    }
}
