//! Live bytes of tensor storage, counted once per storage.
use std::sync::{
    atomic::{AtomicUsize, Ordering::Relaxed},
    Arc,
};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// One storage, shared by all its views; its end ends the count.
#[derive(Debug)]
pub(crate) struct Allocation {
    bytes: usize,
}

impl Allocation {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        COUNT.fetch_add(1, Relaxed);
        PEAK.fetch_max(live, Relaxed);
        Arc::new(Self { bytes })
    }
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        LIVE.fetch_sub(self.bytes, Relaxed);
        COUNT.fetch_sub(1, Relaxed);
    }
}

/// Storage in use by the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// Storages alive.
    pub storages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The most bytes alive at once since [`reset_peak`].
    pub peak_bytes: usize,
}

/// Storage in use now.
pub fn memory() -> MemoryUse {
    MemoryUse { storages: COUNT.load(Relaxed), bytes: LIVE.load(Relaxed), peak_bytes: PEAK.load(Relaxed) }
}

/// Starts a new measurement of the peak.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}
