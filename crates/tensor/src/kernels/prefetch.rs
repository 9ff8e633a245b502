//! Reading ahead.

/// Asks for a cache line, to the first-level cache or to the second; any address will do.
#[inline(always)]
pub(crate) fn prefetch<const FIRST: bool, T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this kind knows it, and it has no effect but in the caches.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0, _MM_HINT_T1};
        if FIRST {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T1>(at.cast());
        }
    }
    // The instruction itself, as Rust's function for it is unstable.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        if FIRST {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags));
        } else {
            std::arch::asm!("prfm pldl2keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", not(miri)))))]
    let _ = at;
}
