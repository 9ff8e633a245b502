//! What the ranks of a training say to each other: ranks compute on their own, and meet to add up gradients.
mod launch;
mod local;
#[cfg(feature = "mpi")]
mod mpi;
mod operations;
mod process;
mod threads;

pub use local::{offer_local, take_local};
pub(crate) use operations::failed;
pub use operations::Communicator;
pub use process::{leave, of_process};
pub use threads::{threads, ThreadRank};
