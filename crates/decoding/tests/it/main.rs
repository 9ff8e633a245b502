//! The tests of the crate, one module for each subject.
mod beam;
mod engine;
mod models;
mod sampling;
mod schedules;
mod support;
