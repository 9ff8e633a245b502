//! A linear layer and its loss as one operation, against the two one after another.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    backward, force_general_path,
    ops::{cross_entropy, dense, linear_cross_entropy, LinearCrossEntropyOptions},
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, random, Tolerance},
    DType, ErrorKind, Result, Tensor,
};

const PLAIN: LinearCrossEntropyOptions = LinearCrossEntropyOptions { label_smoothing: 0.0, cutoff: 0.0 };
const BOTH: LinearCrossEntropyOptions = LinearCrossEntropyOptions { label_smoothing: 0.1, cutoff: 2.5 };

fn ints(values: impl IntoIterator<Item = i32>) -> Tensor {
    let values: Vec<i32> = values.into_iter().collect();
    let shape = [values.len()];
    Tensor::from_vec(values, &shape).unwrap()
}

fn targets(rows: usize, categories: usize) -> Tensor {
    ints((0..rows).map(|i| (i * 7919 % categories) as i32))
}

/// What the operation stands for.
fn apart(t: &[Tensor], targets: &Tensor, o: LinearCrossEntropyOptions) -> Result<Tensor> {
    let losses = cross_entropy(&dense(&t[0], &t[1], t.get(3))?, targets, o.label_smoothing)?;
    let losses = if o.cutoff > 0.0 { losses.maximum_scalar(o.cutoff)?.add_scalar(-o.cutoff)? } else { losses };
    losses.mul(&t[2])?.sum(None, false)
}

fn as_one(t: &[Tensor], targets: &Tensor, o: LinearCrossEntropyOptions) -> Result<Tensor> {
    linear_cross_entropy(&t[0], &t[1], t.get(3), targets, &t[2], o)
}

/// Inputs, weights, scale and bias.
fn operands([rows, depth, categories]: [usize; 3]) -> Vec<Tensor> {
    vec![random(&[rows, depth], 1), random(&[depth, categories], 2), random(&[rows], 3), random(&[categories], 4)]
}

#[test]
fn values_and_gradients_are_those_of_the_two_operations() {
    // One tile, several, several in a task, several groups of rows, and one of each.
    for sizes in [[6, 5, 7], [40, 3, 200], [33, 4, 2100], [70, 2, 40_000], [1500, 3, 90], [1, 1, 1], [5, 0, 3]] {
        let targets = targets(sizes[0], sizes[2]);
        for (o, bias) in [(PLAIN, true), (BOTH, true), (BOTH, false)] {
            let inputs = &operands(sizes)[..3 + usize::from(bias)];
            let one = output_and_gradients(|t| as_one(t, &targets, o), inputs, DType::F64);
            let two = output_and_gradients(|t| apart(t, &targets, o), inputs, DType::F64);
            for (a, b) in one.iter().zip(&two) {
                assert_within(a, b, Tolerance { absolute: 1e-11, relative: 1e-11 });
            }
        }
    }
}

#[test]
fn a_loss_in_float32_is_that_of_the_two_operations_to_six_digits() {
    let targets = targets(300, 3000);
    let inputs = operands([300, 32, 3000]);
    let one = output_and_gradients(|t| as_one(t, &targets, PLAIN), &inputs, DType::F32);
    let two = output_and_gradients(|t| apart(t, &targets, PLAIN), &inputs, DType::F64);
    for (a, b) in one.iter().zip(&two) {
        assert_within(a, b, Tolerance { absolute: 2e-5, relative: 1e-6 });
    }
}

