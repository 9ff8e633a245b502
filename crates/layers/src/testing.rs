//! Options written as JSON, for tests.
//!
//! What JSON has no words for is written as an object with one key: `{"$layer": 0}`, `{"$fn": 1}` and `{"$tensor": 2}` are numbers in
//! the lists of [`References`]; `{"$factory": kind, "options": …}` is a kind of layer, `{"$initializer": {"kind": …, "options": …}}` an
//! initializer, `{"$number": "NaN"}` a number.
use crate::{registry, HostFnRef, HostValue, LayerRef};
pub use serde_json::json;
use serde_json::Value;
use tallow_tensor::Tensor;

/// What JSON refers to by number.
#[derive(Debug, Default, Clone)]
pub struct References {
    /// `{"$layer": i}`.
    pub layers: Vec<LayerRef>,
    /// `{"$fn": i}`.
    pub functions: Vec<HostFnRef>,
    /// `{"$tensor": i}`.
    pub tensors: Vec<Tensor>,
}

impl References {
    /// What the options stand for. A number that is in no list stays as it is written.
    pub fn resolve(&self, json: &Value) -> HostValue {
        match json {
            Value::Null => HostValue::Null,
            Value::Bool(b) => HostValue::Bool(*b),
            Value::Number(n) => HostValue::Number(n.as_f64().unwrap_or(f64::NAN)),
            Value::String(s) => HostValue::Text(s.clone()),
            Value::Array(items) => HostValue::List(items.iter().map(|v| self.resolve(v)).collect()),
            Value::Object(fields) => self.tagged(json).unwrap_or_else(|| {
                HostValue::Record(fields.iter().map(|(name, v)| (name.clone(), self.resolve(v))).collect())
            }),
        }
    }

    fn tagged(&self, json: &Value) -> Option<HostValue> {
        let index = |tag: &str| Some(json.get(tag)?.as_u64()? as usize);
        let options = |of: &Value| of.get("options").map_or(HostValue::Record(Vec::new()), |o| self.resolve(o));
        if let Some(text) = json.get("$number").and_then(Value::as_str) {
            return text.parse().ok().map(HostValue::Number);
        }
        if let Some(kind) = json.get("$factory").and_then(Value::as_str) {
            return Some(registry::kind(kind, options(json)));
        }
        if let Some(i) = json.get("$initializer") {
            return Some(HostValue::Initializer(registry::initializer(i.get("kind")?.as_str()?, options(i))));
        }
        let layer = || self.layers.get(index("$layer")?).cloned().map(HostValue::Layer);
        let function = || self.functions.get(index("$fn")?).cloned().map(HostValue::Function);
        let tensor = || self.tensors.get(index("$tensor")?).cloned().map(HostValue::Tensor);
        layer().or_else(function).or_else(tensor)
    }
}

impl From<&Value> for HostValue {
    fn from(json: &Value) -> Self {
        References::default().resolve(json)
    }
}

impl From<Value> for HostValue {
    fn from(json: Value) -> Self {
        Self::from(&json)
    }
}
