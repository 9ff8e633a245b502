//! What is checked of a case.
use super::{
    case::Case,
    expr::{Evaluator, Failure},
};
use serde_json::Value;
use std::collections::HashMap;
use tallow_layers::{
    init, load_state, load_weights, print, pure_fn, reversible::reverse_and_grad, signature, view_state, view_weights,
    HostValue, LayerRef, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    backward, no_grad,
    random::Key,
    testing::{within, Tolerance},
    DType, Tensor,
};

type Checked = Result<(), Failure>;

/// Checks a case of any kind.
pub fn case(case: &Case) -> Checked {
    match case.json["kind"].as_str() {
        Some("layer") => layer(case),
        Some("function") => function(case),
        Some("error") => error(case),
        other => Err(Failure::Wrong(format!("cases of kind {other:?} are not for this runner"))),
    }
}

fn wrong<T>(text: String) -> Result<T, Failure> {
    Err(Failure::Wrong(text))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Checked {
    if got == want {
        return Ok(());
    }
    wrong(format!("{what} is {got:?}, Trax says {want:?}"))
}

fn layer(case: &Case) -> Checked {
    let json = &case.json;
    let layer = Evaluator::new(case, &case.tensors)?.layer(&json["expr"])?;
    equal("name", Some(layer.base().name.as_str()), json["name"].as_str())?;
    equal("nIn", Some(layer.arity().n_in as u64), json["nIn"].as_u64())?;
    equal("nOut", Some(layer.arity().n_out as u64), json["nOut"].as_u64())?;
    equal("hasBackward", Some(has_backward(&layer)), json["hasBackward"].as_bool())?;
    equal("text", Some(print(&layer).as_str()), json["text"].as_str())?;

    let init_json = &json["init"];
    let specs = match json.get("initInputs") {
        Some(names) => tensors(case, names)?.iter().map(TensorSpec::of).collect(),
        None => specs(&json["signature"])?,
    };
    let (weights, state) = init(&layer, &specs, key(&init_json["key"]))?;
    let init_tolerance = tolerance(&init_json["tol"]);
    let (w, s) = (view_weights(&layer, &weights), view_state(&layer, &state).expect("room for the state"));
    equal("tree of initial weights", tree(&w, "weights"), init_json["weightsTree"].clone())?;
    equal("tree of initial state", tree(&s, "state"), init_json["stateTree"].clone())?;
    close_all("initial weight", &leaves(&w), &tensors(case, &init_json["weights"])?, init_tolerance)?;
    let given_state = json.get("givenState").is_some();
    if !given_state {
        close_all("initial state", &leaves(&s), &tensors(case, &init_json["state"])?, init_tolerance)?;
    }

    let w = refilled(&w, &tensors(case, &json["weights"])?)?;
    let s = if given_state {
        refilled(&s, &tensors(case, &json["state"])?)?
    } else {
        refilled(&s, &tensors(case, &init_json["state"])?)?
    };
    let weights = load_weights(&layer, &w)?;
    let mut state = load_state(&layer, &s)?;
    let mut shape_of_state = init_json["stateTree"].clone();
    for (i, step) in json["steps"].as_array().into_iter().flatten().enumerate() {
        let at = |f: Failure| match f {
            Failure::Wrong(text) => Failure::Wrong(format!("step {i}: {text}")),
            other => other,
        };
        let inputs = tensors(case, &step["inputs"])?;
        let key = key(&step["key"]);
        let (ys, new_state) = no_grad(|| pure_fn(&layer, inputs.clone(), &weights, state.clone(), key))?;
        let wanted = tensors(case, &step["outputs"])?;
        close_all("output", &ys, &wanted, tolerance(&json["tol"])).map_err(at)?;
        let declared = signature(&layer, &inputs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        equal("declared signature", declared, ys.iter().map(TensorSpec::of).collect()).map_err(at)?;
        let s = view_state(&layer, &new_state).expect("room for the state");
        if let Some(changed) = step.get("stateTree") {
            shape_of_state = changed.clone();
        }
        equal("tree of state", tree(&s, "state"), shape_of_state.clone()).map_err(at)?;
        close_all("new state", &leaves(&s), &tensors(case, &step["state"])?, tolerance(&json["tol"])).map_err(at)?;
        if let Some(grad) = step.get("grad").filter(|g| !g.is_null()) {
            gradients(case, &layer, &inputs, &w, &state, key, grad).map_err(at)?;
        }
        state = new_state;
    }
    Ok(())
}

/// Trax asks the outermost layer alone.
fn has_backward(layer: &LayerRef) -> bool {
    layer.has_backward()
}

fn gradients(
    case: &Case,
    layer: &LayerRef,
    inputs: &[Tensor],
    w: &Tree<Tensor>,
    state: &Store,
    key: Key,
    grad: &Value,
) -> Checked {
    let variable = |t: &Tensor| if t.dtype().is_float() { t.variable() } else { t.clone() };
    let xs: Vec<Tensor> = inputs.iter().map(variable).collect();
    let w = w.map(&mut |t| variable(t));
    let weights = load_weights(layer, &w)?;
    let (ys, new_state) = pure_fn(layer, xs.clone(), &weights, state.clone(), key)?;
    let cotangents = names(&grad["cotangents"]);
    if cotangents.len() != ys.len() {
        return wrong(format!("{} cotangents for {} outputs", cotangents.len(), ys.len()));
    }
    let seeds: Vec<(Tensor, Tensor)> = ys
        .iter()
        .zip(&cotangents)
        .filter_map(|(y, ct)| Some((y.clone(), case.tensors[ct.as_ref()?].clone())))
        .collect();
    if grad.get("reconstructed").is_some() {
        let given = |name: &Option<String>| name.as_ref().map(|n| case.tensors[n].clone());
        let outputs = ys.iter().map(Tensor::detach).collect();
        let cts = cotangents.iter().map(given).collect();
        let (back, ..) = reverse_and_grad(layer, outputs, cts, &weights, state.clone(), new_state, key)?;
        close_all("input from outputs", &back, &tensors(case, &grad["reconstructed"])?, tolerance(&case.json["tol"]))?;
    }
    let w = leaves(&w);
    let tracked: Vec<Tensor> = xs.iter().chain(&w).filter(|t| t.is_tracked()).cloned().collect();
    let mut found = backward(&seeds, &tracked, false)?.into_iter();
    let tolerance = tolerance(&case.json["gradTol"]);
    for (what, of, names) in [("input", &xs, names(&grad["inputs"])), ("weight", &w, names(&grad["weights"]))] {
        equal(&format!("number of {what} gradients"), of.len(), names.len())?;
        for (k, (t, name)) in of.iter().zip(names).enumerate() {
            let got = if t.is_tracked() { found.next() } else { None };
            if let (Some(got), Some(name)) = (got, name) {
                close(&format!("gradient of {what} {k}"), &got, &case.tensors[&name], tolerance)?;
            }
        }
    }
    Ok(())
}

fn function(case: &Case) -> Checked {
    let json = &case.json;
    let value = no_grad(|| Evaluator::new(case, &case.tensors)?.value(&json["expr"]))?;
    compare(case, "result", &value, &json["result"], tolerance(&json["tol"]))?;
    let Some(grad) = json.get("grad").filter(|g| !g.is_null()) else {
        return Ok(());
    };
    let wrt = names(&grad["wrt"]);
    let mut tracked: HashMap<String, Tensor> = (*case.tensors).clone();
    let mut variables = Vec::new();
    for name in wrt.iter().flatten() {
        let v = case.tensors[name].variable();
        tracked.insert(name.clone(), v.clone());
        variables.push(v);
    }
    let value = Evaluator::new(case, &tracked)?.value(&json["expr"])?;
    let mut ys = Vec::new();
    floats(&value, &mut ys);
    let cotangents = tensors(case, &grad["cotangents"])?;
    equal("number of float results", ys.len(), cotangents.len())?;
    let seeds: Vec<_> = ys.into_iter().zip(cotangents).collect();
    let found = backward(&seeds, &variables, false)?;
    close_all("gradient", &found, &tensors(case, &grad["grads"])?, tolerance(&json["gradTol"]))
}

fn floats(value: &HostValue, out: &mut Vec<Tensor>) {
    match value {
        HostValue::Tensor(t) if t.dtype().is_float() => out.push(t.clone()),
        HostValue::List(v) => v.iter().for_each(|v| floats(v, out)),
        _ => {}
    }
}

fn compare(case: &Case, what: &str, got: &HostValue, want: &Value, tolerance: Tolerance) -> Checked {
    match (got, want) {
        (HostValue::List(v), Value::Array(w)) if v.len() == w.len() => v
            .iter()
            .zip(w)
            .enumerate()
            .try_for_each(|(i, (v, w))| compare(case, &format!("{what}[{i}]"), v, w, tolerance)),
        (HostValue::Tensor(t), Value::Object(o)) if o.contains_key("tensor") => {
            close(what, t, &case.tensors[o["tensor"].as_str().expect("a name")], tolerance)
        }
        // A 0-d tensor stands for a number.
        (HostValue::Tensor(t), Value::Object(o)) if t.size() == 1 && o.contains_key("value") => {
            number(what, t.item()?, o["value"].as_f64(), tolerance)
        }
        (HostValue::Number(n), Value::Object(o)) => number(what, *n, o["value"].as_f64(), tolerance),
        (HostValue::Bool(b), Value::Object(o)) => equal(what, Some(*b), o["value"].as_bool()),
        (HostValue::Text(s), Value::Object(o)) => equal(what, Some(s.as_str()), o["value"].as_str()),
        (got, want) => wrong(format!("{what} is {got:?}, Trax says {want}")),
    }
}

fn number(what: &str, got: f64, want: Option<f64>, t: Tolerance) -> Checked {
    match want {
        Some(want) if (got - want).abs() <= t.absolute + t.relative * want.abs() => Ok(()),
        want => wrong(format!("{what} is {got}, Trax says {want:?}")),
    }
}

/// The case must be refused while it is built, initialized or called.
fn error(case: &Case) -> Checked {
    let json = &case.json;
    let attempt = || -> Checked {
        let evaluator = Evaluator::new(case, &case.tensors)?;
        let HostValue::Layer(layer) = evaluator.value(&json["expr"])? else {
            return Ok(());
        };
        let Some(inputs) = json.get("inputs") else {
            return Ok(());
        };
        let inputs = tensors(case, inputs)?;
        let first = match json.get("initInputs") {
            Some(names) => tensors(case, names)?,
            None => inputs.clone(),
        };
        let specs: Vec<TensorSpec> = first.iter().map(TensorSpec::of).collect();
        let (weights, state) = init(&layer, &specs, key(&json["key"]))?;
        pure_fn(&layer, inputs, &weights, state, key(&json["key"]))?;
        Ok(())
    };
    match attempt() {
        Err(Failure::Error(_)) => Ok(()),
        Ok(()) => Err(Failure::Accepted(format!("Trax raises {}, this does not", json["error"]["cause"]))),
        Err(other) => Err(other),
    }
}

/// Names of arrays, in order, from any nesting; null stays.
fn names(nest: &Value) -> Vec<Option<String>> {
    match nest {
        Value::Array(v) => v.iter().flat_map(names).collect(),
        Value::String(s) => vec![Some(s.clone())],
        _ => vec![None],
    }
}

fn tensors(case: &Case, nest: &Value) -> Result<Vec<Tensor>, Failure> {
    let find =
        |n: String| case.tensors.get(&n).cloned().ok_or_else(|| Failure::Wrong(format!("the case has no array {n}")));
    names(nest).into_iter().flatten().map(find).collect()
}

fn key(words: &Value) -> Key {
    let word = |i: usize| words[i].as_u64().expect("a word of a key") as u32;
    Key([word(0), word(1)])
}

fn specs(json: &Value) -> Result<Vec<TensorSpec>, Failure> {
    match json {
        Value::Array(v) => Ok(v.iter().map(specs).collect::<Result<Vec<_>, _>>()?.concat()),
        spec => {
            let shape = spec["shape"].as_array().expect("a shape").iter().map(|d| d.as_u64().expect("a size") as usize);
            Ok(vec![TensorSpec::new(
                shape.collect::<Vec<_>>(),
                DType::parse(spec["dtype"].as_str().expect("a dtype"))?,
            )])
        }
    }
}

/// Structure with shapes and dtypes, as the cases write it.
fn tree(t: &Tree<Tensor>, what: &str) -> Value {
    match t {
        Tree::Leaf(t) => serde_json::json!({"shape": t.shape(), "dtype": t.dtype().name()}),
        Tree::Tuple(v) => v.iter().map(|t| tree(t, what)).collect(),
        Tree::Dict(v) => {
            let entries: serde_json::Map<String, Value> = v.iter().map(|(k, t)| (k.clone(), tree(t, what))).collect();
            serde_json::json!({ "dict": entries })
        }
        Tree::Cached => serde_json::json!({ "cached": what }),
        Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) | Tree::Quantized(_) => panic!("a view has tensors alone"),
    }
}

fn leaves(t: &Tree<Tensor>) -> Vec<Tensor> {
    t.leaves().into_iter().cloned().collect()
}

/// The same structure with other leaves, given in flattening order.
fn refilled(t: &Tree<Tensor>, values: &[Tensor]) -> Result<Tree<Tensor>, Failure> {
    let old = t.leaves();
    equal("number of arrays", values.len(), old.len())?;
    let order: HashMap<*const Tensor, &Tensor> = old.into_iter().map(std::ptr::from_ref).zip(values).collect();
    t.try_map(&mut |leaf| {
        order.get(&std::ptr::from_ref(leaf)).map(|t| (*t).clone()).ok_or_else(|| Failure::Wrong("lost a leaf".into()))
    })
}

fn tolerance(json: &Value) -> Tolerance {
    match json {
        Value::Object(t) => {
            Tolerance { absolute: t["atol"].as_f64().expect("atol"), relative: t["rtol"].as_f64().expect("rtol") }
        }
        _ => Tolerance { absolute: 0.0, relative: 0.0 },
    }
}

fn close_all(what: &str, got: &[Tensor], want: &[Tensor], t: Tolerance) -> Checked {
    equal(&format!("number of {what}s"), got.len(), want.len())?;
    got.iter().zip(want).enumerate().try_for_each(|(i, (g, w))| close(&format!("{what} {i}"), g, w, t))
}

fn close(what: &str, got: &Tensor, want: &Tensor, t: Tolerance) -> Checked {
    equal(&format!("dtype of {what}"), got.dtype(), want.dtype())?;
    let exact = Tolerance { absolute: 0.0, relative: 0.0 };
    let t = if want.dtype().is_float() { t } else { exact };
    within(got, want, t).or_else(|text| wrong(format!("{what}: {text}")))
}
