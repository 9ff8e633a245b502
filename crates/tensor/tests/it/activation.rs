//! Bias and activation against their formulas, on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    force_general_path,
    ops::{bias_activation, Activation},
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

const ALL: [Activation; 8] = [
    Activation::None,
    Activation::Relu,
    Activation::Gelu,
    Activation::FastGelu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Swish,
    Activation::Softplus,
];

#[test]
fn known_values() {
    // At 1.5 and −2: from Python's math module.
    let expected = [
        (Activation::None, 1.5, -2.0),
        (Activation::Relu, 1.5, 0.0),
        (Activation::Gelu, 1.399_789_198_096_713, -0.045_500_263_896_358_42),
        (Activation::FastGelu, 1.399_571_576_979_346_4, -0.045_402_305_912_824_46),
        (Activation::Sigmoid, 0.817_574_476_193_643_7, 0.119_202_922_022_117_56),
        (Activation::Tanh, 0.905_148_253_644_866_4, -0.964_027_580_075_816_8),
        (Activation::Swish, 1.226_361_714_290_465_5, -0.238_405_844_044_235_1),
        (Activation::Softplus, 1.701_413_277_982_752_8, 0.126_928_011_042_972_5),
    ];
    for (activation, high, low) in expected {
        for dtype in FLOATS {
            let x = Tensor::from_vec(vec![1.5f64, -2.0], &[2]).unwrap().cast(dtype).unwrap();
            let y = bias_activation(&x, None, activation).unwrap();
            assert_eq!(y.dtype(), dtype);
            assert_close(&y, &Tensor::from_vec(vec![high, low], &[2]).unwrap(), dtype);
        }
    }
}

#[test]
fn a_bias_is_added_along_the_last_axis() {
    let x = Tensor::from_vec(vec![1f32, 2., 3., 4., 5., 6.], &[3, 2]).unwrap();
    let b = Tensor::from_vec(vec![-2f32, -10.], &[2]).unwrap();
    for general in [false, true] {
        let run = |a| bias_activation(&x, Some(&b), a).unwrap().to_f64_vec().unwrap();
        let pick = |a| if general { force_general_path(|| run(a)) } else { run(a) };
        assert_eq!(pick(Activation::None), [-1., -8., 1., -6., 3., -4.]);
        assert_eq!(pick(Activation::Relu), [0., 0., 1., 0., 3., 0.]);
    }
}

#[test]
fn extremes_saturate_and_nan_propagates() {
    let inf = f32::INFINITY;
    let x = Tensor::from_vec(vec![inf, -inf, 200., -200., f32::NAN], &[5]).unwrap();
    for general in [false, true] {
        let run = |a| bias_activation(&x, None, a).unwrap().to_f64_vec().unwrap();
        for (a, expected) in [
            (Activation::Sigmoid, [1., 0., 1., 0.]),
            (Activation::Tanh, [1., -1., 1., -1.]),
            (Activation::Softplus, [f64::INFINITY, 0., 200., 0.]),
            (Activation::Relu, [f64::INFINITY, 0., 200., 0.]),
        ] {
            let y = if general { force_general_path(|| run(a)) } else { run(a) };
            assert!(y[4].is_nan(), "{a:?} {y:?}");
            assert_eq!(y[..4], expected, "{a:?}");
        }
    }
}

#[test]
fn the_slope_of_relu_at_zero_is_zero() {
    let x = Tensor::from_vec(vec![0f64, -0.0, 1e-300, -1.0], &[4]).unwrap();
    let out = output_and_gradients(|t| bias_activation(&t[0], None, Activation::Relu), &[x], DType::F64);
    let g = out[1].to_f64_vec().unwrap();
    assert_eq!((g[0], g[1], g[3]), (0.0, 0.0, 0.0));
    assert_ne!(g[2], 0.0);
}

#[test]
fn gradients() {
    let inputs = [random(&[2, 3, 4], 1), random(&[4], 2)];
    for activation in ALL {
        check_gradients(|t| Ok(vec![bias_activation(&t[0], Some(&t[1]), activation)?]), &inputs);
        check_gradients(|t| Ok(vec![bias_activation(&t[0], None, activation)?]), &inputs[..1]);
        check_gradients(|t| Ok(vec![bias_activation(&t[0], Some(&inputs[1]), activation)?]), &inputs[..1]);
        check_gradients(|t| Ok(vec![bias_activation(&inputs[0], Some(&t[0]), activation)?]), &inputs[1..]);
    }
}

#[test]
fn both_paths_agree() {
    let inputs = [random(&[6, 35], 3), random(&[35], 4)];
    for activation in ALL {
        assert_paths_agree(|t| bias_activation(&t[0], Some(&t[1]), activation), &inputs);
        assert_paths_agree(|t| bias_activation(&t[0], None, activation), &inputs[..1]);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let inputs = [random(&[500, 131], 5), random(&[131], 6)];
    for activation in [Activation::None, Activation::Gelu, Activation::Relu] {
        assert_same_on_any_threads(|t| bias_activation(&t[0], Some(&t[1]), activation), &inputs, DType::F32);
    }
}

#[test]
fn refusals_and_empty_tensors() {
    let x = random(&[2, 3], 8);
    let kind = |r: tallow_tensor::Result<Tensor>| r.unwrap_err().kind();
    assert_eq!(kind(bias_activation(&x, Some(&random(&[2], 9)), Activation::Relu)), ErrorKind::ShapeMismatch);
    assert_eq!(kind(bias_activation(&x.cast(DType::I32).unwrap(), None, Activation::Relu)), ErrorKind::DTypeMismatch);
    let none = Tensor::from_vec(Vec::<f32>::new(), &[0, 3]).unwrap();
    let inputs = [none.cast(DType::F64).unwrap(), random(&[3], 9)];
    let out = output_and_gradients(|t| bias_activation(&t[0], Some(&t[1]), Activation::Gelu), &inputs, DType::F32);
    assert_eq!((out[0].shape(), out[2].to_f64_vec().unwrap()), (&[0usize, 3][..], vec![0.0; 3]));
}
