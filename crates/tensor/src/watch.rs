//! Telling whoever asks what a backward pass does, node by node.
use std::{cell::RefCell, sync::Arc};

/// Hears of the nodes of the backward passes of a thread.
pub trait Watch: Send + Sync {
    /// The rule of this node begins to run.
    fn begin(&self, node: u64);
    /// It has run, and its gradients have arrived; or it failed.
    fn end(&self, node: u64);
}

thread_local!(static CURRENT: RefCell<Option<Arc<dyn Watch>>> = const { RefCell::new(None) });

/// Makes `watch` hear of this thread from now on; gives what did before.
pub fn set_watch(watch: Option<Arc<dyn Watch>>) -> Option<Arc<dyn Watch>> {
    CURRENT.replace(watch)
}

/// What hears of this thread.
pub(crate) fn watcher() -> Option<Arc<dyn Watch>> {
    CURRENT.with_borrow(Clone::clone)
}

/// A node that is told of until this is dropped.
pub(crate) struct Watched<'a>(&'a dyn Watch, u64);

impl<'a> Watched<'a> {
    pub(crate) fn begin(watch: &'a dyn Watch, node: u64) -> Self {
        watch.begin(node);
        Self(watch, node)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}
