//! Optimizers that Trax has not, against PyTorch's updates (`scripts/golden/torch_optimizers.py` records them).
use serde_json::Value;
use tallow_tensor::Tensor;
use tallow_training::optimizers::{construct, Update};

const CASES: &str = include_str!("../golden/torch_optimizers.json");

fn tensors(values: &Value, shapes: &Value) -> Vec<Tensor> {
    let (values, shapes) = (values.as_array().unwrap(), shapes.as_array().unwrap());
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
    let made = values.iter().zip(shapes).map(|(v, shape)| {
        let shape: Vec<usize> = numbers(shape).into_iter().map(|n| n as usize).collect();
        let v: Vec<f32> = numbers(v).into_iter().map(|x| x as f32).collect();
        Tensor::from_vec(v, &shape).unwrap()
    });
    made.collect()
}

/// Holds the recorded cases of an optimizer; how many there are.
fn equals_torchs(name: &str) -> usize {
    let recorded: Value = serde_json::from_str(CASES).unwrap();
    let shapes = &recorded["shapes"];
    let cases = recorded["cases"].as_array().unwrap().iter().filter(|c| c["optimizer"] == name);
    let mut held = 0;
    for case in cases {
        let optimizer = construct(name, &case["options"]).unwrap();
        let mut weights = tensors(&case["weights"], shapes);
        let mut slots: Vec<Vec<Tensor>> = weights.iter().map(|w| optimizer.init(w).unwrap()).collect();
        for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let update = Update {
                step: i as u64,
                learning_rate: optimizer.learning_rate(),
                clip: optimizer.clipping().clip(f64::NAN),
            };
            for ((w, s), g) in weights.iter_mut().zip(&mut slots).zip(tensors(&step["gradients"], shapes)) {
                (*w, *s) = optimizer.update(w.clone(), &g, std::mem::take(s), &update).unwrap();
            }
            for (got, want) in weights.iter().zip(tensors(&step["weights"], shapes)) {
                for (g, w) in got.to_f64_vec().unwrap().into_iter().zip(want.to_f64_vec().unwrap()) {
                    let what = format!("{name} {} after step {i}: {g}, want {w}", case["options"]);
                    assert!((g - w).abs() <= 2e-6 + 1e-5 * w.abs(), "{what}");
                }
            }
        }
        held += 1;
    }
    held
}

#[test]
fn adamw_equals_torchs() {
    assert_eq!(equals_torchs("AdamW"), 2);
}

#[test]
fn muon_equals_torchs() {
    assert_eq!(equals_torchs("Muon"), 3);
}
