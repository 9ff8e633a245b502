//! Expressions of cases, evaluated into calls of the registry.
use super::{
    case::Case,
    lambda::{lambda, Thunk},
};
use serde_json::{json, Map, Value};
use std::{collections::HashMap, fmt, sync::Arc};
use tallow_layers::{arity, options, options::Meta, registry, testing::References, HostValue, Initializer, LayerRef};
use tallow_tensor::{random::Key, Tensor};

/// Why a case did not pass.
#[derive(Debug)]
pub enum Failure {
    /// It needs a kind that is not registered.
    Missing(String),
    /// The layer refused it.
    Error(tallow_layers::Error),
    /// Trax refuses it, and it was not refused.
    Accepted(String),
    /// Something came out wrong.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Missing(kind) => write!(f, "{kind} is not registered"),
            Failure::Error(e) => write!(f, "[{}] {e}", e.code()),
            Failure::Accepted(text) | Failure::Wrong(text) => f.write_str(text),
        }
    }
}
impl From<tallow_layers::Error> for Failure {
    fn from(e: tallow_layers::Error) -> Self {
        // A layer may be composed of kinds that are not registered.
        let named = e.message().strip_prefix("there is no ").and_then(|m| m.split_once(" named "));
        match named {
            Some((_, kind)) => Failure::Missing(kind.into()),
            None => Failure::Error(e),
        }
    }
}
impl From<tallow_tensor::Error> for Failure {
    fn from(e: tallow_tensor::Error) -> Self {
        Failure::Error(e.into())
    }
}

/// What a name stands for.
enum Kind {
    Layer(Meta),
    Initializer(Meta),
    Function(Meta),
}

