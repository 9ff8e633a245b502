//! Layer normalisation against its formula, on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, matrix, FLOATS};
use tallow_tensor::{
    ops::{layer_norm, rms_norm},
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

fn naive(x: &Tensor, scale: &[f64], bias: &[f64], epsilon: f64, center: bool) -> Tensor {
    let cols = scale.len();
    let mut out = Vec::new();
    for row in x.to_f64_vec().unwrap().chunks(cols) {
        let mean = if center { row.iter().sum::<f64>() / cols as f64 } else { 0.0 };
        let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
        out.extend((0..cols).map(|j| (row[j] - mean) / (var + epsilon).sqrt() * scale[j] + bias[j]));
    }
    Tensor::from_vec(out, x.shape()).unwrap()
}

#[test]
fn values() {
    for (shape, seed) in [(&[5][..], 1), (&[3, 1], 2), (&[2, 3, 40], 3), (&[4, 131], 4)] {
        let cols = shape[shape.len() - 1];
        let (scale, bias) = (random(&[cols], 5), random(&[cols], 6));
        for dtype in FLOATS {
            let (x, s, b) =
                (random(shape, seed).cast(dtype).unwrap(), scale.cast(dtype).unwrap(), bias.cast(dtype).unwrap());
            let (sv, bv) = (s.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
            let (ones, zeros) = (vec![1.0; cols], vec![0.0; cols]);
            for (s, b, sv, bv) in [
                (Some(&s), Some(&b), &sv, &bv),
                (Some(&s), None, &sv, &zeros),
                (None, Some(&b), &ones, &bv),
                (None, None, &ones, &zeros),
            ] {
                assert_close(&layer_norm(&x, s, b, 1e-2).unwrap(), &naive(&x, sv, bv, 1e-2, true), dtype);
            }
            assert_close(&rms_norm(&x, Some(&s), 1e-2).unwrap(), &naive(&x, &sv, &zeros, 1e-2, false), dtype);
        }
    }
}

#[test]
fn variance_is_accurate_far_from_zero() {
    let x = matrix(2, 64, |_, j| 1e4 + if j % 2 == 0 { 1.0 } else { -1.0 }).cast(DType::F32).unwrap();
    let y = layer_norm(&x, None, None, 1e-6).unwrap().to_f64_vec().unwrap();
    assert!(y.iter().enumerate().all(|(i, v)| (v - if i % 2 == 0 { 1.0 } else { -1.0 }).abs() < 1e-5), "{y:?}");
}

#[test]
fn a_constant_row_becomes_the_bias() {
    let x = matrix(1, 4, |_, _| 3.0);
    assert_eq!(layer_norm(&x, None, None, 1e-6).unwrap().to_f64_vec().unwrap(), [0.0; 4]);
}

#[test]
fn gradients() {
    let inputs = [random(&[2, 3, 5], 7), random(&[5], 8), random(&[5], 9)];
    check_gradients(|t| Ok(vec![layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3)?]), &inputs);
    check_gradients(|t| Ok(vec![layer_norm(&t[0], None, None, 1e-3)?]), &inputs[..1]);
    check_gradients(|t| Ok(vec![layer_norm(&t[0], None, Some(&t[1]), 1e-3)?]), &inputs[..2]);
    check_gradients(|t| Ok(vec![rms_norm(&t[0], Some(&t[1]), 1e-3)?]), &inputs[..2]);
    // Only the parameters are variables.
    let x = random(&[40, 5], 10);
    check_gradients(|t| Ok(vec![layer_norm(&x, Some(&t[0]), Some(&t[1]), 1e-3)?]), &inputs[1..]);
}

#[test]
fn both_paths_agree() {
    let inputs = [random(&[4, 2, 37], 11), random(&[37], 12), random(&[37], 13)];
    assert_paths_agree(|t| layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3), &inputs);
    assert_paths_agree(|t| rms_norm(&t[0], Some(&t[1]), 1e-3), &inputs[..2]);
}

#[test]
fn same_bits_on_any_threads() {
    let inputs = [random(&[700, 129], 14), random(&[129], 15), random(&[129], 16)];
    assert_same_on_any_threads(|t| layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-6), &inputs, DType::F32);
}

#[test]
fn empty_tensors_and_refusals() {
    for shape in [[0, 3], [3, 0]] {
        let x = Tensor::from_vec(Vec::<f32>::new(), &shape).unwrap().variable();
        let y = layer_norm(&x, None, None, 1e-6).unwrap();
        assert_eq!(y.shape(), shape);
        assert_eq!(tallow_tensor::backward(&[(y.clone(), y.detach())], &[x], false).unwrap()[0].shape(), shape);
    }
    let x = random(&[2, 3], 17);
    let two = random(&[2], 18);
    let kind = |r: tallow_tensor::Result<Tensor>| r.unwrap_err().kind();
    assert_eq!(kind(layer_norm(&x, Some(&two), None, 1e-6)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(layer_norm(&x, None, Some(&two), 1e-6)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(layer_norm(&Tensor::scalar(1f32), None, None, 1e-6)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(layer_norm(&x.cast(DType::I32).unwrap(), None, None, 1e-6)), ErrorKind::DTypeMismatch);
}
