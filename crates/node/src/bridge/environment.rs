//! What the addon keeps for each JavaScript environment (the main thread, a worker, an Electron window): the tensors behind its handles.
//!
//! It ends with the environment, through a cleanup hook, so reloading a window or stopping a worker frees everything.
use crate::bridge::{
    args::{Arg, Size},
    error::{pending, Failure, Outcome},
    host::{call_js, Dispatch, JsThread},
    order::Order,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    panic::{catch_unwind, AssertUnwindSafe},
    rc::Rc,
    sync::{Arc, Mutex, Once, PoisonError},
};
use tallow_layers::{depth, with_room, Account, LayerId, LayerRef};
use tallow_tensor::{cancel::Token, Tensor};

/// External bytes that V8 is told about at once; telling it costs more than a small operation.
const REPORT_BYTES: i64 = 64 << 10;

/// Makes the JavaScript error for a code, a message, and details as JSON.
type ErrorFactory = FunctionRef<FnArgs<(String, String, Option<String>)>, Unknown<'static>>;
/// A table by id.
type Table<T> = RefCell<HashMap<u64, T, BuildHasherDefault<IdHasher>>>;

/// The addon's state of one JavaScript environment.
pub(crate) struct Environment {
    tensors: Table<Tensor>,
    /// Layers with the number of handles each has; a layer met again gets the handle it has.
    layers: Table<(LayerRef, usize)>,
    layer_ids: RefCell<HashMap<usize, u64>>,
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

/// Spreads consecutive ids over the table.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(self.0 ^ u64::from(b));
        }
    }
    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

thread_local! {
    /// The environments that live on this thread, by the address of their `napi_env`; nearly always one.
    static ENVIRONMENTS: RefCell<Vec<(usize, Rc<Environment>)>> = const { RefCell::new(Vec::new()) };
}

/// Called once by `native.ts`: starts this environment's tables. `make_error` builds the exceptions to throw; `idle` does nothing; `call`
/// calls a function by the number that JavaScript gave it.
#[napi(
    ts_args_type = "makeError: (code: string, message: string, details: string | null) => Error, idle: () => void, call?: (number: number, args: unknown[]) => unknown"
)]
pub fn connect(
    env: Env,
    make_error: ErrorFactory,
    idle: Function<(), Unknown<'static>>,
    call: Option<Dispatch>,
) -> Result<()> {
    static ALLOCATOR: Once = Once::new();
    ALLOCATOR.call_once(crate::allocator::keep_freed_memory);
    let key = env.raw() as usize;
    let closing = Token::default();
    let environment = Environment {
        tensors: RefCell::default(),
        layers: RefCell::default(),
        layer_ids: RefCell::default(),
        cancels: RefCell::default(),
        next_id: Cell::new(1),
        unreported_bytes: Cell::new(0),
        account: Arc::default(),
        levels: Cell::new(0),
        read_levels: Cell::new(0),
        made_from: Cell::new(LayerId(u64::MAX)),
        error_factory: make_error,
        dispatch: call,
        released: Arc::default(),
        order: Order::default(),
        closing: closing.clone(),
        js_thread: Arc::new(JsThread::new(&env, &idle, closing)?),
    };
    ENVIRONMENTS.with(|all| {
        let mut all = all.borrow_mut();
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

    /// The layer behind a handle.
    pub(crate) fn layer(&self, id: f64) -> Outcome<LayerRef> {
        self.layers.borrow().get(&(id as u64)).map(|(layer, _)| layer.clone()).ok_or(Failure::DisposedLayer)
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
    fn release_layer(&self, env: &Env, id: f64) {
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
    fn forget_layer(&self, env: &Env, id: f64) {
        let Some((layer, _)) = self.layers.borrow_mut().remove(&(id as u64)) else { return };
        self.layer_ids.borrow_mut().remove(&(Arc::as_ptr(&layer).cast::<()>() as usize));
        with_room(depth(&layer), || drop(layer));
        self.report(env, 0);
    }

    /// Whether nothing but its handle holds a layer: no other layer, no job, no graph of autodiff.
    fn is_at_rest(&self, id: f64) -> bool {
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

    /// What tells JavaScript, when it is gone, that `number` need not be kept any more.
    pub(crate) fn guard(&self, number: f64) -> Arc<Guard> {
        Arc::new(Guard { number, released: self.released.clone() })
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

    /// Builds the JavaScript error for `code`, `message` and `details` as JSON.
    pub(crate) fn make_error(&self, env: &Env, code: &str, message: String, details: Option<String>) -> Result<Error> {
        let made = call_js(env, &self.error_factory, (code.to_owned(), message, details).into())?;
        // SAFETY: a value of this environment, which JavaScript just returned.
        let made = unsafe { Unknown::from_raw_unchecked(env.raw(), made) };
        Ok(Error::from_unknown_without_coercion(made))
    }

    /// Makes `failure` the pending exception.
    pub(crate) fn throw(&self, env: &Env, failure: Failure) -> Error {
        match env.throw(failure.into_js(env, self)) {
            Ok(()) => pending(),
            Err(e) => e,
        }
    }
}

/// Bytes a handle is charged with: its own values, not the whole storage that a view shares, nor what a view repeats.
fn handle_bytes(tensor: &Tensor) -> i64 {
    tensor.size().saturating_mul(tensor.dtype().size()).min(tensor.storage_bytes()) as i64
}

/// While it lives, JavaScript keeps what it gave a number to.
pub(crate) struct Guard {
    number: f64,
    released: Arc<Mutex<Vec<f64>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// The numbers of what JavaScript need not keep any more, each once.
#[napi]
pub fn released(env: Env) -> Result<Vec<f64>> {
    run(&env, |e| Ok(std::mem::take(&mut *e.released.lock().unwrap_or_else(PoisonError::into_inner))))
}

/// Gives one handle of a layer back.
#[napi]
pub fn release_layer(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.release_layer(&env, id);
        Ok(())
    })
}

/// Ends all handles of a layer.
#[napi]
pub fn dispose_layer(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        e.forget_layer(&env, id);
        Ok(())
    })
}

/// Ends the handles of those of these layers that nothing else holds: no other layer, no job, no graph of autodiff. Gives these.
#[napi]
pub fn dispose_layers_at_rest(env: Env, ids: Vec<f64>) -> Result<Vec<f64>> {
    run(&env, |e| {
        let (mut rest, mut ended) = (ids, Vec::new());
        loop {
            let before = ended.len();
            // A layer that runs others lets go of them, so that they may be next, in this round or in another one.
            rest.retain(|&id| {
                let at_rest = e.is_at_rest(id);
                if at_rest {
                    e.forget_layer(&env, id);
                    ended.push(id);
                }
                !at_rest
            });
            if ended.len() == before {
                return Ok(ended);
            }
        }
    })
}

/// Gives handles back; dead ones are passed over.
#[napi]
pub fn release(env: Env, ids: Vec<f64>) -> Result<()> {
    run(&env, |e| {
        ids.iter().for_each(|&id| drop(e.take(&env, id)));
        Ok(())
    })
}

/// Gives one handle back; a dead one is passed over.
#[napi]
pub fn release_one(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        drop(e.take(&env, id));
        Ok(())
    })
}

/// Another handle of the same tensor.
#[napi]
pub fn retain(env: Env, id: f64) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, e.tensor(id)?)))
}

