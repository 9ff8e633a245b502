//! Arithmetic of two operands: values over shapes, strides and dtypes, limits, gradients, both paths.
use tallow_tensor::{backward, force_general_path, testing, DType, Device, ErrorKind, Result, Scalar, Tensor};

fn t(values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_f64(values, shape, dtype, &Device::Cpu).unwrap()
}

type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;
type Reference = fn(f64, f64) -> f64;
const OPS: [(&str, Op, Reference); 8] = [
    ("add", Tensor::add, |a, b| a + b),
    ("sub", Tensor::sub, |a, b| a - b),
    ("mul", Tensor::mul, |a, b| a * b),
    ("div", Tensor::div, |a, b| a / b),
    ("rem", Tensor::rem, |a, b| a - (a / b).floor() * b),
    ("pow", Tensor::pow, f64::powf),
    ("maximum", Tensor::maximum, f64::max),
    ("minimum", Tensor::minimum, f64::min),
];

fn on_both_paths(f: impl Fn() -> Result<Tensor>) -> [Tensor; 2] {
    [f().unwrap(), force_general_path(&f).unwrap()]
}

/// Element `i` of the row-major `out` shape, read from `x` broadcast to it.
fn at(x: &[f64], shape: &[usize], out: &[usize], mut i: usize) -> f64 {
    let (mut offset, mut stride) = (0, 1);
    for a in (0..out.len()).rev() {
        let k = i % out[a];
        i /= out[a];
        if a + shape.len() >= out.len() {
            let d = shape[a + shape.len() - out.len()];
            if d != 1 {
                offset += k * stride;
            }
            stride *= d;
        }
    }
    x[offset]
}

/// Contiguous, reversed, cut and repeated tensors of a shape, all positive.
fn layouts(shape: &[usize], seed: u64) -> Vec<Tensor> {
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let mut all = vec![testing::random(shape, seed), testing::random(&reversed, seed + 1).transpose(None).unwrap()];
    if let Some(&last) = shape.last() {
        let mut wide = shape.to_vec();
        *wide.last_mut().unwrap() += 3;
        all.push(testing::random(&wide, seed + 2).narrow(-1, 2, last).unwrap());
        all.push(testing::random(&shape[1..], seed + 3).broadcast_to(shape).unwrap());
    }
    all.into_iter().map(|x| x.abs().unwrap().add_scalar(0.1).unwrap()).collect()
}

#[test]
fn broadcast_shapes_and_strides() {
    let cases: [(&[usize], &[usize], &[usize]); 12] = [
        (&[], &[], &[]),
        (&[4], &[4], &[4]),
        (&[3, 4], &[4], &[3, 4]),
        (&[3, 4], &[3, 1], &[3, 4]),
        (&[3, 4], &[], &[3, 4]),
        (&[3, 1], &[1, 5], &[3, 5]),
        (&[2, 1, 4], &[3, 1], &[2, 3, 4]),
        (&[2, 3, 4, 2], &[3, 1, 2], &[2, 3, 4, 2]),
        (&[0, 4], &[1, 4], &[0, 4]),
        (&[3, 0, 1], &[5], &[3, 0, 5]),
        (&[150, 150], &[150, 150], &[150, 150]),
        (&[40, 1, 60], &[30, 60], &[40, 30, 60]),
    ];
    for (sa, sb, out) in cases {
        for a in layouts(sa, 1) {
            for b in layouts(sb, 50) {
                let (va, vb) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
                let n = out.iter().product();
                for (name, op, f) in OPS {
                    let expect: Vec<f64> = (0..n).map(|i| f(at(&va, sa, out, i), at(&vb, sb, out, i))).collect();
                    let expect = t(&expect, out, DType::F64);
                    for y in on_both_paths(|| op(&a, &b)) {
                        assert_eq!(y.dtype(), DType::F64, "{name}");
                        testing::assert_close(&y, &expect, DType::F64);
                    }
                    // The other way round: columns and rows change sides.
                    let expect: Vec<f64> = (0..n).map(|i| f(at(&vb, sb, out, i), at(&va, sa, out, i))).collect();
                    testing::assert_close(&op(&b, &a).unwrap(), &t(&expect, out, DType::F64), DType::F64);
                }
            }
        }
    }
}