fn kind(name: &str) -> Result<Kind, Failure> {
    fn find<T>(table: &[&'static [options::Entry<T>]], name: &str) -> Option<Meta> {
        table.iter().flat_map(|t| t.iter()).map(|e| (e.meta)()).find(|m| m.kind == name)
    }
    if let Some(m) = find(registry::layers(), name) {
        return Ok(Kind::Layer(m));
    }
    if let Some(m) = find(registry::initializers(), name) {
        return Ok(Kind::Initializer(m));
    }
    // The module stands before the name of a function that a layer has too.
    let plain = name.rsplit('.').next().unwrap_or(name);
    find(registry::functions(), plain)
        .or_else(|| find(registry::lists(), plain))
        .map(Kind::Function)
        .ok_or_else(|| Failure::Missing(name.into()))
}

/// Evaluates the expressions of one case.
pub struct Evaluator<'a> {
    case: &'a Case,
    tensors: &'a HashMap<String, Tensor>,
    shared: HashMap<String, LayerRef>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator with the arrays `tensors`; builds the shared layers of the case.
    pub fn new(case: &'a Case, tensors: &'a HashMap<String, Tensor>) -> Result<Self, Failure> {
        let mut this = Self { case, tensors, shared: HashMap::new() };
        for (name, expr) in case.json.get("shared").and_then(Value::as_object).into_iter().flatten() {
            let layer = this.layer(expr)?;
            this.shared.insert(name.clone(), layer);
        }
        Ok(this)
    }
    /// An expression that stands for a layer.
    pub fn layer(&self, expr: &Value) -> Result<LayerRef, Failure> {
        if let Some(name) = expr.get("share").and_then(Value::as_str) {
            return Ok(self.shared[name].clone());
        }
        let name = expr["fn"].as_str().ok_or_else(|| Failure::Wrong(format!("no layer: {expr}")))?;
        let Kind::Layer(meta) = kind(name)? else {
            return Err(Failure::Wrong(format!("{name} is no layer")));
        };
        let mut references = References::default();
        let options = self.options(expr, &meta, &mut references)?;
        let layer = registry::construct(name, references.resolve(&options))?;
        let given = |option: &str| options.get(option).is_some_and(|v| !v.is_null() && *v != Value::Bool(false));
        let (arity, declared) = (layer.arity(), arity::declared(meta.kind));
        if !declared.allows(arity, given) {
            return Err(Failure::Wrong(format!("{name} has the arity {arity:?}, its kind says {declared:?}")));
        }
        Ok(layer)
    }
    /// An expression that stands for the result of a function, or of an initializer.
    pub fn value(&self, expr: &Value) -> Result<HostValue, Failure> {
        if let Some(callee) = expr.get("call") {
            return self.call(callee, &expr["args"]);
        }
        let name = expr["fn"].as_str().ok_or_else(|| Failure::Wrong(format!("no function: {expr}")))?;
        match kind(name)? {
            Kind::Function(meta) => {
                let mut references = References::default();
                let options = self.options(expr, &meta, &mut references)?;
                Ok(registry::call_function(meta.kind, references.resolve(&options))?)
            }
            Kind::Layer(_) => Ok(HostValue::Layer(self.layer(expr)?)),
            Kind::Initializer(_) => self.initializer(expr).map(|_| HostValue::Null),
        }
    }
    fn initializer(&self, expr: &Value) -> Result<Initializer, Failure> {
        let name = expr["fn"].as_str().ok_or_else(|| Failure::Wrong(format!("no initializer: {expr}")))?;
        let Kind::Initializer(meta) = kind(name)? else {
            return Err(Failure::Wrong(format!("{name} is no initializer")));
        };
        let mut references = References::default();
        let options = self.options(expr, &meta, &mut references)?;
        Ok(registry::initializer(name, references.resolve(&options))?)
    }
    /// Initializers are called with a shape and a key. Their option `nonreceptiveDims` changes nothing in Trax.
    fn call(&self, callee: &Value, args: &Value) -> Result<HostValue, Failure> {
        let initializer = self.initializer(callee)?;
        let shape: Vec<usize> =
            args[0].as_array().expect("a shape").iter().map(|d| d.as_u64().expect("a size") as usize).collect();
        let key = &self.tensors[args[1]["tensor"].as_str().expect("a key")];
        let words = key.to_vec::<u32>().unwrap_or_else(|_| vec![0, 0]);
        Ok(HostValue::Tensor(initializer.make(&shape, Key([words[0], words[1]]))?))
    }
    /// Arguments and options as the one object that the registry takes.
    fn options(&self, expr: &Value, meta: &Meta, refs: &mut References) -> Result<Value, Failure> {
        let mut all = Map::new();
        let args = expr.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (positional, rest) = args.split_at(meta.positional.len().min(args.len()));
        for (name, arg) in meta.positional.iter().zip(positional) {
            all.insert((*name).into(), self.json(arg, refs)?);
        }
        match meta.rest {
            Some(name) if !rest.is_empty() => {
                let items = rest.iter().map(|a| self.json(a, refs)).collect::<Result<Vec<_>, _>>()?;
                all.insert(name.into(), Value::Array(items));
            }
            None if !rest.is_empty() => {
                return Err(Failure::Wrong(format!(
                    "{} takes {} positional arguments",
                    meta.kind,
                    meta.positional.len()
                )))
            }
            _ => {}
        }
        for (name, option) in expr.get("options").and_then(Value::as_object).into_iter().flatten() {
            all.insert(name.clone(), self.json(option, refs)?);
        }
        Ok(Value::Object(all))
    }
    /// An argument as JSON, with layers, functions and tensors in `refs`.
    fn json(&self, expr: &Value, refs: &mut References) -> Result<Value, Failure> {
        let Some(map) = expr.as_object() else {
            return match expr {
                Value::Array(a) => Ok(Value::Array(a.iter().map(|e| self.json(e, refs)).collect::<Result<_, _>>()?)),
                other => Ok(other.clone()),
            };
        };
        if let Some(name) = map.get("tensor").and_then(Value::as_str) {
            refs.tensors.push(self.tensors[name].clone());
            return Ok(json!({"$tensor": refs.tensors.len() - 1}));
        }
        if map.contains_key("lambda") {
            refs.functions.push(lambda(expr));
            return Ok(json!({"$fn": refs.functions.len() - 1}));
        }
        if let Some(inner) = map.get("thunk") {
            self.layer(inner)?;
            refs.functions.push(Arc::new(Thunk { expr: inner.clone(), case: self.case.clone() }));
            return Ok(json!({"$fn": refs.functions.len() - 1}));
        }
        if let Some(name) = map.get("ref").and_then(Value::as_str) {
            let meta = match kind(name)? {
                Kind::Layer(meta) | Kind::Initializer(meta) | Kind::Function(meta) => meta,
            };
            return Ok(json!({"$factory": name, "options": self.options(expr, &meta, refs)?}));
        }
        if map.contains_key("share") {
            refs.layers.push(self.layer(expr)?);
            return Ok(json!({"$layer": refs.layers.len() - 1}));
        }
        if let Some(name) = map.get("fn").and_then(Value::as_str) {
            return match kind(name)? {
                Kind::Layer(_) => {
                    refs.layers.push(self.layer(expr)?);
                    Ok(json!({"$layer": refs.layers.len() - 1}))
                }
                Kind::Initializer(meta) => {
                    Ok(json!({"$initializer": {"kind": name, "options": self.options(expr, &meta, refs)?}}))
                }
                Kind::Function(_) => match self.value(expr)? {
                    HostValue::Tensor(t) => {
                        refs.tensors.push(t);
                        Ok(json!({"$tensor": refs.tensors.len() - 1}))
                    }
                    HostValue::List(made) => {
                        let layer = |made| match made {
                            HostValue::Layer(layer) => {
                                refs.layers.push(layer);
                                Ok(json!({"$layer": refs.layers.len() - 1}))
                            }
                            other => Err(Failure::Wrong(format!("{name} gave {} in a list", other.what()))),
                        };
                        made.into_iter().map(layer).collect::<Result<_, _>>().map(Value::Array)
                    }
                    other => Err(Failure::Wrong(format!("{name} gave {} as an argument", other.what()))),
                },
            };
        }
        Err(Failure::Wrong(format!("cannot evaluate {expr}")))
    }
}
