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
