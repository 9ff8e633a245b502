//! What threads share.
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes what is shared. What panicked while it had it left nothing half done that matters.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
