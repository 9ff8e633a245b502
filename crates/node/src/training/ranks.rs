//! This process as one of the ranks that train together.
use crate::bridge::environment::run;
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_training::communicator;

/// A rank among others.
#[napi(object)]
pub struct RankInfo {
    /// Its number, from 0.
    pub rank: u32,
    /// How many there are.
    pub size: u32,
}

/// The rank that this process is, where a launcher of MPI started it; waits until all have asked.
#[napi]
pub fn join_ranks(env: Env) -> Result<Option<RankInfo>> {
    run(&env, |_| {
        let rank = communicator::of_process()?;
        Ok(rank.map(|me| RankInfo { rank: me.rank() as u32, size: me.size() as u32 }))
    })
}

/// Ends that as the process ends, with the reason if it failed; waits until all end.
#[napi]
pub fn leave_ranks(env: Env, failure: Option<String>) -> Result<()> {
    run(&env, |_| {
        communicator::leave(failure);
        Ok(())
    })
}
