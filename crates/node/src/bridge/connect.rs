//! The start of an environment, and calls of its functions on their own thread.
use super::{
    call::call_js,
    environment::{self, find, Connection, Dispatch, ErrorFactory, ErrorPlacer},
    error::HostException,
    host::{ended, Within},
    wire::{Arguments, Owned},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::HostValue;
use tallow_tensor::{Error as TensorError, ErrorKind};

/// Called once by `native.ts`: starts this environment's tables. `make_error` builds the exceptions to throw; `idle` does nothing; `call`
/// calls a function by the number that JavaScript gave it; `place_error` tells an error that a function threw which layers were running it.
#[napi(
    ts_args_type = "makeError: (code: string, message: string, details: ErrorDetails | null) => Error, idle: () => void, call?: (number: number, args: unknown[]) => unknown, placeError?: (thrown: unknown, path: string[]) => unknown"
)]
pub fn connect(
    env: Env,
    make_error: ErrorFactory,
    idle: Function<(), Unknown<'static>>,
    call: Option<Dispatch>,
    place_error: Option<ErrorPlacer>,
) -> Result<()> {
    environment::connect(&env, Connection { make_error, place_error, idle: &idle, dispatch: call, call: call_here })
}

fn call_here(env: &Env, number: f64, arguments: Vec<HostValue>, within: Within) -> tallow_tensor::Result<HostValue> {
    let environment = find(env.raw()).ok_or_else(ended)?;
    let _run = match within {
        Within::Same => None,
        Within::Run(run) => Some(environment.enter(run)),
    };
    let none = || TensorError::new(ErrorKind::Internal, "functions cannot be called here");
    let dispatch = environment.dispatch.as_ref().ok_or_else(none)?;
    let call = || {
        let result = call_js(env, dispatch, FnArgs::from((number, Arguments(arguments))))?;
        // SAFETY: `result` is a value of this environment, in the scope that is open.
        unsafe { Owned::from_napi_value(env.raw(), result) }
    };
    // A scope of its own, so that a long run of calls within one export does not pile up handles.
    match env.run_in_scope(|| Ok(call())).and_then(|r| r) {
        Ok(Owned(value)) => Ok(value),
        Err(thrown) => Err(HostException::wrap(thrown)),
    }
}
