//! The Node addon: handles, conversion of data and errors, the compute thread. No arithmetic, no defaults, no layer names.
//!
//! A handle is a number; what it stands for lives in the table of its JavaScript environment (`bridge/environment.rs`).
//! Every export goes through `environment::run`, which turns errors and panics into JavaScript exceptions.
// The macros of napi register nothing in a test build, so that there everything exported looks unused.
#![cfg_attr(test, allow(dead_code))]

mod allocator;
mod bridge;
mod data;
mod decoding;
mod layer;
mod seeing;
mod tensor;
mod training;

/// When the addon is loaded.
#[cfg(not(test))]
#[napi_derive::module_init]
fn loaded() {
    bridge::log::start();
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
