//! Float16 and bfloat16: numbers are rounded to them once, and slopes come from values that are not rounded.
use half::{bf16, f16};
use tallow_tensor::{
    backward, force_general_path,
    ops::{bias_activation, Activation},
    testing::random,
    DType, Device, Result, Tensor,
};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn half(bits: u16, dtype: DType) -> f64 {
    if dtype == DType::F16 {
        f16::from_bits(bits).to_f64()
    } else {
        bf16::from_bits(bits).to_f64()
    }
}

/// Numbers between two neighbouring halves, and where each belongs: ties to the even one.
fn between(dtype: DType) -> Vec<(f64, f64)> {
    let last = if dtype == DType::F16 { 0x7bff } else { 0x7f7f };
    let mut out = Vec::new();
    for bits in (0..last).step_by(5).chain([last - 1]) {
        let (low, high) = (half(bits, dtype), half(bits + 1, dtype));
        let middle = low + (high - low) / 2.0;
        let even = if bits % 2 == 0 { low } else { high };
        let all = [(middle.next_down(), low), (middle, even), (middle.next_up(), high), (low, low)];
        all.into_iter().for_each(|(v, want)| out.extend([(v, want), (-v, -want)]));
    }
    out
}

#[test]
fn floats_are_rounded_once() {
    for dtype in HALVES {
        let (values, want): (Vec<f64>, Vec<f64>) = between(dtype).into_iter().unzip();
        let n = [values.len()];
        let x = Tensor::from_vec(values.clone(), &n).unwrap();
        let cast = || x.cast(dtype).unwrap();
        for y in [cast(), force_general_path(cast), Tensor::from_f64(&values, &n, dtype, &Device::Cpu).unwrap()] {
            assert_eq!(y.to_f64_vec().unwrap(), want, "{dtype}");
        }
        for i in (0..values.len()).step_by(999) {
            assert_eq!(Tensor::full(&[], values[i], dtype, &Device::Cpu).unwrap().item().unwrap(), want[i]);
            let sum = Tensor::zeros(&[1], dtype, &Device::Cpu).unwrap().add_scalar(values[i]).unwrap();
            assert_eq!(sum.item().unwrap(), want[i]);
        }
        // Beyond the largest by half a step it is infinite, just below it is not.
        let most = half(if dtype == DType::F16 { 0x7bff } else { 0x7f7f }, dtype);
        let step = most - half(if dtype == DType::F16 { 0x7bfe } else { 0x7f7e }, dtype);
        let edge =
            Tensor::from_vec(vec![(most + step / 2.0).next_down(), most + step / 2.0, 1e300, f64::NAN], &[4]).unwrap();
        let got = edge.cast(dtype).unwrap().to_f64_vec().unwrap();
        assert_eq!(got[..3], [most, f64::INFINITY, f64::INFINITY]);
        assert!(got[3].is_nan());
    }
}

#[test]
fn whole_numbers_are_rounded_once() {
    for dtype in HALVES {
        let bits = if dtype == DType::F16 { 11 } else { 8 };
        for top in bits + 2..63 {
            // 1.…1 and 1.…10 in as many digits as a half has, then the middle to the next one, and one more or less.
            for low in [(1i64 << bits) - 1, (1 << bits) - 2] {
                let shift = top - bits;
                let middle = (low << shift) + (1 << (shift - 1));
                let near = |v: i64| if dtype == DType::F16 && v as f64 >= 65520.0 { f64::INFINITY } else { v as f64 };
                let (low, high) = (low << shift, (low + 1) << shift);
                let even = if (low >> shift) % 2 == 0 { low } else { high };
                for (v, want) in [(middle - 1, low), (middle, even), (middle + 1, high)] {
                    let want = near(want);
                    let check = |x: Tensor, sign: f64| {
                        let cast = || x.cast(dtype).unwrap().item().unwrap();
                        assert_eq!(
                            (cast(), force_general_path(cast)),
                            (sign * want, sign * want),
                            "{v} from {x:?} to {dtype}"
                        );
                    };
                    check(Tensor::scalar(v), 1.0);
                    check(Tensor::scalar(-v), -1.0);
                    if let Ok(v) = i32::try_from(v) {
                        check(Tensor::scalar(-v), -1.0);
                    }
                    if let Ok(v) = u32::try_from(v) {
                        check(Tensor::scalar(v), 1.0);
                    }
                    assert_eq!(Tensor::full(&[], v, dtype, &Device::Cpu).unwrap().item().unwrap(), want);
                }
            }
        }
    }
}

/// Gradients of halves are those of float64 at the same inputs and cotangents, but for one rounding and what float32 leaves.
#[track_caller]
fn assert_slopes(name: &str, f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    for dtype in HALVES {
        let unit = if dtype == DType::F16 { 2f64.powi(-11) } else { 2f64.powi(-8) };
        let gradients = |work: DType| -> Vec<f64> {
            let variables: Vec<Tensor> =
                inputs.iter().map(|t| t.cast(dtype).unwrap().cast(work).unwrap().variable()).collect();
            let y = f(&variables).unwrap();
            let ct = random(y.shape(), 5).cast(dtype).unwrap().cast(work).unwrap();
            let found = backward(&[(y, ct)], &variables, false).unwrap();
            found.iter().flat_map(|t| t.to_f64_vec().unwrap()).collect()
        };
        let exact = gradients(DType::F64);
        for got in [gradients(dtype), force_general_path(|| gradients(dtype))] {
            for (g, e) in got.iter().zip(&exact) {
                assert!((g - e).abs() <= 1.05 * unit * e.abs() + 1e-6, "{name} of {dtype}: slope {g}, exactly {e}");
            }
        }
    }
}

#[test]
fn slopes_come_from_values_that_are_not_rounded() {
    let x = Tensor::from_vec(vec![0.3, 1.7, 2.9, 3.3, 0.01, 0.77], &[2, 3]).unwrap();
    type Op = fn(&Tensor) -> Result<Tensor>;
    let functions: [(&str, Op); 17] = [
        ("exp", Tensor::exp),
        ("expm1", Tensor::expm1),
        ("sqrt", Tensor::sqrt),
        ("rsqrt", Tensor::rsqrt),
        ("recip", Tensor::recip),
        ("tanh", Tensor::tanh),
        ("sigmoid", Tensor::sigmoid),
        ("softplus", Tensor::softplus),
        ("erf", Tensor::erf),
        ("log1p", Tensor::log1p),
        ("softmax", |x| x.softmax(-1)),
        ("log_softmax", |x| x.log_softmax(0)),
        ("logsumexp", |x| x.logsumexp(1, false)),
        ("pow", |x| x.pow_scalar(2.5)),
        ("rpow", |x| x.rpow_scalar(3.0)),
        ("rdiv", |x| x.rdiv_scalar(3.0)),
        ("prod", |x| x.prod(1, false)),
    ];
    for (name, f) in functions {
        assert_slopes(name, |t| f(&t[0]), std::slice::from_ref(&x));
    }
    let b = Tensor::from_vec(vec![0.4, -0.2, 1.1], &[3]).unwrap();
    for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Gelu, Activation::Relu] {
        assert_slopes("bias_activation", |t| bias_activation(&t[0], Some(&t[1]), activation), &[x.clone(), b.clone()]);
        assert_slopes("activation", |t| bias_activation(&t[0], None, activation), std::slice::from_ref(&x));
    }
    assert_slopes("division", |t| t[0].div(&t[1]), &[x.clone(), b.clone()]);
    assert_slopes("power", |t| t[0].pow(&t[1]), &[x, b]);
}