#[test]
fn a_transposed_weight_gives_the_same_bits_and_a_gradient_that_lies_as_it_does() {
    let targets = targets(50, 3000);
    let inputs = operands([50, 8, 3000]);
    let plain = output_and_gradients(|t| as_one(t, &targets, BOTH), &inputs, DType::F32);
    let mut turned = inputs.clone();
    turned[1] = inputs[1].transpose(None).unwrap().contiguous().unwrap();
    let tied = |t: &[Tensor]| {
        let t = [t[0].clone(), t[1].transpose(None)?, t[2].clone(), t[3].clone()];
        as_one(&t, &targets, BOTH)
    };
    let tied = output_and_gradients(tied, &turned, DType::F32);
    assert!(tied[2].is_contiguous());
    assert_same_bits(&plain[0], &tied[0]);
    assert_close(&plain[2], &tied[2].transpose(None).unwrap(), DType::F32);
}

#[test]
fn gradients() {
    for o in [PLAIN, LinearCrossEntropyOptions { label_smoothing: 0.3, cutoff: 0.5 }] {
        let targets = ints([0, 4, 9, 2, -1, 4]).reshape(&[2, 3]).unwrap();
        let inputs = [random(&[2, 3, 4], 5), random(&[4, 5], 6), random(&[2, 3], 7), random(&[5], 8)];
        check_gradients(|t| Ok(vec![as_one(t, &targets, o)?]), &inputs);
        // Another factor than 1 arrives from what comes after.
        check_gradients(|t| Ok(vec![as_one(t, &targets, o)?.square()?]), &inputs);
    }
}

