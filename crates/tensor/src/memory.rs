//! Memory for tensors: what is in use, how much may be, and the door that every buffer comes through.
//!
//! Live bytes are those of tensor storage, counted once per storage. A buffer is refused before it is tried when it would take
//! them over the limit: Linux promises memory that it does not have, and ends the process when the memory is used.
mod buffer;
mod machine;

use crate::{Error, ErrorKind, Result};
pub use buffer::{admit, admit_tensor, collect, collect_some, copy, full, grow, push, room, zeros, Extent};
pub(crate) use machine::addresses_left;
use std::sync::{
    atomic::{AtomicUsize, Ordering::Relaxed},
    Arc, OnceLock,
};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The limit that was set; 0 for none.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

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

/// Starts a measurement of the peak within the one under way. [`end_inner_peak`] takes the number that this gives.
#[must_use]
pub fn begin_inner_peak() -> usize {
    PEAK.swap(LIVE.load(Relaxed), Relaxed)
}

/// Ends a measurement that [`begin_inner_peak`] began, and gives its peak; the one around it goes on as if there had been none within.
pub fn end_inner_peak(outer: usize) -> usize {
    PEAK.fetch_max(outer, Relaxed)
}

/// The most bytes that tensors and the buffers of operations may take: what [`set_memory_limit`] said, else the machine's memory,
/// or less where the process is limited to less.
pub fn memory_limit() -> usize {
    static MACHINE: OnceLock<usize> = OnceLock::new();
    match LIMIT.load(Relaxed) {
        0 => *MACHINE.get_or_init(machine::bytes),
        set => set,
    }
}

/// Sets the most bytes that tensors and the buffers of operations may take together; `None` is the machine's memory again.
/// Tensors alive stay; what would take the live bytes over the limit is refused with `OutOfMemory`.
///
/// # Errors
/// `InvalidArgument` for a limit of 0.
pub fn set_memory_limit(bytes: Option<usize>) -> Result<()> {
    if bytes == Some(0) {
        return Err(Error::argument(
            "the memory limit must be at least 1 byte, or none for the machine's memory; got 0",
        ));
    }
    LIMIT.store(bytes.unwrap_or(0), Relaxed);
    Ok(())
}

/// Refuses a buffer of `bytes` that would take the live bytes over the limit. `what` says what the buffer is for.
#[inline]
fn admit_bytes(bytes: usize, what: impl FnOnce() -> String) -> Result<()> {
    let live = LIVE.load(Relaxed);
    let limit = memory_limit();
    if live.checked_add(bytes).is_some_and(|all| all <= limit) {
        return Ok(());
    }
    Err(over_limit(bytes, live, limit, &what()))
}

#[cold]
fn over_limit(bytes: usize, live: usize, limit: usize, what: &str) -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "there is no memory for {what}, {}: the limit is {}, of which tensors hold {}; use smaller shapes, dispose of tensors \
             that are no longer needed, or raise the memory limit",
            show(bytes),
            show(limit),
            show(live)
        ),
    )
}

/// Bytes as people read them, with the exact number.
fn show(bytes: usize) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    match bytes {
        usize::MAX => "more bytes than can be counted".to_owned(),
        0..1024 => format!("{bytes} bytes"),
        _ => {
            let unit = (bytes.ilog2() / 10) as usize;
            format!("{bytes} bytes ({:.1} {})", bytes as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit - 1])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_units() {
        assert_eq!(show(1023), "1023 bytes");
        assert_eq!(show(1536), "1536 bytes (1.5 KiB)");
        assert_eq!(show(1 << 40), "1099511627776 bytes (1.0 TiB)");
        assert_eq!(show(usize::MAX - 1), "18446744073709551614 bytes (16.0 EiB)");
        assert_eq!(show(usize::MAX), "more bytes than can be counted");
    }
}
