//! Gathers and scatters held against loops written out, on every dtype, on both paths.
use tallow_tensor::{
    force_general_path,
    testing::{assert_same_bits, check_gradients, on_threads, random},
    DType, ErrorKind, Tensor,
};

/// 0, 1, 2 … of `shape`; 0 and 1 for bool.
fn count(shape: &[usize], dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    if dtype == DType::Bool {
        return Tensor::from_bools((0..n).map(|i| (i % 3 == 0) as u8).collect(), shape).unwrap();
    }
    Tensor::from_vec((0..n).map(|i| (i % 100) as f32).collect(), shape).unwrap().cast(dtype).unwrap()
}

fn ints(values: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).unwrap()
}

/// `f` on both paths, which must agree to the bit; the values as f64.
#[track_caller]
fn both(f: impl Fn() -> tallow_tensor::Result<Tensor>) -> (Vec<usize>, Vec<f64>) {
    let (a, b) = (f().unwrap(), force_general_path(&f).unwrap());
    assert_same_bits(&b, &a);
    (a.shape().to_vec(), a.to_f64_vec().unwrap())
}

#[test]
fn take_replaces_the_axis_by_the_indices() {
    for dtype in DType::ALL {
        let x = count(&[2, 3, 4], dtype);
        let flat = x.to_f64_vec().unwrap();
        let want: Vec<f64> = (0..2)
            .flat_map(|i| [2, 0, 2, 1].map(|j| (i, j)))
            .flat_map(|(i, j)| (0..4).map(move |k| (i * 3 + j) * 4 + k))
            .map(|p| flat[p])
            .collect();
        for ids in [DType::I32, DType::I64, DType::U32, DType::U8] {
            let ids = ints(&[2, 0, 2, 1], &[2, 2]).cast(ids).unwrap();
            assert_eq!(both(|| x.take(&ids, 1)), (vec![2, 2, 2, 4], want.clone()), "{dtype}");
        }
        assert_eq!(both(|| x.take(&ints(&[-1, -3], &[2]), -1)).1[..2], [flat[3], flat[1]]);
        assert_eq!(both(|| x.take(&ints(&[1], &[]), 0)), (vec![3, 4], flat[12..].to_vec()));
        assert_eq!(both(|| x.take(&ints(&[], &[0, 5]), 1)), (vec![2, 0, 5, 4], vec![]));
        // A view whose values do not lie in order.
        assert_eq!(both(|| x.transpose(None)?.take(&ints(&[1], &[1]), 2)).1[..3], [flat[12], flat[16], flat[20]]);
    }
}

#[test]
fn gather_takes_along_an_axis() {
    for dtype in DType::ALL {
        let x = count(&[2, 3, 2], dtype);
        let flat = x.to_f64_vec().unwrap();
        // One place per element.
        let ids = [0, 2, 1, 1, -1, 0, 2, 0];
        let place = |n: usize| {
            let (i, k) = (n / 4, n % 2);
            flat[(i * 3 + (ids[n] + 3) as usize % 3) * 2 + k]
        };
        let want = (0..8).map(place).collect();
        assert_eq!(both(|| x.gather(&ints(&ids, &[2, 2, 2]), 1)), (vec![2, 2, 2], want), "{dtype}");
        // One place per row, then the same for all outer positions, then a broadcast tensor.
        let rows = [2, 0, 1, 1];
        let want = (0..8).map(|n| flat[((n / 4) * 3 + rows[n / 2] as usize) * 2 + n % 2]).collect();
        assert_eq!(both(|| x.gather(&ints(&rows, &[2, 2, 1]), 1)), (vec![2, 2, 2], want));
        let want = (0..4).map(|n| flat[(n / 2 * 3 + 2) * 2 + n % 2]).collect();
        assert_eq!(both(|| x.gather(&ints(&[2], &[1, 1, 1]), 1)), (vec![2, 1, 2], want));
        let want = (0..6).map(|n| flat[n / 2 * 2 + n % 2]).collect();
        assert_eq!(both(|| x.narrow(0, 0, 1)?.gather(&ints(&[0, 1, 2], &[1, 3, 1]), 1)), (vec![1, 3, 2], want));
        let want = [0, 4, 2].map(|i| flat[i]).to_vec();
        assert_eq!(both(|| x.index(0, 0)?.index(1, 0)?.gather(&ints(&[0, 2, 1], &[3]), 0)), (vec![3], want));
        let wide = both(|| x.narrow(0, 1, 1)?.gather(&ints(&[1, 0, 2, 2], &[4, 1, 1]), 1));
        assert_eq!(wide.0, [4, 1, 2]);
        assert_eq!(wide.1[..2], flat[8..10]);
    }
}

#[test]
fn scatter_keeps_the_last_and_scatter_add_sums() {
    for dtype in DType::ALL {
        let x = count(&[2, 3], dtype);
        let flat = x.to_f64_vec().unwrap();
        let ids = ints(&[1, 1, -1, 0], &[2, 2]);
        let updates = count(&[2, 2], dtype);
        let u = updates.to_f64_vec().unwrap();
        let want = vec![flat[0], u[1], flat[2], u[3], flat[4], u[2]];
        assert_eq!(both(|| x.scatter(&ids, &updates, 1)), (vec![2, 3], want), "{dtype}");
        if dtype == DType::Bool {
            assert_eq!(x.scatter_add(&ids, &updates, 1).unwrap_err().kind(), ErrorKind::DTypeMismatch);
            continue;
        }
        let want = vec![flat[0], flat[1] + u[0] + u[1], flat[2], flat[3] + u[3], flat[4], flat[5] + u[2]];
        assert_eq!(both(|| x.scatter_add(&ids, &updates, 1)), (vec![2, 3], want), "{dtype}");
        // Rows along axis 0, and a broadcast update.
        let rows = ints(&[1, 1], &[2, 1]);
        let want = vec![flat[0], flat[1], flat[2], flat[3] + 2.0, flat[4] + 2.0, flat[5] + 2.0];
        let one = Tensor::from_vec(vec![1f32], &[1]).unwrap().cast(dtype).unwrap();
        assert_eq!(both(|| x.scatter_add(&rows, &one, 0)), (vec![2, 3], want));
        let none = ints(&[], &[2, 0]);
        assert_eq!(both(|| x.scatter_add(&none, &x.narrow(1, 0, 0)?, 1)).1, flat);
    }
}

