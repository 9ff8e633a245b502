//! Whether an operation takes the general path, composed of candle operations, where it has a CPU kernel.
use std::{cell::Cell, sync::LazyLock};

thread_local!(static FORCED: Cell<Option<bool>> = const { Cell::new(None) });

/// Whether the environment variable `TALLOW_GENERAL_PATH` is 1: operations then take the general path wherever nothing else is said. For tests,
/// as it is the path that accelerators take; it is slow.
static EVERYWHERE: LazyLock<bool> = LazyLock::new(|| std::env::var("TALLOW_GENERAL_PATH").is_ok_and(|v| v == "1"));

/// Runs `f` with CPU kernels switched off on this thread, so that operations take the path other devices take.
pub fn force_general_path<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Forced::set(true);
    f()
}

/// What the path was before, which it is again when this is dropped, by a panic too.
pub(crate) struct Forced(Option<bool>);
impl Forced {
    pub(crate) fn set(forced: bool) -> Self {
        Self(FORCED.with(|c| c.replace(Some(forced))))
    }
}
impl Drop for Forced {
    fn drop(&mut self) {
        FORCED.with(|c| c.set(self.0));
    }
}

/// Whether operations on this thread take the general path on the CPU too: by [`force_general_path`], or by the environment.
pub fn general_path_forced() -> bool {
    FORCED.with(Cell::get).unwrap_or_else(|| *EVERYWHERE)
}
