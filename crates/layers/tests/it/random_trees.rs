//! Random trees of all registered layers on random inputs: what a layer declares is what it gives, in every mode, or both refuse in words.
//!
//! One seed: `SEED=17 cargo test --release -p tallow-layers --test random_trees -- --nocapture`.
use serde_json::{json, Map, Value};
use std::{
    collections::BTreeMap,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
};
use tallow_layers::{
    combinators::{branch, parallel, residual, serial},
    init, print, pure_fn, registry, signature,
    testing::References,
    with_mode, Error, HostFn, HostValue, LayerRef, Mode, Result, TensorSpec,
};
use tallow_tensor::{no_grad, random::Key, testing::random, DType, Tensor};

/// How many trees are tried.
const TREES: u64 = 2_000;
const DTYPES: [DType; 8] =
    [DType::F32, DType::F32, DType::F16, DType::BF16, DType::I32, DType::U8, DType::Bool, DType::I64];

/// A small generator of numbers (SplitMix64), so that a seed always gives the same tree.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

#[derive(Debug)]
struct Function {
    arity: usize,
    f: fn(&[Tensor]) -> tallow_tensor::Result<Tensor>,
}

impl HostFn for Function {
    fn call(&self, args: &[HostValue]) -> Result<HostValue> {
        let xs: Vec<Tensor> = args
            .iter()
            .flat_map(|a| match a {
                HostValue::List(v) => v.clone(),
                one => vec![one.clone()],
            })
            .filter_map(|a| match a {
                HostValue::Tensor(t) => Some(t),
                _ => None,
            })
            .collect();
        Ok(HostValue::Tensor((self.f)(&xs)?))
    }
    fn arity(&self) -> usize {
        self.arity
    }
}

const FUNCTIONS: [Function; 3] = [
    Function { arity: 1, f: |xs| xs[0].neg() },
    Function { arity: 2, f: |xs| xs[0].add(xs.get(1).unwrap_or(&xs[0])) },
    Function { arity: 1, f: |xs| xs[0].sum(-1, true) },
];

/// Makes trees; layers made once may come again in another place.
struct Garden {
    dice: Dice,
    made: Vec<LayerRef>,
}

