//! The allocator: how long freed memory stays with the process before the system gets it back.
use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` of mimalloc's `enum mi_option_e`; the test holds the number against the option's documented default.
const PURGE_DELAY: c_int = 15;
/// A training step frees and takes the same large blocks again within a second. With mimalloc's own 10 ms the system takes
/// their pages away in between and clears fresh ones: a sixth of a Transformer's step went into page faults.
const MILLISECONDS: c_long = 1000;

extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
    #[cfg(test)]
    fn mi_option_get(option: c_int) -> c_long;
}

/// Keeps freed memory for a second, unless the environment variable `MIMALLOC_PURGE_DELAY` says otherwise.
pub(crate) fn keep_freed_memory() {
    // SAFETY: signature and constant are those of mimalloc.h, whose library is linked as the global allocator; the call
    // writes one long. The caller calls once in a process.
    unsafe { mi_option_set_default(PURGE_DELAY, MILLISECONDS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_stays_for_a_second() {
        // SAFETY: reads one long; see above.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
            return;
        }
        assert_eq!(delay(), 10, "not the option that mimalloc documents with 10 ms");
        keep_freed_memory();
        assert_eq!(delay(), MILLISECONDS);
    }
}
