//! Pooling against written-out numbers, its formula and the general path.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    backward, force_general_path,
    ops::{pool, Padding, Pooling, Windows},
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

const KINDS: [Pooling; 3] = [Pooling::Max, Pooling::Sum, Pooling::Average];

fn windows(strides: &[usize], padding: Padding) -> Windows {
    Windows { strides: strides.to_vec(), padding, ..Windows::default() }
}

/// Spatial sizes, window, and how it moves.
fn cases() -> Vec<(&'static [usize], &'static [usize], Windows)> {
    use Padding::{Explicit, Same, Valid};
    vec![
        (&[], &[], windows(&[], Valid)),
        (&[7], &[2], windows(&[2], Valid)),
        (&[5], &[2], windows(&[], Same)),
        (&[5, 4], &[3, 2], windows(&[2, 1], Same)),
        (&[5, 7], &[3, 3], windows(&[1, 2], Valid)),
        (&[4, 5], &[2, 2], windows(&[3, 3], Valid)),
        (&[4, 4, 3], &[2, 2, 2], windows(&[2, 1, 2], Same)),
        (&[4, 4], &[3, 3], windows(&[2, 2], Explicit(vec![(1, 2), (0, 1)]))),
        (&[7, 6], &[2, 3], Windows { dilation: vec![3, 2], ..windows(&[2, 1], Valid) }),
    ]
}

fn input(spatial: &[usize], batch: usize, channels: usize) -> Tensor {
    let shape: Vec<usize> = std::iter::once(batch).chain(spatial.iter().copied()).chain([channels]).collect();
    random(&shape, 1)
}

#[test]
fn values_in_one_dimension() {
    let x = Tensor::from_vec(vec![1f64, 5.0, 2.0, 2.0, 7.0], &[1, 5, 1]).unwrap();
    let run = |kind, strides: &[usize], padding| {
        pool(&x, &[2], &windows(strides, padding), kind).unwrap().to_f64_vec().unwrap()
    };
    assert_eq!(run(Pooling::Max, &[], Padding::Valid), [5., 5., 2., 7.]);
    assert_eq!(run(Pooling::Max, &[2], Padding::Valid), [5., 2.]);
    assert_eq!(run(Pooling::Sum, &[2], Padding::Same), [6., 4., 7.]);
    assert_eq!(run(Pooling::Average, &[2], Padding::Same), [3., 2., 7.]);
    assert_eq!(run(Pooling::Average, &[3], Padding::Explicit(vec![(1, 1)])), [1., 2.]);
}

#[test]
fn the_first_of_equals_gets_the_gradient() {
    let x = Tensor::from_vec(vec![3f64, 3.0, 1.0, 3.0, 3.0, 3.0], &[1, 2, 3, 1]).unwrap().variable();
    let gradient = || {
        let y = pool(&x, &[2, 2], &Windows::default(), Pooling::Max).unwrap();
        assert_eq!(y.to_f64_vec().unwrap(), [3., 3.]);
        let g = Tensor::from_vec(vec![10f64, 1.0], &[1, 1, 2, 1]).unwrap();
        backward(&[(y, g)], std::slice::from_ref(&x), false).unwrap()[0].to_f64_vec().unwrap()
    };
    assert_eq!(gradient(), [10., 1., 0., 0., 0., 0.]);
    assert_eq!(force_general_path(gradient), [10., 1., 0., 0., 0., 0.]);
}

#[test]
fn a_nan_is_the_largest_and_infinities_count() {
    let inf = f64::INFINITY;
    let x = Tensor::from_vec(vec![1.0, f64::NAN, 2.0, -inf, -inf, inf], &[1, 6, 1]).unwrap();
    let run = || pool(&x, &[2], &Windows::default(), Pooling::Max).unwrap().to_f64_vec().unwrap();
    for y in [run(), force_general_path(run)] {
        assert!(y[0].is_nan() && y[1].is_nan());
        assert_eq!(y[2..], [2.0, -inf, inf]);
    }
}

#[test]
fn every_dtype_and_path() {
    for (spatial, size, w) in cases() {
        for kind in KINDS {
            assert_paths_agree(|t| pool(&t[0], size, &w, kind), &[input(spatial, 2, 3)]);
            let x = input(spatial, 1, 1).cast(DType::F32).unwrap();
            assert_close(
                &pool(&x, size, &w, kind).unwrap(),
                &force_general_path(|| pool(&x, size, &w, kind)).unwrap(),
                DType::F32,
            );
        }
    }
    for dtype in FLOATS {
        let x = input(&[4, 4], 1, 2).cast(dtype).unwrap();
        assert_eq!(pool(&x, &[2, 2], &Windows::default(), Pooling::Average).unwrap().dtype(), dtype);
    }
}

#[test]
fn gradients() {
    for (spatial, size, w) in cases() {
        for kind in KINDS {
            check_gradients(|t| Ok(vec![pool(&t[0], size, &w, kind)?]), &[input(spatial, 2, 2)]);
        }
    }
}

