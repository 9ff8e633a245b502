//! Batch normalisation against its formula, on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, FLOATS};
use tallow_tensor::{
    ops::batch_norm,
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

#[test]
fn values_and_statistics() {
    let x = Tensor::from_vec(vec![1f64, 10.0, 3.0, 10.0, 5.0, 16.0], &[3, 2]).unwrap();
    let scale = Tensor::from_vec(vec![2f64, 1.0], &[2]).unwrap();
    let bias = Tensor::from_vec(vec![0f64, 0.5], &[2]).unwrap();
    let out = batch_norm(&x, Some(&scale), Some(&bias), 1.0).unwrap();
    assert_eq!(out.mean.to_f64_vec().unwrap(), [3.0, 12.0]);
    assert_close(&out.var, &Tensor::from_vec(vec![8.0 / 3.0, 8.0], &[2]).unwrap(), DType::F64);
    let r = 1.0 / (11.0f64 / 3.0).sqrt();
    let expected = vec![-4.0 * r, 0.5 - 2.0 / 3.0, 0.0, 0.5 - 2.0 / 3.0, 4.0 * r, 0.5 + 4.0 / 3.0];
    assert_close(&out.y, &Tensor::from_vec(expected, &[3, 2]).unwrap(), DType::F64);
    for dtype in FLOATS {
        assert_eq!(batch_norm(&x.cast(dtype).unwrap(), None, None, 1.0).unwrap().y.dtype(), dtype);
    }
}

#[test]
fn variance_is_accurate_far_from_zero() {
    // More rows than one block has, the last block shorter.
    let n = 40_001;
    let values = (0..n).map(|i| 1e4 + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let x = Tensor::from_vec::<f64>(values, &[n, 1]).unwrap().cast(DType::F32).unwrap();
    let out = batch_norm(&x, None, None, 1e-6).unwrap();
    assert!((out.var.item().unwrap() - 1.0).abs() < 1e-3, "{:?}", out.var.item());
    assert!((out.mean.item().unwrap() - 1e4).abs() < 1e-2);
}

#[test]
fn gradients() {
    let inputs = [random(&[2, 3, 4], 1), random(&[4], 2), random(&[4], 3)];
    check_gradients(|t| Ok(vec![batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3)?.y]), &inputs);
    check_gradients(|t| Ok(vec![batch_norm(&t[0], None, None, 1e-3)?.y]), &inputs[..1]);
    let x = random(&[40, 5], 4);
    check_gradients(
        |t| Ok(vec![batch_norm(&x, Some(&t[0]), Some(&t[1]), 1e-3)?.y]),
        &[random(&[5], 5), random(&[5], 6)],
    );
}

#[test]
fn both_paths_agree() {
    let inputs = [random(&[5, 7, 9], 7), random(&[9], 8), random(&[9], 9)];
    assert_paths_agree(|t| Ok(batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-2)?.y), &inputs);
    assert_paths_agree(|t| Ok(batch_norm(&t[0], None, Some(&t[1]), 1e-2)?.mean), &inputs[..2]);
}

#[test]
fn same_bits_on_any_threads() {
    let inputs = [random(&[900, 65], 10), random(&[65], 11), random(&[65], 12)];
    assert_same_on_any_threads(|t| Ok(batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)?.y), &inputs, DType::F32);
}

#[test]
fn refusals() {
    let e = batch_norm(&random(&[0, 3], 13), None, None, 1e-5).unwrap_err();
    assert_eq!((e.kind(), e.message()), (ErrorKind::ShapeMismatch, "batch_norm: a batch of shape [0, 3] has no mean"));
    let kind = |r: tallow_tensor::Result<tallow_tensor::ops::BatchNormed>| r.unwrap_err().kind();
    let x = random(&[2, 3], 14);
    assert_eq!(kind(batch_norm(&x, Some(&random(&[2], 15)), None, 1e-5)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(batch_norm(&Tensor::scalar(1f32), None, None, 1e-5)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(batch_norm(&x.cast(DType::I32).unwrap(), None, None, 1e-5)), ErrorKind::DTypeMismatch);
    assert_eq!(batch_norm(&random(&[2, 0], 16), None, None, 1e-5).unwrap().y.shape(), [2, 0]);
}
