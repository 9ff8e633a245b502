//! The rank that this process is.
use super::{launch::Launch, operations::Communicator};
use crate::Result;
use std::sync::Arc;

/// The rank that this process is, where a launcher of MPI started it beside others; none where it was started alone.
///
/// The first call starts MPI, for as long as the process lives; all ranks must make it. [`leave`] ends it.
///
/// # Errors
/// `InvalidOption` for ranks that have no MPI: this build has none, or Slurm was not told to start them for it; `InvalidArgument` where MPI
/// cannot be started; `RankFailed` where other ranks do not start in time.
pub fn of_process() -> Result<Option<Arc<dyn Communicator>>> {
    let launch = Launch::of_process()?;
    #[cfg(feature = "mpi")]
    if launch != Launch::Alone {
        return Ok(Some(super::mpi::rank()?));
    }
    launch.without_mpi()?;
    Ok(None)
}

/// Ends MPI, if it was started: waits until all ranks end. To be called last of all. `failure` says why, where the process does not end as it should, which
/// ends the work of the others.
pub fn leave(failure: Option<String>) {
    #[cfg(feature = "mpi")]
    super::mpi::leave(failure);
    #[cfg(not(feature = "mpi"))]
    drop(failure);
}
