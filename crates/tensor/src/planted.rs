//! Faults that are planted to see that the checks of unsafe code find them (`npm run test:unsafe`). Without the feature there are none.

/// Whether the fault of this name is to happen: a buffer whose last element is not written, a kernel that writes behind its buffer, a
/// loop that ends before its helpers have left it.
#[cfg(feature = "planted-faults")]
pub(crate) fn fault(name: &str) -> bool {
    std::env::var("PLANTED_FAULT").is_ok_and(|wanted| wanted == name)
}

/// Never.
#[cfg(not(feature = "planted-faults"))]
pub(crate) const fn fault(_: &str) -> bool {
    false
}