impl Garden {
    fn number(&mut self) -> Value {
        match self.dice.below(12) {
            0 => json!(-1),
            1 => json!(0),
            2 => json!(0.5),
            3 => json!(-2),
            4..=6 => json!(1),
            7 | 8 => json!(2),
            9 | 10 => json!(3),
            _ => json!(4),
        }
    }
    fn numbers(&mut self) -> Value {
        let n = self.dice.below(4);
        Value::Array((0..n).map(|_| self.number()).collect())
    }
    /// A value of an option of this TypeScript type; `None` for types that have no random values.
    fn value(&mut self, ts: &str, depth: usize, refs: &mut References) -> Option<Value> {
        let parts: Vec<&str> = ts.split(" | ").collect();
        let part = self.dice.pick(&parts);
        Some(match part {
            "number" => self.number(),
            "boolean" => json!(self.dice.chance(50)),
            "null" => Value::Null,
            "Mode" => json!(self.dice.pick(&["train", "eval", "predict", "viz"])),
            "DType" => json!(self.dice.pick(&["float32", "int32", "bfloat16", "bool", "uint8"])),
            "string" => json!(self.dice.pick(&["a", "bld->bld", "...", "bl", "SAME", "relu"])),
            "readonly number[]" => self.numbers(),
            "Layer" => self.layer_reference(depth, refs)?,
            "LayerNest" => match self.dice.below(4) {
                0 => Value::Null,
                1 => Value::Array(vec![self.layer_reference(depth, refs)?]),
                _ => self.layer_reference(depth, refs)?,
            },
            "LayerNest[]" | "readonly LayerNest[]" => {
                let n = self.dice.below(3);
                Value::Array((0..n).map(|_| self.layer_reference(depth, refs)).collect::<Option<_>>()?)
            }
            "LayerFactory" => json!({"$factory": self.dice.pick(&["Relu", "Gelu", "Dense", "Tanh"])}),
            "TensorFunction" => {
                let f = self.dice.pick(&[0, 1, 2]);
                refs.functions.push(Arc::new(Function { arity: FUNCTIONS[f].arity, f: FUNCTIONS[f].f }));
                json!({"$fn": refs.functions.len() - 1})
            }
            quoted if quoted.starts_with('\'') => json!(quoted.trim_matches('\'')),
            digit if digit.parse::<i64>().is_ok() => json!(digit.parse::<i64>().ok()?),
            _ => return None,
        })
    }
    fn layer_reference(&mut self, depth: usize, refs: &mut References) -> Option<Value> {
        let layer = self.any(depth)?;
        refs.layers.push(layer);
        Some(json!({"$layer": refs.layers.len() - 1}))
    }
    /// A layer of a random kind with random options; `None` where these are refused.
    fn leaf(&mut self, depth: usize) -> Option<LayerRef> {
        let all: Vec<_> = registry::layers().iter().flat_map(|t| t.iter()).collect();
        let entry = self.dice.pick(&all);
        let meta = (entry.meta)();
        let mut refs = References::default();
        let mut options = Map::new();
        for field in meta.all().filter(|f| !matches!(f.name, "driver" | "nIn" | "nOut" | "reversible" | "hasBackward"))
        {
            if field.default.is_none() || self.dice.chance(25) {
                if let Some(v) = self.value(field.ts, depth, &mut refs) {
                    options.insert(field.name.to_string(), v);
                }
            }
        }
        match registry::construct(meta.kind, refs.resolve(&Value::Object(options.clone()))) {
            Ok(layer) => Some(layer),
            Err(e) => {
                assert_ne!(e.code(), "Internal", "{} {}: {e}", meta.kind, Value::Object(options));
                None
            }
        }
    }
    /// A layer made before, a new one, or some in a combinator.
    fn any(&mut self, depth: usize) -> Option<LayerRef> {
        if !self.made.is_empty() && self.dice.chance(20) {
            return Some(self.dice.pick(&self.made));
        }
        let layer = if depth == 0 || self.dice.chance(60) {
            (0..8).find_map(|_| self.leaf(depth.saturating_sub(1)))
        } else {
            let n = 1 + self.dice.below(3);
            let parts: Vec<LayerRef> = (0..n).filter_map(|_| self.any(depth - 1)).collect();
            match self.dice.below(4) {
                0 => Some(serial(parts)),
                1 => parallel(parts).ok(),
                2 => branch(parts).ok(),
                _ => residual(parts, tallow_layers::LayerNest::Null).ok(),
            }
        }?;
        self.made.push(layer.clone());
        Some(layer)
    }
    fn spec(&mut self) -> TensorSpec {
        let rank = self.dice.below(5);
        let empties = if self.dice.chance(20) { 0 } else { 1 };
        TensorSpec::new(
            (0..rank).map(|_| empties + self.dice.below(4 - empties)).collect::<Vec<_>>(),
            self.dice.pick(&DTYPES),
        )
    }
    /// A series of layers that take one another's outputs, as far as their declarations say.
    fn tree(&mut self) -> (LayerRef, Vec<TensorSpec>) {
        let inputs: Vec<TensorSpec> = if self.dice.chance(40) {
            let x = self.spec();
            vec![x; 4]
        } else {
            (0..4).map(|_| self.spec()).collect()
        };
        let mut layers: Vec<LayerRef> = Vec::new();
        let mut stack = inputs.clone();
        for _ in 0..1 + self.dice.below(4) {
            for attempt in 0..12 {
                let Some(layer) = self.any(2) else { continue };
                let n = layer.arity().n_in;
                if n > stack.len() {
                    continue;
                }
                // Now and then one that is refused goes in as well, and ends the series.
                match catch_unwind(AssertUnwindSafe(|| no_grad(|| signature(&layer, &stack[..n])))) {
                    Ok(Ok(ys)) => {
                        stack.splice(..n, ys);
                        layers.push(layer);
                    }
                    _ if attempt > 9 => layers.push(layer),
                    _ => continue,
                }
                break;
            }
        }
        let tree = serial(layers);
        let n = tree.arity().n_in;
        (tree, inputs.into_iter().take(n).collect())
    }
}

fn tensor(s: &TensorSpec, seed: u64) -> Tensor {
    let x = random(&s.shape, seed);
    let x = if s.dtype.is_float() { x } else { x.abs().and_then(|x| x.mul_scalar(2.0)).expect("floats") };
    x.cast(s.dtype).expect("a cast of small numbers")
}

/// Whether a refusal is of values, such as ids and labels, or of what a shared layer has come to hold earlier in the same call, of which no signature
/// tells.
fn of_values(e: &Error) -> bool {
    let words = ["target", "does not fit", "cannot hold"];
    if e.code() == "ShapeMismatch" && e.message().contains("which are under way") {
        return true;
    }
    e.code() == "IndexOutOfRange" || e.code() == "InvalidArgument" && words.iter().any(|w| e.message().contains(w))
}

