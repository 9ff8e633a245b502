//! Functions of one tensor: accuracy, limits, dtypes, gradients, both paths.

use crate::common::ulps;
use tallow_tensor::{backward, force_general_path, testing, DType, Device, ErrorKind, Result, Tensor};

fn t(values: &[f64], dtype: DType) -> Tensor {
    Tensor::from_f64(values, &[values.len()], dtype, &Device::Cpu).unwrap()
}

fn on_both_paths(f: impl Fn() -> Result<Tensor>) -> [Tensor; 2] {
    [f().unwrap(), force_general_path(&f).unwrap()]
}

type Op = fn(&Tensor) -> Result<Tensor>;
/// Transcendental functions and the largest error of float32 in units in the last place.
const FUNCTIONS: [(&str, Op, f64); 16] = [
    ("exp", Tensor::exp, 2.0),
    ("expm1", Tensor::expm1, 2.5),
    ("log", Tensor::log, 2.0),
    ("log1p", Tensor::log1p, 3.0),
    ("sqrt", Tensor::sqrt, 0.51),
    ("rsqrt", Tensor::rsqrt, 1.5),
    ("recip", Tensor::recip, 0.51),
    ("sin", Tensor::sin, 2.0),
    ("cos", Tensor::cos, 2.0),
    ("tanh", Tensor::tanh, 3.0),
    ("sigmoid", Tensor::sigmoid, 3.0),
    ("erf", Tensor::erf, 3.0),
    ("softplus", Tensor::softplus, 3.0),
    ("swish", Tensor::swish, 4.0),
    ("square", Tensor::square, 0.51),
    ("abs", Tensor::abs, 0.0),
];

/// All magnitudes, both signs, denormals included.
fn wide_range() -> Vec<f32> {
    let mut v: Vec<f32> = (0..40_000).map(|i| (i as f32 - 20_000.0) * 0.005_3).collect();
    v.extend((0..60_000u32).map(|i| f32::from_bits(i.wrapping_mul(71_573).wrapping_add(11))).filter(|v| v.is_finite()));
    let negative: Vec<f32> = v.iter().map(|v| -v).collect();
    v.extend(negative);
    v
}

#[test]
fn float32_is_accurate_over_its_whole_range() {
    let values = wide_range();
    let x = Tensor::from_vec(values.clone(), &[values.len()]).unwrap();
    let wide = x.cast(DType::F64).unwrap();
    for (name, op, most) in FUNCTIONS {
        let (got, exact) = (op(&x).unwrap().to_vec::<f32>().unwrap(), op(&wide).unwrap().to_vec::<f64>().unwrap());
        let (mut worst, mut place) = (0.0, 0.0);
        for i in 0..values.len() {
            // The sigmoid inside swish has lost digits where it is denormal.
            if name == "swish" && exact[i].abs() < 1e-35 {
                continue;
            }
            let e = ulps(got[i], exact[i]);
            if e.is_nan() || e > worst {
                (worst, place) = (e, values[i]);
            }
        }
        eprintln!("{name}: {worst:.2} ulp at {place:e}");
        assert!(worst <= most, "{name}: {worst} units in the last place at {place:e}");
    }
}

#[test]
fn float64_is_the_definition() {
    let v = [-3.7, -1.0, -0.4, 0.3, 0.9, 2.6];
    let x = t(&v, DType::F64);
    let check = |y: Result<Tensor>, f: &dyn Fn(f64) -> f64| {
        testing::assert_close(&y.unwrap(), &t(&v.map(f), DType::F64), DType::F64);
    };
    for path in [false, true] {
        let run = || {
            check(x.exp(), &f64::exp);
            check(x.expm1(), &f64::exp_m1);
            check(x.abs().unwrap().log(), &|v| v.abs().ln());
            check(x.exp().unwrap().log1p(), &|v| (1.0 + v.exp()).ln());
            check(x.sin(), &f64::sin);
            check(x.cos(), &f64::cos);
            check(x.tanh(), &f64::tanh);
            check(x.sigmoid(), &|v| 1.0 / (1.0 + (-v).exp()));
            check(x.softplus(), &|v| (1.0 + v.exp()).ln());
            check(x.swish(), &|v| v / (1.0 + (-v).exp()));
            check(x.recip(), &f64::recip);
            check(x.square(), &|v| v * v);
            check(x.square().unwrap().rsqrt(), &|v| 1.0 / v.abs());
            check(x.square().unwrap().sqrt(), &f64::abs);
            check(x.neg(), &|v| -v);
            check(x.sign(), &f64::signum);
            check(x.relu(), &|v| v.max(0.0));
            check(x.clip(-1.0, 0.5), &|v| v.clamp(-1.0, 0.5));
            check(x.floor(), &f64::floor);
            check(x.ceil(), &f64::ceil);
            // By the rule of Simpson: 2 / sqrt(pi) times the integral of e^(-t^2).
            let erf = |x: f64| {
                let n = 2000;
                let h = x / n as f64;
                let f = |i: usize| (-(i as f64 * h).powi(2)).exp();
                let inner: f64 = (1..n).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
                (f(0) + inner + f(n)) * h / 3.0 * std::f64::consts::FRAC_2_SQRT_PI
            };
            check(x.erf(), &erf);
            check(x.gelu(false), &|v| v * 0.5 * (1.0 + erf(v / 2f64.sqrt())));
            let inner = |v: f64| (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3));
            check(x.gelu(true), &|v| 0.5 * v * (1.0 + inner(v).tanh()));
        };
        if path {
            force_general_path(run)
        } else {
            run()
        }
    }
}

