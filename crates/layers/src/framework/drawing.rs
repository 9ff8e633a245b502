//! Whether initializers draw, or make zeros.
use std::cell::Cell;

thread_local!(static DRAWING_OFF: Cell<bool> = const { Cell::new(false) });

/// Runs `f` with initializers of this thread making zeros, for when only the structure of weights is wanted.
pub(crate) fn without_drawing<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            DRAWING_OFF.set(self.0);
        }
    }
    let _restore = Restore(DRAWING_OFF.replace(true));
    f()
}

/// Whether initializers of this thread make zeros.
pub(crate) fn is_off() -> bool {
    DRAWING_OFF.get()
}
