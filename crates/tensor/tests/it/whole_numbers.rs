//! Numbers that an integer type cannot hold: the mathematical result where it fits, else an error, never another number.
use tallow_tensor::{
    force_general_path, testing::assert_same_bits, Axes, DType, Device, ErrorKind, Result, Scalar, Tensor,
};

const INTEGERS: [DType; 4] = [DType::I32, DType::I64, DType::U32, DType::U8];

/// Exact values of any integer type.
fn ints(values: &[i128], dtype: DType) -> Tensor {
    let n = [values.len()];
    match dtype {
        DType::I32 => Tensor::from_vec(values.iter().map(|&v| v as i32).collect(), &n),
        DType::I64 => Tensor::from_vec(values.iter().map(|&v| v as i64).collect(), &n),
        DType::U32 => Tensor::from_vec(values.iter().map(|&v| v as u32).collect(), &n),
        _ => Tensor::from_vec(values.iter().map(|&v| v as u8).collect(), &n),
    }
    .unwrap()
}

fn both(f: impl Fn() -> Result<Tensor>) -> [Result<Tensor>; 2] {
    [f(), force_general_path(&f)]
}

#[track_caller]
fn is(f: impl Fn() -> Result<Tensor>, want: &Tensor) {
    both(f).into_iter().for_each(|r| assert_same_bits(&r.unwrap(), want));
}

#[track_caller]
fn refused(f: impl Fn() -> Result<Tensor>) -> String {
    let [a, b] = both(f).map(|r| r.map(|t| format!("{t:?} {:?}", t.to_f64_vec())).unwrap_err());
    assert_eq!((a.kind(), b.kind()), (ErrorKind::InvalidArgument, ErrorKind::InvalidArgument));
    a.message().to_owned()
}

/// What `op` gives, worked out in 128 bits.
fn expected(op: &str, x: i128, v: i128) -> i128 {
    match op {
        "minimum" => x.min(v),
        "maximum" => x.max(v),
        "add" => x + v,
        "sub" => x - v,
        "rsub" => v - x,
        "mul" => x.saturating_mul(v),
        _ => x.rem_euclid(v) + if v < 0 && x.rem_euclid(v) != 0 { v } else { 0 },
    }
}

#[test]
fn numbers_beyond_the_type_give_the_result_or_an_error() {
    type Op = fn(&Tensor, Scalar) -> Result<Tensor>;
    let ops: [(&str, Op); 7] = [
        ("minimum", |x, v| x.minimum_scalar(v)),
        ("maximum", |x, v| x.maximum_scalar(v)),
        ("add", |x, v| x.add_scalar(v)),
        ("sub", |x, v| x.sub_scalar(v)),
        ("rsub", |x, v| x.rsub_scalar(v)),
        ("mul", |x, v| x.mul_scalar(v)),
        ("mod", |x, v| x.rem_scalar(v)),
    ];
    for dtype in INTEGERS {
        let (least, most) = dtype.whole_range().unwrap();
        for number in [most + 1, most + 2, 2 * most + 5, 1 << 66, least - 1, least - 3, -(1 << 66)] {
            for values in [vec![0], vec![0, 3], vec![1, 7], vec![most, 2], vec![least, 5], vec![]] {
                let x = ints(&values, dtype);
                for (name, op) in ops {
                    let want: Vec<i128> = values.iter().map(|&x| expected(name, x, number)).collect();
                    let run = || op(&x, number.into());
                    if want.iter().all(|v| (least..=most).contains(v)) {
                        is(run, &ints(&want, dtype));
                    } else {
                        let message = refused(run);
                        assert!(
                            message.contains(dtype.name()) && message.contains(&number.to_string()),
                            "{name}: {message}"
                        );
                    }
                }
            }
        }
    }
    // An int64 is compared and computed with to the last digit.
    let big = ints(&[(1 << 53) + 1], DType::I64);
    is(|| big.sub_scalar(1i64 << 53), &ints(&[1], DType::I64));
}

