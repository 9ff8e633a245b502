//! Comparisons, logic and choice by a mask.
use tallow_tensor::{backward, force_general_path, testing, DType, Device, ErrorKind, Result, Tensor};

fn t(values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_f64(values, shape, dtype, &Device::Cpu).unwrap()
}

fn on_both_paths(f: impl Fn() -> Result<Tensor>) -> [Tensor; 2] {
    [f().unwrap(), force_general_path(&f).unwrap()]
}

type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;
type Reference = fn(f64, f64) -> bool;
const COMPARISONS: [(Op, Reference); 6] = [
    (Tensor::eq, |a, b| a == b),
    (Tensor::ne, |a, b| a != b),
    (Tensor::lt, |a, b| a < b),
    (Tensor::le, |a, b| a <= b),
    (Tensor::gt, |a, b| a > b),
    (Tensor::ge, |a, b| a >= b),
];

#[test]
fn every_pair_of_dtypes() {
    for a in DType::ALL {
        for b in DType::ALL {
            let (x, y) = (t(&[0.0, 1.0, 1.0], &[3], a), t(&[1.0, 1.0, 0.0], &[3], b));
            for (op, f) in COMPARISONS {
                let expect = [f(0.0, 1.0), f(1.0, 1.0), f(1.0, 0.0)].map(|v| v as u8 as f64);
                for r in on_both_paths(|| op(&x, &y)) {
                    testing::assert_same_bits(&r, &t(&expect, &[3], DType::Bool));
                }
            }
        }
    }
}

#[test]
fn views_broadcast_and_nan() {
    let nan = f64::NAN;
    let x = t(&[nan, 1.0, f64::INFINITY, -1.0, 0.0, -0.0], &[2, 3], DType::F32).transpose(None).unwrap();
    let y = t(&[0.0, nan], &[2], DType::F32);
    for (op, f) in COMPARISONS {
        let xs = x.to_f64_vec().unwrap();
        let expect: Vec<f64> = (0..6).map(|i| f(xs[i], [0.0, nan][i % 2]) as u8 as f64).collect();
        for r in on_both_paths(|| op(&x, &y)) {
            testing::assert_same_bits(&r, &t(&expect, &[3, 2], DType::Bool));
        }
    }
    for r in on_both_paths(|| x.isnan()) {
        testing::assert_same_bits(&r, &t(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], &[3, 2], DType::Bool));
    }
    for r in on_both_paths(|| x.isfinite()) {
        testing::assert_same_bits(&r, &t(&[0.0, 1.0, 1.0, 1.0, 0.0, 1.0], &[3, 2], DType::Bool));
    }
    assert_eq!(t(&[], &[0, 4], DType::F32).lt(&t(&[1.0], &[1], DType::F32)).unwrap().shape(), [0, 4]);
}

#[test]
fn numbers_outside_the_type_do_not_wrap() {
    let x = t(&[0.0, 44.0, 255.0], &[3], DType::U8);
    for (r, expect) in [
        (on_both_paths(|| x.eq_scalar(300)), [0.0; 3]),
        (on_both_paths(|| x.lt_scalar(300)), [1.0; 3]),
        (on_both_paths(|| x.gt_scalar(-1)), [1.0; 3]),
        (on_both_paths(|| x.ge_scalar(43.5)), [0.0, 1.0, 1.0]),
    ] {
        r.iter().for_each(|r| testing::assert_same_bits(r, &t(&expect, &[3], DType::Bool)));
    }
}

#[test]
fn logic() {
    for dtype in DType::ALL {
        let (x, y) = (t(&[0.0, 0.0, 2.0, 2.0], &[4], dtype), t(&[0.0, 3.0, 0.0, 3.0], &[4], dtype));
        let truth = |v: [f64; 4]| t(&v, &[4], DType::Bool);
        for (op, expect) in [
            (Tensor::logical_and as Op, [0.0, 0.0, 0.0, 1.0]),
            (Tensor::logical_or, [0.0, 1.0, 1.0, 1.0]),
            (Tensor::logical_xor, [0.0, 1.0, 1.0, 0.0]),
            (|a, _| a.logical_not(), [1.0, 1.0, 0.0, 0.0]),
        ] {
            on_both_paths(|| op(&x, &y)).iter().for_each(|r| testing::assert_same_bits(r, &truth(expect)));
        }
    }
}

#[test]
fn choice_broadcasts_three_ways() {
    let shapes: [&[usize]; 5] = [&[], &[4], &[3, 1], &[3, 4], &[2, 3, 4]];
    for sc in shapes {
        for sa in shapes {
            for sb in shapes {
                let c = testing::random(sc, 1).gt_scalar(0).unwrap();
                let (a, b) = (testing::random(sa, 2), testing::random(sb, 3));
                let weight = c.cast(DType::F64).unwrap();
                // Either term is exact: a product with 1 and one with 0.
                let one_less = weight.rsub_scalar(1.0).unwrap();
                let expect = weight.mul(&a).unwrap().add(&one_less.mul(&b).unwrap()).unwrap();
                for r in on_both_paths(|| Tensor::where_(&c, &a, &b)) {
                    testing::assert_close(&r, &expect, DType::I32);
                }
                testing::check_gradients(|x| Ok(vec![Tensor::where_(&c, &x[0], &x[1])?]), &[a, b]);
            }
        }
    }
}

#[test]
fn choice_keeps_the_other_side_out() {
    let nan = f64::NAN;
    let (c, a) = (t(&[1.0, 0.0], &[2], DType::I32), t(&[1.0, nan], &[2], DType::F32).variable());
    for general in [false, true] {
        let run = || {
            let y = Tensor::where_(&c, &a, &t(&[7.0], &[1], DType::F32))?;
            testing::assert_same_bits(&y.detach(), &t(&[1.0, 7.0], &[2], DType::F32));
            backward(&[(y, t(&[nan, nan], &[2], DType::F32))], std::slice::from_ref(&a), false)
        };
        let g = if general { force_general_path(run) } else { run() }.unwrap();
        testing::assert_same_bits(&g[0], &t(&[nan, 0.0], &[2], DType::F32));
    }
    let x = t(&[1.0, 2.0], &[2], DType::BF16);
    for r in on_both_paths(|| x.mask_fill(&c, -1e9)) {
        testing::assert_same_bits(&r, &t(&[-1e9, 2.0], &[2], DType::BF16));
    }
    let e = Tensor::where_(&c, &x, &t(&[0.0; 3], &[3], DType::F32)).unwrap_err();
    assert_eq!(
        (e.kind(), e.message()),
        (ErrorKind::ShapeMismatch, "where: shapes [2] and [3] do not broadcast together")
    );
}
