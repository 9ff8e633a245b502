//! Shapes, slices and joins held against index arithmetic written out, on every dtype, on both paths.
use tallow_tensor::{
    backward, force_general_path,
    ops::{Axes, Scalar},
    testing::{assert_close, assert_same_bits, check_gradients, on_threads, random},
    DType, Device, ErrorKind, Result, Tensor,
};

/// 0, 1, 2 … of `shape`; 0 and 1 for bool.
fn count(shape: &[usize], dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    if dtype == DType::Bool {
        return Tensor::from_bools((0..n).map(|i| (i % 3 == 0) as u8).collect(), shape).unwrap();
    }
    Tensor::from_vec((0..n).map(|i| (i % 100) as f32).collect(), shape).unwrap().cast(dtype).unwrap()
}

/// The tensor whose value at each place is that of `x` at `place(coordinates)`, or `fill` where that is `None`.
fn expected(x: &Tensor, shape: &[usize], fill: f64, place: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Vec<f64> {
    let values = x.to_f64_vec().unwrap();
    let n: usize = shape.iter().product();
    (0..n)
        .map(|mut i| {
            let mut at = vec![0; shape.len()];
            for (c, &d) in at.iter_mut().zip(shape).rev() {
                *c = i % d;
                i /= d;
            }
            place(&at).map_or(fill, |p| values[p.iter().zip(x.shape()).fold(0, |i, (&c, &d)| i * d + c)])
        })
        .collect()
}

/// Runs `f` on both paths and on views of two layouts; all must have `shape` and the values `place` says.
#[track_caller]
fn check(
    from: &[usize],
    shape: &[usize],
    fill: f64,
    f: impl Fn(&Tensor) -> Result<Tensor>,
    place: impl Fn(&[usize]) -> Option<Vec<usize>>,
) {
    for dtype in DType::ALL {
        let x = count(from, dtype);
        let strided = x.transpose(None).unwrap().contiguous().unwrap().transpose(None).unwrap();
        let want =
            expected(&x, shape, if dtype == DType::Bool { f64::from(u8::from(fill != 0.0)) } else { fill }, &place);
        for x in [&x, &strided] {
            let by_kernel = f(x).unwrap();
            let general = force_general_path(|| f(x)).unwrap();
            for y in [by_kernel, general] {
                assert_eq!((y.shape(), y.dtype()), (shape, dtype));
                assert_eq!(y.to_f64_vec().unwrap(), want, "{dtype}");
            }
        }
    }
}

#[test]
fn reshape_keeps_row_major_order() {
    let flat = |at: &[usize], d: &[usize]| at.iter().zip(d).fold(0, |i, (&c, &n)| i * n + c);
    check(
        &[2, 3, 4],
        &[6, 4],
        0.0,
        |x| x.reshape(&[6, 4]),
        |at| {
            let i = flat(at, &[6, 4]);
            Some(vec![i / 12, i / 4 % 3, i % 4])
        },
    );
    check(&[2, 3], &[2, 1, 3, 1], 0.0, |x| x.reshape(&[2, 1, 3, 1]), |at| Some(vec![at[0], at[2]]));
    check(&[], &[1, 1], 0.0, |x| x.reshape_infer(&[1, -1]), |_| Some(vec![]));
    check(&[0, 3], &[3, 0, 2], 0.0, |x| x.reshape(&[3, 0, 2]), |_| None);
    let x = random(&[2, 3], 0);
    assert_eq!(x.reshape_infer(&[-1]).unwrap().shape(), [6]);
    assert_eq!(x.reshape_infer(&[3, -1, 2]).unwrap().shape(), [3, 1, 2]);
    for bad in [&[4, -1][..], &[-1, -1], &[-2, 3], &[0, -1], &[7]] {
        assert!(x.reshape_infer(bad).is_err(), "{bad:?}");
    }
    assert_eq!(x.reshape(&[7]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}

#[test]
fn views_share_storage() {
    let x = random(&[4, 3, 1], 0);
    let t = x.transpose(None).unwrap();
    let views = [
        x.reshape(&[12]),
        x.transpose(None),
        t.squeeze(0),
        t.expand_dims(1),
        x.narrow(0, 1, 2),
        x.index(1, -1),
        x.broadcast_to(&[5, 4, 3, 2]),
        x.slice(&[1], &[3], &[]),
    ];
    for v in views {
        assert_eq!(v.unwrap().storage_id(), x.storage_id());
    }
    assert_ne!(t.reshape(&[12]).unwrap().storage_id(), x.storage_id());
}

#[test]
fn axes_move() {
    check(&[2, 3, 4], &[4, 3, 2], 0.0, |x| x.transpose(None), |a| Some(vec![a[2], a[1], a[0]]));
    check(&[2, 3, 4], &[3, 4, 2], 0.0, |x| x.transpose(Some(&[1, 2, 0])), |a| Some(vec![a[2], a[0], a[1]]));
    check(&[2, 3, 4], &[2, 4, 3], 0.0, |x| x.swap_axes(-1, 1), |a| Some(vec![a[0], a[2], a[1]]));
    check(&[2, 3, 4], &[3, 4, 2], 0.0, |x| x.move_axis(0, -1), |a| Some(vec![a[2], a[0], a[1]]));
    check(&[2, 3], &[2, 3, 1], 0.0, |x| x.expand_dims(-1), |a| Some(vec![a[0], a[1]]));
    check(&[1, 3, 1], &[3], 0.0, |x| x.squeeze(Axes::All), |a| Some(vec![0, a[0], 0]));
    check(&[1, 3, 1], &[1, 3], 0.0, |x| x.squeeze(-1), |a| Some(vec![a[0], a[1], 0]));
    check(&[2, 1], &[3, 2, 4], 0.0, |x| x.broadcast_to(&[3, 2, 4]), |a| Some(vec![a[1], 0]));
    check(&[3, 1], &[3, 0], 0.0, |x| x.broadcast_to(&[3, 0]), |_| None);
    let x = random(&[2, 3], 0);
    for bad in [&[0][..], &[0, 0], &[0, 2], &[0, 1, 2], &[]] {
        assert_eq!(x.transpose(Some(bad)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(x.squeeze(0).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(x.swap_axes(0, 2).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.expand_dims(3).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.broadcast_to(&[2, 4]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(x.broadcast_to(&[3]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}

#[test]
fn slices_follow_numpy() {
    const END: isize = isize::MAX;
    const NEAR: isize = isize::MIN;
    check(&[5, 4], &[2, 4], 0.0, |x| x.slice(&[1], &[3], &[]), |a| Some(vec![a[0] + 1, a[1]]));
    check(&[5, 4], &[3, 2], 0.0, |x| x.slice(&[0, -2], &[END, END], &[2, 1]), |a| Some(vec![2 * a[0], a[1] + 2]));
    check(
        &[5, 4],
        &[5, 2],
        0.0,
        |x| x.slice(&[END, 3], &[NEAR, NEAR], &[-1, -2]),
        |a| Some(vec![4 - a[0], 3 - 2 * a[1]]),
    );
    check(&[5, 4], &[2, 4], 0.0, |x| x.slice(&[-1], &[0], &[-3]), |a| Some(vec![4 - 3 * a[0], a[1]]));
    check(&[5, 4], &[0, 4], 0.0, |x| x.slice(&[3], &[1], &[1]), |_| None);
    check(&[5, 4], &[0, 2], 0.0, |x| x.slice(&[9, 0], &[12, 4], &[3, 2]), |_| None);
    check(&[5, 4], &[5, 4], 0.0, |x| x.slice(&[-9], &[99], &[1]), |a| Some(a.to_vec()));
    check(&[0, 4], &[0, 2], 0.0, |x| x.slice(&[0, 0], &[END, END], &[-1, 2]), |_| None);
    check(&[5, 4], &[4], 0.0, |x| x.index(0, -2), |a| Some(vec![3, a[0]]));
    check(&[5, 4], &[5], 0.0, |x| x.index(-1, 1), |a| Some(vec![a[0], 1]));
    let x = random(&[2, 3], 0);
    assert_eq!(x.slice(&[0], &[1], &[0]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.slice(&[0, 0, 0], &[1, 1, 1], &[]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.slice(&[0], &[1, 2], &[]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.index(0, 2).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
    assert_eq!(x.narrow(0, 1, 2).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.narrow(0, 1, usize::MAX).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn flips_rolls_and_pads() {
    check(&[2, 3], &[2, 3], 0.0, |x| x.flip(1), |a| Some(vec![a[0], 2 - a[1]]));
    check(&[2, 3], &[2, 3], 0.0, |x| x.flip(Axes::All), |a| Some(vec![1 - a[0], 2 - a[1]]));
    check(&[2, 5, 3], &[2, 5, 3], 0.0, |x| x.roll(2, 1), |a| Some(vec![a[0], (a[1] + 3) % 5, a[2]]));
    check(&[4], &[4], 0.0, |x| x.roll(-5, 0), |a| Some(vec![(a[0] + 5) % 4]));
    check(&[0, 2], &[0, 2], 0.0, |x| x.roll(3, 0), |_| None);
    let inside = |c: usize, before: usize, n: usize| (before..before + n).contains(&c).then(|| c - before);
    check(&[2, 3], &[2, 6], 7.0, |x| x.pad(&[(0, 0), (1, 2)], 7.0), |a| Some(vec![a[0], inside(a[1], 1, 3)?]));
    check(
        &[2, 3, 2],
        &[3, 4, 2],
        1.0,
        |x| x.pad(&[(1, 0), (0, 1), (0, 0)], 1.0),
        |a| Some(vec![inside(a[0], 1, 2)?, inside(a[1], 0, 3)?, a[2]]),
    );
    check(&[0, 2], &[3, 2], 4.0, |x| x.pad(&[(2, 1), (0, 0)], 4.0), |_| None);
    check(&[], &[], 4.0, |x| x.pad(&[], 4.0), |_| Some(vec![]));
    assert_eq!(random(&[2], 0).pad(&[], 0.0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(random(&[2], 0).pad(&[(usize::MAX, 3)], 0.0).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}

#[test]
fn joins_and_repeats() {
    let twice = |x: &Tensor| Tensor::concat(&[x.clone(), x.slice(&[0, 1], &[2, 3], &[])?, x.narrow(1, 0, 0)?], 1);
    check(&[2, 3], &[2, 5], 0.0, twice, |a| Some(vec![a[0], if a[1] < 3 { a[1] } else { a[1] - 2 }]));
    check(
        &[2, 3],
        &[4, 3],
        0.0,
        |x| Tensor::concat(&[x.clone(), x.flip(0)?], 0),
        |a| Some(vec![[0, 1, 1, 0][a[0]], a[1]]),
    );
    check(
        &[2, 3],
        &[2, 2, 3],
        0.0,
        |x| Tensor::stack(&[x.clone(), x.flip(1)?], 1),
        |a| Some(vec![a[0], if a[1] == 0 { a[2] } else { 2 - a[2] }]),
    );
    check(&[], &[2], 0.0, |x| Tensor::stack(&[x.clone(), x.clone()], 0), |_| Some(vec![]));
    check(&[0, 3], &[0, 6], 0.0, |x| Tensor::concat(&[x.clone(), x.clone()], -1), |_| None);
    check(&[2, 3], &[2, 4, 6], 0.0, |x| x.tile(&[2, 2, 2]), |a| Some(vec![a[1] % 2, a[2] % 3]));
    check(&[2, 3], &[2, 6], 0.0, |x| x.tile(&[2]), |a| Some(vec![a[0], a[1] % 3]));
    check(&[2, 3], &[2, 6], 0.0, |x| x.repeat(2, 1), |a| Some(vec![a[0], a[1] / 2]));
    check(&[2, 3], &[0, 3], 0.0, |x| x.repeat(0, 0), |_| None);
    check(&[2, 6], &[2, 2], 0.0, |x| Ok(x.split(3, 1)?.remove(1)), |a| Some(vec![a[0], a[1] + 2]));
    check(&[2, 6], &[2, 3], 0.0, |x| Ok(x.split_at(&[1, 1, 3], 1)?.remove(3)), |a| Some(vec![a[0], a[1] + 3]));
    let x = random(&[2, 3], 0);
    assert_eq!(x.split(2, 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.split(0, 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.split_at(&[2, 1], 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(x.split_at(&[4], 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Tensor::concat(&[], 0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Tensor::concat(&[x.clone(), random(&[2, 2], 0)], 0).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(Tensor::stack(&[x.clone(), random(&[3, 2], 0)], 0).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let mixed = Tensor::concat(&[count(&[2], DType::I32), count(&[1], DType::F16)], 0).unwrap();
    assert_eq!((mixed.dtype(), mixed.to_f64_vec().unwrap()), (DType::F16, vec![0.0, 1.0, 0.0]));
}

#[test]
fn gradients_match_central_differences() {
    let x = || random(&[2, 3, 4], 7);
    check_gradients(
        |x| {
            let x = &x[0];
            Ok(vec![
                x.transpose(Some(&[2, 0, 1]))?.reshape(&[8, 3])?,
                x.expand_dims(1)?.squeeze(1)?,
                x.narrow(2, 1, 2)?,
                x.index(1, 2)?,
                x.slice(&[0, -1, 3], &[2, isize::MIN, 0], &[1, -1, -2])?,
                x.flip([0, 2])?,
                x.roll(1, 2)?,
                x.pad(&[(1, 0), (0, 0), (0, 2)], 3.0)?,
                x.tile(&[2, 1, 2])?,
                x.repeat(3, 1)?,
                x.transpose(None)?.contiguous()?,
                x.broadcast_to(&[2, 2, 3, 4])?,
            ])
        },
        &[x()],
    );
    check_gradients(
        |x| {
            let parts = x[0].split_at(&[1, 3], 2)?;
            Ok(vec![
                parts[2].clone(),
                parts[0].clone(),
                Tensor::concat(&[x[0].clone(), x[1].clone(), x[0].clone()], 1)?,
                Tensor::stack(&[x[0].clone(), x[0].flip(2)?], 3)?,
            ])
        },
        &[x(), random(&[2, 1, 4], 8)],
    );
}

#[test]
fn parts_that_nothing_depends_on_have_gradients_of_zeros() {
    // 0, 1, 2 … 11, cut in several ways; any of the parts may be used.
    let values = |n: usize| Tensor::from_vec((0..n).map(|i| i as f64).collect(), &[2, n / 2]).unwrap();
    type Cut = fn(&Tensor) -> Result<Vec<Tensor>>;
    let cuts: [(Cut, usize); 5] = [
        (|x| x.split(3, 1), 3),
        (|x| x.split(2, 0), 2),
        (|x| x.split_at(&[1, 1, 4], -1), 4),
        (|x| x.unstack(1), 6),
        (|x| Ok(vec![x.top_k(2)?.0, x.split(2, 1)?.remove(1)]), 2),
    ];
    for (cut, n) in cuts {
        for used in 0..1u32 << n {
            let (x, w) = (values(12).variable(), random(&[2, 6], 5).variable());
            let parts = cut(&x.mul(&w).unwrap()).unwrap();
            let ones = |t: &Tensor| t.ones_like().unwrap();
            let seeds = |zeros: bool| -> Vec<(Tensor, Tensor)> {
                let each = parts.iter().enumerate().filter_map(|(i, p)| match (used >> i & 1 == 1, zeros) {
                    (true, _) => Some((p.clone(), ones(p))),
                    (false, true) => Some((p.clone(), p.detach().zeros_like().unwrap())),
                    (false, false) => None,
                });
                each.collect()
            };
            let wrt = [x.clone(), w.clone()];
            let got = backward(&seeds(false), &wrt, true).unwrap();
            let want = backward(&seeds(true), &wrt, true).unwrap();
            got.iter().zip(&want).for_each(|(a, b)| assert_close(a, b, DType::F64));
            // d/dx Σ x w over what is used is w there, so the two gradients have the same zeros.
            let nonzero =
                |t: &Tensor| t.ne_scalar(0).unwrap().sum(tallow_tensor::Axes::All, false).unwrap().item().unwrap();
            let elements: usize =
                parts.iter().enumerate().filter(|(i, _)| used >> i & 1 == 1).map(|(_, p)| p.size()).sum();
            if n != 2 || parts[0].shape() != [2, 2] {
                assert_eq!(nonzero(&got[0]) as usize, elements);
            }
        }
    }
    let x = Tensor::from_vec(vec![1f32, 2., 3., 4., 5.], &[5]).unwrap().variable();
    let first = x.split_at(&[2], 0).unwrap().remove(0);
    let g = backward(&[(first, Tensor::from_vec(vec![7f32, 8.], &[2]).unwrap())], &[x], false).unwrap();
    assert_eq!(g[0].to_vec::<f32>().unwrap(), [7.0, 8.0, 0.0, 0.0, 0.0]);
}

#[test]
fn only_wanted_gradients_are_made() {
    let (a, b) = (random(&[2], 0).variable(), random(&[3], 1));
    let y = Tensor::concat(&[b, a.clone()], 0).unwrap();
    let g = backward(&[(y, random(&[5], 2))], &[a], false).unwrap();
    assert_same_bits(&g[0], &random(&[5], 2).narrow(0, 3, 2).unwrap());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = random(&[37, 5, 700], 0);
    let wide = random(&[3, 90_000], 1);
    let run = || {
        vec![
            x.roll(9, 2).unwrap(),
            x.pad(&[(3, 2), (0, 1), (0, 0)], 1.0).unwrap(),
            wide.flip(1).unwrap(),
            Tensor::concat(&[wide.clone(), wide.narrow(1, 7, 40_000).unwrap()], 1).unwrap(),
            Tensor::stack(&[x.clone(), x.flip(1).unwrap()], 2).unwrap(),
        ]
    };
    let mut first: Option<Vec<Tensor>> = None;
    for n in [1, 2, 4] {
        let now = on_threads(n, run);
        for (a, b) in first.get_or_insert_with(|| now.clone()).iter().zip(&now) {
            assert_same_bits(b, a);
        }
    }
    let general = force_general_path(run);
    for (a, b) in first.unwrap().iter().zip(&general) {
        assert_same_bits(b, a);
    }
}

#[test]
fn what_is_left_out_is_as_in_numpy() {
    let x = count(&[2, 3], DType::I32);
    let values = |made: Result<Tensor>| {
        let made = made.unwrap();
        (made.shape().to_vec(), made.dtype(), made.to_f64_vec().unwrap())
    };
    let ints = |shape: &[usize], v: &[f64]| (shape.to_vec(), DType::I32, v.to_vec());
    assert_eq!(values(x.cumsum_over(None)), ints(&[6], &[0., 1., 3., 6., 10., 15.]));
    assert_eq!(values(x.cumsum_over(Some(-1))), ints(&[2, 3], &[0., 1., 3., 3., 7., 12.]));
    assert_eq!(values(x.roll_over(1, None)), ints(&[2, 3], &[5., 0., 1., 2., 3., 4.]));
    assert_eq!(values(x.roll_over(1, Some(1))), ints(&[2, 3], &[2., 0., 1., 5., 3., 4.]));
    let at = Tensor::from_vec(vec![5i32, 0], &[2]).unwrap();
    assert_eq!(values(x.take_over(&at, None)), ints(&[2], &[5., 0.]));
    assert_eq!(x.take_over(&at, Some(1)).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
    assert_eq!(values(x.transpose_axes(Some(&[-1, 0]))), ints(&[3, 2], &[0., 3., 1., 4., 2., 5.]));
    let wrong = x.transpose_axes(Some(&[-3, 0])).unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.message()),
        (ErrorKind::InvalidArgument, "transpose: axis -3 is out of range for 2 axes")
    );

    let range = |start: f64, stop: Option<f64>, step: Option<f64>| {
        Tensor::arange_of(start.into(), stop.map(Scalar::from), step.map(Scalar::from), None, &Device::Cpu)
    };
    assert_eq!(values(range(3.0, None, None)), ints(&[3], &[0., 1., 2.]));
    assert_eq!(values(range(1.0, Some(6.0), Some(2.0))), ints(&[3], &[1., 3., 5.]));
    assert_eq!(values(range(1.0, Some(2.0), Some(0.5))), (vec![2], DType::F32, vec![1.0, 1.5]));
    let of_integers = Tensor::arange_of(Scalar::Int(2), None, None, None, &Device::Cpu);
    assert_eq!(values(of_integers), (vec![2], DType::I64, vec![0.0, 1.0]));
}
