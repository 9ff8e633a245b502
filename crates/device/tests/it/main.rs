//! Kernels against those of the CPU.
mod common;
mod random;
mod reduce;
mod rows;
mod sources;