#[test]
fn comparisons_with_any_number_are_exact() {
    type Op = fn(&Tensor, Scalar) -> Result<Tensor>;
    type Holds = fn(std::cmp::Ordering) -> bool;
    let ops: [(Op, Holds); 6] = [
        (|x, v| x.eq_scalar(v), |o| o.is_eq()),
        (|x, v| x.ne_scalar(v), |o| o.is_ne()),
        (|x, v| x.lt_scalar(v), |o| o.is_lt()),
        (|x, v| x.le_scalar(v), |o| o.is_le()),
        (|x, v| x.gt_scalar(v), |o| o.is_gt()),
        (|x, v| x.ge_scalar(v), |o| o.is_ge()),
    ];
    let flags = |v: Vec<bool>| Tensor::from_bools(v.iter().map(|&b| b as u8).collect(), &[v.len()]).unwrap();
    for dtype in INTEGERS {
        let (least, most) = dtype.whole_range().unwrap();
        let values = [least, 0, 1, 2, most - 1, most];
        let x = ints(&values, dtype);
        for v in [least - 1, least, 1, most - 1, most, most + 1, 1 << 70, -(1 << 70)] {
            for (op, answer) in ops {
                is(|| op(&x, v.into()), &flags(values.iter().map(|x| answer(x.cmp(&v))).collect()));
            }
        }
        // In halves: fractions lie between whole numbers, whatever float32 makes of both.
        for half in [2 * least - 1, 1, 3, 2 * most - 1, 2 * most + 1] {
            let v = half as f64 / 2.0;
            if v.fract() != 0.0 {
                for (op, answer) in ops {
                    is(|| op(&x, v.into()), &flags(values.iter().map(|x| answer((2 * x).cmp(&half))).collect()));
                }
            }
        }
        for (op, answer) in ops {
            is(|| op(&x, f64::INFINITY.into()), &flags(vec![answer(std::cmp::Ordering::Less); 6]));
            let nan = op(&x, f64::NAN.into()).unwrap();
            assert_same_bits(
                &nan,
                &flags(vec![answer(std::cmp::Ordering::Less) && answer(std::cmp::Ordering::Greater); 6]),
            );
        }
    }
    // Floats with a number that they round to infinity.
    for dtype in [DType::F16, DType::F32] {
        let x = Tensor::from_f64(&[f64::INFINITY, 1.0], &[2], dtype, &Device::Cpu).unwrap();
        is(|| x.eq_scalar(1e300), &flags(vec![false, false]));
        is(|| x.gt_scalar(1e300), &flags(vec![true, false]));
    }
}

#[test]
fn makers_and_fills_hold_what_was_asked_for() {
    let cpu = Device::Cpu;
    for dtype in INTEGERS {
        let (least, most) = dtype.whole_range().unwrap();
        assert_same_bits(&Tensor::full(&[2], most, dtype, &cpu).unwrap(), &ints(&[most, most], dtype));
        let (x, mask) = (ints(&[1, 2], dtype), Tensor::from_bools(vec![1, 0], &[2]).unwrap());
        is(|| x.mask_fill(&mask, least), &ints(&[least, 2], dtype));
        is(|| x.pad(&[(1, 0)], most), &ints(&[most, 1, 2], dtype));
        for bad in [Scalar::Int(most + 1), Scalar::Int(least - 1), 1.5.into(), f64::NAN.into(), f64::INFINITY.into()] {
            refused(|| Tensor::full(&[1], bad, dtype, &cpu));
            refused(|| x.mask_fill(&mask, bad));
            refused(|| x.pad(&[(0, 1)], bad));
        }
        let range = |a, b| Tensor::arange(a, b, 1, Some(dtype), &cpu);
        assert_same_bits(&range(most - 1, most + 1).unwrap(), &ints(&[most - 1, most], dtype));
        refused(|| range(most, most + 2));
        refused(|| Tensor::arange(0.0, 2.0, 0.5, Some(dtype), &cpu));
        is(|| x.clip(least - 9, most + 9), &x);
        is(|| x.clip(2, most + 9), &ints(&[2, 2], dtype));
        refused(|| x.clip(most + 1, most + 2));
        refused(|| x.clip(least - 2, least - 1));
    }
    // Floats take the nearest, or infinity; a fraction as a bound makes whole numbers float32.
    assert_eq!(Tensor::full(&[1], 65520, DType::F16, &cpu).unwrap().item().unwrap(), f64::INFINITY);
    assert_eq!(Tensor::full(&[1], 1e39, DType::F32, &cpu).unwrap().item().unwrap(), f64::INFINITY);
    let clipped = ints(&[0, 1, 2, 3], DType::I32).clip(0.5, 2.5).unwrap();
    assert_same_bits(&clipped, &Tensor::from_vec(vec![0.5f32, 1.0, 2.0, 2.5], &[4]).unwrap());
    let long = Tensor::arange((1i64 << 53) + 1, (1i64 << 53) + 6, 2, Some(DType::I64), &cpu).unwrap();
    assert_same_bits(&long, &ints(&[(1 << 53) + 1, (1 << 53) + 3, (1 << 53) + 5], DType::I64));
    assert_eq!(Tensor::arange(7, 0, -3, None, &cpu).unwrap().to_vec::<i32>().unwrap(), [7, 4, 1]);
    assert_eq!(Tensor::arange(0, 7, -3, None, &cpu).unwrap().shape(), [0]);
    assert_eq!(Tensor::arange(0.0, 1.0, 0.3, None, &cpu).unwrap().dtype(), DType::F32);
    for (a, b, step) in [(0.0, 1.0, 0.0), (0.0, f64::INFINITY, 1.0), (f64::NAN, 1.0, 1.0), (-1e300, 1e300, 1.0)] {
        refused(|| Tensor::arange(a, b, step, None, &cpu));
    }
}

