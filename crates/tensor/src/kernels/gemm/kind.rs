//! Which kind of processor this is, and its kernels for float32 products.
use super::micro::Kernels;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::plain;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// What processors are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Plain,
}

impl Kind {
    /// That of this processor.
    #[inline]
    pub(super) fn here() -> Self {
        #[cfg(test)]
        if let Some(kind) = tests::CHOSEN.get() {
            return kind;
        }
        #[cfg(target_arch = "x86_64")]
        return if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            Self::Sse2
        } else if is_x86_feature_detected!("avx512f") {
            Self::Avx512
        } else {
            Self::Avx2
        };
        #[cfg(target_arch = "aarch64")]
        return Self::Neon;
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return Self::Plain;
    }
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => "SSE2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "NEON",
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Plain => "loops over numbers",
        }
    }
    /// Its kernels.
    pub(super) fn kernels(self) -> &'static Kernels {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => &x86::avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => &x86::avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => &x86::sse2::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => &neon::pairs::KERNELS,
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Plain => &plain::arrays::KERNELS,
        }
    }
}

/// The kernels for this processor.
#[inline]
pub(super) fn kernels() -> &'static Kernels {
    Kind::here().kernels()
}

#[cfg(test)]
pub(super) mod tests {
    use super::Kind;
    use std::cell::Cell;

    thread_local! {
        /// The kind of processor that this thread's products are to be computed as on.
        pub(super) static CHOSEN: Cell<Option<Kind>> = const { Cell::new(None) };
    }

    /// The kinds whose kernels this processor can run, that of its own first.
    pub(in super::super) fn kinds() -> Vec<Kind> {
        #[cfg(target_arch = "x86_64")]
        let others = [Kind::Avx2, Kind::Sse2];
        #[cfg(not(target_arch = "x86_64"))]
        let others = [];
        let here = Kind::here();
        let from = others.iter().position(|&kind| kind == here).map_or(0, |at| at + 1);
        std::iter::once(here).chain(others.into_iter().skip(from)).collect()
    }

    /// Whether its kernels fuse multiplications with additions.
    pub(in super::super) fn fuses(kind: Kind) -> bool {
        ["AVX-512", "AVX2", "NEON"].contains(&kind.name())
    }

    /// Calls `f` as on each kind of processor that this one can stand for.
    pub(in super::super) fn on_each_kind(f: impl Fn(Kind)) {
        for kind in kinds() {
            CHOSEN.set(Some(kind));
            f(kind);
            CHOSEN.set(None);
        }
    }
}
