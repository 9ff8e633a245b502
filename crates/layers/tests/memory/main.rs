//! Tests that count the memory of the whole process: in a program of their own, one at a time, so that nobody else allocates
//! meanwhile.
mod long_sequences;
mod lsh;
mod recompute;
mod reversible;
#[path = "../support/mod.rs"]
mod support;
mod windows;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the one test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}
