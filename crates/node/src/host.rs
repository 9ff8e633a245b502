//! JavaScript functions as the core calls them: straight through on their own thread, by message from any other.
use crate::{
    environment::{find, Environment},
    error::HostException,
    wire::{Arguments, Owned},
};
use napi::{
    bindgen_prelude::*,
    sys,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
    Env, Status,
};
use std::{
    fmt,
    rc::Rc,
    sync::{
        mpsc::{sync_channel, RecvTimeoutError},
        Arc,
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tallow_layers::{HostFn, HostValue};
use tallow_tensor::{
    cancel::{self, Token},
    is_recording, Error as TensorError, ErrorKind,
};

/// How often a thread that waits for JavaScript looks whether it still should.
const PATIENCE: Duration = Duration::from_millis(20);

/// Work for the JavaScript thread.
type Task = Box<dyn FnOnce(&Env) + Send>;
/// Carries work to the JavaScript thread; does not keep the process alive.
type Mailbox = ThreadsafeFunction<Task, Unknown<'static>, (), Status, false, true>;
/// The reference to a function.
pub(crate) type Callback = FunctionRef<Arguments, Owned>;

/// The JavaScript thread of an environment, as other threads see it.
pub(crate) struct JsThread {
    id: ThreadId,
    env: usize,
    mailbox: Mailbox,
    closing: Token,
}

impl JsThread {
    /// The calling thread. `idle` is any JavaScript function: the mailbox needs one to call after each message.
    pub(crate) fn new(env: &Env, idle: &Function<(), Unknown<'static>>, closing: Token) -> Result<Self> {
        let mailbox =
            idle.build_threadsafe_function::<Task>().weak::<true>().callee_handled::<false>().build_callback(
                |message| {
                    (message.value)(&message.env);
                    Ok(())
                },
            )?;
        Ok(Self { id: thread::current().id(), env: env.raw() as usize, mailbox, closing })
    }

    fn raw_env(&self) -> sys::napi_env {
        self.env as sys::napi_env
    }

    /// Runs `task` on the JavaScript thread and waits for it, unless the environment ends or the running job is cancelled.
    fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Env) -> tallow_tensor::Result<T> + Send + 'static,
    ) -> tallow_tensor::Result<T> {
        let (answer, answers) = sync_channel(1);
        let task: Task = Box::new(move |env| drop(answer.send(task(env))));
        let gone = || TensorError::new(ErrorKind::Aborted, "the JavaScript environment has ended");
        if self.mailbox.call(task, ThreadsafeFunctionCallMode::NonBlocking) != Status::Ok {
            return Err(gone());
        }
        loop {
            match answers.recv_timeout(PATIENCE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                // At the end of an environment a message may be dropped without a word, so waiting alone would never end.
                Err(RecvTimeoutError::Timeout) if self.closing.is_cancelled() => return Err(gone()),
                Err(RecvTimeoutError::Timeout) => cancel::check()?,
            }
        }
    }
}

/// A JavaScript function, callable from any thread.
pub(crate) struct JsFunction {
    callback: Arc<Callback>,
    arity: usize,
    home: Arc<JsThread>,
}

impl JsFunction {
    pub(crate) fn new(callback: Callback, arity: usize, environment: &Environment) -> Self {
        Self { callback: Arc::new(callback), arity, home: environment.js_thread.clone() }
    }
}

fn call_here(env: &Env, callback: &Callback, arguments: Vec<HostValue>) -> tallow_tensor::Result<HostValue> {
    // A scope of its own, so that a long run of calls within one export does not pile up handles.
    let result = env.run_in_scope(|| Ok(callback.borrow_back(env).and_then(|f| f.call(Arguments(arguments)))));
    match result.and_then(|r| r) {
        Ok(Owned(value)) => Ok(value),
        Err(thrown) => Err(HostException::wrap(thrown)),
    }
}

impl HostFn for JsFunction {
    fn call(&self, args: &[HostValue]) -> tallow_layers::Result<HostValue> {
        if thread::current().id() == self.home.id {
            let env = self.home.raw_env();
            let alive: Option<Rc<Environment>> = find(env);
            alive.ok_or_else(|| TensorError::new(ErrorKind::Aborted, "the JavaScript environment has ended"))?;
            return Ok(call_here(&Env::from_raw(env), &self.callback, args.to_vec())?);
        }
        // Recording is a matter of the calling thread; the JavaScript thread must not record what this one would not.
        let args: Vec<HostValue> = args.iter().map(|a| if is_recording() { a.clone() } else { detached(a) }).collect();
        let callback = self.callback.clone();
        Ok(self.home.ask(move |env| call_here(env, &callback, args))?)
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
