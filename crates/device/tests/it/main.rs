//! Kernels against those of the CPU.
mod activation;
mod common;
mod optimizers;
mod random;
mod recurrent;
mod reduce;
mod rows;
mod sort;
mod sources;
