//! Nested values between the languages, in one form: options, arguments, weights, state, progress and reports.
//!
//! Null, booleans, numbers, strings, lists and records are JavaScript's own. All else is an object whose first key begins with `$`:
//! `{$tensor: id}`, `{$layer: id}`, `{$cached: true}`, and as options `{$fn: number, arity}`, `{$factory: kind, options}`,
//! `{$initializer: kind, options}`. `wire.ts` has the other side.
use super::{
    environment::{find, Environment},
    error::{Failure, Outcome},
    host::JsFunction,
};
use napi::{bindgen_prelude::*, sys, Env, JsValue, ValueType};
use std::sync::Arc;
use tallow_layers::{deep, depth, registry, HostValue};

/// A nested value that JavaScript lends or gets: its handles stay JavaScript's.
pub struct Wire(pub HostValue);

/// A nested value that JavaScript hands over: its tensor handles end here.
pub struct Owned(pub HostValue);

/// The positional arguments of a host function; arrive as one array.
pub struct Arguments(pub Vec<HostValue>);

/// How deep values from JavaScript may nest, or as deep as layers do. Whoever takes them walks them on the stack.
const DEEPEST_VALUE: usize = 1000;

fn read(env: &Env, e: &Environment, value: Unknown, owned: bool, level: usize) -> Outcome<HostValue> {
    let most = DEEPEST_VALUE.max(e.levels() + 16);
    if level > most {
        return Err(Failure::Type(format!(
            "expected tensors, numbers, arrays or objects nested at most {most} levels deep"
        )));
    }
    deep(|| read_here(env, e, value, owned, level))
}

fn read_here(env: &Env, e: &Environment, value: Unknown, owned: bool, level: usize) -> Outcome<HostValue> {
    e.note_levels(level);
    Ok(match value.get_type()? {
        ValueType::Null | ValueType::Undefined => HostValue::Null,
        // SAFETY: the type was checked just above, for this and the next three casts.
        ValueType::Boolean => HostValue::Bool(unsafe { value.cast()? }),
        // SAFETY: as above.
        ValueType::Number => HostValue::Number(unsafe { value.cast()? }),
        // SAFETY: as above.
        ValueType::String => HostValue::Text(unsafe { value.cast()? }),
        ValueType::Object if value.is_array()? => {
            // SAFETY: an object, as checked above.
            let list: Array = unsafe { value.cast()? };
            let items = (0..list.len()).map(|i| match list.get::<Unknown>(i)? {
                Some(item) => read(env, e, item, owned, level + 1),
                None => Ok(HostValue::Null),
            });
            HostValue::List(items.collect::<Outcome<_>>()?)
        }
        // SAFETY: an object, as checked above.
        ValueType::Object => read_object(env, e, &unsafe { value.cast()? }, owned, level)?,
        other => return Err(Failure::Type(format!("expected tensors, numbers, arrays or objects, got {other}"))),
    })
}

fn read_object(env: &Env, e: &Environment, object: &Object, owned: bool, level: usize) -> Outcome<HostValue> {
    let keys = Object::keys(object)?;
    if let Some(tag) = keys.first().filter(|key| key.starts_with('$')) {
        return read_tagged(env, e, object, tag, owned, level);
    }
    let fields = keys.into_iter().map(|key| {
        let value = object.get::<Unknown>(&key)?;
        Ok((key, value.map_or(Ok(HostValue::Null), |v| read(env, e, v, owned, level + 1))?))
    });
    Ok(HostValue::Record(fields.collect::<Outcome<_>>()?))
}

fn read_tagged(
    env: &Env,
    e: &Environment,
    object: &Object,
    tag: &str,
    owned: bool,
    level: usize,
) -> Outcome<HostValue> {
    let wrong = || Failure::Internal(format!("a value cannot be read: {tag}"));
    let number = |key: &str| object.get::<f64>(key)?.ok_or_else(wrong);
    let kind = || object.get::<String>(tag)?.ok_or_else(wrong);
    let options = || match object.get::<Unknown>("options")? {
        Some(options) => read(env, e, options, owned, level + 1),
        None => Ok(HostValue::Record(Vec::new())),
    };
    Ok(match tag {
        "$tensor" if owned => HostValue::Tensor(e.take(env, number(tag)?).ok_or(Failure::Disposed)?),
        "$tensor" => HostValue::Tensor(e.tensor(number(tag)?)?),
        "$layer" => {
            let layer = e.layer(number(tag)?)?;
            e.note_levels(level + depth(&layer));
            HostValue::Layer(layer)
        }
        "$cached" => HostValue::Cached,
        "$fn" => {
            let (number, arity) = (number(tag)?, number("arity")?);
            HostValue::Function(Arc::new(JsFunction::new(number, arity as usize, e.js_thread.clone())))
        }
        "$factory" => registry::kind(&kind()?, options()?),
        "$initializer" => HostValue::Initializer(registry::initializer(&kind()?, options()?)),
        _ => return Err(wrong()),
    })
}

