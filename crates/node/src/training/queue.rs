//! The queue that a training loop takes its batches from.
use super::desk::PATIENCE;
use crate::bridge::{environment::run, lock::lock, turn::apart};
use napi::{bindgen_prelude::*, Env, JsDeferred};
use napi_derive::napi;
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};
use tallow_tensor::{cancel, Tensor};
use tallow_training::Batches;

/// Batches that wait for the loop; more only cost memory.
const WAITING_BATCHES: usize = 2;

/// Where the loop takes batches from.
#[napi]
pub struct BatchQueue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    batches: VecDeque<Vec<Tensor>>,
    closed: bool,
    /// Whether it was closed since the source of the batches failed.
    failed: bool,
    /// Whether the loop has ended, so that nobody takes batches any more.
    ended: bool,
    waiting: Option<Room>,
}

type Room = JsDeferred<bool, Box<dyn FnOnce(Env) -> Result<bool>>>;

impl Shared {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }
    fn close(&self, failed: bool) {
        let waiting = {
            let mut state = self.state();
            state.closed = true;
            state.failed |= failed;
            state.waiting.take()
        };
        self.changed.notify_all();
        if let Some(room) = waiting {
            room.resolve(Box::new(|_| Ok(false)));
        }
    }
    /// The next batch; waits for one until the queue is closed or the job is cancelled, and calls `idle` now and then.
    fn next(&self, idle: &mut dyn FnMut() -> tallow_layers::Result<()>) -> tallow_layers::Result<Option<Vec<Tensor>>> {
        loop {
            cancel::check()?;
            idle()?;
            let mut state = self.state();
            if let Some(batch) = state.batches.pop_front() {
                let waiting = state.waiting.take();
                drop(state);
                if let Some(room) = waiting {
                    room.resolve(Box::new(|_| Ok(true)));
                }
                return Ok(Some(batch));
            }
            if state.closed {
                return Ok(None);
            }
            drop(self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// An empty queue.
#[napi]
pub fn new_batch_queue(env: Env) -> Result<BatchQueue> {
    run(&env, |_| Ok(BatchQueue { shared: Arc::default() }))
}

/// Adds a batch; whether there is room for another at once.
#[napi]
pub fn push_batch(env: Env, queue: &BatchQueue, batch: Vec<f64>) -> Result<bool> {
    run(&env, |e| {
        let batch = e.tensors(&batch)?.iter().map(Tensor::detach).collect();
        let mut state = queue.shared.state();
        if state.ended {
            return Ok(false);
        }
        state.batches.push_back(batch);
        let room = state.batches.len() < WAITING_BATCHES;
        drop(state);
        queue.shared.changed.notify_all();
        Ok(room)
    })
}

/// A promise of room for another batch; `false` once the loop has ended.
#[napi(ts_return_type = "Promise<boolean>")]
pub fn batch_room<'env>(env: &'env Env, queue: &BatchQueue) -> Result<Object<'env>> {
    run(env, |_| {
        let (room, promise): (Room, _) = env.create_deferred()?;
        let mut state = queue.shared.state();
        if state.closed || state.batches.len() < WAITING_BATCHES {
            let open = !state.closed;
            drop(state);
            room.resolve(Box::new(move |_| Ok(open)));
        } else {
            state.waiting = Some(room);
        }
        Ok(promise)
    })
}

/// Says that there are no more batches; if their source `failed`, they make no step of fewer than it takes.
#[napi]
pub fn close_batches(env: Env, queue: &BatchQueue, failed: bool) -> Result<()> {
    run(&env, |_| {
        queue.shared.close(failed);
        Ok(())
    })
}

/// Closes the queue when the loop ends, however it ends.
pub(crate) struct Closing(Arc<Shared>);
impl Batches for Closing {
    fn next(&mut self) -> tallow_layers::Result<Option<Vec<Tensor>>> {
        self.next_with(&mut || Ok(()))
    }
    fn next_with(
        &mut self,
        idle: &mut dyn FnMut() -> tallow_layers::Result<()>,
    ) -> tallow_layers::Result<Option<Vec<Tensor>>> {
        // A loop that waits for a batch does not compute, and this is where it is between two steps.
        apart(|| self.0.next(idle))
    }
    fn failed(&self) -> bool {
        self.0.state().failed
    }
}

impl Closing {
    /// The end of a loop that takes batches from `queue`.
    pub(crate) fn new(queue: &BatchQueue) -> Self {
        Self(queue.shared.clone())
    }
}
impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(false);
        let rest = {
            let mut state = self.0.state();
            state.ended = true;
            std::mem::take(&mut state.batches)
        };
        drop(rest);
    }
}
