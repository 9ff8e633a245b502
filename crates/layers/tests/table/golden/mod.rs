//! Trax's own numbers: every case of `tests/golden/*.json` is built from its expression, run, and held against what Trax gave.
mod case;
mod check;
mod expr;
mod lambda;

use case::{Case, Module};
use expr::Failure;
use libtest_mimic::Trial;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A case that records what Trax does and tallow deliberately does not; the TypeScript tests read the same list.
#[derive(Deserialize, Clone)]
struct Mended {
    why: String,
    /// What comes of the case: `value` if something recorded is another, `accepted` if Trax alone refuses it, or the code of the
    /// error it ends in. Anything else is a failure.
    differs: String,
}

fn mended() -> BTreeMap<String, Mended> {
    serde_json::from_str(include_str!("../../mended.json")).expect("names of cases, reasons and differences")
}

/// The tests: one for each case, and those of the checks themselves.
pub fn trials() -> Vec<Trial> {
    let mended = mended();
    let mut trials = vec![
        crate::plain("golden: planted faults are found", planted_faults_are_found),
        crate::plain("golden: every mended case exists", every_mended_case_exists),
        crate::plain("golden: a mended case differs in its own way only", mended_cases_differ_in_their_own_way),
    ];
    for module in Module::all() {
        for case in module.cases {
            let name = format!("{}/{}", module.name, case.id);
            let mended = mended.get(&name).cloned();
            trials.push(Trial::test(format!("golden/{name}"), move || crate::run(|| hold(&case, mended.as_ref()))));
        }
    }
    trials
}

/// Whether a case comes out as recorded, or as its line among the mended ones says.
fn hold(case: &Case, mended: Option<&Mended>) -> Result<(), String> {
    let result = check::case(case);
    let Some(Mended { why, differs }) = mended else { return result.map_err(|e| e.to_string()) };
    let found = match &result {
        Ok(()) => return Err(format!("listed as mended ({why}), but does as Trax does")),
        Err(Failure::Error(e)) => e.code(),
        Err(Failure::Accepted(_)) => "accepted",
        Err(Failure::Wrong(_)) => "value",
        Err(Failure::Missing(_)) => "missing",
    };
    match result {
        Err(e) if found != differs => {
            Err(format!("listed as mended ({why}) by {differs}, but differs by {found}: {e}"))
        }
        _ => Ok(()),
    }
}

fn base(id: &str) -> Case {
    let cases = Module::read("base").cases;
    cases.into_iter().find(|c| c.id == id).unwrap_or_else(|| panic!("no case {id}"))
}

/// A defect of the checks themselves would pass everything: planted faults must be found.
fn planted_faults_are_found() {
    for (pointer, value) in [
        ("/name", serde_json::json!("Other")),
        ("/nOut", serde_json::json!(2)),
        ("/hasBackward", serde_json::json!(true)),
        ("/text", serde_json::json!("Scale_in2")),
        ("/expr/args/1/body/2", serde_json::json!(2.001)),
        ("/init/weightsTree", serde_json::json!([[]])),
        ("/steps/0/grad/cotangents", serde_json::json!("x0.0")),
    ] {
        let mut case = base("Fn-1");
        *case.json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not in the case")) = value;
        assert!(matches!(check::case(&case), Err(Failure::Wrong(_))), "a fault at {pointer} was not found");
    }
    let mut harmless = base("Fn-error-1");
    harmless.json["inputs"] = serde_json::json!(["x0.0", "x0.0"]);
    assert!(check::case(&harmless).is_err(), "an error case that does not fail was not found");
    let mut unknown = base("Fn-1");
    unknown.json["expr"]["fn"] = serde_json::json!("NoSuchLayer");
    assert!(hold(&unknown, None).is_err(), "a case of a layer that is not there passed");
}

fn every_mended_case_exists() {
    let names =
        Module::all().into_iter().flat_map(|m| m.cases.into_iter().map(move |c| format!("{}/{}", m.name, c.id)));
    let names: BTreeSet<String> = names.collect();
    let stale: Vec<String> = mended().into_keys().filter(|name| !names.contains(name)).collect();
    assert!(stale.is_empty(), "no such cases: {stale:?}");
}

/// A case on the list does not pass for just any reason.
fn mended_cases_differ_in_their_own_way() {
    let listed = |differs: &str| Mended { why: "a reason".into(), differs: differs.into() };
    assert!(hold(&base("Fn-1"), Some(&listed("value"))).is_err(), "a case that does as Trax does passed as mended");
    let mut renamed = base("Fn-1");
    renamed.json["name"] = serde_json::json!("Other");
    assert_eq!(hold(&renamed, Some(&listed("value"))), Ok(()));
    assert!(hold(&renamed, Some(&listed("accepted"))).is_err(), "another difference passed");
    assert!(hold(&renamed, Some(&listed("InvalidArgument"))).is_err(), "another difference passed");
}
