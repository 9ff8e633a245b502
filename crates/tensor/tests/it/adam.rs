//! Adam's update and gradient norms.
use crate::common::FLOATS;
use tallow_tensor::{
    force_general_path,
    ops::{adam_update, clip_by_global_norm, clip_factor, global_norm, AdamStep, Clip},
    testing::{assert_close, assert_same_bits, on_threads, random},
    DType, ErrorKind, Tensor,
};

const STEP: AdamStep = AdamStep { lr: 0.01, b1: 0.9, b2: 0.999, eps: 1e-5, weight_decay_rate: 1e-3, step: 0 };

const TRAX: [[f64; 3]; 3] = [
    [0.800001323223114, -1.7999712228775024, 2.79994797706604],
    [0.01900000497698784, -0.03800000995397568, 0.057000014930963516],
    [1.9989744032500312e-05, 7.995897613000125e-05, 0.00017990768537856638],
];

fn start(n: usize, dtype: DType) -> [Tensor; 4] {
    let positive = |t: Tensor| {
        let v: Vec<f64> = t.to_f64_vec().unwrap().iter().map(|v| v * v).collect();
        Tensor::from_vec(v, t.shape()).unwrap()
    };
    [random(&[n], 1), random(&[n], 2), random(&[n], 3), positive(random(&[n], 4))].map(|t| t.cast(dtype).unwrap())
}

/// The rule written out in float64.
fn naive([p, g, m, v]: &[Tensor; 4], scale: f64, s: &AdamStep) -> [Tensor; 3] {
    let [p, g, m, v] = [p, g, m, v].map(|t| t.to_f64_vec().unwrap());
    let t = s.step as i32 + 1;
    let mut out: [Vec<f64>; 3] = Default::default();
    for i in 0..p.len() {
        let g = g[i] * scale;
        let m = (1.0 - s.b1) * g + s.b1 * m[i];
        let v = (1.0 - s.b2) * g * g + s.b2 * v[i];
        let (mhat, vhat) = (m / (1.0 - s.b1.powi(t)), v / (1.0 - s.b2.powi(t)));
        out[0].push((1.0 - s.weight_decay_rate) * p[i] - s.lr * mhat / (vhat.sqrt() + s.eps));
        out[1].push(m);
        out[2].push(v);
    }
    out.map(|v| Tensor::from_vec(v, &[p.len()]).unwrap())
}

#[test]
fn one_step_is_the_rule_on_both_paths_in_every_dtype() {
    for dtype in FLOATS {
        for step in [0, 1, 1000] {
            let s = AdamStep { step, ..STEP };
            let half = Clip { scale: 0.5, ..Clip::NONE };
            let start = start(50, dtype);
            let expected = naive(&start, 0.5, &s);
            let [p, g, m, v] = start.clone();
            let fast = adam_update(p, &g, m, v, half, &s).unwrap();
            let [p, g, m, v] = start;
            let general = force_general_path(|| adam_update(p, &g, m, v, half, &s)).unwrap();
            for (new, _path) in [(fast, "kernel"), (general, "general")] {
                assert_eq!(new.0.dtype(), dtype);
                let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
                assert_eq!((new.1.dtype(), new.2.dtype()), (wide, wide));
                // 0.999 in float32 leaves 1 − b2 exact to four digits only, as in Trax.
                let near = |t: DType| if t == DType::F32 { DType::F16 } else { t };
                assert_close(&new.0, &expected[0], near(dtype));
                assert_close(&new.1, &expected[1], wide);
                assert_close(&new.2, &expected[2], wide);
            }
        }
    }
}

#[test]
fn float32_steps_have_the_numbers_of_trax() {
    // Two steps of Trax's rule, rounded to float32 after each operation, from weights [1, -2, 3] with gradients [0.1, -0.2, 0.3].
    let make = |v: &[f32]| Tensor::from_vec(v.to_vec(), &[3]).unwrap();
    let g = make(&[0.1, -0.2, 0.3]);
    let (mut p, mut m, mut v) = (make(&[1., -2., 3.]), make(&[0.; 3]), make(&[0.; 3]));
    for step in 0..2 {
        let s = AdamStep { lr: 0.1, weight_decay_rate: 1e-5, step, ..STEP };
        (p, m, v) = adam_update(p, &g, m, v, Clip::NONE, &s).unwrap();
    }
    let expected = TRAX.map(|row| Tensor::from_vec(row.to_vec(), &[3]).unwrap());
    for (actual, expected) in [p, m, v].iter().zip(&expected) {
        let close = |(a, e): (f64, f64)| (a - e).abs() <= 2e-7 * e.abs();
        let pairs = actual.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap());
        assert!(pairs.clone().all(close), "{:?}", pairs.collect::<Vec<_>>());
    }
}

