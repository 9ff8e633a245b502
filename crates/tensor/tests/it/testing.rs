//! The detectors themselves: each is shown to fail on a planted fault.
use tallow_tensor::{custom_vjp, testing, DType, Result, Tensor};

fn square(x: &Tensor, factor: f64) -> Result<Vec<Tensor>> {
    custom_vjp(
        std::slice::from_ref(x),
        |xs| {
            let v: Vec<f64> = xs[0].to_f64_vec()?.iter().map(|v| v * v).collect();
            Ok((vec![Tensor::from_vec(v, xs[0].shape())?], xs[0].clone()))
        },
        move |x, cts, _| {
            let ct = cts[0].as_ref().expect("the only output has a cotangent").to_f64_vec()?;
            let g: Vec<f64> = x.to_f64_vec()?.iter().zip(ct).map(|(x, c)| factor * x * c).collect();
            Ok(vec![Some(Tensor::from_vec(g, x.shape())?)])
        },
    )
}

#[test]
fn a_right_gradient_passes_and_a_slightly_wrong_one_does_not() {
    let x = testing::random(&[2, 3], 1);
    assert_eq!(testing::gradient_error(|xs| square(&xs[0], 2.0), std::slice::from_ref(&x)), Ok(()));
    assert!(testing::gradient_error(|xs| square(&xs[0], 2.0001), &[x]).is_err());
}

#[test]
fn a_dropped_gradient_is_noticed() {
    let x = testing::random(&[4], 2);
    assert!(testing::gradient_error(|xs| square(&xs[0].detach(), 2.0), &[x]).is_err());
}

#[test]
fn close_values_are_told_from_distant_ones() {
    let a = Tensor::from_vec(vec![1.0f64, f64::NAN, f64::INFINITY], &[3]).unwrap();
    testing::assert_close(&a, &a, DType::I32);
    let b = Tensor::from_vec(vec![1.0f64 + 1e-3, f64::NAN, f64::INFINITY], &[3]).unwrap();
    testing::assert_close(&a, &b, DType::F16);
    for (other, dtype) in [
        (vec![1.0f64 + 1e-3, f64::NAN, f64::INFINITY], DType::F32),
        (vec![1.0, 0.0, f64::INFINITY], DType::BF16),
        (vec![1.0, f64::NAN, f64::NEG_INFINITY], DType::BF16),
        (vec![1.0, f64::NAN, 1e300], DType::BF16),
    ] {
        let other = Tensor::from_vec(other, &[3]).unwrap();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| testing::assert_close(&a, &other, dtype)))
            .is_err());
    }
}

#[test]
fn random_values_are_normal_and_reproducible() {
    let v = testing::random(&[100, 100], 7).to_f64_vec().unwrap();
    assert_eq!(v, testing::random(&[10_000], 7).to_f64_vec().unwrap());
    let mean = v.iter().sum::<f64>() / 1e4;
    let var = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e4;
    assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "mean {mean}, variance {var}");
}
