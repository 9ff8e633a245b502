//! Kernels of our own (`tallow-device`) on the devices that run them: a launcher for each kind of device, and what each kernel is handed.
//!
//! Operations ask [`Path::accelerated`](crate::device_path::Path::accelerated) for [`Kernels`]. What they are told is float32, or words and
//! bytes where it says so; where sizes are beyond a kernel they are told nothing, and go the general way.
mod attention;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod found;
mod launch;
mod optimizers;
mod recurrent;
mod reductions;
mod rows;
mod tables;

pub(crate) use attention::{ChunkNumbers, Dropped, Numbers, Seen};
pub use cpu::run_kernels_by;
pub(crate) use launch::{missing, Kernels};
pub(crate) use recurrent::Gru;
pub(crate) use rows::Normed;