#[test]
fn every_pair_of_dtypes() {
    for a in DType::ALL {
        for b in DType::ALL {
            // 1, 0, 1 against 2, 1, 1: values that every dtype holds (bool: 1, 1, 1).
            let (x, y) = (t(&[1.0, 0.0, 1.0], &[3], a), t(&[2.0, 1.0, 1.0], &[3], b));
            let (vx, vy) = (x.to_f64_vec().unwrap(), y.to_f64_vec().unwrap());
            for (name, op, f) in OPS {
                let meets = a.promote(b);
                if meets == DType::Bool && !matches!(name, "maximum" | "minimum") {
                    assert_eq!(op(&x, &y).unwrap_err().kind(), ErrorKind::DTypeMismatch);
                    continue;
                }
                let dtype = if name == "div" { meets.to_float() } else { meets };
                let wrap =
                    if matches!(dtype, DType::U8 | DType::U32) { 2f64.powi(8 * dtype.size() as i32) } else { 0.0 };
                let values = vx.iter().zip(&vy).map(|(&p, &q)| {
                    let v = f(p, q);
                    if v < 0.0 {
                        v + wrap
                    } else {
                        v
                    }
                });
                let expect = t(&values.collect::<Vec<_>>(), &[3], dtype);
                for r in on_both_paths(|| op(&x, &y)) {
                    assert_eq!(r.dtype(), dtype, "{name} of {a} and {b}");
                    testing::assert_close(&r, &expect, DType::F32);
                }
            }
        }
    }
}

#[test]
fn scalars_are_weak() {
    for dtype in DType::ALL {
        let x = t(&[1.0, 0.0, 1.0], &[3], dtype);
        let int = if dtype == DType::Bool { DType::I32 } else { dtype };
        for y in on_both_paths(|| x.add_scalar(2)) {
            testing::assert_same_bits(&y, &t(&[3.0, 2.0, 3.0], &[3], int));
        }
        for y in on_both_paths(|| x.mul_scalar(0.5)) {
            testing::assert_same_bits(&y, &t(&[0.5, 0.0, 0.5], &[3], dtype.to_float()));
        }
        for y in on_both_paths(|| x.rsub_scalar(3)) {
            testing::assert_same_bits(&y, &t(&[2.0, 3.0, 2.0], &[3], int));
        }
        for y in on_both_paths(|| x.rdiv_scalar(2)) {
            testing::assert_same_bits(&y, &t(&[2.0, f64::INFINITY, 2.0], &[3], dtype.to_float()));
        }
        for y in on_both_paths(|| x.rpow_scalar(3)) {
            testing::assert_same_bits(&y, &t(&[3.0, 1.0, 3.0], &[3], int));
        }
        for y in on_both_paths(|| x.maximum_scalar(1)) {
            testing::assert_same_bits(&y, &t(&[1.0; 3], &[3], int));
        }
    }
    assert_eq!(Scalar::from(2usize), Scalar::Int(2));
    // An int64 keeps what float64 cannot hold.
    let big = Tensor::from_vec(vec![1i64 << 60], &[1]).unwrap();
    assert_eq!(big.add_scalar((1i64 << 60) + 1).unwrap().to_vec::<i64>().unwrap(), [(1i64 << 61) + 1]);
}