#[test]
fn same_bits_on_any_threads() {
    for kind in KINDS {
        let w = windows(&[2, 1], Padding::Same);
        assert_same_on_any_threads(|t| pool(&t[0], &[3, 3], &w, kind), &[input(&[33, 31], 3, 17)], DType::F32);
    }
}

#[test]
fn empty_batches_and_refusals() {
    for kind in KINDS {
        for shape in [[0, 4, 4, 2], [2, 4, 4, 0]] {
            let run = || {
                let x = Tensor::from_vec(Vec::<f64>::new(), &shape).unwrap();
                output_and_gradients(
                    |t| pool(&t[0], &[2, 2], &windows(&[2, 2], Padding::Valid), kind),
                    &[x],
                    DType::F32,
                )
            };
            for out in [run(), force_general_path(run)] {
                assert_eq!((out[0].shape(), out[1].shape()), (&[shape[0], 2, 2, shape[3]][..], &shape[..]));
            }
        }
    }
    let x = input(&[4, 4], 1, 2);
    let message = |x: &Tensor, size: &[usize], w: &Windows, kind| {
        let e = pool(x, size, w, kind).unwrap_err();
        (e.kind(), e.message().to_string())
    };
    let none = Windows::default();
    assert_eq!(
        message(&x, &[2], &none, Pooling::Max),
        (ErrorKind::ShapeMismatch, "pool: windows of shape [2] need 1 spatial axes, the input has 2: [4, 4]".into())
    );
    assert_eq!(message(&x, &[5, 1], &none, Pooling::Max).0, ErrorKind::ShapeMismatch);
    assert_eq!(message(&random(&[3], 2), &[], &none, Pooling::Max).0, ErrorKind::ShapeMismatch);
    assert_eq!(message(&x.cast(DType::Bool).unwrap(), &[2, 2], &none, Pooling::Sum).0, ErrorKind::DTypeMismatch);
    let far = windows(&[], Padding::Explicit(vec![(0, 0), (2, 0)]));
    assert_eq!(
        message(&x, &[2, 2], &far, Pooling::Average),
        (
            ErrorKind::InvalidArgument,
            "pool: some windows of [2, 2] see nothing but the padding Explicit([(0, 0), (2, 0)]); pad less".into()
        )
    );
    assert_eq!(pool(&x, &[2, 2], &far, Pooling::Sum).unwrap().shape(), [1, 3, 5, 2]);
    let dilated = Windows { input_dilation: vec![2, 1], ..none };
    assert_eq!(message(&x, &[2, 2], &dilated, Pooling::Sum).0, ErrorKind::InvalidArgument);
}

#[test]
fn integers() {
    // Against float64, which holds these exactly, over every window and padding.
    for (spatial, size, w) in cases() {
        for kind in KINDS {
            for dtype in [DType::I32, DType::I64, DType::U32, DType::U8] {
                let x = input(spatial, 2, 3).abs().unwrap().mul_scalar(20.0).unwrap().clip(0.0, 30.0).unwrap();
                let (ints, floats) = (x.cast(dtype).unwrap(), x.cast(DType::I32).unwrap().cast(DType::F64).unwrap());
                let want = pool(&floats, size, &w, kind).unwrap();
                let to = if kind == Pooling::Average { DType::F32 } else { dtype };
                let run = || pool(&ints, size, &w, kind);
                for y in [run(), force_general_path(run)] {
                    let fits = dtype != DType::U8
                        || want.max(tallow_tensor::Axes::All, false).unwrap().item().unwrap() <= 255.0;
                    match fits || kind != Pooling::Sum {
                        true => assert_close(&y.unwrap(), &want.cast(to).unwrap(), to),
                        false => assert_eq!(y.unwrap_err().kind(), ErrorKind::InvalidArgument),
                    }
                }
            }
        }
    }
    // Negative numbers beside padding, and sums that float32 and int32 cannot hold.
    let x = Tensor::from_vec(vec![-7i32, -3, i32::MAX, i32::MAX - 1], &[1, 4, 1]).unwrap();
    let run = |kind| pool(&x, &[2], &windows(&[2], Padding::Same), kind);
    assert_eq!(run(Pooling::Max).unwrap().to_vec::<i32>().unwrap(), [-3, i32::MAX]);
    assert_eq!(run(Pooling::Average).unwrap().to_vec::<f32>().unwrap(), [-5.0, i32::MAX as f32]);
    let e = run(Pooling::Sum).unwrap_err();
    assert!(e.kind() == ErrorKind::InvalidArgument && e.message().contains("int64"), "{e}");
    let wide = pool(&x.cast(DType::I64).unwrap(), &[2], &windows(&[2], Padding::Same), Pooling::Sum).unwrap();
    assert_eq!(wide.to_vec::<i64>().unwrap(), [-10, 2 * i64::from(i32::MAX) - 1]);
    let padded = pool(&x, &[2], &windows(&[3], Padding::Explicit(vec![(1, 1)])), Pooling::Max).unwrap();
    assert_eq!(padded.to_vec::<i32>().unwrap(), [-7, i32::MAX]);
}
