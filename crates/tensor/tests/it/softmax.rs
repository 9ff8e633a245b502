//! Softmax and log-softmax against sums written out, at the edges, and on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, FLOATS};
use tallow_tensor::{
    force_general_path,
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

fn naive(x: &Tensor, axis: usize, log: bool) -> Tensor {
    let shape = x.shape();
    let v = x.to_f64_vec().unwrap();
    let inner: usize = shape[axis + 1..].iter().product();
    let n = shape[axis];
    let mut out = vec![0.0; v.len()];
    for i in 0..v.len() {
        let start = i / (inner * n) * inner * n + i % inner;
        let total: f64 = (0..n).map(|k| v[start + k * inner].exp()).sum();
        out[i] = if log { v[i] - total.ln() } else { v[i].exp() / total };
    }
    Tensor::from_vec(out, shape).unwrap()
}

#[test]
fn values_along_every_axis() {
    for shape in [&[7][..], &[3, 5], &[2, 3, 4], &[4, 1], &[3, 100], &[2, 33, 3]] {
        let x = random(shape, 1);
        for axis in 0..shape.len() {
            for dtype in FLOATS {
                let x = x.cast(dtype).unwrap();
                let at = axis as isize - if axis % 2 == 0 { 0 } else { shape.len() as isize };
                assert_close(&x.softmax(at).unwrap(), &naive(&x, axis, false), dtype);
                assert_close(&x.log_softmax(at).unwrap(), &naive(&x, axis, true), dtype);
            }
        }
    }
}

#[test]
fn large_values_neither_overflow_nor_vanish() {
    let x = Tensor::from_vec(vec![1000f32, 999.0, -1000.0], &[3]).unwrap();
    let p = x.softmax(0).unwrap().to_f64_vec().unwrap();
    assert!((p[0] - 0.731_058_58).abs() < 1e-6 && p[2] == 0.0, "{p:?}");
    let l = x.log_softmax(-1).unwrap().to_f64_vec().unwrap();
    assert!((l[2] + 2_000.313_26).abs() < 1e-3, "{l:?}");
}

#[test]
fn infinite_and_nan_rows_are_as_in_jax() {
    let inf = f32::INFINITY;
    let x = Tensor::from_vec(vec![-inf, 0., -inf, -inf, -inf, -inf, inf, 0., 1., f32::NAN, 0., 1.], &[4, 3]).unwrap();
    for general in [false, true] {
        let run = || (x.softmax(1).unwrap().to_f64_vec().unwrap(), x.log_softmax(1).unwrap().to_f64_vec().unwrap());
        let (p, l) = if general { force_general_path(run) } else { run() };
        assert_eq!(p[..3], [0.0, 1.0, 0.0]);
        assert_eq!(l[..3], [f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY]);
        assert!(p[3..].iter().chain(&l[3..]).all(|v| v.is_nan()), "{p:?} {l:?}");
    }
}

#[test]
fn gradients() {
    for axis in [0, 1, -1] {
        check_gradients(|x| Ok(vec![x[0].softmax(axis)?, x[0].log_softmax(axis)?]), &[random(&[3, 4, 5], 2)]);
    }
    check_gradients(|x| Ok(vec![x[0].log_softmax(0)?]), &[random(&[40], 3)]);
}

#[test]
fn both_paths_agree() {
    assert_paths_agree(|x| x[0].softmax(-1), &[random(&[5, 70], 4)]);
    assert_paths_agree(|x| x[0].log_softmax(1), &[random(&[2, 5, 3], 5)]);
}

#[test]
fn same_bits_on_any_threads() {
    assert_same_on_any_threads(|x| x[0].softmax(-1), &[random(&[300, 257], 6)], DType::F32);
    assert_same_on_any_threads(|x| x[0].log_softmax(-1), &[random(&[300, 257], 6)], DType::F32);
}

#[test]
fn empty_tensors_and_refusals() {
    for shape in [[0, 3], [3, 0]] {
        let x = Tensor::from_vec(Vec::<f32>::new(), &shape).unwrap();
        for axis in [0, 1] {
            assert_eq!(x.softmax(axis).unwrap().shape(), shape);
        }
    }
    let x = random(&[2, 3], 7);
    for axis in [2, -3] {
        assert_eq!(x.softmax(axis).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(Tensor::scalar(1f32).softmax(0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.cast(DType::I64).unwrap().log_softmax(0).unwrap_err().kind(), ErrorKind::DTypeMismatch);
}