#[test]
fn values_given_with_a_dtype_are_checked_and_casts_are_not() {
    let x = Tensor::from_vec(vec![-1.9f64, 255.9], &[2]).unwrap();
    assert_eq!(x.cast_within(DType::I32).unwrap().to_vec::<i32>().unwrap(), [-1, 255]);
    assert_eq!(x.cast(DType::U8).unwrap().to_vec::<u8>().unwrap(), [0, 255]);
    assert!(refused(|| x.cast_within(DType::U8)).contains("-1.9"));
    for bad in [256.0, f64::NAN, f64::NEG_INFINITY] {
        let message = refused(|| Tensor::from_vec(vec![1.0, bad], &[2])?.cast_within(DType::U8));
        assert!(message.contains(&bad.to_string()) && message.contains("uint8"), "{message}");
    }
    for (v, from, to) in
        [(-1, DType::I32, DType::U32), (1 << 40, DType::I64, DType::I32), (1 << 31, DType::U32, DType::I32)]
    {
        assert!(refused(|| ints(&[0, v], from).cast_within(to)).contains(&v.to_string()));
        assert_same_bits(&ints(&[5], from).cast_within(to).unwrap(), &ints(&[5], to));
    }
    let flags = x.cast_within(DType::Bool).unwrap();
    assert_eq!(flags.to_vec::<u8>().unwrap(), [1, 1]);
}

