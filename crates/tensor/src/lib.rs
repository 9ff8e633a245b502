//! Tensors, reverse-mode autodiff, CPU kernels and random keys. Knows no layer.
//!
//! Storage, devices and plain kernels are candle's; autodiff, random numbers and the fast CPU paths are ours
//! (`docs/numerics.md` says why). Each operation is a method of [`Tensor`], recorded for [`autodiff`] when an input is tracked.
mod accelerated;
mod candle_error;
mod device_path;
mod devices;
mod dtype;
mod error;
mod general_path;
pub mod gradient_check;
mod host_trips;
mod raw;
mod rounding;
mod tensor;
mod watch;

pub mod autodiff;
pub mod cancel;
mod kernels;
pub mod memory;
pub mod ops;
mod planted;
pub mod random;
#[doc(hidden)]
pub mod testing;
pub mod threads;

pub use autodiff::{backward, custom_vjp, is_recording, is_retaining, no_grad, recording, NoGrad};
pub use candle_core::Device;
pub use devices::{accelerator, default_device, devices, set_default_device, DeviceKind, DeviceName};
pub use dtype::{Accumulator, DType, Element};
pub use error::{Error, ErrorKind, Result};
pub use general_path::{force_general_path, general_path_forced};
pub use half; // the macros over dtypes name its types
pub use host_trips::{host_trips, ON_HOST};
pub use memory::{memory, memory_limit, reset_peak, set_memory_limit, MemoryUse};
pub use ops::args::{resolve_axis, Axes, Scalar};
pub use tensor::{element_count, Tensor, Values};