#[test]
fn limits() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x = [nan, inf, -inf, 0.0, -0.0];
    let expected: [(Op, [f64; 5]); 17] = [
        (Tensor::exp, [nan, inf, 0.0, 1.0, 1.0]),
        (Tensor::expm1, [nan, inf, -1.0, 0.0, -0.0]),
        (Tensor::log, [nan, inf, nan, -inf, -inf]),
        (Tensor::log1p, [nan, inf, nan, 0.0, -0.0]),
        (Tensor::sqrt, [nan, inf, nan, 0.0, -0.0]),
        (Tensor::rsqrt, [nan, 0.0, nan, inf, -inf]),
        (Tensor::recip, [nan, 0.0, -0.0, inf, -inf]),
        (Tensor::tanh, [nan, 1.0, -1.0, 0.0, -0.0]),
        (Tensor::sigmoid, [nan, 1.0, 0.0, 0.5, 0.5]),
        (Tensor::erf, [nan, 1.0, -1.0, 0.0, -0.0]),
        (Tensor::relu, [nan, inf, 0.0, 0.0, 0.0]),
        (Tensor::sign, [nan, 1.0, -1.0, 0.0, 0.0]),
        (Tensor::abs, [nan, inf, inf, 0.0, 0.0]),
        (Tensor::floor, [nan, inf, -inf, 0.0, -0.0]),
        (Tensor::round, [nan, inf, -inf, 0.0, -0.0]),
        (Tensor::sin, [nan, nan, nan, 0.0, -0.0]),
        (Tensor::softplus, [nan, inf, 0.0, std::f64::consts::LN_2, std::f64::consts::LN_2]),
    ];
    for dtype in [DType::F32, DType::F64] {
        for (op, values) in expected {
            testing::assert_same_bits(&op(&t(&x, dtype)).unwrap(), &t(&values, dtype));
            // The general path need not keep the sign of zero.
            let general = force_general_path(|| op(&t(&x, dtype))).unwrap();
            testing::assert_close(&general, &t(&values, dtype), dtype);
        }
    }
    let overflow = t(&[88.0, 89.0, 200.0, -87.5, -104.0, -1e30], DType::F32);
    let y = overflow.exp().unwrap().to_vec::<f32>().unwrap();
    assert!(y[0].is_finite() && y[1].is_infinite() && y[2].is_infinite() && y[3] > 0.0 && y[4] == 0.0 && y[5] == 0.0);
    for y in on_both_paths(|| t(&[1e4, -1e4], DType::F32).softplus()) {
        testing::assert_same_bits(&y, &t(&[1e4, 0.0], DType::F32));
    }
}

#[test]
fn halves_round_to_even() {
    let x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, -2.6, 1e9];
    for dtype in [DType::F32, DType::F64] {
        for y in on_both_paths(|| t(&x, dtype).round()) {
            testing::assert_close(&y, &t(&[-2.0, -2.0, 0.0, 0.0, 2.0, 2.0, 2.0, -3.0, 1e9], dtype), dtype);
        }
    }
}

