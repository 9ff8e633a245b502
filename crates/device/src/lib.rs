//! Kernels of our own for accelerators, from one source for all: `kernels/words.h` maps the few words that they are written in to CUDA C,
//! to MSL, and to C++ for the CPU.
//!
//! [`table`] says what a loader must know of each, [`source`] has their text, [`argument`] checks what they are handed. The CPU runs the same
//! sources in tests alone, with all accesses checked (the crate `tallow-emulator`): what is proved there are formulas, indices, barriers and
//! the order of sums. How the compilers of CUDA and Metal translate them is not.
pub mod argument;
pub mod kernel;
pub mod source;
pub mod table;

/// All kernels as PTX, which drivers compile for their GPUs.
#[cfg(feature = "cuda")]
pub const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
