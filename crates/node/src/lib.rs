//! The Node addon: handles, conversion of data and errors, the compute thread. No arithmetic, no defaults, no layer names.
//!
//! A handle is a number; what it stands for lives in the table of its JavaScript environment (`environment.rs`).
//! Every export goes through `environment::run`, which turns errors and panics into JavaScript exceptions.
// The macros of napi register nothing in a test build, so that there everything exported looks unused.
#![cfg_attr(test, allow(dead_code))]

mod allocator;
mod args;
mod compute;
mod data;
mod environment;
mod error;
mod files;
mod gradients;
mod host;
mod layer;
mod ops;
mod order;
mod random;
mod reversible;
mod saves;
mod training;
mod wire;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
