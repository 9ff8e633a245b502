//! Which devices have kernels of our own.
use super::{cpu, launch::Kernels};
use crate::Device;

impl<'a> Kernels<'a> {
    /// Those of a device, if it has any. The CPU has them where operations take the general path, and tests have said what runs them.
    pub(crate) fn of(device: &'a Device) -> Option<Self> {
        match device {
            Device::Cpu if crate::general_path_forced() => cpu::launcher().map(Self),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Some(Self(device)),
            _ => None,
        }
    }
}
