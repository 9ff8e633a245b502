//! The compute thread: asynchronous work runs there, one job after another, never on libuv's pool.
//!
//! One thread for the process: operations already use all cores, so jobs side by side would only compete.
use super::{
    environment::{find, run, Environment},
    error::{Failure, Outcome},
    order::{Access, Settle},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env, JsDeferred};
use napi_derive::napi;
use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        mpsc::{channel, Sender},
        Mutex, PoisonError,
    },
    thread,
};
use tallow_layers::{observer, observing};
use tallow_tensor::{cancel::running, Error as TensorError, ErrorKind};

/// Deep networks recurse.
const STACK_BYTES: usize = 64 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// A thread of the process that does one job after another; it starts with the first.
struct Lane {
    name: &'static str,
    queue: Mutex<Option<Sender<Job>>>,
}

/// Where layers are run and trained.
static COMPUTE: Lane = Lane { name: "tallow-compute", queue: Mutex::new(None) };
/// Where text is encoded, so that it need not wait for a training loop.
static TEXT: Lane = Lane { name: "tallow-text", queue: Mutex::new(None) };

impl Lane {
    fn sender(&self) -> Outcome<Sender<Job>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*queue {
            return Ok(sender.clone());
        }
        let (sender, jobs) = channel::<Job>();
        thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || jobs.into_iter().for_each(|job| job()))
            .map_err(|e| {
                let what = format!("the thread for asynchronous work cannot be started: {e}");
                TensorError::new(ErrorKind::OutOfMemory, what)
            })?;
        Ok(queue.insert(sender).clone())
    }
}

fn ended<T>(_: T) -> Failure {
    Failure::Internal("the thread for asynchronous work has ended".to_owned())
}

type Resolver = Box<dyn FnOnce(Env) -> Result<Wire>>;

/// What a job is, beside its work.
pub(crate) struct Asked {
    /// What it reads and changes.
    pub access: Access,
    /// Whether it is a training loop, for which nothing waits.
    pub endless: bool,
    /// The flag to stop it with.
    pub cancel: Option<f64>,
}

/// Runs `work` on the compute thread, or before something that JavaScript does at once with the same layers; then `finish` on the
/// JavaScript thread, whose value the returned promise gets.
pub(crate) fn submit<'env, T: Send + 'static>(
    env: &'env Env,
    environment: &Environment,
    asked: Asked,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
    finish: impl FnOnce(&Env, &Environment, T) -> Outcome<Wire> + Send + 'static,
) -> Outcome<Object<'env>> {
    // First of all, as a promise that is made must be settled.
    let queue = COMPUTE.sender()?;
    let cancel = environment.cancel_of(asked.cancel);
    let stopped = cancel.clone();
    // What hears of this thread hears of the jobs that it asks for.
    let observer = observer();
    // Nobody takes what a job made that is stopped after its work was done: it must not become handles.
    let (settled, promise) = promised(env, move |env, environment, value| {
        stopped.check()?;
        finish(env, environment, value)
    })?;
    let work = Box::new(move || -> Settle {
        let result = cancel.check().map_err(Failure::from).and_then(|()| {
            let worked = catch_unwind(AssertUnwindSafe(|| running(&cancel, || observing(observer, work))));
            let value = worked.unwrap_or_else(|panic| Err(Failure::from_panic(panic)))?;
            cancel.check()?;
            Ok(value)
        });
        Box::new(move || settled(result))
    });
    let job = environment.order.push(asked.access, asked.endless, work);
    queue.send(Box::new(move || job.run_in_turn())).map_err(ended)?;
    Ok(promise)
}

/// Runs `work`, which has to do with no layer, beside the compute thread; then `finish` as [`submit`] does.
pub(crate) fn submit_text<'env, T: Send + 'static>(
    env: &'env Env,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
    finish: impl FnOnce(&Env, &Environment, T) -> Outcome<Wire> + Send + 'static,
) -> Outcome<Object<'env>> {
    let queue = TEXT.sender()?;
    let (settled, promise) = promised(env, finish)?;
    let job = move || settled(catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|p| Err(Failure::from_panic(p))));
    queue.send(Box::new(job)).map_err(ended)?;
    Ok(promise)
}

/// A promise, and what settles it from any thread: `finish` makes its value of a result, on the JavaScript thread.
pub(crate) fn promised<'env, T: Send + 'static>(
    env: &'env Env,
    finish: impl FnOnce(&Env, &Environment, T) -> Outcome<Wire> + Send + 'static,
) -> Outcome<(impl FnOnce(Outcome<T>) + Send + 'static, Object<'env>)> {
    let (deferred, promise): (JsDeferred<Wire, Resolver>, _) = env.create_deferred()?;
    let settled = move |result| deferred.resolve(Box::new(move |env| settle(&env, result, finish)));
    Ok((settled, promise))
}

fn settle<T>(
    env: &Env,
    result: Outcome<T>,
    finish: impl FnOnce(&Env, &Environment, T) -> Outcome<Wire>,
) -> Result<Wire> {
    let environment = find(env.raw()).ok_or_else(|| Error::from_reason("the JavaScript environment has ended"))?;
    result.and_then(|value| finish(env, &environment, value)).map_err(|failure| environment.exception(env, failure))
}

/// A new flag to stop a job with.
#[napi]
pub fn new_cancel(env: Env) -> Result<f64> {
    run(&env, |e| Ok(e.insert_cancel()))
}

/// Tells the jobs of a flag to stop.
#[napi]
pub fn cancel(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.cancel_of(Some(id)).cancel();
        Ok(())
    })
}

/// Forgets a flag.
#[napi]
pub fn drop_cancel(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.remove_cancel(id);
        Ok(())
    })
}
