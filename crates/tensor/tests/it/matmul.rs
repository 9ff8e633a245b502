//! Matrix products against sums written out, their gradients, and their independence of threads.
use tallow_tensor::{
    backward, force_general_path,
    ops::dense,
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, on_threads, random, Tolerance},
    DType, ErrorKind, Tensor,
};

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// `jnp.matmul` by its definition, on float64 values in row-major order.
fn naive(a: &Tensor, b: &Tensor) -> Tensor {
    let (mut sa, mut sb) = (a.shape().to_vec(), b.shape().to_vec());
    let (row, col) = (sa.len() == 1, sb.len() == 1);
    if row {
        sa.insert(0, 1);
    }
    if col {
        sb.push(1);
    }
    let (m, k, n) = (sa[sa.len() - 2], sa[sa.len() - 1], sb[sb.len() - 1]);
    let (ba, bb) = (&sa[..sa.len() - 2], &sb[..sb.len() - 2]);
    let rank = ba.len().max(bb.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    let batch: Vec<usize> = (0..rank).map(|i| if at(ba, i) == 1 { at(bb, i) } else { at(ba, i) }).collect();
    let (va, vb) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
    let mut out = Vec::new();
    for item in 0..size(&batch) {
        let (mut rest, mut ia, mut ib, mut step_a, mut step_b) = (item, 0, 0, 1, 1);
        for i in (0..rank).rev() {
            let x = rest % batch[i];
            rest /= batch[i];
            ia += x % at(ba, i) * step_a;
            ib += x % at(bb, i) * step_b;
            step_a *= at(ba, i);
            step_b *= at(bb, i);
        }
        for i in 0..m {
            for j in 0..n {
                out.push((0..k).map(|l| va[(ia * m + i) * k + l] * vb[(ib * k + l) * n + j]).sum::<f64>());
            }
        }
    }
    let mut shape = batch;
    shape.extend((!row).then_some(m));
    shape.extend((!col).then_some(n));
    Tensor::from_vec(out, &shape).unwrap()
}

const SHAPES: &[(&[usize], &[usize])] = &[
    (&[3], &[3]),
    (&[5], &[5, 4]),
    (&[4, 5], &[5]),
    (&[2, 3, 4], &[4]),
    (&[4], &[3, 4, 2]),
    (&[1, 1], &[1, 1]),
    (&[3, 7], &[7, 5]),
    (&[2, 3, 4], &[4, 5]),
    (&[3, 4], &[2, 4, 5]),
    (&[2, 3, 4], &[2, 4, 5]),
    (&[2, 1, 3, 4], &[3, 4, 2]),
    (&[2, 3, 1, 4], &[1, 3, 4, 2]),
    (&[1, 3, 4], &[5, 4, 2]),
    (&[2, 1, 2, 3, 4], &[3, 1, 4, 2]),
    (&[0, 3], &[3, 2]),
    (&[2, 0], &[0, 3]),
    (&[2, 3], &[3, 0]),
    (&[0, 2, 3], &[3, 4]),
    (&[0, 2, 3], &[1, 3, 4]),
];

#[test]
fn values_and_gradients_of_every_kind_of_shape() {
    for &(sa, sb) in SHAPES {
        let (a, b) = (random(sa, 1), random(sb, 2));
        let expected = naive(&a, &b);
        assert_close(&a.matmul(&b).unwrap(), &expected, DType::F64);
        check_gradients(|x| Ok(vec![x[0].matmul(&x[1])?]), &[a.clone(), b.clone()]);
        force_general_path(|| {
            assert_close(&a.matmul(&b).unwrap(), &expected, DType::F64);
            check_gradients(|x| Ok(vec![x[0].matmul(&x[1])?]), &[a.clone(), b.clone()]);
        });
    }
}

#[test]
fn odd_sizes_over_several_tiles() {
    for (m, k, n) in [(129, 65, 257), (1, 300, 513), (515, 300, 1), (2, 1, 700), (7, 1000, 9), (260, 33, 8)] {
        let (a, b) = (random(&[m, k], 3), random(&[k, n], 4));
        let expected = naive(&a, &b);
        assert_close(&a.matmul(&b).unwrap(), &expected, DType::F64);
        let single = a.cast(DType::F32).unwrap().matmul(&b.cast(DType::F32).unwrap()).unwrap();
        assert_eq!(single.dtype(), DType::F32);
        let bound = (k as f64).sqrt() * 1e-5;
        for (x, y) in single.to_f64_vec().unwrap().iter().zip(expected.to_f64_vec().unwrap()) {
            assert!((x - y).abs() <= bound, "{x} {y}");
        }
    }
}

#[test]
fn single_precision_is_near_double_precision_in_every_order_of_operands() {
    // Few rows, rows and columns that fill no block, several pieces of the inner axis, and more columns than are packed at once.
    for (m, k, n) in [(3, 520, 200), (20, 260, 700), (150, 700, 190), (130, 2100, 2050)] {
        let (a, b) = (random(&[m, k], 20), random(&[k, n], 21));
        let expected = a.matmul(&b).unwrap();
        let turned = |t: &Tensor| t.swap_axes(0, 1).unwrap().contiguous().unwrap().swap_axes(0, 1).unwrap();
        let single = |t: &Tensor| t.cast(DType::F32).unwrap();
        let (a, b) = (single(&a), single(&b));
        let near = Tolerance { absolute: (k as f64).sqrt() * 1e-5, relative: 1e-5 };
        for (x, y) in [(&a, &b), (&turned(&a), &b), (&a, &turned(&b)), (&turned(&a), &turned(&b))] {
            assert_within(&x.matmul(y).unwrap(), &expected, near);
        }
    }
}

#[test]
fn halves_accumulate_in_single_precision() {
    // 4096 ones: a half accumulator would stop growing at 2048 (f16) or 256 (bf16).
    for dtype in [DType::F16, DType::BF16] {
        let ones = Tensor::from_vec(vec![1f32; 4096], &[4096]).unwrap().cast(dtype).unwrap();
        for general in [false, true] {
            let run = || ones.matmul(&ones).unwrap();
            let sum = if general { force_general_path(run) } else { run() };
            assert_eq!((sum.dtype(), sum.item().unwrap()), (dtype, 4096.0));
        }
        let w = Tensor::from_vec(vec![1f32; 4096], &[4096, 1]).unwrap().cast(dtype).unwrap();
        assert_eq!(dense(&ones, &w, None).unwrap().item().unwrap(), 4096.0);
    }
}

#[test]
fn integers_are_exact_and_promote() {
    let a = Tensor::from_vec(vec![1i32, -2, 3, i32::MAX], &[2, 2]).unwrap();
    let b = Tensor::from_vec(vec![2i32, 5, 1, -1], &[2, 2]).unwrap();
    let too_large = Tensor::from_vec(vec![2i32, 5, 7, -1], &[2, 2]).unwrap();
    for general in [false, true] {
        let run = |b: &Tensor| if general { force_general_path(|| a.matmul(b)) } else { a.matmul(b) };
        // 6 + i32::MAX does not fit, and comes back; 6 + 7 i32::MAX stays out.
        let c = run(&b.sub(&Tensor::from_vec(vec![2i32, 0, 0, 0], &[2, 2]).unwrap()).unwrap()).unwrap();
        assert_eq!(c.to_vec::<i32>().unwrap(), [-2, 7, i32::MAX, 15 - i32::MAX]);
        let e = run(&too_large).unwrap_err();
        assert!(e.kind() == ErrorKind::InvalidArgument && e.message().contains("int64"), "{e}");
    }
    let long = Tensor::from_vec(vec![1i64 << 40, 1], &[2]).unwrap();
    let c = a.matmul(&long).unwrap();
    assert_eq!((c.dtype(), c.to_vec::<i64>().unwrap()[0]), (DType::I64, (1i64 << 40) - 2));
    let flags = Tensor::from_bools(vec![1, 0], &[2]).unwrap();
    assert_eq!(a.matmul(&flags).unwrap().to_vec::<i32>().unwrap(), [1, 3]);
    let c = a.matmul(&Tensor::from_vec(vec![0.5f32, 1.0], &[2]).unwrap()).unwrap();
    assert_eq!((c.dtype(), c.to_vec::<f32>().unwrap()[0]), (DType::F32, -1.5));
}

#[test]
fn mistakes_are_named() {
    let t = |s: &[usize]| random(s, 5);
    let kind = |a: &Tensor, b: &Tensor| a.matmul(b).unwrap_err();
    let e = kind(&t(&[2, 3]), &t(&[4, 5]));
    assert_eq!(
        (e.kind(), e.message()),
        (ErrorKind::ShapeMismatch, "matmul of [2, 3] and [4, 5]: inner sizes 3 and 4 differ")
    );
    assert_eq!(kind(&t(&[]), &t(&[4, 5])).kind(), ErrorKind::ShapeMismatch);
    assert_eq!(
        kind(&t(&[2, 1, 3]), &t(&[4, 3, 5])).message(),
        "matmul of [2, 1, 3] and [4, 3, 5]: batch axes do not broadcast"
    );
    let flags = Tensor::from_bools(vec![1, 0], &[2]).unwrap();
    assert_eq!(kind(&flags, &flags).kind(), ErrorKind::DTypeMismatch);
    let e = dense(&t(&[2, 3]), &t(&[4, 5]), None).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ShapeMismatch);
    assert!(dense(&t(&[2, 3]), &t(&[3, 5]), Some(&t(&[4]))).unwrap_err().message().contains("[5]"));
}