#[test]
fn both_paths_agree() {
    for o in [PLAIN, LinearCrossEntropyOptions { label_smoothing: 0.1, cutoff: 0.01 }] {
        let targets = ints([0, 40, 51, -1, 3, 4]).reshape(&[2, 3]).unwrap();
        let scale = random(&[2, 3], 9).abs().unwrap();
        let inputs = [random(&[2, 3, 6], 7), random(&[6, 51], 8), scale, random(&[51], 10)];
        assert_paths_agree(|t| as_one(t, &targets, o), &inputs);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let targets = targets(400, 5000);
    assert_same_on_any_threads(|t| as_one(t, &targets, BOTH), &operands([400, 16, 5000]), DType::F32);
    assert_same_on_any_threads(|t| as_one(t, &targets, BOTH), &operands([400, 16, 5000])[..3], DType::F64);
}

#[test]
fn what_has_no_scale_counts_nothing_whatever_it_is() {
    let values = |x: f64| Tensor::from_vec(vec![0.5, 1.0, x, x, -1.0, 0.25], &[3, 2]).unwrap();
    let w = random(&[2, 4], 11);
    let scale = Tensor::from_vec(vec![0.5, 0.0, 2.0], &[3]).unwrap();
    for general in [false, true] {
        let run = |x: f64| {
            let f = || {
                output_and_gradients(
                    |t| as_one(&[t[0].clone(), w.clone(), scale.clone()], &ints([1, 99, 3]), PLAIN),
                    &[values(x)],
                    DType::F64,
                )
            };
            if general {
                force_general_path(f)
            } else {
                f()
            }
        };
        let (plain, infinite) = (run(1.0), run(f64::INFINITY));
        assert_same_bits(&plain[0], &infinite[0]);
        assert!(plain[1].to_f64_vec().unwrap()[2..4].iter().all(|&v| v == 0.0));
        // What counts and is no number shows.
        let nan = values(f64::NAN).narrow(0, 1, 1).unwrap();
        let loss = as_one(&[nan, w.clone(), scale.narrow(0, 0, 1).unwrap()], &ints([1]), PLAIN).unwrap();
        assert!(loss.item().unwrap().is_nan());
    }
}

#[test]
fn infinite_logits() {
    let inf = f64::INFINITY;
    let one = Tensor::ones(&[1, 1], DType::F64, &tallow_tensor::Device::Cpu).unwrap();
    let scale = Tensor::from_vec(vec![1.0], &[1]).unwrap();
    // Logits over three tiles, the middle one of −∞.
    let mut logits = vec![0.0; 192];
    logits[64..128].fill(-inf);
    let run = |logits: &[f64], target: i32| {
        let w = Tensor::zeros(&[1, 192], DType::F64, one.device()).unwrap();
        let b = Tensor::from_vec(logits.to_vec(), &[192]).unwrap();
        output_and_gradients(
            |t| linear_cross_entropy(&one, &w, Some(&t[0]), &ints([target]), &scale, PLAIN),
            &[b],
            DType::F64,
        )
    };
    let near = run(&logits, 3);
    assert!((near[0].item().unwrap() - 128f64.ln()).abs() < 1e-12);
    let slopes = near[1].to_f64_vec().unwrap();
    assert!(slopes[64..128].iter().all(|&v| v == 0.0) && slopes.iter().all(|v| v.is_finite()));
    assert_eq!(run(&logits, 70)[0].item().unwrap(), inf);
    assert!(run(&[-inf; 192], 3)[0].item().unwrap().is_nan());
    logits[5] = f64::NAN;
    assert!(run(&logits, 3)[0].item().unwrap().is_nan());
}

#[test]
fn a_constant_has_no_gradient_and_halves_are_computed_in_float32() {
    for dtype in FLOATS {
        let t: Vec<Tensor> = operands([9, 4, 70]).iter().map(|t| t.cast(dtype).unwrap()).collect();
        let x = t[0].variable();
        let loss = linear_cross_entropy(&x, &t[1], None, &targets(9, 70), &t[2], PLAIN).unwrap();
        assert_eq!(loss.dtype(), if dtype == DType::F64 { DType::F64 } else { DType::F32 });
        let seed = Tensor::ones(&[], loss.dtype(), loss.device()).unwrap();
        let dx = backward(&[(loss, seed)], &[x], false).unwrap().remove(0);
        assert_eq!((dx.shape(), dx.dtype()), (&[9, 4][..], dtype));
    }
}

#[test]
fn empty_batches_and_refusals() {
    let none = Tensor::from_vec(Vec::<f32>::new(), &[0, 3]).unwrap().variable();
    let w = random(&[3, 4], 1).cast(DType::F32).unwrap();
    let scale = Tensor::from_vec(Vec::<f32>::new(), &[0]).unwrap();
    let loss = linear_cross_entropy(&none, &w, None, &ints([]), &scale, PLAIN).unwrap();
    assert_eq!(loss.item().unwrap(), 0.0);
    let seed = loss.detach();
    assert_eq!(backward(&[(loss, seed)], &[none], false).unwrap()[0].shape(), [0, 3]);
    let t = operands([2, 3, 4]);
    let kind = |t: &[Tensor], targets: &Tensor, o| as_one(t, targets, o).unwrap_err().kind();
    let with = |i: usize, x: Tensor| {
        let mut t = t.clone();
        t[i] = x;
        t
    };
    let two = ints([1, 1]);
    assert_eq!(kind(&t, &ints([1]), PLAIN), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&t, &random(&[2], 1), PLAIN), ErrorKind::DTypeMismatch);
    assert_eq!(kind(&with(1, random(&[4, 3], 1)), &two, PLAIN), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&with(2, random(&[3], 1)), &two, PLAIN), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&with(2, two.clone()), &two, PLAIN), ErrorKind::DTypeMismatch);
    assert_eq!(kind(&with(3, random(&[3], 1)), &two, PLAIN), ErrorKind::ShapeMismatch);
    let no_categories = vec![t[0].clone(), Tensor::from_vec(Vec::<f64>::new(), &[3, 0]).unwrap(), t[2].clone()];
    assert_eq!(kind(&no_categories, &two, PLAIN), ErrorKind::ShapeMismatch);
    for (label_smoothing, cutoff) in [(1.5, 0.0), (f64::NAN, 0.0), (0.0, -1.0), (0.0, f64::NAN)] {
        let o = LinearCrossEntropyOptions { label_smoothing, cutoff };
        assert_eq!(kind(&t, &two, o), ErrorKind::InvalidArgument);
    }
}
