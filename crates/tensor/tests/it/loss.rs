//! Cross-entropy against its definition, at the edges, and on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    force_general_path,
    ops::cross_entropy,
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

fn ints(values: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).unwrap()
}

/// −Σ t log softmax with the target distribution t written out.
fn naive(logits: &Tensor, targets: &[i32], smoothing: f64) -> Vec<f64> {
    let cols = logits.shape()[logits.rank() - 1];
    let rows = logits.to_f64_vec().unwrap();
    let loss = |(row, &target): (&[f64], &i32)| {
        let lse = row.iter().map(|v| v.exp()).sum::<f64>().ln();
        let t = |j: usize| (1.0 - smoothing) * f64::from(j as i64 == i64::from(target)) + smoothing / cols as f64;
        -(0..cols).map(|j| t(j) * (row[j] - lse)).sum::<f64>()
    };
    rows.chunks(cols).zip(targets).map(loss).collect()
}

#[test]
fn values_with_and_without_smoothing_and_for_unknown_targets() {
    let targets = [0, 6, -1, 7, 3, i32::MAX];
    for dtype in FLOATS {
        let x = random(&[2, 3, 7], 1).cast(dtype).unwrap();
        for s in [0.0, 0.1, 1.0] {
            let loss = cross_entropy(&x, &ints(&targets, &[2, 3]), s).unwrap();
            assert_eq!(loss.dtype(), if dtype == DType::F64 { DType::F64 } else { DType::F32 });
            let expected = Tensor::from_vec(naive(&x, &targets, s), &[2, 3]).unwrap();
            // Halves are only rounded on input.
            assert_close(&loss, &expected, loss.dtype());
        }
    }
}

#[test]
fn every_integer_type_of_targets() {
    let x = random(&[3, 4], 2);
    let expected = Tensor::from_vec(naive(&x, &[1, 0, 1], 0.1), &[3]).unwrap();
    for dtype in [DType::I32, DType::I64, DType::U32, DType::U8, DType::Bool] {
        let targets = ints(&[1, 0, 1], &[3]).cast(dtype).unwrap();
        assert_close(&cross_entropy(&x, &targets, 0.1).unwrap(), &expected, DType::F64);
    }
}

#[test]
fn many_categories_cross_the_blocks_of_the_sum() {
    let x = random(&[3, 1500], 3);
    let expected = Tensor::from_vec(naive(&x, &[1499, 512, 511], 0.2), &[3]).unwrap();
    assert_close(&cross_entropy(&x, &ints(&[1499, 512, 511], &[3]), 0.2).unwrap(), &expected, DType::F64);
}

#[test]
fn an_unknown_target_has_no_gradient_without_smoothing() {
    let x = random(&[2, 5], 4);
    let out = output_and_gradients(|t| cross_entropy(&t[0], &ints(&[5, -3], &[2]), 0.0), &[x], DType::F32);
    assert!(out.iter().all(|t| t.to_f64_vec().unwrap().iter().all(|&v| v == 0.0)), "{out:?}");
}

#[test]
fn infinite_logits_and_nan() {
    let inf = f64::INFINITY;
    let x =
        Tensor::from_vec(vec![0.0, -inf, 1.0, 0.0, -inf, 1.0, f64::NAN, 0.0, 1.0, -inf, -inf, -inf], &[4, 3]).unwrap();
    for general in [false, true] {
        let run = |s: f64, targets: &[i32]| {
            let f = || {
                output_and_gradients(
                    |t| cross_entropy(&t[0], &ints(targets, &[4]), s),
                    std::slice::from_ref(&x),
                    DType::F64,
                )
            };
            if general {
                force_general_path(f)
            } else {
                f()
            }
        };
        let plain = run(0.0, &[0, 1, 9, 0]);
        let loss = plain[0].to_f64_vec().unwrap();
        assert!((loss[0] - 1.313_261_687_518_222_8).abs() < 1e-12, "{loss:?}");
        assert_eq!(loss[1], inf);
        assert!(loss[2].is_nan() && loss[3].is_nan());
        let gradient = plain[1].to_f64_vec().unwrap();
        assert!(gradient[..6].iter().all(|v| v.is_finite()), "{gradient:?}");
        assert_eq!(run(0.1, &[0, 0, 0, 0])[0].to_f64_vec().unwrap()[0], inf);
    }
}

#[test]
fn gradients() {
    for s in [0.0, 0.3] {
        let targets = ints(&[0, 4, 9, 2, -1, 4], &[2, 3]);
        check_gradients(|t| Ok(vec![cross_entropy(&t[0], &targets, s)?]), &[random(&[2, 3, 5], 5)]);
    }
    check_gradients(|t| Ok(vec![cross_entropy(&t[0], &ints(&[1], &[]), 0.0)?]), &[random(&[3], 6)]);
}

#[test]
fn gradients_are_exact_for_large_logits() {
    let x = Tensor::from_vec(vec![10_000.5f32, 10_000.0], &[1, 2]).unwrap().variable();
    let y = cross_entropy(&x, &ints(&[0], &[1]), 0.0).unwrap();
    let one = Tensor::from_vec(vec![1f32], &[1]).unwrap();
    let g = tallow_tensor::backward(&[(y, one)], &[x], false).unwrap()[0].to_f64_vec().unwrap();
    assert!((g[1] - 0.377_540_67).abs() < 1e-6, "{g:?}");
}

#[test]
fn both_paths_agree() {
    for s in [0.0, 0.1] {
        let targets = ints(&[0, 40, 51, -1, 3, 4], &[2, 3]);
        assert_paths_agree(|t| cross_entropy(&t[0], &targets, s), &[random(&[2, 3, 51], 7)]);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let targets = ints(&(0..400).map(|i| i * 7 % 301).collect::<Vec<_>>(), &[400]);
    assert_same_on_any_threads(|t| cross_entropy(&t[0], &targets, 0.1), &[random(&[400, 301], 8)], DType::F32);
}

#[test]
fn empty_batches_and_refusals() {
    let none = Tensor::from_vec(Vec::<f32>::new(), &[0, 3]).unwrap().variable();
    let loss = cross_entropy(&none, &ints(&[], &[0]), 0.0).unwrap();
    assert_eq!(loss.shape(), [0]);
    assert_eq!(tallow_tensor::backward(&[(loss.clone(), loss.detach())], &[none], false).unwrap()[0].shape(), [0, 3]);
    let x = random(&[2, 3], 9);
    let kind = |r: tallow_tensor::Result<Tensor>| r.unwrap_err().kind();
    assert_eq!(kind(cross_entropy(&x, &ints(&[1], &[1]), 0.0)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(cross_entropy(&x, &random(&[2], 1), 0.0)), ErrorKind::DTypeMismatch);
    assert_eq!(kind(cross_entropy(&x, &ints(&[1, 1], &[2]), 1.5)), ErrorKind::InvalidArgument);
    assert_eq!(kind(cross_entropy(&x, &ints(&[1, 1], &[2]), f64::NAN)), ErrorKind::InvalidArgument);
    let no_categories = Tensor::from_vec(Vec::<f32>::new(), &[2, 0]).unwrap();
    assert_eq!(kind(cross_entropy(&no_categories, &ints(&[1, 1], &[2]), 0.0)), ErrorKind::ShapeMismatch);
}