/// `[tensor handles of this environment, storages, bytes, peak bytes, layer handles of this environment]`, the three in the middle of the
/// whole process.
#[napi]
pub fn memory(env: Env) -> Result<Vec<f64>> {
    run(&env, |e| {
        let used = tallow_tensor::memory();
        let handles = [e.tensors.borrow().len(), e.layers.borrow().len()];
        let counts = [handles[0], used.storages, used.bytes, used.peak_bytes, handles[1]];
        Ok(counts.map(|n| n as f64).to_vec())
    })
}

/// Starts a new measurement of the peak.
#[napi]
pub fn reset_peak_memory(env: Env) -> Result<()> {
    run(&env, |_| {
        tallow_tensor::reset_peak();
        Ok(())
    })
}

/// The most bytes that tensors may take.
#[napi]
pub fn memory_limit(env: Env) -> Result<f64> {
    run(&env, |_| Ok(tallow_tensor::memory_limit() as f64))
}

/// Sets the most bytes that tensors may take; `null`: the machine's memory.
#[napi]
pub fn set_memory_limit(env: Env, bytes: Arg<Option<Size>>) -> Result<()> {
    run(&env, |_| Ok(tallow_tensor::set_memory_limit(bytes.named("setMemoryLimit: bytes")?.map(|n| n.0))?))
}

/// The number of threads that kernels use.
#[napi]
pub fn num_threads(env: Env) -> Result<f64> {
    run(&env, |_| Ok(tallow_tensor::threads::num_threads() as f64))
}

/// Sets the number of threads that kernels use.
#[napi]
pub fn set_num_threads(env: Env, n: Arg<Size>) -> Result<()> {
    run(&env, |_| Ok(tallow_tensor::threads::set_num_threads(n.named("setNumThreads: n")?.0)?))
}

#[cfg(test)]
mod tests {
    use super::IdHasher;
    use std::{collections::HashSet, hash::Hasher};

    #[test]
    fn consecutive_ids_hash_apart() {
        let hash = |id| {
            let mut h = IdHasher::default();
            h.write_u64(id);
            h.finish()
        };
        let tags: HashSet<u64> = (1..=1000).map(|id| hash(id) >> 57).collect();
        assert_eq!(tags.len(), 128, "the table tells entries apart by the top seven bits");
    }
}
