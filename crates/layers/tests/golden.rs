//! Trax's own numbers: every case of `golden/*.json` is built from its expression, run, and held against what Trax gave.
//!
//! All modules: `cargo test --release -p tallow-layers --test golden`; some: `GOLDEN=core,attention cargo test …`;
//! one case: `GOLDEN=core/Dense-1 cargo test …`.
mod golden_support;

use golden_support::{
    case::{Case, Module},
    check,
    expr::Failure,
};
use std::collections::{BTreeMap, BTreeSet};

/// Cases that record what Trax does and tallow deliberately does not, with the reason; the TypeScript tests read them too.
/// Each must really differ, or its line is stale.
fn mended() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("mended.json")).expect("names of cases and reasons")
}

#[test]
fn golden() {
    let wanted = std::env::var("GOLDEN").unwrap_or_default();
    let modules: Vec<Module> =
        Module::all().into_iter().filter(|m| wanted.is_empty() || names(&wanted, &m.name)).collect();
    assert!(!modules.is_empty(), "GOLDEN={wanted} names no module");
    let (homes, mended) = (homes(), mended());
    let registered = registered();
    let (mut failures, mut missing, mut passed) = (Vec::new(), BTreeMap::<String, usize>::new(), 0);
    for module in &modules {
        for case in module.cases.iter().filter(|c| wants(&wanted, &module.name, &c.id)) {
            let name = format!("{}/{}", module.name, case.id);
            let mended = mended.get(&name);
            match (run(case), mended) {
                (Err(Failure::Missing(kind)), _) => {
                    let home = homes.get(&kind).map(String::as_str).unwrap_or_default();
                    if registered.contains(home) {
                        failures.push(format!("{name}: {kind} is not registered, though other names of {home} are"));
                    }
                    *missing.entry(kind).or_default() += 1;
                }
                (Ok(()), None) | (Err(_), Some(_)) => passed += 1,
                (Ok(()), Some(reason)) => {
                    failures.push(format!("{name}: listed as mended ({reason}), but does as Trax does"));
                }
                (Err(e), None) => failures.push(format!("{name}: {e}")),
            }
        }
    }
    let missing_cases: usize = missing.values().sum();
    let kinds: Vec<String> = missing.iter().map(|(k, n)| format!("{k} ({n})")).collect();
    eprintln!(
        "golden: {passed} passed, {} failed, {missing_cases} wait for kinds not registered: {}",
        failures.len(),
        kinds.join(", ")
    );
    assert!(failures.is_empty(), "{} golden cases failed:\n{}", failures.len(), failures.join("\n"));
}

/// A defect of the checks themselves would pass everything: planted faults must be found.
#[test]
fn planted_faults_are_found() {
    let module = Module::read("base");
    let case = |id: &str| module.cases.iter().find(|c| c.id == id).unwrap_or_else(|| panic!("no case {id}")).clone();
    for (pointer, value) in [
        ("/name", serde_json::json!("Other")),
        ("/nOut", serde_json::json!(2)),
        ("/hasBackward", serde_json::json!(true)),
        ("/text", serde_json::json!("Scale_in2")),
        ("/expr/args/1/body/2", serde_json::json!(2.001)),
        ("/init/weightsTree", serde_json::json!([[]])),
        ("/steps/0/grad/cotangents", serde_json::json!("x0.0")),
    ] {
        let mut case = case("Fn-1");
        *case.json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not in the case")) = value;
        assert!(matches!(run(&case), Err(Failure::Wrong(_))), "a fault at {pointer} was not found");
    }
    let mut harmless = case("Fn-error-1");
    harmless.json["inputs"] = serde_json::json!(["x0.0", "x0.0"]);
    assert!(run(&harmless).is_err(), "an error case that does not fail was not found");
}

fn run(case: &Case) -> Result<(), Failure> {
    // A panic is a defect of the layer, not of the run.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check::case(case)))
        .unwrap_or_else(|_| Err(Failure::Wrong("panicked".into())))
}

fn names(wanted: &str, module: &str) -> bool {
    wanted.split(',').any(|w| w.split('/').next() == Some(module))
}

fn wants(wanted: &str, module: &str, id: &str) -> bool {
    wanted.is_empty()
        || wanted.split(',').any(|w| match w.split_once('/') {
            Some((m, i)) => m == module && i == id,
            None => w == module,
        })
}

/// The module of each kind that a case of it is made for.
fn homes() -> BTreeMap<String, String> {
    let mut homes = BTreeMap::new();
    for module in Module::all() {
        for case in &module.cases {
            if let Some(kind) = case.json["expr"]["fn"].as_str() {
                if case.id.starts_with(&format!("{kind}-")) {
                    homes.entry(kind.to_string()).or_insert_with(|| module.name.clone());
                }
            }
        }
    }
    homes
}

/// Modules of which something is registered.
fn registered() -> BTreeSet<&'static str> {
    use tallow_layers::registry::{functions, initializers, layers};
    let layers = layers().iter().flat_map(|t| t.iter().map(|e| e.module));
    let initializers = initializers().iter().flat_map(|t| t.iter().map(|e| e.module));
    layers.chain(initializers).chain(functions().iter().flat_map(|t| t.iter().map(|e| e.module))).collect()
}