#[test]
fn dtypes() {
    for dtype in DType::ALL {
        let x = t(&[1.0, 0.0, 1.0], dtype);
        let exact = t(&[1.0, 0.0, 1.0], DType::F64);
        for (name, op, _) in FUNCTIONS {
            if matches!(name, "abs" | "square") {
                continue;
            }
            for y in on_both_paths(|| op(&x)) {
                assert_eq!(y.dtype(), dtype.to_float(), "{name}");
                testing::assert_close(&y, &op(&exact).unwrap(), dtype.to_float());
            }
        }
        for op in [Tensor::abs as Op, Tensor::square, Tensor::relu, Tensor::sign] {
            for y in [op(&x), force_general_path(|| op(&x))] {
                if dtype == DType::Bool {
                    assert_eq!(y.unwrap_err().kind(), ErrorKind::DTypeMismatch);
                } else {
                    testing::assert_same_bits(&y.unwrap(), &x);
                }
            }
        }
    }
    let x = t(&[-3.0, 0.0, 4.0], DType::I32);
    for (op, expect) in [
        (Tensor::neg as Op, [3.0, 0.0, -4.0]),
        (Tensor::abs, [3.0, 0.0, 4.0]),
        (Tensor::sign, [-1.0, 0.0, 1.0]),
        (Tensor::square, [9.0, 0.0, 16.0]),
        (Tensor::relu, [0.0, 0.0, 4.0]),
        (Tensor::floor, [-3.0, 0.0, 4.0]),
    ] {
        testing::assert_same_bits(&op(&x).unwrap(), &t(&expect, DType::I32));
    }
    testing::assert_same_bits(&x.clip(-1.0, 1e30).unwrap(), &t(&[-1.0, 0.0, 4.0], DType::I32));
    for (lo, hi) in [(1.0, 0.0), (f64::NAN, 1.0)] {
        assert_eq!(x.clip(lo, hi).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn views_and_empty_shapes() {
    let x = testing::random(&[3, 4, 5], 1);
    let views = [
        x.transpose(None).unwrap(),
        x.narrow(1, 1, 2).unwrap(),
        x.narrow(2, 3, 1).unwrap(),
        testing::random(&[4, 1], 2).broadcast_to(&[3, 4, 5]).unwrap(),
        testing::random(&[], 3),
        testing::random(&[0, 4], 4),
        testing::random(&[3, 0, 1], 5).transpose(None).unwrap(),
        // Large enough for tiles and threads.
        testing::random(&[210, 230], 6).transpose(None).unwrap(),
        testing::random(&[9, 70, 110], 7).transpose(Some(&[2, 1, 0])).unwrap(),
        testing::random(&[9, 70, 110], 8).transpose(Some(&[2, 0, 1])).unwrap(),
        testing::random(&[9, 70, 110], 9).transpose(Some(&[0, 2, 1])).unwrap(),
        testing::random(&[9, 70, 11, 4], 9).transpose(Some(&[0, 2, 1, 3])).unwrap(),
        testing::random(&[300, 3], 10).transpose(None).unwrap().broadcast_to(&[50, 3, 300]).unwrap(),
    ];
    for v in views {
        for y in on_both_paths(|| v.tanh()) {
            let expect: Vec<f64> = v.to_f64_vec().unwrap().iter().map(|v| v.tanh()).collect();
            let expect = Tensor::from_vec(expect, v.shape()).unwrap();
            testing::assert_close(&y, &expect, DType::F64);
        }
        // The copy itself, element by element against candle's own.
        let packed = force_general_path(|| v.contiguous()).unwrap();
        testing::assert_same_bits(&v.contiguous().unwrap(), &packed);
    }
}

#[test]
fn gradients() {
    for x in [testing::random(&[3, 4], 1), testing::random(&[4, 3], 2).transpose(None).unwrap()] {
        let run = || {
            for (_, op, _) in FUNCTIONS {
                testing::check_gradients(|x| Ok(vec![op(&x[0].abs()?.add_scalar(0.1)?)?]), std::slice::from_ref(&x));
            }
            for op in [
                Tensor::exp as Op,
                Tensor::expm1,
                Tensor::sin,
                Tensor::cos,
                Tensor::tanh,
                Tensor::sigmoid,
                Tensor::erf,
                Tensor::softplus,
                Tensor::swish,
                Tensor::square,
                Tensor::abs,
                Tensor::neg,
                Tensor::relu,
                Tensor::recip,
                |x| x.gelu(true),
                |x| x.gelu(false),
                |x| x.clip(-0.7, 0.4),
            ] {
                testing::check_gradients(|x| Ok(vec![op(&x[0])?]), std::slice::from_ref(&x));
            }
        };
        run();
        force_general_path(run);
    }
}

#[test]
fn gradients_at_kinks() {
    let cases: [(Op, [f64; 3]); 4] = [
        (Tensor::relu, [0.0, 0.0, 1.0]),
        (Tensor::abs, [-1.0, 1.0, 1.0]),
        (|x| x.clip(-1.0, 2.0), [0.5, 1.0, 0.5]),
        (Tensor::sign, [0.0, 0.0, 0.0]),
    ];
    for (op, expect) in cases {
        let g = on_both_paths(|| {
            let x = t(&[-1.0, 0.0, 2.0], DType::F32).variable();
            Ok(backward(&[(op(&x)?, t(&[1.0; 3], DType::F32))], &[x], false)?.remove(0))
        });
        g.iter().for_each(|g| testing::assert_same_bits(g, &t(&expect, DType::F32)));
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let x = testing::random(&[100_003], 1).cast(DType::F32).unwrap();
    let run = || FUNCTIONS.map(|(_, op, _)| op(&x).unwrap());
    let one = testing::on_threads(1, run);
    // One element at a time takes no vector registers.
    for i in [0usize, 17, 100_002] {
        for (y, (_, op, _)) in one.iter().zip(FUNCTIONS) {
            testing::assert_same_bits(&op(&x.narrow(0, i, 1).unwrap()).unwrap(), &y.narrow(0, i, 1).unwrap());
        }
    }
    for n in [2, 4] {
        one.iter().zip(testing::on_threads(n, run)).for_each(|(a, b)| testing::assert_same_bits(a, &b));
    }
}