#[test]
fn whole_numbers_at_their_edges() {
    let x = Tensor::from_vec(vec![7i32, -7, 7, -7, i32::MIN, 5], &[6]).unwrap();
    let y = Tensor::from_vec(vec![3i32, 3, -3, -3, -1, 0], &[6]).unwrap();
    for r in on_both_paths(|| x.rem(&y)) {
        assert_eq!(r.to_vec::<i32>().unwrap(), [1, 2, -2, -1, 0, 0]);
    }
    let base = Tensor::from_vec(vec![2i32, -1, -1, 1, 2, 0], &[6]).unwrap();
    let power = Tensor::from_vec(vec![10i32, -3, -2, -5, -1, 0], &[6]).unwrap();
    for r in on_both_paths(|| base.pow(&power)) {
        assert_eq!(r.to_vec::<i32>().unwrap(), [1024, -1, 1, 1, 0, 1]);
    }
    assert_eq!(x.add(&x).unwrap().to_vec::<i32>().unwrap()[4], 0);
}

#[test]
fn not_finite_and_signs() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x = t(&[nan, 1.0, inf, -2.0, 0.0, -8.0, -5.5], &[7], DType::F32);
    let y = t(&[1.0, nan, inf, 3.0, 0.0, 0.5, 2.0], &[7], DType::F32);
    let expected: [(Op, [f64; 7]); 5] = [
        (Tensor::maximum, [nan, nan, inf, 3.0, 0.0, 0.5, 2.0]),
        (Tensor::minimum, [nan, nan, inf, -2.0, 0.0, -8.0, -5.5]),
        (Tensor::sub, [nan, nan, nan, -5.0, 0.0, -8.5, -7.5]),
        (Tensor::pow, [nan, 1.0, inf, -8.0, 1.0, nan, 30.25]),
        (Tensor::rem, [nan, nan, nan, 1.0, nan, 0.0, 0.5]),
    ];
    for (op, values) in expected {
        for r in on_both_paths(|| op(&x, &y)) {
            testing::assert_close(&r, &t(&values, &[7], DType::F32), DType::F32);
        }
    }
}

#[test]
fn gradients() {
    let pairs: [(&[usize], &[usize]); 5] =
        [(&[4], &[4]), (&[3, 4], &[4]), (&[3, 4], &[3, 1]), (&[3, 1], &[2]), (&[], &[2])];
    for (sa, sb) in pairs {
        for a in layouts(sa, 5) {
            for b in layouts(sb, 77) {
                for (_, op, _) in OPS {
                    testing::check_gradients(
                        |x| Ok(vec![op(&x[0], &x[1])?, op(&x[1], &x[0])?]),
                        &[a.clone(), b.clone()],
                    );
                }
            }
        }
    }
    let x = testing::random(&[5], 3);
    let run = || {
        testing::check_gradients(
            |x| {
                let (x, p) = (&x[0], x[0].abs()?.add_scalar(0.5)?);
                Ok(vec![
                    x.add_scalar(2)?,
                    x.sub_scalar(2)?,
                    x.mul_scalar(-3.0)?,
                    x.div_scalar(7)?,
                    x.rem_scalar(0.75)?,
                    x.pow_scalar(3)?,
                    p.pow_scalar(-0.5)?,
                    x.pow_scalar(0)?,
                    x.maximum_scalar(0.1)?,
                    x.minimum_scalar(0.1)?,
                    x.rsub_scalar(1)?,
                    p.rdiv_scalar(2)?,
                    x.rpow_scalar(1.7)?,
                ])
            },
            std::slice::from_ref(&x),
        )
    };
    run();
    force_general_path(run);
}

