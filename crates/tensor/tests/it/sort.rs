//! Sorting held against Rust's own stable sort, on every dtype.
use tallow_tensor::{
    force_general_path,
    random::{randint, uniform, Key},
    testing::{assert_same_bits, check_gradients, on_threads, random},
    DType, ErrorKind, Tensor,
};

/// Values with many ties.
fn ties(shape: &[usize], dtype: DType) -> Tensor {
    let (lo, hi) = if dtype == DType::Bool { (0, 2) } else { (0, 40) };
    let x = randint(Key::new(5), shape, lo, hi, DType::I32).unwrap();
    match dtype {
        DType::U8 | DType::Bool | DType::U32 => x.cast(dtype).unwrap(),
        _ => x.sub_scalar(20).unwrap().cast(dtype).unwrap(),
    }
}

/// The order of each row of the last axis: the stable sort of the standard library.
fn expected(x: &Tensor, descending: bool) -> Vec<i32> {
    let (values, n) = (x.to_f64_vec().unwrap(), x.shape()[x.rank() - 1]);
    let sorted = |row: &[f64]| {
        let mut places: Vec<i32> = (0..n as i32).collect();
        places.sort_by(|&a, &b| {
            let order = row[a as usize].partial_cmp(&row[b as usize]).unwrap();
            if descending {
                order.reverse()
            } else {
                order
            }
        });
        places
    };
    values.chunks(n).flat_map(sorted).collect()
}

#[test]
fn order_is_stable_in_every_dtype_and_length() {
    for dtype in DType::ALL {
        for n in [1, 2, 7, 1000, 1024, 5000] {
            let x = ties(&[3, n], dtype);
            for descending in [false, true] {
                let want = expected(&x, descending);
                let got = x.argsort(-1, descending).unwrap();
                assert_eq!((got.dtype(), got.shape()), (DType::I32, x.shape()));
                assert!(got.to_vec::<i32>().unwrap() == want, "{dtype} × {n}, descending: {descending}");
                assert_same_bits(&force_general_path(|| x.argsort(1, descending)).unwrap(), &got);
                // Along the first axis of the transposed view.
                let across = x.transpose(None).unwrap().argsort(0, descending).unwrap().transpose(None).unwrap();
                assert_eq!(across.to_vec::<i32>().unwrap(), want);
            }
        }
    }
}

#[test]
fn long_rows_of_distinct_keys() {
    for dtype in [DType::F32, DType::F64, DType::I64] {
        let x = match dtype {
            DType::I64 => randint(Key::new(1), &[20_000], i64::MIN, i64::MAX, dtype).unwrap(),
            _ => uniform(Key::new(1), &[20_000], dtype, -1e3, 1e3).unwrap(),
        };
        let sorted = x.sort(0, false).unwrap().to_f64_vec().unwrap();
        assert!(sorted.is_sorted(), "{dtype}");
        let mut want = x.to_f64_vec().unwrap();
        want.sort_by(f64::total_cmp);
        assert_eq!(sorted, want);
    }
    let far = Tensor::from_vec(vec![i64::MIN, -1, 0, 1, i64::MAX, i64::MIN], &[6]).unwrap();
    assert_eq!(far.argsort(0, true).unwrap().to_vec::<i32>().unwrap(), [4, 3, 2, 1, 0, 5]);
    let wide = Tensor::from_vec(vec![u32::MAX, 0, 1 << 31, 5], &[4]).unwrap();
    assert_eq!(wide.argsort(0, false).unwrap().to_vec::<i32>().unwrap(), [1, 3, 2, 0]);
}

#[test]
fn nan_is_above_all_and_zeros_are_equal() {
    let row = [1.0, f64::NAN, 2.0, -f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 2.0, -3.0];
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let x = Tensor::from_vec(row.to_vec(), &[10]).unwrap().cast(dtype).unwrap();
        let order = |d| x.argsort(0, d).unwrap().to_vec::<i32>().unwrap();
        assert_eq!(order(false), [7, 9, 4, 5, 0, 2, 8, 6, 1, 3], "{dtype}");
        assert_eq!(order(true), [1, 3, 6, 2, 8, 0, 4, 5, 9, 7], "{dtype}");
        let (values, places) = x.top_k(4).unwrap();
        assert_eq!(places.to_vec::<i32>().unwrap(), [1, 3, 6, 2]);
        assert_eq!(values.to_f64_vec().unwrap()[2..], [f64::INFINITY, 2.0]);
    }
}

#[test]
fn top_k_is_the_head_of_the_descending_order() {
    for dtype in [DType::F32, DType::I32, DType::U8] {
        for (n, k) in [(3000, 5), (3000, 2999), (50, 50), (50, 1), (50, 0)] {
            let x = ties(&[2, n], dtype);
            let (values, places) = x.top_k(k).unwrap();
            let all = x.argsort(-1, true).unwrap();
            assert_same_bits(&places, &all.narrow(1, 0, k).unwrap());
            assert_same_bits(&values, &x.sort(-1, true).unwrap().narrow(1, 0, k).unwrap());
        }
    }
    let x = random(&[2, 3], 0);
    assert_eq!(x.top_k(4).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Tensor::scalar(1f32).top_k(1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.argsort(2, false).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let none = random(&[0, 3], 0);
    assert_eq!(none.sort(0, true).unwrap().shape(), [0, 3]);
    assert_eq!(none.argsort(1, true).unwrap().shape(), [0, 3]);
}

#[test]
fn gradients_match_central_differences() {
    check_gradients(
        |x| Ok(vec![x[0].sort(1, true)?, x[0].sort(0, false)?, x[0].top_k(2)?.0]),
        &[random(&[3, 4, 5], 3)],
    );
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = ties(&[9, 7001], DType::F32);
    let on = |n| on_threads(n, || x.argsort(1, true).unwrap());
    let one = on(1);
    for n in [2, 4] {
        assert_same_bits(&on(n), &one);
    }
}
