//! What ranks do together, and what they refuse.
use crate::{Error, Result};
use std::fmt;
use tallow_layers::ErrorKind;
use tallow_tensor::memory;

/// One of the ranks that train a model together.
///
/// Each operation is one that all ranks call, in the same order and with lengths that fit; it returns when this rank has what it is to
/// get. Calls of one rank come one after another.
///
/// All operations fail in the same way: with `InvalidArgument` where lengths do not fit, before anything is sent; with `Aborted` where the work
/// of this rank is cancelled ([`tallow_tensor::cancel`]), which ends the work of the others; with `RankFailed`, which names the rank, where
/// another one aborted, ended, stalled or called something else; with `OutOfMemory`. After any but the first the ranks cannot meet again.
pub trait Communicator: fmt::Debug + Send + Sync {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;
    /// Number of ranks, at least 1.
    fn size(&self) -> usize;
    /// Sends each rank a piece of `sent`, and receives one from each.
    ///
    /// `counts[i]` is the length of each piece that rank `i` sends. `sent` holds [`Communicator::size`] pieces in the order of the ranks that they
    /// go to; `received` gets those for this rank, in the order of the ranks that they come from.
    ///
    /// # Errors
    /// Those of all operations.
    fn exchange(&self, sent: &[f32], counts: &[usize], received: &mut [f32]) -> Result<()>;
    /// Gives all ranks the parts of all, in the order of the ranks. `all` is [`Communicator::size`] times as long as `part`.
    ///
    /// # Errors
    /// Those of all operations.
    fn all_gather(&self, part: &[f32], all: &mut [f32]) -> Result<()>;
    /// Gives all ranks the bytes of each, in the order of the ranks. Their lengths may differ.
    ///
    /// # Errors
    /// Those of all operations.
    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>>;
    /// Gives all ranks the values of rank `root`.
    ///
    /// # Errors
    /// Those of all operations.
    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()>;
    /// Waits until all ranks have come here.
    ///
    /// # Errors
    /// Those of all operations.
    fn barrier(&self) -> Result<()>;
    /// Ends the work of all ranks: where they wait, or at their next operation. Does not wait for them.
    fn abort(&self, reason: &str);
    /// Bytes of values that this rank has sent to others since it began.
    fn bytes_sent(&self) -> u64;
    /// Adds up the values of all ranks in the order of the ranks, so that all get the same bits: this rank gets its part of the sum, where the values
    /// are cut into [`Communicator::size`] equal ones.
    ///
    /// # Errors
    /// Those of all operations.
    fn reduce_scatter(&self, values: &[f32], part: &mut [f32]) -> Result<()> {
        let n = self.size();
        if part.len().checked_mul(n) != Some(values.len()) {
            let what = format!("reduce_scatter cuts {} values into {n} parts of {}", values.len(), part.len());
            return Err(misfit(&what));
        }
        let counts = memory::full(n, part.len())?;
        let mut received = memory::zeros(values.len())?;
        self.exchange(values, &counts, &mut received)?;
        let (first, others) = received.split_at(part.len());
        part.copy_from_slice(first);
        for other in others.chunks_exact(part.len().max(1)) {
            part.iter_mut().zip(other).for_each(|(sum, v)| *sum += v);
        }
        Ok(())
    }
    /// Adds up the values of all ranks, in place and in the order of the ranks, so that all get the same bits.
    ///
    /// # Errors
    /// Those of all operations.
    fn all_reduce(&self, values: &mut [f32]) -> Result<()> {
        let n = self.size();
        let each = values.len().div_ceil(n);
        let mut all = memory::zeros(&[each, n])?;
        all[..values.len()].copy_from_slice(values);
        let mut part = memory::zeros(each)?;
        self.reduce_scatter(&all, &mut part)?;
        self.all_gather(&part, &mut all)?;
        values.copy_from_slice(&all[..values.len()]);
        Ok(())
    }
}

/// The error for a rank that failed; `what` names it.
pub(crate) fn failed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::RankFailed, what)
}

fn misfit(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

/// Refuses what [`Communicator::exchange`] cannot take.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check_exchange(me: &dyn Communicator, sent: &[f32], counts: &[usize], received: &[f32]) -> Result<()> {
    let n = me.size();
    let all = counts.iter().try_fold(0_usize, |sum, &c| sum.checked_add(c));
    let own = counts.get(me.rank()).and_then(|c| c.checked_mul(n));
    if counts.len() != n || own != Some(sent.len()) || all != Some(received.len()) {
        return Err(misfit(&format!(
            "exchange between {n} ranks: rank {} gives {} values and takes {} where the counts of a piece are {counts:?}",
            me.rank(),
            sent.len(),
            received.len()
        )));
    }
    Ok(())
}

/// Refuses what [`Communicator::all_gather`] cannot take.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check_all_gather(me: &dyn Communicator, part: &[f32], all: &[f32]) -> Result<()> {
    if part.len().checked_mul(me.size()) != Some(all.len()) {
        let what = format!("all_gather of {} ranks puts parts of {} values into {}", me.size(), part.len(), all.len());
        return Err(misfit(&what));
    }
    Ok(())
}

/// Refuses what [`Communicator::broadcast`] cannot take.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check_broadcast(me: &dyn Communicator, root: usize) -> Result<()> {
    if root >= me.size() {
        return Err(misfit(&format!("broadcast of rank {root}, but there are {} ranks", me.size())));
    }
    Ok(())
}