#[test]
fn sums_products_and_means_are_exact() {
    let full = |n: usize, v: i128, dtype| Tensor::full(&[n], v, dtype, &Device::Cpu).unwrap();
    // More than int32 and float32 can count; more than one block, and a strided axis.
    let bytes = Tensor::full(&[70_001, 3], 251, DType::U8, &Device::Cpu).unwrap();
    is(|| bytes.sum(Axes::All, false)?.reshape(&[1]), &ints(&[70_001 * 3 * 251], DType::U32));
    is(|| bytes.sum(0, false), &ints(&[70_001 * 251; 3], DType::U32));
    is(|| bytes.sum(1, false)?.narrow(0, 9, 1), &ints(&[753], DType::U32));
    is(|| bytes.cumsum(0)?.index(0, -1), &ints(&[70_001 * 251; 3], DType::U32));
    is(|| bytes.mean(0, false), &Tensor::from_vec(vec![251f32; 3], &[3]).unwrap());
    // 10,000,019 values of 250: over 2^31, where float32 counts by 256.
    let many = full(10_000_019, 250, DType::U8);
    is(|| many.sum(Axes::All, true), &ints(&[2_500_004_750], DType::U32));
    is(|| many.mean(Axes::All, true), &Tensor::from_vec(vec![250f32], &[1]).unwrap());
    for dtype in INTEGERS {
        let (least, most) = dtype.whole_range().unwrap();
        let to = dtype.of_sums();
        let (low, high) = to.whole_range().unwrap();
        // What overflows on the way may come back.
        let x = ints(&[most, most, least, least], dtype);
        let sum = 2 * most + 2 * least;
        match (low..=high).contains(&sum) {
            true => is(|| x.sum(0, true), &ints(&[sum], to)),
            false => drop(refused(|| x.sum(0, true))),
        }
        match (low..=high).contains(&(2 * most)) {
            true => is(|| x.cumsum(0)?.narrow(0, 1, 1), &ints(&[2 * most], to)),
            false => drop(refused(|| x.cumsum(0))),
        }
        let mean = (sum as f64 / 4.0) as f32;
        is(|| x.mean(0, true), &Tensor::from_vec(vec![mean], &[1]).unwrap());
        is(|| ints(&[most, most, most, 0, most], dtype).prod(0, true), &ints(&[0], to));
        is(|| ints(&[1, 2, 3, 4], dtype).prod(0, true), &ints(&[24], to));
        refused(|| ints(&[most, most, most, most, most], dtype).prod(0, false));
    }
    assert!(refused(|| full(3, i32::MAX.into(), DType::I32).sum(0, false)).contains("int64"));
    // Float32 cannot tell these three apart.
    let near = ints(&[1 << 24, (1 << 24) + 1, (1 << 24) + 2], DType::I32);
    is(|| near.var(0, true), &Tensor::from_vec(vec![(2.0f64 / 3.0) as f32], &[1]).unwrap());
    is(|| ints(&[-(1 << 40), 0], DType::I64).logsumexp(0, true), &Tensor::from_vec(vec![0f32], &[1]).unwrap());
}

#[test]
fn powers_signs_products_and_scatters_do_not_wrap() {
    for dtype in INTEGERS {
        let (least, most) = dtype.whole_range().unwrap();
        is(|| ints(&[0, 1, 2, 3], dtype).pow_scalar(3), &ints(&[0, 1, 8, 27], dtype));
        is(|| ints(&[0, 1], dtype).pow_scalar(1i64 << 40), &ints(&[0, 1], dtype));
        is(|| ints(&[1, 2], dtype).pow_scalar(-1), &ints(&[1, 0], dtype));
        refused(|| ints(&[most], dtype).square());
        refused(|| ints(&[2], dtype).pow_scalar(64));
        refused(|| ints(&[64], dtype).rpow_scalar(2));
        refused(|| ints(&[3], dtype).pow(&ints(&[200], dtype)));
        is(|| ints(&[0], dtype).neg(), &ints(&[0], dtype));
        if least < 0 {
            is(|| ints(&[least + 1], dtype).abs(), &ints(&[most], dtype));
            refused(|| ints(&[least], dtype).abs());
            refused(|| ints(&[least], dtype).neg());
        } else {
            is(|| ints(&[most], dtype).abs(), &ints(&[most], dtype));
            refused(|| ints(&[1], dtype).neg());
        }
        let (x, at) = (ints(&[most - 2, 1], dtype), Tensor::from_vec(vec![0i32, 0, 1], &[3]).unwrap());
        is(|| x.scatter_add(&at, &ints(&[1, 1, 5], dtype), 0), &ints(&[most, 6], dtype));
        refused(|| x.scatter_add(&at, &ints(&[1, 2, 5], dtype), 0));
        let column = |v: &[i128]| ints(v, dtype).reshape(&[v.len(), 1]).unwrap();
        is(|| ints(&[1, most - 1], dtype).matmul(&column(&[1, 1])), &ints(&[most], dtype));
        refused(|| ints(&[2, most - 1], dtype).matmul(&column(&[1, 1])));
        refused(|| Tensor::einsum("i,j->ij", &[&ints(&[most], dtype), &ints(&[2], dtype)]));
        is(|| Tensor::einsum("i,j->ij", &[&ints(&[3], dtype), &ints(&[2], dtype)])?.reshape(&[1]), &ints(&[6], dtype));
    }
}