#[test]
fn gradients_at_the_edges() {
    let one = |n: usize| Tensor::ones(&[n], DType::F32, &Device::Cpu).unwrap();
    let grad = |f: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>, a: &[f64], b: &[f64]| {
        let (a, b) = (t(a, &[a.len()], DType::F32).variable(), t(b, &[b.len()], DType::F32).variable());
        let g = backward(&[(f(&a, &b).unwrap(), one(a.size()))], &[a, b], false).unwrap();
        [g[0].to_f64_vec().unwrap(), g[1].to_f64_vec().unwrap()]
    };
    // Ties share.
    assert_eq!(grad(&Tensor::maximum, &[1.0, 2.0], &[1.0, 3.0]), [vec![0.5, 0.0], vec![0.5, 1.0]]);
    assert_eq!(grad(&Tensor::minimum, &[1.0, 2.0], &[1.0, 3.0]), [vec![0.5, 1.0], vec![0.5, 0.0]]);
    // 0 to a power: no NaN from ln 0.
    assert_eq!(grad(&Tensor::pow, &[0.0, 0.0, 0.0], &[2.0, 1.0, 0.0]), [vec![0.0, 1.0, 0.0], vec![0.0; 3]]);
    // To the power of 0, whatever the base; 1 and other powers of infinity as they are.
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!(grad(&Tensor::pow, &[inf, -inf, nan, -2.0], &[0.0; 4])[0], [0.0; 4]);
    assert_eq!(grad(&|a, b| a.pow_scalar(0)?.add(&b.mul_scalar(0)?), &[inf, nan], &[1.0, 1.0])[0], [0.0; 2]);
    assert_eq!(grad(&Tensor::pow, &[inf, inf, 0.0, inf], &[1.0, 2.0, 1.0, -1.0])[0], [1.0, inf, 1.0, 0.0]);
    // Exponents: a^b ln a goes to 0 where a^b does.
    assert_eq!(grad(&Tensor::pow, &[0.0, inf, 0.0, 1.0], &[2.0, -1.0, -1.0, 9.0])[1], [0.0; 4]);
    // 0.1 goes into 1 nine times, and something is left.
    assert_eq!(grad(&Tensor::rem, &[1.0, -1.0, 7.0], &[0.1, 0.1, 2.0]), [vec![1.0; 3], vec![-9.0, 10.0, -3.0]]);
    // A gradient comes back in the dtype of its input.
    let x = t(&[1.0, 2.0], &[2], DType::BF16).variable();
    let y = t(&[3.0, 4.0], &[2], DType::F32).variable();
    let g = backward(&[(x.mul(&y).unwrap(), one(2))], &[x, y], false).unwrap();
    testing::assert_same_bits(&g[0], &t(&[3.0, 4.0], &[2], DType::BF16));
    testing::assert_same_bits(&g[1], &t(&[1.0, 2.0], &[2], DType::F32));
}

#[test]
fn gradients_add_up_without_touching_what_others_hold() {
    let x = t(&[1.0, 2.0], &[2], DType::F32);
    let v = x.variable();
    // The cotangent itself flows to v three times.
    let y = v.add(&v).unwrap().add(&v).unwrap();
    let ct = t(&[1.0, 10.0], &[2], DType::F32);
    let g = backward(&[(y, ct.clone())], &[v], false).unwrap();
    testing::assert_same_bits(&g[0], &t(&[3.0, 30.0], &[2], DType::F32));
    testing::assert_same_bits(&ct, &t(&[1.0, 10.0], &[2], DType::F32));
    testing::assert_same_bits(&x, &t(&[1.0, 2.0], &[2], DType::F32));
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let a = testing::random(&[300, 301], 1).cast(DType::F32).unwrap();
    let b = testing::random(&[301, 300], 2).cast(DType::F32).unwrap().transpose(None).unwrap();
    let run = || [a.add(&b), a.div(&b), a.mul(&b.narrow(0, 3, 1).unwrap())].map(Result::unwrap);
    let one = testing::on_threads(1, run);
    for n in [2, 4] {
        one.iter().zip(testing::on_threads(n, run)).for_each(|(a, b)| testing::assert_same_bits(a, &b));
    }
}

#[test]
fn refusals_name_the_operation_and_the_shapes() {
    let (a, b) = (t(&[0.0; 6], &[2, 3], DType::F32), t(&[0.0; 4], &[4], DType::F32));
    let e = a.add(&b).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ShapeMismatch);
    assert_eq!(e.message(), "add: shapes [2, 3] and [4] do not broadcast together");
}
