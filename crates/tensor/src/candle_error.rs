//! How candle's errors become ours.
use crate::{
    devices::{DeviceKind, DeviceName},
    Error, ErrorKind,
};
use candle_core::Error as Candle;

/// The one way in which candle's errors become ours. What it refuses is a defect of ours, as operations check what they are given; what a device
/// tells is not.
impl From<Candle> for Error {
    fn from(e: Candle) -> Self {
        let unbuilt = |kind: DeviceKind| {
            let why = kind.missing().unwrap_or_else(|| "a defect of tallow".to_owned());
            Self::new(ErrorKind::Device, format!("the computation needs {}: {why}", kind.name()))
        };
        match e {
            // Around the error itself: what candle did, and where, which tells a user nothing.
            Candle::WithBacktrace { inner, .. } | Candle::Context { inner, .. } | Candle::WithPath { inner, .. } => {
                Self::from(*inner)
            }
            Candle::NotCompiledWithCudaSupport => unbuilt(DeviceKind::Cuda),
            Candle::NotCompiledWithMetalSupport => unbuilt(DeviceKind::Metal),
            Candle::DeviceMismatchBinaryOp { lhs, rhs, op } => {
                on_two_devices(op, DeviceName::at(&lhs), DeviceName::at(&rhs))
            }
            Candle::Cuda(why) => of_device(DeviceKind::Cuda, &why.to_string()),
            Candle::Metal(why) => of_device(DeviceKind::Metal, &why.to_string()),
            other => {
                let told = other.to_string();
                let words =
                    if told.to_ascii_lowercase().contains("candle") { "a tensor operation failed" } else { &told };
                Self::internal(format!("a defect of tallow: {words}"))
            }
        }
    }
}

/// Refuses operands on two devices.
pub(crate) fn on_two_devices(op: &str, a: DeviceName, b: DeviceName) -> Error {
    let what = format!("{op}: operands are on different devices, \"{a}\" and \"{b}\"; move one with .to(\"{a}\")");
    Error::new(ErrorKind::Device, what)
}

/// What a device tells of itself.
fn of_device(kind: DeviceKind, told: &str) -> Error {
    let lower = told.to_ascii_lowercase().replace('_', " ");
    if ["out of memory", "alloc failed", "failed to allocate", "failed to create buffer"]
        .iter()
        .any(|w| lower.contains(w))
    {
        let what = format!(
            "the {} device has no memory left for it; free tensors with dispose() or tidy(), or take smaller batches",
            kind.name()
        );
        return Error::new(ErrorKind::OutOfMemory, what);
    }
    let words = if lower.contains("candle") { "it tells no reason" } else { told };
    Error::new(
        ErrorKind::Device,
        format!("the {} device failed: {words}; see that its driver is in order", kind.name()),
    )
}
