//! Float32 against float64: powers with their special values, sines of any argument, GELU.

use crate::common::{assert_same_on_any_threads, ulps};
use tallow_tensor::{backward, DType, Device, Tensor};

fn f32s(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().unwrap()
}

/// Numbers from -1 to 1 without order.
fn spread(n: usize, seed: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| ((i * 7919 + seed * 104_729) % 1_000_003) as f64 / 500_001.5 - 1.0)
}

#[test]
fn powers_are_accurate_over_the_whole_range() {
    // Bases of all magnitudes, denormals included, and exponents that reach every result.
    let x: Vec<f32> = (1..0x7f80_0000u32).step_by(20_011).map(f32::from_bits).collect();
    let y: Vec<f32> =
        x.iter().zip(spread(x.len(), 1)).map(|(&x, e)| (e * 152.0 / f64::from(x).log2()) as f32).collect();
    let wide: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| f64::from(x).powf(f64::from(y))).collect();
    let (bases, exponents) = (f32s(&x), f32s(&y));
    let check = |got: Vec<f32>, exact: &[f64]| {
        for i in 0..got.len() {
            let e = ulps(got[i], exact[i]);
            assert!(e <= 1.5, "{} to the power of {}: {} is off by {e} units in the last place", x[i], y[i], got[i]);
        }
    };
    check(values(&bases.pow(&exponents).unwrap()), &wide);
    for e in [0.5, -0.5, 2.3, -1.0, 3.0, 7.0] {
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x).powf(f64::from(e as f32))).collect();
        let got = values(&bases.pow_scalar(e).unwrap());
        for (i, (g, w)) in got.iter().zip(&wide).enumerate() {
            assert!(ulps(*g, *w) <= 1.5, "{} to the power of {e}: {g}, not {w}", x[i]);
        }
    }
    let negative = values(&f32s(&[-1.5, -1.5, -2.0]).pow(&f32s(&[2.0, 3.0, -3.0])).unwrap());
    assert_eq!(negative, [2.25, -3.375, -0.125]);
}

#[test]
fn special_powers_are_those_of_the_standard() {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        2.0,
        -2.0,
        3.0,
        -3.0,
        -7.5,
        1e-45,
        -1e-45,
        1e38,
        -1e38,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1.000_000_1,
        0.999_999_94,
        8_388_609.0,
        -8_388_609.0,
        16_777_216.0,
        4_194_304.5,
    ];
    let pairs: Vec<(f32, f32)> = special.iter().flat_map(|&x| special.map(|y| (x, y))).collect();
    let (x, y): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    for (got, (x, y)) in values(&f32s(&x).pow(&f32s(&y)).unwrap()).into_iter().zip(pairs) {
        let exact = f64::from(x).powf(f64::from(y));
        if exact.is_nan() {
            assert!(got.is_nan(), "{x} to the power of {y}: {got}");
        } else {
            assert!(ulps(got, exact) <= 1.5, "{x} to the power of {y}: {got}, not {exact}");
            assert_eq!(got.is_sign_negative(), exact.is_sign_negative(), "{x} to the power of {y}: {got}");
        }
    }
}

#[test]
fn sines_of_any_argument_are_accurate() {
    // Multiples of a quarter of the circle, where the most digits cancel, on both sides of where the way changes; and beyond.
    let mut x: Vec<f32> = (0..60_000).map(|i| (f64::from(i) * 191.0 * std::f64::consts::FRAC_PI_2) as f32).collect();
    x.extend((0..2000u32).map(|i| f32::from_bits(0x4b00_0000 + i * 427_801)).filter(|v| v.is_finite()));
    // Without far ones, which take a way of their own.
    let near: Vec<f32> = x.iter().copied().filter(|&v| v < 16_777_216.0).collect();
    assert!(near.len() > 50_000 && near.len() < x.len());
    for x in [near, x] {
        let t = f32s(&x).variable();
        let sines = t.sin().unwrap();
        let cosines = values(&t.cos().unwrap());
        let one = Tensor::ones(&[x.len()], DType::F32, &Device::Cpu).unwrap();
        let slopes = backward(&[(sines.clone(), one)], std::slice::from_ref(&t), false).unwrap();
        assert_eq!(values(&slopes[0]), cosines);
        for (i, (s, c)) in values(&sines).into_iter().zip(cosines).enumerate() {
            let e = ulps(s, f64::from(x[i]).sin()).max(ulps(c, f64::from(x[i]).cos()));
            assert!(e <= 2.0, "the sine {s} or cosine {c} of {} is off by {e} units in the last place", x[i]);
        }
    }
}

#[test]
fn gelu_is_accurate_and_exact_in_its_tails() {
    let x: Vec<f32> = spread(100_000, 3).map(|v| (7.0 * v) as f32).collect();
    let t = f32s(&x);
    let exact = t.cast(DType::F64).unwrap().gelu(false).unwrap().to_vec::<f64>().unwrap();
    for (i, got) in values(&t.gelu(false).unwrap()).into_iter().enumerate() {
        let most = 2.5e-7 * f64::from(x[i]).abs();
        assert!((f64::from(got) - exact[i]).abs() <= most, "GELU of {} is {got}, not {}", x[i], exact[i]);
    }
    let tails = [5.6, 30.0, 1e30, -5.6, -30.0, -1e30];
    let wide = Tensor::from_f64(&tails, &[6], DType::F32, &Device::Cpu).unwrap().variable();
    let y = wide.gelu(false).unwrap();
    assert_eq!(values(&y), [5.6, 30.0, 1e30, 0.0, 0.0, 0.0]);
    let one = Tensor::ones(&[6], DType::F32, &Device::Cpu).unwrap();
    let slopes = values(&backward(&[(y, one)], &[wide], false).unwrap()[0]);
    assert_eq!(slopes[1..], [1.0, 1.0, slopes[3], 0.0, 0.0]);
}

#[test]
fn same_bits_on_any_threads() {
    let x: Vec<f64> = spread(70_000, 5).map(|v| v * 1e5).collect();
    let x = Tensor::from_f64(&x, &[x.len()], DType::F64, &Device::Cpu).unwrap();
    assert_same_on_any_threads(|t| t[0].sin(), std::slice::from_ref(&x), DType::F32);
    assert_same_on_any_threads(|t| t[0].abs()?.pow_scalar(0.7), std::slice::from_ref(&x), DType::F32);
}
