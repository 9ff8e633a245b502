//! Saving a trainer beside its loop: the loop itself writes the file, between two steps.
use crate::bridge::{
    error::{Failure, Outcome},
    lock::lock,
    turn::apart,
};
use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};
use tallow_layers::ErrorKind;
use tallow_tensor::cancel;
use tallow_training::Trainer;

/// How often a loop that waits for JavaScript looks whether it still should.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// The trainer, if no loop has it.
pub(crate) fn unless_busy(trainer: &Mutex<Trainer>) -> Outcome<MutexGuard<'_, Trainer>> {
    match trainer.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(e)) => Ok(e.into_inner()),
        Err(TryLockError::WouldBlock) => Err(busy()),
    }
}

pub(crate) fn busy() -> Failure {
    let what = "this trainer is busy with a loop that has not ended; await it first";
    tallow_layers::Error::new(ErrorKind::Busy, what).into()
}

/// A file that was asked for.
pub(crate) struct Save {
    pub(crate) path: String,
    /// The number of the next step, if one was given.
    pub(crate) step: Option<u64>,
    /// Notes that go with it, as JSON.
    pub(crate) notes: Option<String>,
    pub(crate) done: Box<dyn FnOnce(Outcome<()>) + Send>,
}

/// Where the loops of a trainer and JavaScript meet.
#[derive(Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Loops that were started and have not ended.
    loops: usize,
    /// What was asked for, with the number of the next step as JavaScript last heard it.
    saves: Vec<(Save, Option<u64>)>,
    /// Whether JavaScript is yet to hear of a step.
    telling: bool,
    heard: Option<u64>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
    /// Whether a loop was started and has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.state().loops > 0
    }
    /// Hands a save to the running loop, or gives it back if there is none.
    pub(crate) fn ask(&self, save: Save) -> Option<Save> {
        let mut state = self.state();
        if state.loops == 0 {
            return Some(save);
        }
        let heard = state.heard;
        state.saves.push((save, heard));
        None
    }
    /// JavaScript is about to be told of a step.
    pub(crate) fn telling(&self) {
        self.state().telling = true;
    }
    /// JavaScript now learns that `next` is the next step.
    pub(crate) fn hears(&self, next: u64) {
        self.state().heard = Some(next);
    }
    /// JavaScript has done what it does about a step, or will never hear of it.
    pub(crate) fn told(&self) {
        self.state().telling = false;
        self.changed.notify_all();
    }
    /// Waits until JavaScript has heard of the last step: what it saves then is that step.
    pub(crate) fn wait(&self) -> tallow_layers::Result<()> {
        if !self.state().telling {
            return Ok(());
        }
        apart(|| {
            let mut state = self.state();
            while state.telling {
                cancel::check()?;
                state = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
            }
            Ok(())
        })
    }
    /// Writes the files that were asked for. `next` is the number of the next step, if a loop is running.
    pub(crate) fn serve(&self, trainer: &Trainer, next: Option<u64>) {
        let saves = std::mem::take(&mut self.state().saves);
        for (save, heard) in saves {
            // A number was given for what had been heard; the loop may be a step further.
            let ahead = next.zip(heard).map_or(0, |(next, heard)| next.saturating_sub(heard));
            let step = save.step.map(|given| given + ahead).or(next).or(heard).unwrap_or(0);
            // The file is whole, whether or not the loop is stopped meanwhile.
            let saved = cancel::shielded(|| trainer.save(Path::new(&save.path), step, save.notes.as_deref()));
            (save.done)(saved.map_err(Failure::from));
        }
    }
}

/// A loop, from when it is started until it has ended, however it ends.
pub(crate) struct Open {
    desk: Arc<Desk>,
    trainer: Arc<Mutex<Trainer>>,
}

impl Open {
    pub(crate) fn new(desk: &Arc<Desk>, trainer: &Arc<Mutex<Trainer>>) -> Self {
        let mut state = desk.state();
        state.loops += 1;
        state.heard = None;
        drop(state);
        Self { desk: desk.clone(), trainer: trainer.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.loops -= 1;
        state.telling = false;
        let last = state.loops == 0;
        drop(state);
        // What was asked for at the very end; another loop serves it else. At most a single step has the trainer now.
        if last {
            let trainer = lock(&self.trainer);
            self.desk.serve(&trainer, None);
        }
    }
}
