//! JavaScript functions as the core calls them: straight through on their own thread, by message from any other.
use super::lock::lock;
use napi::{
    bindgen_prelude::*,
    sys,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
    Env, Status,
};
use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    sync::{
        mpsc::{sync_channel, RecvTimeoutError},
        Arc, Condvar, Mutex, MutexGuard,
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tallow_layers::{HostFn, HostRun, HostValue};
use tallow_tensor::{
    cancel::{self, Token},
    is_recording, Error as TensorError, ErrorKind,
};

/// How often a thread that waits for JavaScript looks whether it still should.
const PATIENCE: Duration = Duration::from_millis(20);

/// Work for the JavaScript thread.
type Task = Box<dyn FnOnce(&Env) + Send>;
/// Calls the JavaScript thread from any other; does not keep the process alive.
type Sender = ThreadsafeFunction<Option<Task>, Unknown<'static>, (), Status, false, true>;
/// Calls the JavaScript function of a number on its own thread. JavaScript owns its functions: the addon holds numbers only, so that a
/// function which refers to the layer it is in can be collected together with it.
pub(crate) type CallHere = fn(&Env, f64, Vec<HostValue>, Within) -> tallow_tensor::Result<HostValue>;

/// Whose layers a function calls by their handles.
pub(crate) enum Within {
    /// Those of the call of a class that is going on, if one is.
    Same,
    /// Those of this one, or of none.
    Run(Option<Arc<HostRun>>),
}

thread_local!(static SERVING: Cell<usize> = const { Cell::new(0) });

/// Whether this JavaScript thread does something that a job asked it for.
pub(crate) fn is_serving() -> bool {
    SERVING.get() > 0
}

/// Runs `f` as something that a job asked for.
pub(crate) fn serving<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            SERVING.set(self.0);
        }
    }
    let _restore = Restore(SERVING.replace(SERVING.get() + 1));
    f()
}

/// What other threads want of a JavaScript thread, which may wait for it instead of going back to its event loop.
#[derive(Default)]
pub(crate) struct Inbox {
    tasks: Mutex<VecDeque<Task>>,
    changed: Condvar,
}

impl Inbox {
    fn tasks(&self) -> MutexGuard<'_, VecDeque<Task>> {
        lock(&self.tasks)
    }
    fn serve_next(&self, env: &Env) {
        let next = self.tasks().pop_front();
        if let Some(task) = next {
            serving(|| task(env));
        }
    }
    /// Wakes the JavaScript thread if it waits.
    pub(crate) fn ring(&self) {
        drop(self.tasks());
        self.changed.notify_all();
    }
    /// Serves other threads until `done`; call it on the JavaScript thread. Whoever makes it done rings.
    pub(crate) fn wait(&self, env: &Env, done: impl Fn() -> bool) {
        while !done() {
            let tasks = self.tasks();
            if tasks.is_empty() && !done() {
                drop(self.changed.wait_timeout(tasks, PATIENCE));
            } else {
                drop(tasks);
            }
            self.serve_next(env);
        }
    }
}

/// Brings work to the event loop of a JavaScript thread, from any thread, until its environment ends.
///
/// Node frees what it is made of when the environment ends, whoever is just calling it (nodejs/node#55706): so nobody calls it but under its lock, and
/// the environment closes it before.
struct Mailbox(Mutex<Option<Sender>>);

impl Mailbox {
    /// Sends a task, or word that there are tasks in the inbox; whether it may arrive. What does not is dropped.
    fn send(&self, task: Option<Task>) -> bool {
        let sender = lock(&self.0);
        sender.as_ref().is_some_and(|s| s.call(task, ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok)
    }
    fn close(&self) {
        drop(lock(&self.0).take());
    }
}

/// The JavaScript thread of an environment, as other threads see it.
pub(crate) struct JsThread {
    id: ThreadId,
    env: usize,
    mailbox: Mailbox,
    closing: Token,
    call: CallHere,
    pub(crate) inbox: Arc<Inbox>,
}

impl JsThread {
    /// The calling thread. `idle` is any JavaScript function: the mailbox needs one to call after each message.
    pub(crate) fn new(
        env: &Env,
        idle: &Function<(), Unknown<'static>>,
        closing: Token,
        call: CallHere,
    ) -> Result<Self> {
        let inbox = Arc::<Inbox>::default();
        let served = inbox.clone();
        let sender = idle.build_threadsafe_function::<Option<Task>>().weak::<true>().callee_handled::<false>();
        let sender = sender.build_callback(move |message| {
            match message.value {
                Some(task) => task(&message.env),
                None => served.serve_next(&message.env),
            }
            Ok(())
        })?;
        let mailbox = Mailbox(Mutex::new(Some(sender)));
        Ok(Self { id: thread::current().id(), env: env.raw() as usize, mailbox, closing, call, inbox })
    }

