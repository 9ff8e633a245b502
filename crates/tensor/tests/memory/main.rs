//! Tests that count or limit what the whole process has, its memory above all: in a program of their own, one at a time, so that nobody
//! else allocates meanwhile.
mod attention;
mod devices;
mod fused;
mod host_trips;
mod limits;
mod linear_cross_entropy;
mod lsh;
mod peaks;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the one test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}
