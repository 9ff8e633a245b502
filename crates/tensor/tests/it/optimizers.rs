//! Updates of optimizers beside Adam: each rule written out in float64, on both paths, in every dtype, in place and beside.
use crate::common::FLOATS;
use tallow_tensor::{
    force_general_path,
    ops::{
        adafactor_slots, adafactor_update, lion_update, momentum_update, orthogonalize, rms_prop_update, sgd_update,
        sm3_update, AdafactorStep, Clip, LionStep, MomentumStep, RmsPropStep, SgdStep, Sm3Moments, Sm3Step,
    },
    testing::{assert_close, assert_same_bits, on_threads, random},
    DType, ErrorKind, Result, Tensor,
};

/// New weights, and the slot where there is one.
type Updated = (Tensor, Vec<Tensor>);

const CLIP: Clip = Clip { scale: 0.5, limit: 0.3 };
const SGD: SgdStep = SgdStep { lr: 0.1, weight_decay_rate: 0.01, l2: 0.02 };
const MOMENTUM: MomentumStep =
    MomentumStep { lr: 0.1, mass: 0.9, share: 0.25, weight_decay_rate: 0.01, l2: 0.02, nesterov: false };
const NESTEROV: MomentumStep = MomentumStep { nesterov: true, ..MOMENTUM };
const RMS_PROP: RmsPropStep = RmsPropStep { lr: 0.1, gamma: 0.75, eps: 1e-3 };
const LION: LionStep = LionStep { lr: 0.1, b1: 0.75, b2: 0.5, weight_decay_rate: 0.01 };

/// A rule of one weight: what it does to tensors, and the same to one number.
struct Rule {
    run: fn(Tensor, &Tensor, Tensor) -> Result<Updated>,
    one: fn(f64, f64, f64) -> (f64, f64),
}

fn momentum(s: &MomentumStep, p: f64, g: f64, m: f64) -> (f64, f64) {
    let g = g + s.l2 * p;
    let m = s.mass * m + s.share * g;
    let d = if s.nesterov { s.mass * m + s.share * g } else { m };
    ((1.0 - s.weight_decay_rate) * p - s.lr * d, m)
}

const RULES: [Rule; 5] = [
    Rule {
        run: |p, g, _| Ok((sgd_update(p, g, CLIP, &SGD)?, vec![])),
        one: |p, g, m| ((1.0 - 0.01) * p - 0.1 * (g + 0.02 * p), m),
    },
    Rule {
        run: |p, g, m| momentum_update(p, g, m, CLIP, &MOMENTUM).map(|(p, m)| (p, vec![m])),
        one: |p, g, m| momentum(&MOMENTUM, p, g, m),
    },
    Rule {
        run: |p, g, m| momentum_update(p, g, m, CLIP, &NESTEROV).map(|(p, m)| (p, vec![m])),
        one: |p, g, m| momentum(&NESTEROV, p, g, m),
    },
    Rule {
        run: |p, g, v| rms_prop_update(p, g, v, CLIP, &RMS_PROP).map(|(p, v)| (p, vec![v])),
        one: |p, g, v| {
            let v = 0.75 * v + 0.25 * g * g;
            (p - 0.1 * g / (v.sqrt() + 1e-3), v)
        },
    },
    Rule {
        run: |p, g, m| lion_update(p, g, m, CLIP, &LION).map(|(p, m)| (p, vec![m])),
        one: |p, g, m| {
            let c = 0.75 * m + 0.25 * g;
            let sign = if c == 0.0 { 0.0 } else { c.signum() };
            ((1.0 - 0.01) * p - 0.1 * sign, 0.5 * m + 0.5 * g)
        },
    },
];

/// Weights, a gradient, and a slot above 0.
fn start(n: usize, dtype: DType) -> [Tensor; 3] {
    let above: Vec<f64> = random(&[n], 3).to_f64_vec().unwrap().iter().map(|v| v * v).collect();
    [random(&[n], 1), random(&[n], 2), Tensor::from_vec(above, &[n]).unwrap()].map(|t| t.cast(dtype).unwrap())
}