    fn raw_env(&self) -> sys::napi_env {
        self.env as sys::napi_env
    }

    /// Lets nothing more arrive; the environment calls it on the JavaScript thread when it ends.
    pub(crate) fn close(&self) {
        self.mailbox.close();
    }

    /// Runs `task` on the JavaScript thread when that comes to its event loop, and does not wait for it; whether it may be run. It is dropped
    /// if the environment ends before.
    fn post(&self, task: impl FnOnce(&Env) + Send + 'static) -> bool {
        self.mailbox.send(Some(Box::new(task)))
    }

    /// Runs `task` on the JavaScript thread and waits for it, unless the environment ends or the running job is cancelled.
    fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Env) -> tallow_tensor::Result<T> + Send + 'static,
    ) -> tallow_tensor::Result<T> {
        let (answer, answers) = sync_channel(1);
        self.inbox.tasks().push_back(Box::new(move |env| drop(answer.send(task(env)))));
        self.inbox.changed.notify_all();
        if !self.mailbox.send(None) {
            return Err(ended());
        }
        loop {
            match answers.recv_timeout(PATIENCE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                // At the end of an environment a message may be dropped without a word, so waiting alone would never end.
                Err(RecvTimeoutError::Timeout) if self.closing.is_cancelled() => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => cancel::check()?,
            }
        }
    }
}

pub(crate) fn ended() -> TensorError {
    TensorError::new(ErrorKind::Aborted, "the JavaScript environment has ended")
}

/// A JavaScript function, callable from any thread. It lives as long as JavaScript keeps it, which holds it with the layer that calls it.
pub(crate) struct JsFunction {
    number: f64,
    arity: usize,
    home: Arc<JsThread>,
}

impl JsFunction {
    pub(crate) fn new(number: f64, arity: usize, home: Arc<JsThread>) -> Self {
        Self { number, arity, home }
    }
}

impl JsFunction {
    /// Calls it from the event loop of its thread, without waiting for it: `args` are made there, and `told` is called afterwards,
    /// unless the environment ends before. Whether that may be.
    pub(crate) fn post(
        &self,
        args: impl FnOnce() -> Vec<HostValue> + Send + 'static,
        told: impl FnOnce() + Send + 'static,
    ) -> bool {
        let (number, call) = (self.number, self.home.call);
        self.home.post(move |env| {
            // Whoever wants to hear of what it throws catches it.
            let _ = call(env, number, args(), Within::Same);
            told();
        })
    }
    fn call_within(&self, run: Option<Arc<HostRun>>, args: &[HostValue]) -> tallow_layers::Result<HostValue> {
        let (number, call) = (self.number, self.home.call);
        if thread::current().id() == self.home.id {
            let within = run.map_or(Within::Same, |run| Within::Run(Some(run)));
            return Ok(call(&Env::from_raw(self.home.raw_env()), number, args.to_vec(), within)?);
        }
        // Recording is a matter of the calling thread; the JavaScript thread must not record what this one would not.
        let args: Vec<HostValue> = args.iter().map(|a| if is_recording() { a.clone() } else { detached(a) }).collect();
        // What the JavaScript thread was doing when it was asked is no part of this call.
        Ok(self.home.ask(move |env| call(env, number, args, Within::Run(run)))?)
    }
}

impl HostFn for JsFunction {
    fn call(&self, args: &[HostValue]) -> tallow_layers::Result<HostValue> {
        self.call_within(None, args)
    }
    fn call_in(&self, run: &Arc<HostRun>, args: &[HostValue]) -> tallow_layers::Result<HostValue> {
        self.call_within(Some(run.clone()), args)
    }
    fn arity(&self) -> usize {
        self.arity
    }
}

fn detached(value: &HostValue) -> HostValue {
    match value {
        HostValue::Tensor(t) => HostValue::Tensor(t.detach()),
        HostValue::List(items) => HostValue::List(items.iter().map(detached).collect()),
        HostValue::Record(fields) => {
            HostValue::Record(fields.iter().map(|(key, value)| (key.clone(), detached(value))).collect())
        }
        other => other.clone(),
    }
}

impl fmt::Debug for JsFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsFunction({})", self.arity)
    }
}
