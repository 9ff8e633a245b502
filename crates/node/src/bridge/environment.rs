//! What the addon keeps for each JavaScript environment (the main thread, a worker, an Electron window): the tensors behind its handles.
//!
//! It ends with the environment, through a cleanup hook, so reloading a window or stopping a worker frees everything.
use super::{
    call::call_js,
    error::{pending, ErrorDetails, Failure, Outcome},
    host::{CallHere, JsThread},
    lock::lock,
    order::Order,
    shared::Share,
};
use napi::{bindgen_prelude::*, Env};
use rustc_hash::FxHashMap;
use std::{
    cell::{Cell, RefCell},
    collections::hash_map::Entry,
    panic::{catch_unwind, AssertUnwindSafe},
    rc::Rc,
    sync::{Arc, Mutex, Once},
};
use tallow_layers::{depth, with_room, Account, HostRun, LayerId, LayerRef};
use tallow_tensor::{cancel::Token, Tensor};

/// External bytes that V8 is told about at once; telling it costs more than a small operation.
const REPORT_BYTES: i64 = 64 << 10;

/// Makes the JavaScript error for a code, a message, and where it happened.
pub(crate) type ErrorFactory = FunctionRef<FnArgs<(&'static str, String, Option<ErrorDetails>)>, Unknown<'static>>;
/// Adds the names of the layers around, outermost first, to the path of an error that JavaScript threw; gives anything else as it is.
pub(crate) type ErrorPlacer = FunctionRef<FnArgs<(Error, Vec<String>)>, Unknown<'static>>;
/// Calls a JavaScript function by its number.
pub(crate) type Dispatch = FunctionRef<FnArgs<(f64, Unknown<'static>)>, Unknown<'static>>;
/// A table by id.
type Table<T> = RefCell<FxHashMap<u64, T>>;

/// The addon's state of one JavaScript environment.
pub(crate) struct Environment {
    tensors: Table<Tensor>,
    /// Layers with the number of handles each has; a layer met again gets the handle it has.
    layers: Table<(LayerRef, usize)>,
    layer_ids: RefCell<FxHashMap<usize, u64>>,
    /// Layers that other threads may make, by their handles.
    shares: Table<Share>,
    cancels: Table<Token>,
    /// Ids are never used twice, so a stale handle can only be refused, never mistaken for another tensor.
    next_id: Cell<u64>,
    unreported_bytes: Cell<i64>,
    /// Bytes that the weights and state of its layers take.
    pub(crate) account: Arc<Account>,
    /// The most levels that a layer had, and the most that a value had since it was last asked.
    levels: Cell<usize>,
    read_levels: Cell<usize>,
    /// The first identity that the last construction may have given.
    pub(crate) made_from: Cell<LayerId>,
    error_factory: ErrorFactory,
    error_placer: Option<ErrorPlacer>,
    /// Calls of classes whose methods are running, the innermost last; `None` where something else was begun within one.
    runs: RefCell<Vec<Option<Arc<HostRun>>>>,
    /// Calls a JavaScript function by its number.
    pub(crate) dispatch: Option<Dispatch>,
    /// What JavaScript need not keep any more.
    released: Arc<Mutex<Vec<f64>>>,
    /// Calls on the compute thread, in the order they were asked for.
    pub(crate) order: Order,
    /// Cancelled when the environment ends; work on other threads must not wait for its JavaScript any more.
    closing: Token,
    /// This environment's thread, as other threads see it.
    pub(crate) js_thread: Arc<JsThread>,
}

thread_local! {
    /// The environments that live on this thread, by the address of their `napi_env`; nearly always one.
    static ENVIRONMENTS: RefCell<Vec<(usize, Rc<Environment>)>> = const { RefCell::new(Vec::new()) };
}

/// What an environment is connected by.
pub(crate) struct Connection<'a> {
    /// Builds the exceptions to throw.
    pub make_error: ErrorFactory,
    /// Tells errors that JavaScript threw which layers they came through.
    pub place_error: Option<ErrorPlacer>,
    /// Any function, for the mailbox of the JavaScript thread.
    pub idle: &'a Function<'a, (), Unknown<'static>>,
    /// Calls a function by the number that JavaScript gave it.
    pub dispatch: Option<Dispatch>,
    /// How a function is called on its own thread.
    pub call: CallHere,
}

/// Starts the tables of `env`, which end with it.
pub(crate) fn connect(env: &Env, with: Connection) -> Result<()> {
    static ALLOCATOR: Once = Once::new();
    ALLOCATOR.call_once(crate::allocator::keep_freed_memory);
    let key = env.raw() as usize;
    let closing = Token::default();
    let js_thread = Arc::new(JsThread::new(env, with.idle, closing.clone(), with.call)?);
    let environment = Environment {
        tensors: RefCell::default(),
        layers: RefCell::default(),
        layer_ids: RefCell::default(),
        shares: RefCell::default(),
        cancels: RefCell::default(),
        next_id: Cell::new(1),
        unreported_bytes: Cell::new(0),
        account: Arc::default(),
        levels: Cell::new(0),
        read_levels: Cell::new(0),
        made_from: Cell::new(LayerId(u64::MAX)),
        error_factory: with.make_error,
        error_placer: with.place_error,
        runs: RefCell::default(),
        dispatch: with.dispatch,
        released: Arc::default(),
        order: Order::new(js_thread.inbox.clone()),
        closing,
        js_thread,
    };
    ENVIRONMENTS.with(|all| {
        let mut all = all.borrow_mut();
        all.iter().filter(|(k, _)| *k == key).for_each(|(_, before)| before.js_thread.close());
        all.retain(|(k, _)| *k != key);
        all.push((key, Rc::new(environment)));
    });
    env.add_env_cleanup_hook(key, |key| {
        let found = ENVIRONMENTS.with(|all| {
            let mut all = all.borrow_mut();
            let at = all.iter().position(|(k, _)| *k == key)?;
            Some(all.swap_remove(at).1)
        });
        if let Some(environment) = found {
            environment.closing.cancel();
            // Node frees what it is made of after this hook, since hooks run from the last to the first.
            environment.js_thread.close();
            with_room(environment.levels.get(), || drop(environment));
        }
    })?;
    Ok(())
}

/// The state of `env`, if it is connected and belongs to this thread.
pub(crate) fn find(env: napi::sys::napi_env) -> Option<Rc<Environment>> {
    let key = env as usize;
    ENVIRONMENTS.with(|all| all.borrow().iter().find(|(k, _)| *k == key).map(|(_, e)| e.clone()))
}

/// Runs the body of an export: errors and panics become pending JavaScript exceptions.
pub(crate) fn run<T>(env: &Env, body: impl FnOnce(&Environment) -> Outcome<T>) -> Result<T> {
    let environment = find(env.raw()).ok_or_else(|| Error::from_reason("tallow is not loaded in this environment"))?;
    match catch_unwind(AssertUnwindSafe(|| body(&environment))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(environment.throw(env, failure)),
        Err(panic) => Err(environment.throw(env, Failure::from_panic(panic))),
    }
}

impl Environment {
    /// The tensor behind a handle.
    pub(crate) fn tensor(&self, id: f64) -> Outcome<Tensor> {
        self.tensors.borrow().get(&(id as u64)).cloned().ok_or(Failure::Disposed)
    }

    /// The tensors behind handles.
    pub(crate) fn tensors(&self, ids: &[f64]) -> Outcome<Vec<Tensor>> {
        ids.iter().map(|&id| self.tensor(id)).collect()
    }

    /// A new handle for `tensor`.
    pub(crate) fn insert(&self, env: &Env, tensor: Tensor) -> f64 {
        let id = self.fresh_id();
        self.report(env, handle_bytes(&tensor));
        self.tensors.borrow_mut().insert(id, tensor);
        id as f64
    }

    fn fresh_id(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    /// The layer behind a handle. In a method of a class, what the handle means there.
    pub(crate) fn layer(&self, id: f64) -> Outcome<LayerRef> {
        let found = self.layers.borrow().get(&(id as u64)).map(|(layer, _)| layer.clone());
        let layer = found.ok_or(Failure::DisposedLayer)?;
        Ok(match self.runs.borrow().last() {
            Some(Some(run)) => run.resolve(layer),
            _ => layer,
        })
    }

    /// The call of a class whose method is running, if `layer` runs layers of its fields.
    pub(crate) fn run_of(&self, layer: &LayerRef) -> Option<Arc<HostRun>> {
        let run = self.runs.borrow().last()?.clone()?;
        run.concerns(layer).then_some(run)
    }

    /// Begins to run a method of a class, or something else; that ends when the result is dropped.
    pub(crate) fn enter(self: &Rc<Self>, run: Option<Arc<HostRun>>) -> Running {
        self.runs.borrow_mut().push(run);
        Running(self.clone())
    }

    /// A handle for `layer`: the one it has, or a new one.
    pub(crate) fn insert_layer(&self, layer: LayerRef) -> f64 {
        self.levels.set(self.levels.get().max(depth(&layer)));
        let address = Arc::as_ptr(&layer).cast::<()>() as usize;
        let id = *self.layer_ids.borrow_mut().entry(address).or_insert_with(|| self.fresh_id());
        self.layers.borrow_mut().entry(id).or_insert((layer, 0)).1 += 1;
        id as f64
    }

    /// Gives back one handle of a layer.
    pub(crate) fn release_layer(&self, env: &Env, id: f64) {
        let last = match self.layers.borrow_mut().get_mut(&(id as u64)) {
            Some((_, handles)) => {
                *handles -= 1;
                *handles == 0
            }
            None => false,
        };
        if last {
            self.forget_layer(env, id);
        }
    }

    /// Forgets a layer, whatever handles it has: they are dead from then on.
    pub(crate) fn forget_layer(&self, env: &Env, id: f64) {
        let Some((layer, _)) = self.layers.borrow_mut().remove(&(id as u64)) else { return };
        self.layer_ids.borrow_mut().remove(&(Arc::as_ptr(&layer).cast::<()>() as usize));
        drop(layer);
        let share = self.shares.borrow_mut().remove(&(id as u64));
        drop(share);
        self.report(env, 0);
    }

    /// Lets other threads make layers of `made`, as long as the layer of this handle has handles: the number they ask by. A handle has one.
    pub(crate) fn share(&self, id: f64, made: LayerRef) -> u64 {
        match self.shares.borrow_mut().entry(id as u64) {
            Entry::Occupied(entry) => {
                entry.get().replace(made);
                entry.get().number
            }
            Entry::Vacant(entry) => entry.insert(Share::new(made)).number,
        }
    }

    /// Whether nothing but its handle holds a layer: no other layer, no job, no graph of autodiff.
    pub(crate) fn is_at_rest(&self, id: f64) -> bool {
        self.layers.borrow().get(&(id as u64)).is_some_and(|(layer, _)| Arc::strong_count(layer) == 1)
    }

    /// How deep a value from JavaScript may nest, by what the deepest layer's weights do.
    pub(crate) fn levels(&self) -> usize {
        self.levels.get()
    }

    /// Notes how deep a value from JavaScript nests.
    pub(crate) fn note_levels(&self, levels: usize) {
        self.read_levels.set(self.read_levels.get().max(levels));
    }

    /// Runs `body` where there is room for what `layer`, and the values that JavaScript gave with it, nest.
    pub(crate) fn with_room_for<T>(&self, layer: &LayerRef, body: impl FnOnce() -> T) -> T {
        with_room(depth(layer).max(self.read_levels.take()), body)
    }

    /// Runs `body` where there is room for what the values that JavaScript gave nest.
    pub(crate) fn with_room_for_values<T>(&self, body: impl FnOnce() -> T) -> T {
        with_room(self.read_levels.take(), body)
    }

    /// What tells JavaScript, when it is gone, that `number` need not be kept any more.
    pub(crate) fn guard(&self, number: f64) -> Arc<Guard> {
        Arc::new(Guard { number, released: self.released.clone() })
    }

    /// The numbers of what JavaScript need not keep any more, each once.
    pub(crate) fn released(&self) -> Vec<f64> {
        std::mem::take(&mut *lock(&self.released))
    }

    /// How many handles there are, of tensors and of layers.
    pub(crate) fn handles(&self) -> [usize; 2] {
        [self.tensors.borrow().len(), self.layers.borrow().len()]
    }

    /// A new flag to stop jobs with.
    pub(crate) fn insert_cancel(&self) -> f64 {
        let id = self.fresh_id();
        self.cancels.borrow_mut().insert(id, self.closing.below());
        id as f64
    }

    /// The flag behind an id, or one that only the end of the environment sets.
    pub(crate) fn cancel_of(&self, id: Option<f64>) -> Token {
        let found = id.and_then(|id| self.cancels.borrow().get(&(id as u64)).cloned());
        found.unwrap_or_else(|| self.closing.below())
    }

    /// Forgets a flag.
    pub(crate) fn remove_cancel(&self, id: f64) {
        self.cancels.borrow_mut().remove(&(id as u64));
    }

    /// New handles for `tensors`.
    pub(crate) fn insert_all(&self, env: &Env, tensors: Vec<Tensor>) -> Vec<f64> {
        tensors.into_iter().map(|t| self.insert(env, t)).collect()
    }

    /// Takes the tensor out of a handle, which is dead from then on.
    pub(crate) fn take(&self, env: &Env, id: f64) -> Option<Tensor> {
        let tensor = self.tensors.borrow_mut().remove(&(id as u64));
        if let Some(t) = &tensor {
            self.report(env, -handle_bytes(t));
        }
        tensor
    }

    /// Tells V8 how much memory its handles hold, so that it collects them in time; in batches.
    fn report(&self, env: &Env, bytes: i64) {
        let total = self.unreported_bytes.get() + bytes + self.account.take();
        let due = total.abs() >= REPORT_BYTES && env.adjust_external_memory(total).is_ok();
        self.unreported_bytes.set(if due { 0 } else { total });
    }

    /// The exception of `failure`, as an error that JavaScript gets verbatim when a promise is rejected with it.
    pub(crate) fn exception(&self, env: &Env, failure: Failure) -> Error {
        let error = |made: Result<_>| match made {
            Ok(made) => {
                // SAFETY: a value of this environment, which JavaScript just returned.
                let made = unsafe { Unknown::from_raw_unchecked(env.raw(), made) };
                Error::from_unknown_without_coercion(made)
            }
            Err(e) => e,
        };
        failure.exception(
            |code, message, details| error(call_js(env, &self.error_factory, FnArgs::from((code, message, details)))),
            |thrown, path| match &self.error_placer {
                Some(placer) => error(call_js(env, placer, FnArgs::from((thrown, path)))),
                None => thrown,
            },
        )
    }

    /// Makes `failure` the pending exception.
    pub(crate) fn throw(&self, env: &Env, failure: Failure) -> Error {
        match env.throw(self.exception(env, failure)) {
            Ok(()) => pending(),
            Err(e) => e,
        }
    }
}

/// Bytes a handle is charged with: its own values, not the whole storage that a view shares, nor what a view repeats.
fn handle_bytes(tensor: &Tensor) -> i64 {
    tensor.size().saturating_mul(tensor.dtype().size()).min(tensor.storage_bytes()) as i64
}

/// While it lives, a method of a class runs.
pub(crate) struct Running(Rc<Environment>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.runs.borrow_mut().pop();
    }
}

/// While it lives, JavaScript keeps what it gave a number to.
pub(crate) struct Guard {
    number: f64,
    released: Arc<Mutex<Vec<f64>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.released).push(self.number);
    }
}