#[test]
fn each_rule_is_its_formula_on_both_paths_in_every_dtype() {
    for (which, rule) in RULES.iter().enumerate() {
        for dtype in FLOATS {
            let [p, g, m] = start(50, dtype);
            let values = [&p, &g, &m].map(|t| t.to_f64_vec().unwrap());
            let (mut new, mut slot) = (vec![], vec![]);
            let [ps, gs, ms] = &values;
            for ((&p, g), &m) in ps.iter().zip(gs).zip(ms) {
                let g = (g * CLIP.scale).clamp(-CLIP.limit, CLIP.limit);
                let (p, m) = (rule.one)(p, g, m);
                new.push(p);
                slot.push(m);
            }
            let expected = [new, slot].map(|v| Tensor::from_vec(v, &[50]).unwrap());
            let fast = (rule.run)(p.clone(), &g, m.clone()).unwrap();
            let general = force_general_path(|| (rule.run)(p, &g, m)).unwrap();
            for (p, slots) in [fast, general] {
                assert_eq!(p.dtype(), dtype, "rule {which}");
                let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
                assert_close(&p, &expected[0], dtype);
                if let [slot] = &slots[..] {
                    assert_eq!(slot.dtype(), wide);
                    assert_close(slot, &expected[1], if dtype == DType::F64 { dtype } else { DType::F16 });
                }
            }
        }
    }
}

#[test]
fn weights_that_someone_holds_stay_and_threads_do_not_matter() {
    for rule in &RULES {
        let fresh = || start(70_001, DType::F32);
        let run = || {
            let [p, g, m] = fresh();
            (rule.run)(p, &g, m).unwrap()
        };
        let one = on_threads(1, run);
        for n in [2, 4] {
            let other = on_threads(n, run);
            assert_same_bits(&one.0, &other.0);
            one.1.iter().zip(&other.1).for_each(|(a, b)| assert_same_bits(a, b));
        }
        let [p, g, m] = fresh();
        let held = (p.clone(), m.clone());
        let beside = (rule.run)(p, &g, m).unwrap();
        assert_same_bits(&held.0, &fresh()[0]);
        assert_same_bits(&held.1, &fresh()[2]);
        assert_same_bits(&beside.0, &one.0);
    }
}

const ADAFACTOR: AdafactorStep = AdafactorStep {
    lr: 0.1,
    factored: true,
    by_weights: true,
    clipping_threshold: 0.5,
    momentum: Some(0.25),
    decay_exponent: 0.8,
    weight_decay_rate: 0.01,
    epsilon1: 1e-16,
    epsilon2: 1e-3,
    step: 3,
};

fn adafactor_start(shape: &[usize], step: &AdafactorStep, dtype: DType) -> (Tensor, Tensor, Vec<Tensor>) {
    let above = |shape: &[usize], seed| random(shape, seed).square().unwrap();
    let mut slots: Vec<Tensor> =
        adafactor_slots(shape, step.factored).iter().enumerate().map(|(i, s)| above(s, i as u64 + 5)).collect();
    slots.extend(step.momentum.map(|_| random(shape, 9)));
    let cast = |t: &Tensor| t.cast(dtype).unwrap();
    (cast(&random(shape, 1)), cast(&random(shape, 2)), slots.iter().map(cast).collect())
}

#[test]
fn adafactor_is_the_same_on_both_paths_and_on_any_threads() {
    let steps =
        [ADAFACTOR, AdafactorStep { factored: false, ..ADAFACTOR }, AdafactorStep { momentum: None, ..ADAFACTOR }];
    for step in steps {
        for shape in [&[][..], &[7], &[5, 3], &[2, 4, 6], &[300, 200], &[0, 3]] {
            let run = || {
                let (p, g, slots) = adafactor_start(shape, &step, DType::F32);
                adafactor_update(p, &g, slots, CLIP, &step).unwrap()
            };
            let one = on_threads(1, run);
            for n in [2, 4] {
                let other = on_threads(n, run);
                assert_same_bits(&one.0, &other.0);
                one.1.iter().zip(&other.1).for_each(|(a, b)| assert_same_bits(a, b));
            }
            let general = force_general_path(run);
            assert_close(&one.0, &general.0, DType::F32);
            one.1.iter().zip(&general.1).for_each(|(a, b)| assert_close(a, b, DType::F32));
        }
    }
}

#[test]
fn adafactor_of_one_row_and_column_is_its_formula() {
    // Where rows and columns have one element, factors are the moments themselves.
    let one = |v: f64| Tensor::from_vec(vec![v], &[1, 1]).unwrap();
    let slot = |v: f64| Tensor::from_vec(vec![v], &[1]).unwrap();
    let step = AdafactorStep { momentum: None, ..ADAFACTOR };
    let (p, slots) = adafactor_update(one(2.0), &one(0.5), vec![slot(0.04), slot(0.04)], Clip::NONE, &step).unwrap();
    let mixing = 4f64.powf(-0.8);
    let v = (1.0 - mixing) * 0.04 + mixing * 0.25;
    let y = 0.5 / v.sqrt();
    let down = 0.1 * 2.0 * y / (y / 0.5).max(1.0);
    assert!((p.item().unwrap() - (0.99 * 2.0 - down)).abs() < 1e-12);
    assert!(slots.iter().all(|s| (s.item().unwrap() - v).abs() < 1e-12));
}

