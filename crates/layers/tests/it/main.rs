//! The tests of the crate, one module for each subject, in one program: to link it once takes a fraction of the time.
//! Tests that count the memory of the whole process are in `memory`, those made from tables in `table`.
mod acceleration;
mod calls;
mod composition;
mod convolution;
mod core;
mod deep_layers;
mod quantize;
mod random_trees;
mod recurrent;
mod reversible;
mod segments;
mod sharing;
mod sparse_ff;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod tied;
mod windows;
