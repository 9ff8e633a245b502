//! Telling whoever asks what every layer does, as it runs.
//!
//! Observers hear of one thread. While none hears of any, a layer that runs reads one number.
use crate::{Cx, LayerRef, Result, Tree};
use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Arc,
    },
};
use tallow_tensor::{
    autodiff::{set_watch, Watch},
    Tensor,
};

/// Hears of the layers that run on a thread, and of the nodes of its backward passes. What it is told of nests.
pub trait Observer: Watch {
    /// A layer begins to run, on these inputs and weights of its own.
    fn enter(&self, layer: &LayerRef, xs: &[Tensor], weights: &Tree<Tensor>);
    /// It has run; `None` if it failed.
    fn leave(&self, layer: &LayerRef, ys: Option<&[Tensor]>);
    /// The observer as what hears of nodes.
    fn watch(self: Arc<Self>) -> Arc<dyn Watch>;
}

/// How many threads are observed.
static OBSERVED: AtomicUsize = AtomicUsize::new(0);

/// An observer that hears of this thread as long as this lives there.
struct Hearing(Arc<dyn Observer>);

impl Hearing {
    fn begin(observer: Arc<dyn Observer>) -> Self {
        OBSERVED.fetch_add(1, Relaxed);
        Self(observer)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        OBSERVED.fetch_sub(1, Relaxed);
    }
}

thread_local!(static CURRENT: RefCell<Option<Hearing>> = const { RefCell::new(None) });

/// Makes `observer` hear of this thread from now on; gives what did before. For a host that cannot do it by [`observing`].
pub fn set_observer(observer: Option<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
    set_watch(observer.clone().map(Observer::watch));
    CURRENT.replace(observer.map(Hearing::begin)).map(|before| before.0.clone())
}

/// Runs `f` with `observer` hearing of this thread.
pub fn observing<R>(observer: Option<Arc<dyn Observer>>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Observer>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_observer(self.0.take());
        }
    }
    let _restore = Restore(set_observer(observer));
    f()
}

/// What hears of this thread, to hand on to threads that go on with its work.
pub fn observer() -> Option<Arc<dyn Observer>> {
    if OBSERVED.load(Relaxed) == 0 {
        return None;
    }
    CURRENT.with_borrow(|hearing| hearing.as_ref().map(|h| h.0.clone()))
}

/// A layer that is told of, until it has run.
pub(super) struct Run<'a> {
    observer: Arc<dyn Observer>,
    layer: &'a LayerRef,
    ended: bool,
}

impl<'a> Run<'a> {
    /// Tells that a layer begins to run, if there is anyone to tell.
    #[inline]
    pub(super) fn begin(cx: &Cx, layer: &'a LayerRef, xs: &[Tensor]) -> Option<Self> {
        if OBSERVED.load(Relaxed) == 0 {
            return None;
        }
        Self::tell(cx, layer, xs)
    }
    #[cold]
    fn tell(cx: &Cx, layer: &'a LayerRef, xs: &[Tensor]) -> Option<Self> {
        let observer = observer()?;
        observer.enter(layer, xs, &cx.weights(layer.base().id));
        Some(Self { observer, layer, ended: false })
    }
    /// Tells how it ended.
    pub(super) fn end(mut self, result: &Result<Vec<Tensor>>) {
        self.ended = true;
        self.observer.leave(self.layer, result.as_ref().ok().map(Vec::as_slice));
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Only a panic leaves it open; what is told nests all the same.
        if !self.ended {
            self.observer.leave(self.layer, None);
        }
    }
}