fn typed(what: &str, e: &Error, found: &mut Vec<String>) {
    if e.code() == "Internal" || e.message().contains("rust") {
        found.push(format!("{what} fails with [{}] {e}", e.code()));
    }
}

/// What is wrong with a tree in the mode it is in.
fn faults(tree: &LayerRef, inputs: &[TensorSpec]) -> Vec<String> {
    let mut found = Vec::new();
    let declared = signature(tree, inputs);
    let made = init(tree, inputs, Key::new(3));
    let (weights, state) = match (&declared, made) {
        (_, Ok(made)) => made,
        (Err(a), Err(b)) => {
            typed("signature", a, &mut found);
            typed("init", &b, &mut found);
            return found;
        }
        (Ok(ys), Err(e)) => {
            typed("init", &e, &mut found);
            found.push(format!("declares {ys:?}, but init refuses: [{}] {e}", e.code()));
            return found;
        }
    };
    let xs: Vec<Tensor> = inputs.iter().enumerate().map(|(i, s)| tensor(s, i as u64)).collect();
    match (declared, pure_fn(tree, xs.clone(), &weights, state, Key::new(4))) {
        (Ok(ys), Ok((real, state))) => {
            let real: Vec<TensorSpec> = real.iter().map(TensorSpec::of).collect();
            if ys != real {
                found.push(format!("declares {ys:?}, gives {real:?}"));
            }
            match pure_fn(tree, xs, &weights, state, Key::new(5)) {
                Ok((again, _)) => {
                    let again: Vec<TensorSpec> = again.iter().map(TensorSpec::of).collect();
                    if again != real {
                        found.push(format!("gives {real:?}, and {again:?} the second time"));
                    }
                }
                Err(e) => typed("the second call", &e, &mut found),
            }
        }
        (Ok(_), Err(e)) if of_values(&e) => {}
        (Ok(ys), Err(e)) => {
            typed("the call", &e, &mut found);
            found.push(format!("declares {ys:?}, but the call refuses: [{}] {e}", e.code()));
        }
        (Err(e), Ok((ys, _))) => {
            let ys: Vec<TensorSpec> = ys.iter().map(TensorSpec::of).collect();
            found.push(format!("is refused by its signature, [{}] {e}, but gives {ys:?}", e.code()));
        }
        (Err(a), Err(b)) => {
            typed("signature", &a, &mut found);
            typed("the call", &b, &mut found);
        }
    }
    found
}

/// The faults of the tree of a seed, each with its mode, and whether it ran.
fn tried(seed: u64) -> (Vec<String>, bool) {
    let mut garden = Garden { dice: Dice(seed), made: Vec::new() };
    let (tree, inputs) = garden.tree();
    let text = || {
        format!(
            "seed {seed}: {} of {}",
            print(&tree).replace('\n', " "),
            inputs.iter().map(|s| format!("{s}")).collect::<Vec<_>>().join(", ")
        )
    };
    let mut all = Vec::new();
    let modes = [None, Some(Mode::Train), Some(Mode::Eval), Some(Mode::Predict)];
    for mode in modes {
        let found = catch_unwind(AssertUnwindSafe(|| {
            no_grad(|| {
                let layer = mode.map_or_else(|| tree.clone(), |m| with_mode(&tree, m));
                faults(&layer, &inputs)
            })
        }))
        .unwrap_or_else(|_| vec!["panics".to_string()]);
        all.extend(found.into_iter().map(|f| format!("{} in {mode:?}: {f}", text())));
    }
    (all, signature(&tree, &inputs).is_ok())
}

#[test]
fn what_a_tree_declares_is_what_it_gives() {
    let one = std::env::var("SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let count = std::env::var("TREES").ok().and_then(|s| s.parse().ok()).unwrap_or(TREES);
    let seeds: Vec<u64> = one.map_or_else(|| (0..count).collect(), |s| vec![s]);
    let mut failures: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut ran = 0;
    for &seed in &seeds {
        let (found, runs) = tried(seed);
        ran += usize::from(runs);
        if !found.is_empty() {
            failures.insert(seed, found);
        }
    }
    let text: Vec<String> = failures.values().flatten().cloned().collect();
    assert!(text.is_empty(), "{} of {} trees ({ran} run):\n{}", failures.len(), seeds.len(), text.join("\n"));
    // A generator of trees that nothing runs on would prove nothing.
    assert!(one.is_some() || ran * 3 > seeds.len(), "only {ran} of {} trees run", seeds.len());
}
