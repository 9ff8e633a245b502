//! What every registered layer must hold: one line per case, one file per module; see [`case::Case`] for what a line can say.
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
use libtest_mimic::{Failed, Trial};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

/// The tests: one for each case, one for each check that a case is excused from, and those of the table itself.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        crate::plain("conformance: every registered layer has a case", every_registered_layer_has_a_case),
        crate::plain("conformance: registered names are distinct", registered_names_are_distinct),
        crate::plain(
            "conformance: every layer that goes on is held step by step",
            every_layer_that_goes_on_is_held_step_by_step,
        ),
        crate::plain("conformance: planted faults are found", planted_faults_are_found),
    ];
    let mut counts = BTreeMap::new();
    for case in cases().into_iter().map(Arc::new) {
        let count = counts.entry(case.kind).or_insert(0);
        *count += 1;
        let name = format!("conformance/{}-{count}", case.kind);
        if let Some(reason) = case.no_gradient_check {
            let same = case.clone();
            let excused = Trial::test(format!("{name}: gradients ({reason})"), move || holds(&same, checks::excused));
            trials.push(excused.with_ignored_flag(true));
        }
        trials.push(Trial::test(name, move || holds(&case, checks::case)));
    }
    trials
}

/// Runs a check of a case.
fn holds(case: &Case, check: fn(&Case) -> Vec<String>) -> Result<(), Failed> {
    crate::run(|| match check(case).join("\n").as_str() {
        "" => Ok(()),
        found => Err(format!("{case}:\n{found}")),
    })
}

fn every_registered_layer_has_a_case() {
    let covered: BTreeSet<&str> = cases().iter().map(|c| c.kind).collect();
    let all = tallow_layers::registry::layers().iter().flat_map(|t| t.iter());
    let without: Vec<String> = all
        .filter(|e| !covered.contains((e.meta)().kind))
        .map(|e| format!("{}.{}", e.module, (e.meta)().kind))
        .collect();
    assert!(without.is_empty(), "no case in tests/table/conformance for: {}", without.join(", "));
}

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

/// Layers with a mode that have nothing to go on with: what a position gets does not depend on the positions of other calls.
const NO_STEPS: &[&str] = &[
    // Attention to all keys it is given; in an encoder that is the whole source.
    "Attention",
    "AttentionQKV",
    "PureAttention",
    "DotProductAttention",
    "EncDecAttention",
    "RelativeAttention",
    "RelativeAttentionLayer",
    "RelativeAttentionLMLayer",
    "RelativeAttentionWrapper",
    "Favor",
    "FavorAttention",
    // Each position by itself, or by statistics that are learned.
    "BatchNorm",
    "Dropout",
    "FilterResponseNorm",
    "GeneralGRUCell",
    "ConvGRUCell",
    "SparseDenseWithOptions",
    // One of two layers, by the length of the sequence, which pieces of it do not tell.
    "MixedLSHSelfAttention",
    // Groups of positions, which single ones are refused as.
    "AveragePooling",
    "LinearPooling",
    "LinearUpsampling",
    "NaiveUpsampling",
    "NoUpsampling",
    // What the layers within or the class do.
    "PureLSHSelfAttentionWrapper",
    "Cache",
    "EfficientAttentionBase",
    "Layer",
    "PureLayer",
    // Passes on in predict what is shifted already.
    "ShiftRight",
];

fn every_layer_that_goes_on_is_held_step_by_step() {
    let all = cases();
    let held: BTreeSet<&str> = all.iter().filter(|c| c.time_axis.is_some()).map(|c| c.kind).collect();
    let metas = tallow_layers::registry::layers().iter().flat_map(|t| t.iter()).map(|e| (e.meta)());
    let with_mode: BTreeSet<&str> = metas.filter(|m| m.all().any(|f| f.name == "mode")).map(|m| m.kind).collect();
    let without: Vec<&&str> = with_mode.iter().filter(|k| !held.contains(*k) && !NO_STEPS.contains(*k)).collect();
    assert!(without.is_empty(), "no case of {without:?} says .steps_along(axis)");
    let stale: Vec<&&str> = NO_STEPS.iter().filter(|k| !with_mode.contains(*k) || held.contains(*k)).collect();
    assert!(stale.is_empty(), "{stale:?} need not be excused");
}

/// Checks that cannot fail prove nothing: faulty layers must be found out.
fn planted_faults_are_found() {
    for (fault, case) in case::faulty() {
        let found = checks::case(&case);
        assert!(found.iter().any(|f| f.contains(fault)), "a fault against '{fault}' was not found; found: {found:?}");
    }
}
