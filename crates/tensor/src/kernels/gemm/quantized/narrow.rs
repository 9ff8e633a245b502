//! What weights are held in, and the kernels for it on this processor.
use super::micro::Kernels;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::plain;
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::kernels::gemm::kind::Kind;
use half::bf16;

/// What weights are held in.
pub(crate) trait Narrow: Copy + Send + Sync + bytemuck::Zeroable + 'static {
    /// Its value, exactly.
    fn widen(self) -> f32;
    /// The kernels for this processor.
    fn kernels() -> &'static Kernels<Self>;
}

/// Those for the kind of processor that float32 products are computed for, with the same lanes.
macro_rules! chosen {
    ($avx512:ident, $avx2:ident, $sse2:ident, $other:ident) => {
        match Kind::here() {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => &x86::$avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => &x86::$avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Kind::Sse2 => &x86::$sse2::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => &neon::$other::KERNELS,
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Kind::Plain => &plain::$other::KERNELS,
        }
    };
}

impl Narrow for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
    fn kernels() -> &'static Kernels<i8> {
        chosen!(bytes512, bytes256, bytes128, bytes)
    }
}

impl Narrow for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    fn kernels() -> &'static Kernels<bf16> {
        chosen!(brain512, brain256, brain128, brain)
    }
}
