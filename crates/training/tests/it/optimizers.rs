//! Optimizers against Trax's own updates, slots and norms.
use safetensors::SafeTensors;
use serde_json::{json, Value};
use tallow_tensor::{ops::global_norm, Tensor};
use tallow_training::optimizers::{construct, Update};

const DATA: &[u8] = include_bytes!("../golden/optimizers.safetensors");

fn tensor(file: &SafeTensors, case: &str, name: &Value) -> Tensor {
    let view = file.tensor(&format!("{case}/{}", name.as_str().unwrap())).unwrap();
    let v: Vec<f32> = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Tensor::from_vec(v, view.shape()).unwrap()
}

fn list(file: &SafeTensors, case: &str, names: &Value) -> Vec<Tensor> {
    names.as_array().unwrap().iter().map(|n| tensor(file, case, n)).collect()
}

fn close(got: &Tensor, want: &Tensor, what: &str) {
    for (g, w) in got.to_f64_vec().unwrap().into_iter().zip(want.to_f64_vec().unwrap()) {
        assert!((g - w).abs() <= 2e-6 + 1e-5 * w.abs(), "{what}: {g}, want {w}");
    }
}

#[test]
fn options_of_no_sense_are_refused_by_name() {
    let refused = [
        ("learningRate", json!(-1), "a number of at least 0, got -1"),
        ("weightDecayRate", json!(-0.5), "from 0 to 1, got -0.5"),
        ("weightDecayRate", json!(2), "from 0 to 1, got 2"),
        ("b1", json!(1), "at least 0 and below 1, got 1"),
        ("b2", json!(-0.1), "at least 0 and below 1, got -0.1"),
        ("eps", json!(0), "a number above 0, got 0"),
        ("clipGradNorm", json!(0), "a number above 0, got 0"),
        ("clipGradValue", json!(-1), "a number above 0, got -1"),
    ];
    for (option, value, says) in refused {
        let mut options = serde_json::Map::new();
        options.insert(option.to_owned(), value);
        let e = construct("Adam", Value::Object(options)).expect_err(option);
        assert_eq!((e.code(), e.message()), ("InvalidOption", &*format!("Adam: `{option}` must be {says}")));
    }
    let edge = json!({"learningRate": 0, "weightDecayRate": 1, "b1": 0, "b2": 0});
    assert!(construct("Adam", edge).is_ok());
}

macro_rules! equal_traxs {
    ($($test:ident: $name:literal $cases:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                assert_eq!(equals_traxs($name), $cases);
            }
        )*
        const HELD: &[&str] = &[$($name),*];
    };
}
equal_traxs!(
    sgd_equals_traxs: "SGD" 2,
    momentum_equals_traxs: "Momentum" 2,
    rms_prop_equals_traxs: "RMSProp" 2,
    adam_equals_traxs: "Adam" 4,
    adafactor_equals_traxs: "Adafactor" 3,
    sm3_equals_traxs: "SM3" 3,
);

#[test]
fn every_recorded_case_is_held() {
    let cases: Value = serde_json::from_str(include_str!("../golden/optimizers.json")).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["expr"]["fn"].as_str().unwrap().trim_start_matches("optimizers.");
        assert!(HELD.contains(&name), "no test holds {} against Trax", case["id"]);
    }
}

/// Holds the recorded cases of an optimizer; how many there are.
fn equals_traxs(name: &str) -> usize {
    let file = SafeTensors::deserialize(DATA).unwrap();
    let cases: Value = serde_json::from_str(include_str!("../golden/optimizers.json")).unwrap();
    let mut run = 0;
    for case in cases["cases"].as_array().unwrap() {
        let (id, kind) = (case["id"].as_str().unwrap(), case["expr"]["fn"].as_str().unwrap());
        if kind != format!("optimizers.{name}") {
            continue;
        }
        run += 1;
        let optimizer = construct(name, case["expr"].get("options").unwrap_or(&json!({}))).unwrap();
        let mut weights = list(&file, id, &case["weights"]);
        let mut slots: Vec<Vec<Tensor>> = weights.iter().map(|w| optimizer.init(w).unwrap()).collect();
        for step in case["steps"].as_array().unwrap() {
            let gradients = list(&file, id, &step["grads"]);
            let norm = global_norm(&gradients).unwrap();
            let near = |got: f64, key: &str| {
                let want = step["metrics"][key].as_f64().unwrap();
                assert!((got - want).abs() <= 1e-5 * want, "{id} {key}: {got}, want {want}");
            };
            near(norm, "gradients_l2");
            near(global_norm(&weights).unwrap(), "weights_l2");
            let update = Update {
                step: step["step"].as_u64().unwrap(),
                learning_rate: optimizer.learning_rate(),
                clip: optimizer.clipping().clip(norm),
            };
            for ((w, s), g) in weights.iter_mut().zip(&mut slots).zip(&gradients) {
                (*w, *s) = optimizer.update(w.clone(), g, s.clone(), &update).unwrap();
            }
            for (got, want) in weights.iter().zip(list(&file, id, &step["weights"])) {
                close(got, &want, id);
            }
            let wanted = list(&file, id, &step["slots"]);
            assert_eq!(slots.iter().flatten().count(), wanted.len(), "{id}");
            for (got, want) in slots.iter().flatten().zip(wanted) {
                assert_eq!(got.shape(), want.shape(), "{id}");
                close(got, &want, id);
            }
        }
    }
    run
}

#[test]
fn unknown_optimizers_and_options_are_refused() {
    assert!(construct("Adaam", json!({})).unwrap_err().message().contains("no optimizer named Adaam"));
    let e = construct("Adam", json!({"beta1": 0.9})).unwrap_err();
    assert!(e.message().starts_with("Adam: unknown option `beta1`"), "{e}");
    let e = construct("Adam", json!({"clipGradNorm": 0})).unwrap_err();
    assert_eq!(e.message(), "Adam: `clipGradNorm` must be a number above 0, got 0");
}