#[test]
fn storage_is_reused_unless_someone_else_holds_it() {
    let [p, g, m, v] = start(100, DType::F32);
    let ids = [p.storage_id(), m.storage_id(), v.storage_id()];
    let (held, before) = (m.clone(), m.to_f64_vec().unwrap());
    let (p, m, v) = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
    assert_eq!((p.storage_id(), v.storage_id()), (ids[0], ids[2]));
    assert_ne!(m.storage_id(), ids[1]);
    assert_eq!(held.to_f64_vec().unwrap(), before);
    assert_ne!(m.to_f64_vec().unwrap(), before);
}

#[test]
fn weights_that_someone_holds_stay_and_the_new_ones_have_the_same_bits() {
    for dtype in FLOATS {
        // Several tasks, the last one short.
        let fresh = || start(40_001, dtype);
        let [p, g, m, v] = fresh();
        let over = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
        let [p, g, m, v] = fresh();
        let held = p.clone();
        let beside = adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap();
        assert_same_bits(&held, &fresh()[0]);
        assert_same_bits(&beside.0, &over.0);
        assert_same_bits(&beside.1, &over.1);
        assert_same_bits(&beside.2, &over.2);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let run = || {
        let [p, g, m, v] = start(70_001, DType::F32);
        let norm = global_norm(&[p.clone(), g.clone()]).unwrap();
        (adam_update(p, &g, m, v, Clip::NONE, &STEP).unwrap().0, norm)
    };
    let (one, norm) = on_threads(1, run);
    for n in [2, 4] {
        let (p, other) = on_threads(n, run);
        assert_same_bits(&p, &one);
        assert_eq!(other.to_bits(), norm.to_bits());
    }
}

#[test]
fn norms_and_clipping() {
    let a = Tensor::from_vec(vec![3f32, 0.0], &[2]).unwrap();
    let b = Tensor::from_vec(vec![4f64], &[]).unwrap();
    let none = Tensor::from_vec(Vec::<f32>::new(), &[0]).unwrap();
    let all = [a, b, none];
    assert_eq!(global_norm(&all).unwrap(), 5.0);
    assert_eq!(force_general_path(|| global_norm(&all)).unwrap(), 5.0);
    let (clipped, norm) = clip_by_global_norm(&all, 1.0).unwrap();
    assert_eq!(norm, 5.0);
    assert_close(&clipped[0], &Tensor::from_vec(vec![0.6f64, 0.0], &[2]).unwrap(), DType::F32);
    assert_close(&clipped[1], &Tensor::scalar(0.8f64), DType::F64);
    let (same, _) = clip_by_global_norm(&all, 5.5).unwrap();
    assert_eq!(same[0].storage_id(), all[0].storage_id());
    assert_eq!((clip_factor(2.0, 4.0), clip_factor(8.0, 4.0), clip_factor(0.0, 0.0)), (1.0, 0.5, 1.0));
    assert!(clip_factor(f64::NAN, 1.0).is_nan());
    let halves = Tensor::from_vec(vec![1f32; 40_000], &[40_000]).unwrap().cast(DType::BF16).unwrap();
    assert_eq!(global_norm(&[halves]).unwrap(), 200.0);
}

#[test]
fn refusals() {
    let [p, g, m, v] = start(4, DType::F32);
    let kind = |r: tallow_tensor::Result<(Tensor, Tensor, Tensor)>| r.unwrap_err().kind();
    let short = start(3, DType::F32);
    assert_eq!(
        kind(adam_update(p.clone(), &short[1], m.clone(), v.clone(), Clip::NONE, &STEP)),
        ErrorKind::ShapeMismatch
    );
    assert_eq!(
        kind(adam_update(p.clone(), &g, short[2].clone(), v.clone(), Clip::NONE, &STEP)),
        ErrorKind::ShapeMismatch
    );
    let whole = p.cast(DType::I32).unwrap();
    assert_eq!(kind(adam_update(whole, &g, m, v, Clip::NONE, &STEP)), ErrorKind::DTypeMismatch);
    assert!(global_norm(&[p.cast(DType::I32).unwrap()]).is_err());
}
