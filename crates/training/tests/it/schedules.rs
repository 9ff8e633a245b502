//! Learning-rate schedules against Trax's own values.
use serde_json::{json, Value};
use tallow_training::schedules;

fn options(case: &Value) -> (String, Value) {
    let name = case["expr"]["fn"].as_str().unwrap().trim_start_matches("lrSchedules.").to_string();
    let entry = schedules::SCHEDULES.iter().find(|e| (e.meta)().kind == name).expect("a registered schedule");
    let mut o = case["expr"].get("options").cloned().unwrap_or_else(|| json!({}));
    for (key, v) in (entry.meta)().positional.iter().zip(case["expr"]["args"].as_array().into_iter().flatten()) {
        o[*key] = v.clone();
    }
    (name, o)
}

#[test]
fn rates_equal_traxs() {
    let file: Value = serde_json::from_str(include_str!("../golden/lr_schedules.json")).unwrap();
    let mut points = 0;
    for case in file["cases"].as_array().unwrap() {
        let (name, o) = options(case);
        let schedule = schedules::construct(&name, &o).unwrap();
        for p in case["points"].as_array().unwrap() {
            let (step, want) = (p[0].as_u64().unwrap(), p[1].as_f64().unwrap());
            let got = schedule.rate(step).unwrap();
            // Trax computes some factors in float32.
            assert!((got - want).abs() <= 1e-9 + 5e-5 * want.abs(), "{} at {step}: {got}, want {want}", case["id"]);
            points += 1;
        }
    }
    assert!(points > 100);
}

#[test]
fn wrong_options_are_refused_in_words() {
    let message = |kind: &str, o: Value| schedules::construct(kind, &o).unwrap_err().message().to_string();
    assert!(message("multifactor", json!({"factors": "constant * magic"})).contains("unknown factor \"magic\""));
    assert!(message("multifactor", json!({"factors": "linear_warmup", "warmupSteps": 0})).contains("at least 1"));
    assert_eq!(
        message("warmup", json!({"nWarmupSteps": -1, "maxValue": 1})),
        "warmup: `nWarmupSteps` must be a whole number of at least 0, got -1"
    );
    assert!(message("sawtooth", json!({})).contains("no schedule named sawtooth"));
}

#[test]
fn rates_below_zero_are_refused_by_name() {
    let refused = [
        ("constant", "value", json!({"value": -0.1})),
        ("warmup", "maxValue", json!({"nWarmupSteps": 1, "maxValue": -0.1})),
        ("warmupAndRsqrtDecay", "maxValue", json!({"nWarmupSteps": 1, "maxValue": -0.1})),
        ("multifactor", "constant", json!({"constant": -0.1})),
        ("multifactor", "secondConstant", json!({"secondConstant": -0.1})),
        ("multifactor", "decayFactor", json!({"decayFactor": -0.1})),
        ("multifactor", "minimum", json!({"minimum": -0.1})),
    ];
    for (kind, option, options) in refused {
        let e = schedules::construct(kind, &options).expect_err(kind);
        assert_eq!(e.code(), "InvalidOption");
        assert_eq!(e.message(), format!("{kind}: `{option}` must be a number of at least 0, got -0.1"));
    }
}

/// Holds rates at steps, to the last bits.
fn holds(kind: &str, o: Value, points: &[(u64, f64)]) {
    let schedule = schedules::construct(kind, &o).unwrap();
    for &(step, want) in points {
        let got = schedule.rate(step).unwrap();
        assert!((got - want).abs() <= 1e-15 + 1e-12 * want.abs(), "{kind} {o} at {step}: {got}, want {want}");
    }
}

#[test]
fn a_line_falls_after_its_rise_and_stays() {
    let o = json!({"maxValue": 2, "nDecaySteps": 10, "endValue": 1, "nWarmupSteps": 4});
    holds("linearDecay", o, &[(0, 0.0), (1, 0.5), (4, 2.0), (9, 1.5), (14, 1.0), (15, 1.0), (u64::MAX, 1.0)]);
    holds("linearDecay", json!({"maxValue": 2, "nDecaySteps": 1}), &[(0, 2.0), (1, 0.0)]);
}

#[test]
fn cosines_restart_later_and_lower() {
    // Values of Keras' formula; periods of 10, 30 and 90 steps begin at 0, 10 and 40.
    let o = json!({"maxValue": 2, "nDecaySteps": 10, "tMul": 3, "mMul": 0.5, "alpha": 0.1});
    let at = |height: f64| 2.0 * (0.9 * height + 0.1);
    let half = |p: f64| 0.5 * (1.0 + (std::f64::consts::PI * p).cos());
    holds(
        "cosineDecayRestarts",
        o,
        &[
            (0, 2.0),
            (5, at(0.5)),
            (9, at(half(0.9))),
            (10, at(0.5)),
            (25, at(0.25)),
            (39, at(0.5 * half(29.0 / 30.0))),
            (40, at(0.25)),
            (129, at(0.25 * half(89.0 / 90.0))),
            (130, at(0.125)),
        ],
    );
    holds(
        "cosineDecayRestarts",
        json!({"maxValue": 1, "nDecaySteps": 4, "tMul": 1}),
        &[(2, 0.5), (4, 1.0), (402, 0.5)],
    );
    // Every start of a period is the top.
    let schedule = schedules::construct("cosineDecayRestarts", json!({"maxValue": 1, "nDecaySteps": 7})).unwrap();
    for i in 0..40 {
        assert_eq!(schedule.rate(7 * ((1 << i) - 1)).unwrap(), 1.0, "period {i}");
    }
    let e = schedules::construct("cosineDecayRestarts", json!({"maxValue": 1, "nDecaySteps": 7, "tMul": 0.5}));
    assert!(e.unwrap_err().message().contains("`tMul` must be a number of at least 1, got 0.5"));
}

#[test]
fn one_cycle_rises_and_falls_to_its_end() {
    // PyTorch's values: from 0.1 up to 1 at step 4, down to 0.001 at step 9.
    let o = |anneal: &str| json!({"maxValue": 1, "nSteps": 10, "pctStart": 0.5, "divFactor": 10, "finalDivFactor": 100, "annealStrategy": anneal});
    holds("oneCycle", o("linear"), &[(0, 0.1), (2, 0.55), (4, 1.0), (9, 0.001), (10, 0.001), (1000, 0.001)]);
    holds("oneCycle", o("cos"), &[(0, 0.1), (2, 0.55), (4, 1.0), (9, 0.001), (10, 0.001)]);
    holds("oneCycle", json!({"maxValue": 1, "nSteps": 1}), &[(0, 1.0), (5, 1.0)]);
    holds("oneCycle", json!({"maxValue": 1, "nSteps": 3, "pctStart": 1}), &[(2, 1.0), (3, 1.0)]);
}
