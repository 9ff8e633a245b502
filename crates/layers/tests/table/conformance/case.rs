//! How cases are written.
use serde_json::{json, Value};
use std::{fmt, sync::Arc};
use tallow_layers::{
    framework::pure::pure_layer, registry, testing::References, HostFn, HostFnRef, HostValue, LayerRef, Result,
    TensorSpec,
};
use tallow_tensor::{testing::random, DType, Tensor};

/// Segments of packed sequences of `length` positions: an id for each, which may come again further on.
pub fn segments<const N: usize>(shape: [usize; N]) -> Tensor {
    let [batch, length] = shape[..] else { unreachable!("segments are (batch, length)") };
    let id = |i: usize| [4i32, 4, 1, 1, 1, 7, 0, 7][i % length % 8] + (i / length) as i32;
    Tensor::from_vec((0..batch * length).map(id).collect(), &shape).expect("as many as fit")
}

/// One line of the table: a layer, its inputs, and what is particular about it.
///
/// Options may hold layers as [`new`] gives them and functions as `{"$fn": i}` for the `i`-th [`Case::function`].
pub struct Case {
    /// Registered kind.
    pub kind: &'static str,
    options: Value,
    functions: Vec<HostFnRef>,
    made: Option<LayerRef>,
    /// Inputs in float32 and integers.
    pub inputs: Vec<Tensor>,
    /// Whether another key gives other outputs.
    pub random: bool,
    /// Why gradients are not held against differences, if they are not.
    pub no_gradient_check: Option<&'static str>,
    /// The time axis, if `predict` step by step must equal `eval` at once.
    pub time_axis: Option<isize>,
}

/// A case of `kind` with JSON options and inputs.
pub fn case(kind: &'static str, options: Value, inputs: impl IntoIterator<Item = Tensor>) -> Case {
    Case {
        kind,
        options,
        functions: Vec::new(),
        made: None,
        inputs: inputs.into_iter().collect(),
        random: false,
        no_gradient_check: None,
        time_axis: None,
    }
}

impl Case {
    /// The outputs depend on the key, in the mode given.
    pub fn random(mut self) -> Self {
        self.random = true;
        self
    }
    /// Gradients are not those of the function (the reason is for the reader).
    pub fn no_gradient_check(mut self, reason: &'static str) -> Self {
        self.no_gradient_check = Some(reason);
        self
    }
    /// In mode `predict`, step by step along `axis`, the layer computes what it computes at once in mode `eval`.
    pub fn steps_along(mut self, axis: isize) -> Self {
        self.time_axis = Some(axis);
        self
    }
    /// A host function of `arity` tensors, which options refer to by `{"$fn": i}`.
    pub fn function(
        mut self,
        arity: usize,
        f: impl Fn(&[Tensor]) -> tallow_tensor::Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.functions.push(Arc::new(Closure { arity, f: Box::new(f) }));
        self
    }
    /// Any other host function.
    pub fn host(mut self, f: HostFnRef) -> Self {
        self.functions.push(f);
        self
    }
    /// A new instance of the layer.
    pub fn layer(&self) -> Result<LayerRef> {
        match &self.made {
            Some(layer) => Ok(layer.clone()),
            None => construct(self.kind, &self.options, &self.functions),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on {:?}", self.kind, self.options, self.inputs)
    }
}

/// A layer as an option of another one.
pub fn new(kind: &str, options: Value) -> Value {
    json!({"$new": kind, "options": options})
}

fn construct(kind: &str, options: &Value, functions: &[HostFnRef]) -> Result<LayerRef> {
    let mut references = References { functions: functions.to_vec(), ..References::default() };
    let options = resolve(options, &mut references)?;
    registry::construct(kind, references.resolve(&options))
}

fn resolve(v: &Value, references: &mut References) -> Result<Value> {
    Ok(match v {
        Value::Array(a) => a.iter().map(|v| resolve(v, references)).collect::<Result<_>>()?,
        Value::Object(o) => match o.get("$new").and_then(Value::as_str) {
            Some(kind) => {
                references.layers.push(construct(kind, &o["options"], &references.functions)?);
                json!({"$layer": references.layers.len() - 1})
            }
            None => {
                Value::Object(o.iter().map(|(k, v)| Ok((k.clone(), resolve(v, references)?))).collect::<Result<_>>()?)
            }
        },
        other => other.clone(),
    })
}

type Body = dyn Fn(&[Tensor]) -> tallow_tensor::Result<Vec<Tensor>> + Send + Sync;

struct Closure {
    arity: usize,
    f: Box<Body>,
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("function")
    }
}

impl HostFn for Closure {
    fn call(&self, args: &[HostValue]) -> Result<HostValue> {
        let xs = HostValue::List(args.to_vec()).into_tensors().or_else(|_| args[0].clone().into_tensors())?;
        Ok(HostValue::List((self.f)(&xs)?.into_iter().map(HostValue::Tensor).collect()))
    }
    fn arity(&self) -> usize {
        self.arity
    }
}

fn seed(shape: &[usize]) -> u64 {
    shape.iter().fold(7, |s, &d| s * 31 + d as u64)
}

/// Standard normal float32 values.
pub fn f32<const N: usize>(shape: [usize; N]) -> Tensor {
    random(&shape, seed(&shape)).cast(DType::F32).expect("a cast of floats")
}

/// Float32 values of at least 0.5.
pub fn positive<const N: usize>(shape: [usize; N]) -> Tensor {
    f32(shape).abs().and_then(|t| t.add_scalar(0.5)).expect("arithmetic on floats")
}

/// Whole numbers (int32) from 0 up to `below`, that excluded.
pub fn ints<const N: usize>(shape: [usize; N], below: i32) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n as i32).map(|i| (i * 7 + i / 3) % below).collect(), &shape).expect("as many as fit")
}

/// Booleans, true every third.
pub fn bools<const N: usize>(shape: [usize; N]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_bools((0..n).map(|i| u8::from(i % 3 == 0)).collect(), &shape).expect("as many as fit")
}

/// Layers that each break one rule, with a word of the message that must come.
pub fn faulty() -> Vec<(&'static str, Case)> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let made = |layer: LayerRef| Case { made: Some(layer), ..case("Faulty", json!({}), [f32([2, 3])]) };
    let same = |s: &[TensorSpec]| Ok(s.to_vec());
    let calls = AtomicUsize::new(0);
    vec![
        ("declares", made(pure_layer("Shape", 1, 1, same, |xs| Ok(vec![xs[0].sum(1, false)?])))),
        ("declares", made(pure_layer("DType", 1, 1, same, |xs| Ok(vec![xs[0].cast(DType::I32)?])))),
        (
            "pure",
            made(pure_layer("Counts", 1, 1, same, move |xs| {
                Ok(vec![xs[0].add_scalar(calls.fetch_add(1, Ordering::Relaxed) as f64)?])
            })),
        ),
        ("gradient", made(pure_layer("Cut", 1, 1, same, |xs| Ok(vec![xs[0].mul(&xs[0].detach())?])))),
        ("key", made(pure_layer("NotRandom", 1, 1, same, |xs| Ok(xs.to_vec()))).random()),
        ("promises", made(pure_layer("Arity", 1, 2, same, |xs| Ok(xs.to_vec())))),
    ]
}