#[test]
fn sums_of_halves_are_taken_in_float32() {
    let n = 3000;
    let ones = Tensor::from_vec(vec![1f32; n], &[n]).unwrap();
    let ids = ints(&vec![0; n], &[n]);
    for dtype in [DType::F16, DType::BF16] {
        let zero = Tensor::zeros(&[1], dtype, ones.device()).unwrap();
        // float16 alone would stop at 2048, bfloat16 at 256; 3000 itself is a float16, and rounds to 3008 in bfloat16.
        let sum = zero.scatter_add(&ids, &ones.cast(dtype).unwrap(), 0).unwrap().item().unwrap();
        assert_eq!(sum, if dtype == DType::F16 { 3000.0 } else { 3008.0 });
    }
}

#[test]
fn one_hot_rows() {
    for dtype in DType::ALL {
        let y = ints(&[2, -1, 0, 3], &[2, 2]).one_hot(3, dtype).unwrap();
        assert_eq!((y.shape(), y.dtype()), (&[2, 2, 3][..], dtype));
        let want = [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0].map(f64::from);
        assert_eq!(y.to_f64_vec().unwrap(), want);
    }
    assert_eq!(ints(&[1], &[]).one_hot(0, DType::F32).unwrap().shape(), [0]);
    assert_eq!(random(&[2], 0).one_hot(3, DType::F32).unwrap_err().kind(), ErrorKind::DTypeMismatch);
}

#[test]
fn wrong_arguments_are_errors() {
    let x = random(&[2, 3], 0);
    let ids = |v: &[i32]| ints(v, &[v.len()]);
    for bad in [3, -4, i32::MIN, i32::MAX] {
        let e = x.take(&ids(&[0, bad]), 1).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::IndexOutOfRange);
        assert!(e.message().contains(&format!("{bad}")) && e.message().contains("size 3"), "{e}");
        let at = ints(&[bad, 0], &[2, 1]);
        assert_eq!(x.gather(&at, 1).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
        assert_eq!(x.scatter(&at, &random(&[2, 1], 0), 1).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
    }
    let huge = Tensor::from_vec(vec![i64::MIN], &[1]).unwrap();
    assert_eq!(x.take(&huge, 0).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
    assert_eq!(x.take(&random(&[2], 0), 0).unwrap_err().kind(), ErrorKind::DTypeMismatch);
    assert_eq!(x.take(&ids(&[0]), 2).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.gather(&ids(&[0]), 1).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(x.gather(&ints(&[0; 3], &[3, 1]), 1).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(x.scatter(&ints(&[0], &[1, 1]), &random(&[2, 2], 0), 1).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let empty = Tensor::zeros(&[0, 3], DType::F32, x.device()).unwrap();
    assert_eq!(empty.take(&ids(&[0]), 0).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
}

#[test]
fn gradients_match_central_differences() {
    let repeated = ints(&[2, 0, 2, -1], &[2, 2]);
    let f = |x: &[Tensor]| {
        let elements = ints(&[0, 1, 2, 2, 1, 1, 0, 0], &[2, 2, 2]);
        let rows = ints(&[2, 2, 0, 1], &[2, 2, 1]);
        Ok(vec![
            x[0].take(&repeated, 1)?,
            x[0].take(&ints(&[1], &[]), 0)?,
            x[0].gather(&elements, 1)?,
            x[0].gather(&rows, 1)?,
            x[0].narrow(0, 0, 1)?.gather(&rows, 1)?,
            x[0].scatter(&elements, &x[1], 1)?,
            x[0].scatter(&rows, &x[1], 1)?,
            x[0].scatter_add(&elements, &x[1], 1)?,
            x[0].scatter_add(&rows, &x[1].narrow(2, 0, 1)?, 1)?,
        ])
    };
    let inputs = [random(&[2, 3, 2], 1), random(&[2, 2, 2], 2)];
    check_gradients(f, &inputs);
    force_general_path(|| check_gradients(f, &inputs));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = random(&[700, 64], 0).cast(DType::F32).unwrap();
    let n = 5000;
    let ids: Vec<i32> = (0..n).map(|i| (i * i * 31 % 700) as i32).collect();
    let updates = random(&[n, 64], 1).cast(DType::F32).unwrap();
    let rows = ints(&ids, &[n, 1]);
    let elements = rows.broadcast_to(&[n, 64]).unwrap().contiguous().unwrap();
    let run = || {
        vec![
            x.take(&ints(&ids, &[n]), 0).unwrap(),
            x.gather(&elements, 0).unwrap(),
            x.scatter_add(&rows, &updates, 0).unwrap(),
            x.scatter_add(&elements, &updates, 0).unwrap(),
            x.scatter(&elements, &updates, 0).unwrap(),
        ]
    };
    let mut first: Option<Vec<Tensor>> = None;
    for n in [1, 2, 4] {
        let now = on_threads(n, run);
        for (a, b) in first.get_or_insert_with(|| now.clone()).iter().zip(&now) {
            assert_same_bits(b, a);
        }
    }
    let first = first.unwrap();
    assert_same_bits(&first[1], &first[0]);
    assert_same_bits(&first[3], &first[2]);
}
