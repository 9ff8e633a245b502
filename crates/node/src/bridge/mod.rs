//! What crosses between the languages: arguments, nested values, errors, functions, jobs, and the tables of each JavaScript environment.
pub(crate) mod args;
mod call;
pub(crate) mod compute;
mod connect;
pub(crate) mod environment;
pub(crate) mod error;
mod handles;
pub(crate) mod host;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod order;
pub(crate) mod shared;
pub(crate) mod turn;
pub(crate) mod wire;
