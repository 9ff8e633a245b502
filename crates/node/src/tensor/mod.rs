//! Tensors: values in and out, operations, random numbers, gradients, files.
mod data;
mod devices;
mod files;
mod gradients;
mod memory;
mod ops;
mod random;

pub(crate) use devices::named as device_named;
