//! What the ranks of a training say to each other: ranks compute on their own, and meet to add up gradients.
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod operations;
mod process;
mod threads;

pub use operations::Communicator;
pub use process::{leave, of_process};
pub use threads::{threads, ThreadRank};
