//! Tensors: values in and out, operations, random numbers, gradients, files.
mod data;
mod files;
mod gradients;
mod memory;
mod ops;
mod random;
