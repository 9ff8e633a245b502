//! Kernels against those of the CPU.
mod activation;
mod attention;
mod common;
mod lsh_attention;
mod operations;
mod optimizers;
mod random;
mod recurrent;
mod reduce;
mod rows;
mod sort;
mod sources;
