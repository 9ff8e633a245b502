//! Calls of JavaScript functions that the addon holds.
use napi::{bindgen_prelude::*, sys, Env, Status};
use std::ptr;

/// Calls a JavaScript function; what it throws comes back as it is. napi's own call makes a text of it first, which runs JavaScript again:
/// where that throws too, as at the end of the stack, it never returns.
pub(crate) fn call_js<A: JsValuesTupleIntoVec, R>(
    env: &Env,
    f: &FunctionRef<A, R>,
    arguments: impl JsValuesTupleIntoVec,
) -> Result<sys::napi_value> {
    let f = f.borrow_back(env)?;
    let raw = env.raw();
    let arguments = arguments.into_vec(raw)?;
    let (mut this, mut result, mut thrown) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: `raw` is the live environment of this thread, whose values `f` and `arguments` are; the outputs outlive the calls.
    unsafe {
        let f = ToNapiValue::to_napi_value(raw, f)?;
        sys::napi_get_undefined(raw, &mut this);
        let status = sys::napi_call_function(raw, this, f, arguments.len(), arguments.as_ptr(), &mut result);
        if status == sys::Status::napi_ok {
            return Ok(result);
        }
        if sys::napi_get_and_clear_last_exception(raw, &mut thrown) != sys::Status::napi_ok {
            return Err(Error::new(Status::from(status), "a JavaScript function cannot be called"));
        }
        Err(Error::from_unknown_without_coercion(Unknown::from_raw_unchecked(raw, thrown)))
    }
}
