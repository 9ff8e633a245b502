//! Which of an operation's two paths runs: the CPU kernel, or the general one composed of candle operations.
use std::cell::Cell;

thread_local!(static FORCED: Cell<bool> = const { Cell::new(false) });

/// Runs `f` with CPU kernels switched off on this thread, so that operations take the path other devices take.
pub fn force_general_path<R>(f: impl FnOnce() -> R) -> R {
    let before = FORCED.with(|c| c.replace(true));
    let out = f();
    FORCED.with(|c| c.set(before));
    out
}

/// Whether [`force_general_path`] is in effect on this thread.
pub fn general_path_forced() -> bool {
    FORCED.with(Cell::get)
}
