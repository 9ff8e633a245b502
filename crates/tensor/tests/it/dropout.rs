//! Dropout: the bits of the draw, scaling, gradients, both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    ops::dropout,
    random::{bernoulli, Key},
    testing::{assert_same_bits, check_gradients, random},
    DType, ErrorKind, Tensor,
};

const KEY: Key = Key([3, 1_234_567]);

#[test]
fn the_mask_is_that_of_bernoulli() {
    for n in [1usize, 2, 3, 1000, 2049, 40_001, 100_000] {
        for rate in [0.1, 0.5, 0.9] {
            let x = Tensor::from_vec(vec![2f32; n], &[n]).unwrap();
            let y = dropout(&x, rate, KEY, &[n]).unwrap().to_f64_vec().unwrap();
            let mask = bernoulli(KEY, 1.0 - rate, &[n]).unwrap().to_f64_vec().unwrap();
            let kept = f64::from(2.0 * (1.0 / ((1.0 - rate) as f32)));
            assert!(y.iter().zip(&mask).all(|(&y, &m)| y == m * kept), "n {n} rate {rate}");
        }
    }
}

#[test]
fn shared_axes_share_a_decision() {
    let x = random(&[3, 4, 5], 1);
    for mask_shape in [&[3, 1, 5][..], &[1, 4, 1], &[5], &[4, 1], &[], &[1, 1, 1]] {
        let y = dropout(&x, 0.4, KEY, mask_shape).unwrap().to_f64_vec().unwrap();
        let mask = bernoulli(KEY, 0.6, mask_shape).unwrap().to_f64_vec().unwrap();
        let mut strides = [0; 3];
        let mut step = 1;
        for (i, &d) in mask_shape.iter().enumerate().rev() {
            strides[i + 3 - mask_shape.len()] = if d == 1 { 0 } else { step };
            step *= d;
        }
        for (i, (&y, &x)) in y.iter().zip(&x.to_f64_vec().unwrap()).enumerate() {
            let m = mask[i / 20 * strides[0] + i / 5 % 4 * strides[1] + i % 5 * strides[2]];
            assert!((y - m * x / 0.6).abs() < 1e-12, "{mask_shape:?} {i}");
        }
    }
}

#[test]
fn rate_zero_is_the_identity() {
    let x = random(&[10], 2);
    assert_eq!(dropout(&x, 0.0, KEY, &[10]).unwrap().storage_id(), x.storage_id());
}

#[test]
fn the_gradient_uses_the_same_mask() {
    for mask_shape in [[4, 3], [4, 1]] {
        check_gradients(|t| Ok(vec![dropout(&t[0], 0.3, KEY, &mask_shape)?]), &[random(&[4, 3], 3)]);
    }
}

#[test]
fn both_paths_have_the_same_bits() {
    for mask_shape in [[7, 101], [1, 101]] {
        assert_paths_agree(|t| dropout(&t[0], 0.25, KEY, &mask_shape), &[random(&[7, 101], 4)]);
        for dtype in FLOATS {
            let x = random(&[7, 101], 5);
            let run =
                || output_and_gradients(|t| dropout(&t[0], 0.1, KEY, &mask_shape), std::slice::from_ref(&x), dtype);
            let (fast, general) = (run(), tallow_tensor::force_general_path(run));
            fast.iter().zip(&general).for_each(|(a, b)| assert_same_bits(a, b));
        }
    }
}

#[test]
fn same_bits_on_any_threads() {
    assert_same_on_any_threads(|t| dropout(&t[0], 0.1, KEY, &[501, 203]), &[random(&[501, 203], 6)], DType::F32);
}

#[test]
fn refusals_and_empty_tensors() {
    let x = random(&[2, 3], 8);
    let kind = |r: tallow_tensor::Result<Tensor>| r.unwrap_err().kind();
    for rate in [-0.1, 1.0, 2.0, f64::NAN] {
        assert_eq!(kind(dropout(&x, rate, KEY, &[2, 3])), ErrorKind::InvalidArgument);
    }
    for mask_shape in [&[3, 3][..], &[2, 2, 3], &[2]] {
        assert_eq!(kind(dropout(&x, 0.5, KEY, mask_shape)), ErrorKind::ShapeMismatch);
    }
    assert_eq!(kind(dropout(&x.cast(DType::I32).unwrap(), 0.5, KEY, &[2, 3])), ErrorKind::DTypeMismatch);
    let none = Tensor::from_vec(Vec::<f32>::new(), &[0, 3]).unwrap();
    assert_eq!(dropout(&none, 0.5, KEY, &[0, 3]).unwrap().shape(), [0, 3]);
}