/// Ends the tensor handles in a value that was handed over, but cannot be read as a whole.
fn discard(env: &Env, e: &Environment, value: Unknown, level: usize) {
    if level > DEEPEST_VALUE || !matches!(value.get_type(), Ok(ValueType::Object)) {
        return;
    }
    // SAFETY: an object, as checked above.
    let Ok(object) = (unsafe { value.cast::<Object>() }) else { return };
    if let Ok(Some(id)) = object.get::<f64>("$tensor") {
        drop(e.take(env, id));
        return;
    }
    for key in Object::keys(&object).unwrap_or_default() {
        if let Ok(Some(inner)) = object.get::<Unknown>(&key) {
            deep(|| discard(env, e, inner, level + 1));
        }
    }
}

fn write(env: &Env, e: &Environment, value: HostValue) -> Result<sys::napi_value> {
    deep(|| write_here(env, e, value))
}

fn write_here(env: &Env, e: &Environment, value: HostValue) -> Result<sys::napi_value> {
    let raw = env.raw();
    // SAFETY: `raw` is the live environment of this call, here and in the conversions below.
    unsafe {
        match value {
            HostValue::Null => ToNapiValue::to_napi_value(raw, Null),
            HostValue::Bool(b) => ToNapiValue::to_napi_value(raw, b),
            HostValue::Number(n) => ToNapiValue::to_napi_value(raw, n),
            HostValue::Text(s) => ToNapiValue::to_napi_value(raw, s),
            HostValue::Tensor(t) => tagged(env, "$tensor", e.insert(env, t)),
            HostValue::Layer(l) => tagged(env, "$layer", e.insert_layer(l)),
            HostValue::Cached => tagged(env, "$cached", true),
            HostValue::List(items) => {
                let mut list = env.create_array(items.len() as u32)?;
                for (i, item) in items.into_iter().enumerate() {
                    let item = write(env, e, item)?;
                    list.set(i as u32, Unknown::from_raw_unchecked(raw, item))?;
                }
                Ok(list.raw())
            }
            HostValue::Record(fields) => {
                let mut object = Object::new(env)?;
                for (key, value) in fields {
                    let value = write(env, e, value)?;
                    object.set(&key, Unknown::from_raw_unchecked(raw, value))?;
                }
                Ok(object.raw())
            }
            // What JavaScript gave as an option; nothing gives it back.
            HostValue::Function(_) | HostValue::Kind(_) | HostValue::Initializer(_) => {
                Err(Error::from_reason(format!("{} cannot be handed back to JavaScript", value.what())))
            }
        }
    }
}

fn tagged(env: &Env, tag: &str, value: impl ToNapiValue) -> Result<sys::napi_value> {
    let mut object = Object::new(env)?;
    object.set(tag, value)?;
    Ok(object.raw())
}

fn connected(env: sys::napi_env) -> Result<std::rc::Rc<Environment>> {
    find(env).ok_or_else(|| Error::from_reason("tallow is not loaded in this environment"))
}

fn from_js(env: sys::napi_env, value: sys::napi_value, owned: bool) -> Result<HostValue> {
    let environment = connected(env)?;
    let env = Env::from_raw(env);
    // SAFETY: called only from `from_napi_value`, whose caller vouches for `env` and `value`.
    let value = unsafe { Unknown::from_raw_unchecked(env.raw(), value) };
    read(&env, &environment, value, owned, 0).map_err(|failure| {
        if owned {
            discard(&env, &environment, value, 0);
        }
        environment.exception(&env, failure)
    })
}

impl FromNapiValue for Wire {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        from_js(env, value, false).map(Wire)
    }
}

impl FromNapiValue for Owned {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        from_js(env, value, true).map(Owned)
    }
}

impl ToNapiValue for Wire {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        write(&Env::from_raw(env), &*connected(env)?, value.0)
    }
}

impl ToNapiValue for Arguments {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        write(&Env::from_raw(env), &*connected(env)?, HostValue::List(value.0))
    }
}
