//! This process as one of the ranks that train together.
use crate::bridge::{
    args::{Arg, Size},
    environment::run,
    turn::apart,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::sync::Arc;
use tallow_training::{
    communicator::{self, Communicator},
    Ranks, Result as Outcome,
};

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

/// Ranks that are threads of this process: the numbers by which trainers join them.
#[napi]
pub fn offer_ranks(env: Env, n: Arg<Size>) -> Result<Vec<f64>> {
    run(&env, |_| {
        let n = n.named(format_args!("localRanks: n"))?.0;
        Ok(communicator::offer_local(n)?.into_iter().map(|id| id as f64).collect())
    })
}

/// This process or thread as one of the ranks, which lets others compute while it waits for the rest of them.
pub(super) fn joined(ranks: Ranks) -> Outcome<Option<Arc<dyn Communicator>>> {
    Ok(ranks.join()?.map(|ranks| Arc::new(Waiting(ranks)) as Arc<dyn Communicator>))
}

/// A rank that gives up its turn to compute while it waits for the others.
#[derive(Debug)]
struct Waiting(Arc<dyn Communicator>);

impl Communicator for Waiting {
    fn rank(&self) -> usize {
        self.0.rank()
    }
    fn size(&self) -> usize {
        self.0.size()
    }
    fn exchange(&self, sent: &[f32], counts: &[usize], received: &mut [f32]) -> Outcome<()> {
        apart(|| self.0.exchange(sent, counts, received))
    }
    fn all_gather(&self, part: &[f32], all: &mut [f32]) -> Outcome<()> {
        apart(|| self.0.all_gather(part, all))
    }
    fn all_gather_bytes(&self, bytes: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        apart(|| self.0.all_gather_bytes(bytes))
    }
    fn broadcast(&self, values: &mut [f32], root: usize) -> Outcome<()> {
        apart(|| self.0.broadcast(values, root))
    }
    fn barrier(&self) -> Outcome<()> {
        apart(|| self.0.barrier())
    }
    fn abort(&self, reason: &str) {
        self.0.abort(reason);
    }
    fn bytes_sent(&self) -> u64 {
        self.0.bytes_sent()
    }
}