#[test]
fn sm3_is_the_same_on_both_paths_and_on_any_threads() {
    for second_moment_averaging in [1.0, 0.9] {
        for momentum in [None, Some(NESTEROV)] {
            let step = Sm3Step { lr: 0.1, second_moment_averaging, l2: 0.01, momentum };
            for shape in [&[][..], &[7], &[5, 3], &[2, 4, 6], &[300, 200], &[0, 3]] {
                let run = || {
                    let axes = if shape.is_empty() { &[1][..] } else { shape };
                    let bounds = |seed| -> Vec<Tensor> {
                        axes.iter().map(|&n| random(&[n], seed).square().unwrap().cast(DType::F32).unwrap()).collect()
                    };
                    let slots = Sm3Moments {
                        momentum: momentum.map(|_| random(shape, 3).cast(DType::F32).unwrap()),
                        bounds: bounds(5),
                        sums: if second_moment_averaging == 1.0 { vec![] } else { bounds(6) },
                    };
                    let [p, g] = [1, 2].map(|seed| random(shape, seed).cast(DType::F32).unwrap());
                    sm3_update(p, &g, slots, CLIP, &step).unwrap()
                };
                let one = on_threads(1, run);
                for n in [2, 4] {
                    let other = on_threads(n, run);
                    assert_same_bits(&one.0, &other.0);
                    one.1.bounds.iter().zip(&other.1.bounds).for_each(|(a, b)| assert_same_bits(a, b));
                }
                let general = force_general_path(run);
                assert_close(&one.0, &general.0, DType::F32);
                one.1.bounds.iter().zip(&general.1.bounds).for_each(|(a, b)| assert_close(a, b, DType::F32));
                one.1.sums.iter().zip(&general.1.sums).for_each(|(a, b)| assert_close(a, b, DType::F32));
            }
        }
    }
}

#[test]
fn orthogonal_steps_have_singular_values_near_one() {
    const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
    for shape in [[6, 4], [4, 6], [5, 5]] {
        let x = random(&shape, 1);
        let y = orthogonalize(&x, COEFFICIENTS, 1e-7, 5).unwrap();
        assert_eq!(y.shape(), shape);
        let square = if shape[0] > shape[1] {
            y.transpose(None).unwrap().matmul(&y).unwrap()
        } else {
            y.matmul(&y.transpose(None).unwrap()).unwrap()
        };
        let n = square.shape()[0];
        for (i, v) in square.to_f64_vec().unwrap().into_iter().enumerate() {
            let wanted = if i % (n + 1) == 0 { 1.0 } else { 0.0 };
            assert!((v - wanted).abs() < 0.6, "{shape:?}: {v} at {i}");
        }
    }
    // A matrix of one element becomes its sign, as far as the iteration goes.
    let one = |v: f64| Tensor::from_vec(vec![v], &[1, 1]).unwrap();
    let (a, b, c) = COEFFICIENTS;
    let wanted = (0..5).fold(-1.0f64, |x, _| a * x + b * x.powi(3) + c * x.powi(5));
    assert!((orthogonalize(&one(-3.0), COEFFICIENTS, 1e-7, 5).unwrap().item().unwrap() - wanted).abs() < 1e-12);
    assert!(orthogonalize(&one(0.0), COEFFICIENTS, 1e-7, 5).unwrap().item().unwrap() == 0.0);
    assert_eq!(orthogonalize(&random(&[3], 1), COEFFICIENTS, 1e-7, 5).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}

#[test]
fn slots_and_gradients_of_other_shapes_are_refused() {
    let [p, g, m] = start(4, DType::F32);
    let short = start(3, DType::F32);
    for rule in &RULES {
        assert_eq!((rule.run)(p.clone(), &short[1], m.clone()).unwrap_err().kind(), ErrorKind::ShapeMismatch);
        let whole = p.cast(DType::I32).unwrap();
        assert_eq!((rule.run)(whole, &g, m.clone()).unwrap_err().kind(), ErrorKind::DTypeMismatch);
    }
    let wrong = adafactor_update(p.clone(), &g, vec![short[2].clone()], CLIP, &ADAFACTOR).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::ShapeMismatch);
    let step = Sm3Step { lr: 0.1, second_moment_averaging: 1.0, l2: 0.0, momentum: None };
    let slots = Sm3Moments { momentum: None, bounds: vec![], sums: vec![] };
    assert_eq!(sm3_update(p, &g, slots, CLIP, &step).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}
