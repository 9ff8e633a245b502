//! Casts, devices and tensors made from a shape.
use tallow_tensor::{backward, force_general_path, testing, DType, Device, ErrorKind, Result, Tensor};

fn t(values: &[f64], dtype: DType) -> Tensor {
    Tensor::from_f64(values, &[values.len()], dtype, &Device::Cpu).unwrap()
}

fn on_both_paths(f: impl Fn() -> Result<Tensor>) -> [Tensor; 2] {
    [f().unwrap(), force_general_path(&f).unwrap()]
}

#[test]
fn every_pair_of_dtypes() {
    for a in DType::ALL {
        for b in DType::ALL {
            let x = t(&[0.0, 1.0, 100.0], a);
            let last = if a == DType::Bool { 1.0 } else { 100.0 };
            for y in on_both_paths(|| x.cast(b)) {
                testing::assert_same_bits(&y, &t(&[0.0, 1.0, last], b));
            }
        }
    }
}

#[test]
fn floats_truncate_and_saturate() {
    let x = [2.9, -2.9, 1e20, -1e20, f64::NAN, f64::INFINITY];
    for dtype in [DType::F32, DType::F64] {
        for y in on_both_paths(|| t(&x, dtype).cast(DType::I32)) {
            assert_eq!(y.to_vec::<i32>().unwrap(), [2, -2, i32::MAX, i32::MIN, 0, i32::MAX]);
        }
        for y in on_both_paths(|| t(&x, dtype).cast(DType::U8)) {
            assert_eq!(y.to_vec::<u8>().unwrap(), [2, 0, 255, 0, 0, 255]);
        }
        for y in on_both_paths(|| t(&x, dtype).cast(DType::Bool)) {
            assert_eq!(y.to_vec::<u8>().unwrap(), [1; 6]);
        }
    }
    // Whole numbers keep their bits.
    let x = Tensor::from_vec(vec![-1i64, (1 << 40) + 5], &[2]).unwrap();
    assert_eq!(x.cast(DType::I32).unwrap().to_vec::<i32>().unwrap(), [-1, 5]);
}

#[test]
fn views_and_gradients() {
    let x = testing::random(&[3, 5], 1).transpose(None).unwrap();
    let expect: Vec<f32> = x.to_f64_vec().unwrap().iter().map(|&v| v as f32).collect();
    for y in on_both_paths(|| x.cast(DType::F32)) {
        testing::assert_same_bits(&y, &Tensor::from_vec(expect.clone(), &[5, 3]).unwrap());
    }
    let v = t(&[1.0, 2.0], DType::F32).variable();
    let y = v.cast(DType::F16).unwrap().cast(DType::F64).unwrap().to_device(&Device::Cpu).unwrap();
    let g = backward(&[(y, t(&[3.0, 4.0], DType::F64))], std::slice::from_ref(&v), false).unwrap();
    testing::assert_same_bits(&g[0], &t(&[3.0, 4.0], DType::F32));
    assert!(!v.stop_gradient().is_tracked() && !v.cast(DType::I32).unwrap().is_tracked());
    assert_eq!(t(&[], DType::F32).cast(DType::I64).unwrap().shape(), [0]);
}

#[test]
fn made_from_a_shape() {
    let cpu = Device::Cpu;
    for dtype in DType::ALL {
        let same = |x: Tensor, values: &[f64], shape: &[usize]| {
            testing::assert_same_bits(&x, &Tensor::from_f64(values, shape, dtype, &cpu).unwrap());
        };
        same(Tensor::zeros(&[2, 1], dtype, &cpu).unwrap(), &[0.0; 2], &[2, 1]);
        same(Tensor::ones(&[], dtype, &cpu).unwrap(), &[1.0], &[]);
        same(Tensor::full(&[2], 1.0, dtype, &cpu).unwrap().zeros_like().unwrap(), &[0.0; 2], &[2]);
        same(Tensor::zeros(&[0, 3], dtype, &cpu).unwrap().ones_like().unwrap(), &[], &[0, 3]);
        same(Tensor::iota(2, dtype, &cpu).unwrap(), &[0.0, 1.0], &[2]);
        same(Tensor::eye(2, 3, dtype, &cpu).unwrap(), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &[2, 3]);
        same(Tensor::eye(2, 1, dtype, &cpu).unwrap(), &[1.0, 0.0], &[2, 1]);
    }
    assert_eq!(Tensor::iota(256, DType::U8, &cpu).unwrap().to_vec::<u8>().unwrap()[255], 255);
    assert_eq!(Tensor::iota(257, DType::U8, &cpu).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Tensor::full(&[1], 300, DType::F32, &cpu).unwrap().item().unwrap(), 300.0);
    let tril = |k| Tensor::tril_mask(2, 3, k, &cpu).unwrap().to_vec::<u8>().unwrap();
    assert_eq!(tril(0), [1, 0, 0, 1, 1, 0]);
    assert_eq!(tril(1), [1, 1, 0, 1, 1, 1]);
    assert_eq!(tril(-1), [0, 0, 0, 1, 0, 0]);
    assert_eq!(tril(isize::MAX), [1; 6]);
    assert_eq!(tril(isize::MIN), [0; 6]);
    assert_eq!(Tensor::tril_mask(2, 0, 0, &cpu).unwrap().shape(), [2, 0]);
    assert_eq!(Tensor::zeros(&[usize::MAX, 2], DType::F32, &cpu).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(Tensor::from_f64(&[1.0], &[2], DType::F32, &cpu).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}
