//! What crosses between the languages: arguments, nested values, errors, functions, jobs, and the tables of each JavaScript environment.
pub(crate) mod args;
pub(crate) mod compute;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod host;
pub(crate) mod log;
pub(crate) mod order;
pub(crate) mod wire;