#[test]
fn dense_is_product_plus_bias() {
    for (sx, n) in [
        (&[3usize][..], 4usize),
        (&[5, 3], 4),
        (&[2, 5, 3], 4),
        (&[2, 3, 5, 7], 1),
        (&[0, 3], 2),
        (&[4, 0], 3),
        (&[4, 3], 0),
    ] {
        let k = sx[sx.len() - 1];
        let (x, w, b) = (random(sx, 6), random(&[k, n], 7), random(&[n], 8));
        let mut expected = naive(&x, &w).to_f64_vec().unwrap();
        let bias = b.to_f64_vec().unwrap();
        expected.iter_mut().enumerate().for_each(|(i, v)| *v += bias[i % n]);
        let mut shape = sx.to_vec();
        *shape.last_mut().unwrap() = n;
        let expected = Tensor::from_vec(expected, &shape).unwrap();
        let check = || {
            assert_close(&dense(&x, &w, Some(&b)).unwrap(), &expected, DType::F64);
            check_gradients(|t| Ok(vec![dense(&t[0], &t[1], Some(&t[2]))?]), &[x.clone(), w.clone(), b.clone()]);
            check_gradients(|t| Ok(vec![dense(&t[0], &t[1], None)?]), &[x.clone(), w.clone()]);
        };
        check();
        force_general_path(check);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let single = |s: &[usize], seed| random(s, seed).cast(DType::F32).unwrap();
    let cases = [
        (vec![512, 300], vec![300, 515]),
        (vec![2000, 64], vec![64, 70]),
        (vec![3, 2000], vec![2000, 1500]),
        (vec![24, 128, 64], vec![24, 64, 128]),
        (vec![8, 130, 64], vec![64, 257]),
        (vec![1, 4096], vec![4096, 1000]),
        (vec![130, 2100], vec![2100, 2050]),
        (vec![1100, 256], vec![256, 330]),
    ];
    for (sa, sb) in cases {
        let (a, b) = (single(&sa, 9), single(&sb, 10));
        let bias = single(&sb[sb.len() - 1..], 11);
        let run = || {
            let (a, b, bias) = (a.variable(), b.variable(), bias.variable());
            let y = if sb.len() == 2 { dense(&a, &b, Some(&bias)).unwrap() } else { a.matmul(&b).unwrap() };
            let ct = random(y.shape(), 12).cast(DType::F32).unwrap();
            let mut out = backward(&[(y.clone(), ct)], &[a, b, bias], false).unwrap();
            out.push(y.detach());
            out
        };
        let one = on_threads(1, run);
        for n in [2, 4] {
            for (x, y) in on_threads(n, run).iter().zip(&one) {
                assert_same_bits(x, y);
            }
        }
    }
}

#[test]
fn views_are_multiplied_as_their_copies() {
    let x = random(&[2, 9, 3, 8], 13);
    let heads = |t: &Tensor| t.transpose(Some(&[0, 2, 1, 3])).unwrap();
    let (a, b) = (heads(&x), heads(&random(&[2, 7, 3, 8], 14)));
    let bt = b.swap_axes(-1, -2).unwrap();
    let expected = naive(&a.contiguous().unwrap(), &bt.contiguous().unwrap());
    assert_close(&a.matmul(&bt).unwrap(), &expected, DType::F64);
    let f = |t: &[Tensor]| Ok(vec![heads(&t[0]).matmul(&t[1].swap_axes(-1, -2)?)?]);
    check_gradients(f, &[x.clone(), random(&[3, 2, 8], 15)]);
    // A broadcast view has strides of zero in its batch axes, a slice strides beyond its size.
    let wide = random(&[1, 8, 5], 16).broadcast_to(&[3, 8, 5]).unwrap();
    assert_close(&a.matmul(&wide).unwrap(), &naive(&a, &wide.contiguous().unwrap()), DType::F64);
    let part = x.slice(&[0, 1, 0, 0], &[2, 9, 3, 8], &[1, 2, 1, 3]).unwrap();
    let w = random(&[3, 4], 17);
    assert_close(&part.matmul(&w).unwrap(), &naive(&part.contiguous().unwrap(), &w), DType::F64);
    assert_close(&dense(&part, &w, None).unwrap(), &naive(&part.contiguous().unwrap(), &w), DType::F64);
    check_gradients(|t| Ok(vec![dense(&heads(&t[0]), &t[1].swap_axes(0, 1)?, None)?]), &[x, random(&[4, 8], 18)]);
}
