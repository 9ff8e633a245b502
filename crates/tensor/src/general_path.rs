//! Whether an operation takes the general path, composed of candle operations, where it has a CPU kernel.
use std::cell::Cell;

thread_local!(static FORCED: Cell<bool> = const { Cell::new(false) });

/// Runs `f` with CPU kernels switched off on this thread, so that operations take the path other devices take.
pub fn force_general_path<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Forced::set(true);
    f()
}

/// What the path was before, which it is again when this is dropped, by a panic too.
pub(crate) struct Forced(bool);
impl Forced {
    pub(crate) fn set(forced: bool) -> Self {
        Self(FORCED.with(|c| c.replace(forced)))
    }
}
impl Drop for Forced {
    fn drop(&mut self) {
        FORCED.with(|c| c.set(self.0));
    }
}

/// Whether [`force_general_path`] is in effect on this thread.
pub fn general_path_forced() -> bool {
    FORCED.with(Cell::get)
}
