//! What construction happens in: the layers, functions and tensors that options refer to by number.
//!
//! JSON carries no layers, functions or tensors; it carries `{"$layer": 0}`, `{"$fn": 1}`, `{"$tensor": 2}`, numbers in the
//! lists that travel beside it. The lists are kept for the duration of one construction on this thread.
use crate::{HostFnRef, HostValue, LayerRef};
use serde_json::Value;
use std::cell::RefCell;
use tallow_tensor::{random::Key, DType, Tensor};

/// What options refer to by number.
#[derive(Debug, Default, Clone)]
pub struct References {
    /// `{"$layer": i}`.
    pub layers: Vec<LayerRef>,
    /// `{"$fn": i}`.
    pub functions: Vec<HostFnRef>,
    /// `{"$tensor": i}`.
    pub tensors: Vec<Tensor>,
}

thread_local!(static STACK: RefCell<Vec<References>> = const { RefCell::new(Vec::new()) });

/// Runs `f` with these references in scope.
pub fn with_references<R>(references: References, f: impl FnOnce() -> R) -> R {
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            STACK.with(|s| s.borrow_mut().pop());
        }
    }
    STACK.with(|s| s.borrow_mut().push(references));
    let _pop = Pop;
    f()
}

fn top<T>(get: impl FnOnce(&References) -> Option<T>) -> Option<T> {
    STACK.with(|s| s.borrow().last().and_then(get))
}

pub(crate) fn layer(i: usize) -> Option<LayerRef> {
    top(|r| r.layers.get(i).cloned())
}
pub(crate) fn function(i: usize) -> Option<HostFnRef> {
    top(|r| r.functions.get(i).cloned())
}
pub(crate) fn tensor(i: usize) -> Option<Tensor> {
    top(|r| r.tensors.get(i).cloned())
}

/// A uint32 tensor of shape `[2]` as a key.
pub fn key_of(t: &Tensor) -> Option<Key> {
    if t.dtype() != DType::U32 || t.shape() != [2] {
        return None;
    }
    let v = t.to_vec::<u32>().ok()?;
    Some(Key([v[0], v[1]]))
}

/// A JSON option as a host value.
pub fn host_value(v: &Value) -> HostValue {
    match v {
        Value::Null => HostValue::Null,
        Value::Bool(b) => HostValue::Bool(*b),
        Value::Number(n) => HostValue::Number(n.as_f64().unwrap_or(f64::NAN)),
        Value::String(s) => HostValue::Text(s.clone()),
        Value::Array(a) => HostValue::List(a.iter().map(host_value).collect()),
        Value::Object(o) => HostValue::Record(o.iter().map(|(k, v)| (k.clone(), host_value(v))).collect()),
    }
}
