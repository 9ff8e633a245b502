//! The compute thread: asynchronous work runs there, one job after another, never on libuv's pool.
//!
//! One thread for the process: operations already use all cores, so jobs side by side would only compete. A training loop has a thread of its own,
//! which gives up its turn between two steps ([`super::turn`]): so jobs do not wait for its end, and loops of several workers advance together.
use super::{
    environment::{find, run, Environment},
    error::{Failure, Outcome},
    lock::lock,
    order::{Access, Beside, Pending, Settle, Way},
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env, JsDeferred};
use napi_derive::napi;
use std::{
    io,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        mpsc::{channel, Receiver, Sender},
        Arc, Mutex,
    },
    thread,
};
use tallow_layers::{observer, observing};
use tallow_tensor::{cancel::running, Error as TensorError, ErrorKind};

/// Deep networks recurse.
const STACK_BYTES: usize = 64 << 20;

type Job = Arc<Pending>;

/// What the compute thread is told.
enum Message {
    /// A job was asked for.
    Job(Job),
    /// A loop has ended, so what waited for it may begin.
    Ended,
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body).map(drop)
}

/// A thread of the process that does what it is sent; it starts when it is first needed.
struct Lane<M: 'static> {
    name: &'static str,
    body: fn(Receiver<M>, &Sender<M>),
    queue: Mutex<Option<Sender<M>>>,
}

/// Where layers are run and trained.
static COMPUTE: Lane<Message> = Lane { name: "tallow-compute", body: compute, queue: Mutex::new(None) };
/// Where text is encoded, so that it need not wait for steps of training.
static TEXT: Lane<Box<dyn FnOnce() + Send>> =
    Lane { name: "tallow-text", body: |jobs, _| jobs.into_iter().for_each(|job| job()), queue: Mutex::new(None) };

impl<M: Send> Lane<M> {
    fn sender(&self) -> Outcome<Sender<M>> {
        let mut queue = lock(&self.queue);
        if let Some(sender) = &*queue {
            return Ok(sender.clone());
        }
        let (sender, messages) = channel();
        let (own, body) = (sender.clone(), self.body);
        spawn(self.name, move || body(messages, &own)).map_err(|e| {
            let what = format!("the thread for asynchronous work cannot be started: {e}");
            TensorError::new(ErrorKind::OutOfMemory, what)
        })?;
        Ok(queue.insert(sender).clone())
    }
}

fn ended<T>(_: T) -> Failure {
    Failure::Internal("the thread for asynchronous work has ended".to_owned())
}

/// Runs jobs in the order they were asked for; those that must wait for a loop, when it has ended.
fn compute(messages: Receiver<Message>, told: &Sender<Message>) {
    let mut waiting: Vec<Job> = Vec::new();
    for message in messages {
        if let Message::Job(job) = message {
            waiting.push(job);
        }
        waiting.retain(|job| {
            let waits = job.must_wait();
            // Where there can be no other thread, a loop runs here.
            if !(waits || job.is_endless() && begins(job, told)) {
                job.run_in_turn();
            }
            waits
        });
    }
}

/// Begins a loop on a thread of its own; whether there is one.
fn begins(job: &Job, told: &Sender<Message>) -> bool {
    /// Threads whose loop has ended.
    static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());
    let idle = lock(&IDLE).pop();
    if idle.is_some_and(|thread| thread.send(job.clone()).is_ok()) {
        return true;
    }
    let (next, jobs) = channel::<Job>();
    let (own, told) = (next.clone(), told.clone());
    let body = move || {
        for job in jobs {
            job.run_in_turn();
            drop(job);
            lock(&IDLE).push(own.clone());
            // The thread that it tells lives as long as the process.
            let _ = told.send(Message::Ended);
        }
    };
    spawn("tallow-loop", body).is_ok() && next.send(job.clone()).is_ok()
}

type Resolver = Box<dyn FnOnce(Env) -> Result<Wire>>;

/// What a job is, beside its work.
pub(crate) struct Asked {
    /// What it reads and changes.
    pub access: Access,
    /// How it goes with training loops.
    pub way: Way,
    /// The flag to stop it with.
    pub cancel: Option<f64>,
}

/// Runs `work` on the compute thread, or before something that JavaScript does at once with the same layers; then `finish` on the
/// JavaScript thread, whose value the returned promise gets. `work` is told which loops it runs beside.
pub(crate) fn submit<'env, T: Send + 'static>(
    env: &'env Env,
    environment: &Environment,
    asked: Asked,
    work: impl FnOnce(Option<Beside>) -> Outcome<T> + Send + 'static,
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
    let work = Box::new(move |beside: Option<Beside>| -> Settle {
        let result = cancel.check().map_err(Failure::from).and_then(|()| {
            let worked = catch_unwind(AssertUnwindSafe(|| running(&cancel, || observing(observer, || work(beside)))));
            let value = worked.unwrap_or_else(|panic| Err(Failure::from_panic(panic)))?;
            cancel.check()?;
            Ok(value)
        });
        Box::new(move || settled(result))
    });
    // Where nothing must come before a loop, it need not go by the compute thread, which may be busy.
    let first = asked.way == Way::Endless && environment.order.is_idle();
    let job = environment.order.push(asked.access, asked.way, work);
    if first && begins(&job, &queue) {
        return Ok(promise);
    }
    queue.send(Message::Job(job)).map_err(ended)?;
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
