//! What a pickle comes to: inert values.
use super::bytes::Bytes;

/// Place of a value in [`Pickle`].
pub(super) type Id = usize;

/// What a pickle's value is.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by module and name.
    Global(String),
    /// What a class or function would have made of arguments, and the state it was then given.
    Made {
        of: Id,
        args: Id,
        state: Option<Id>,
    },
}

/// The values of a pickle, and which of them it stands for.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
}

impl Pickle {
    pub(super) fn root(&self) -> Id {
        self.root
    }
    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }
    /// Bytes, which are not needed again.
    pub(super) fn take_bytes(&mut self, id: Id) -> Option<Bytes> {
        match &mut self.values[id] {
            Value::Bytes(bytes) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }
    pub(super) fn global(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }
    /// The elements of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }
    /// The last value that a dictionary has under a text.
    pub(super) fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let Value::Dict(entries) = &self.values[dict] else { return None };
        entries.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }
}
