//! What every registered layer must hold: one line per case, one file per module; see [`case::Case`] for what a line can say.
//!
//! One kind: `CASE=Dense cargo test --release -p tallow-layers --test conformance`.
mod acceleration;
mod activation_fns;
mod assert_shape;
mod attention;
mod base;
mod case;
mod checks;
mod combinators;
mod convolution;
mod core;
mod deconvolution;
mod metrics;
mod normalization;
mod pooling;
mod position_encodings;
mod rel_attention;
mod resampling;
mod research;
mod reversible;
mod rnn;
mod sparsity;

use case::Case;
use std::collections::BTreeSet;

/// All cases. A new module adds its line here.
fn cases() -> Vec<Case> {
    [
        acceleration::cases(),
        activation_fns::cases(),
        base::cases(),
        combinators::cases(),
        convolution::cases(),
        core::cases(),
        deconvolution::cases(),
        metrics::cases(),
        normalization::cases(),
        rnn::cases(),
        pooling::cases(),
        sparsity::cases(),
        assert_shape::cases(),
        attention::cases(),
        research::cases(),
        position_encodings::cases(),
        rel_attention::cases(),
        resampling::cases(),
        reversible::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_case_holds() {
    let wanted = std::env::var("CASE").ok();
    let mut failures = Vec::new();
    for case in cases().iter().filter(|c| wanted.as_ref().is_none_or(|w| c.kind == w)) {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checks::case(case)));
        match checked {
            Ok(found) => failures.extend(found.into_iter().map(|f| format!("{case}: {f}"))),
            Err(_) => failures.push(format!("{case}: panicked")),
        }
    }
    assert!(failures.is_empty(), "{} checks failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_registered_layer_has_a_case() {
    let covered: BTreeSet<&str> = cases().iter().map(|c| c.kind).collect();
    let all = tallow_layers::registry::layers().iter().flat_map(|t| t.iter());
    let without: Vec<String> = all
        .filter(|e| !covered.contains((e.meta)().kind))
        .map(|e| format!("{}.{}", e.module, (e.meta)().kind))
        .collect();
    assert!(without.is_empty(), "no case in tests/conformance for: {}", without.join(", "));
}

#[test]
fn registered_names_are_distinct() {
    let mut seen = BTreeSet::new();
    for entry in tallow_layers::registry::layers().iter().flat_map(|t| t.iter()) {
        let meta = (entry.meta)();
        assert!(seen.insert(meta.kind), "{} is registered twice", meta.kind);
        let mut options = BTreeSet::new();
        for f in meta.all() {
            assert!(options.insert(f.name), "{} has the option {} twice", meta.kind, f.name);
        }
    }
}

/// Checks that cannot fail prove nothing: faulty layers must be found out.
#[test]
fn planted_faults_are_found() {
    for (fault, case) in case::faulty() {
        let found = checks::case(&case);
        assert!(found.iter().any(|f| f.contains(fault)), "a fault against '{fault}' was not found; found: {found:?}");
    }
}
