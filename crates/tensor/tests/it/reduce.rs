//! Reductions against sums written out, over shapes, strides, dtypes and threads.
use tallow_tensor::{backward, force_general_path, testing, Axes, DType, Device, ErrorKind, Tensor};

fn t(values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_f64(values, shape, dtype, &Device::Cpu).unwrap()
}

/// Folds `x` over `axes` the slow way; returns values in row-major order of the kept axes.
fn reference(x: &Tensor, axes: &[usize], start: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let shape = x.shape();
    let out_shape: Vec<usize> = (0..shape.len()).map(|i| if axes.contains(&i) { 1 } else { shape[i] }).collect();
    let mut out = vec![start; out_shape.iter().product()];
    for (i, v) in x.to_f64_vec().unwrap().into_iter().enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for a in (0..shape.len()).rev() {
            let k = rest % shape[a];
            rest /= shape[a];
            if !axes.contains(&a) {
                at += k * stride;
            }
            stride *= out_shape[a];
        }
        out[at] = f(out[at], v);
    }
    out
}

fn subsets(rank: usize) -> Vec<Vec<usize>> {
    (0..1 << rank).map(|bits: usize| (0..rank).filter(|i| bits >> i & 1 == 1).collect()).collect()
}

fn axes_of(axes: &[usize]) -> Axes {
    Axes::Some(axes.iter().map(|&a| a as isize).collect())
}

/// Row-major, reversed-axes, and repeated-and-cut views of the same kind of values.
fn layouts(shape: &[usize]) -> Vec<Tensor> {
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let a = testing::random(shape, 1);
    let b = testing::random(&reversed, 2).transpose(None).unwrap();
    let mut wide = shape.to_vec();
    if let Some(d) = wide.last_mut() {
        *d += 3;
    }
    let c = testing::random(&wide, 3);
    let c = if shape.is_empty() { c } else { c.narrow(-1, 2, *shape.last().unwrap()).unwrap() };
    let d = testing::random(&shape[1.min(shape.len())..], 4).broadcast_to(shape).unwrap();
    vec![a, b, c, d]
}

#[test]
fn every_set_of_axes_of_every_layout() {
    for shape in [vec![], vec![5], vec![3, 4], vec![2, 1, 5], vec![3, 2, 4, 3], vec![2, 33, 70], vec![130, 7]] {
        for x in layouts(&shape) {
            for axes in subsets(shape.len()) {
                let kept: Vec<usize> = (0..shape.len()).map(|i| if axes.contains(&i) { 1 } else { shape[i] }).collect();
                let dropped: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).map(|i| shape[i]).collect();
                let n: usize = axes.iter().map(|&a| shape[a]).product();
                let expect = |v: Vec<f64>| t(&v, &kept, DType::F64);
                for general in [false, true] {
                    let run = |f: &dyn Fn() -> tallow_tensor::Result<Tensor>| {
                        if general { force_general_path(f) } else { f() }.unwrap()
                    };
                    let sums = reference(&x, &axes, 0.0, |a, b| a + b);
                    let y = run(&|| x.sum(axes_of(&axes), false));
                    assert_eq!(y.shape(), dropped);
                    let y = run(&|| x.sum(axes_of(&axes), true));
                    testing::assert_close(&y, &expect(sums.clone()), DType::F64);
                    let y = run(&|| x.mean(axes_of(&axes), true));
                    testing::assert_close(&y, &expect(sums.iter().map(|s| s / n as f64).collect()), DType::F64);
                    let y = run(&|| x.max(axes_of(&axes), true));
                    testing::assert_close(&y, &expect(reference(&x, &axes, f64::NEG_INFINITY, f64::max)), DType::F64);
                    let y = run(&|| x.min(axes_of(&axes), true));
                    testing::assert_close(&y, &expect(reference(&x, &axes, f64::INFINITY, f64::min)), DType::F64);
                    let y = run(&|| x.prod(axes_of(&axes), true));
                    testing::assert_close(&y, &expect(reference(&x, &axes, 1.0, |a, b| a * b)), DType::F64);
                    let squares = reference(&x, &axes, 0.0, |a, b| a + b * b);
                    let y = run(&|| x.var(axes_of(&axes), true));
                    let var = squares.iter().zip(&sums).map(|(q, s)| q / n as f64 - (s / n as f64).powi(2)).collect();
                    testing::assert_close(&y, &expect(var), DType::F64);
                    let y = run(&|| x.logsumexp(axes_of(&axes), true));
                    let exps = reference(&x, &axes, 0.0, |a, b| a + b.exp());
                    testing::assert_close(&y, &expect(exps.iter().map(|v| v.ln()).collect()), DType::F64);
                    let positive = x.gt_scalar(1.0).unwrap();
                    let y = run(&|| positive.any(axes_of(&axes), true));
                    let any = reference(&positive, &axes, 0.0, f64::max);
                    testing::assert_same_bits(&y, &t(&any, &kept, DType::Bool));
                    let y = run(&|| positive.all(axes_of(&axes), true));
                    let all = reference(&positive, &axes, 1.0, f64::min);
                    testing::assert_same_bits(&y, &t(&all, &kept, DType::Bool));
                }
            }
        }
    }
}

#[test]
fn empty_shapes() {
    for (shape, axis, kept) in [(vec![0], 0, vec![1]), (vec![0, 4], 0, vec![1, 4]), (vec![3, 0, 1], 1, vec![3, 1, 1])] {
        let x = t(&[], &shape, DType::F32);
        let fill = |v: f64| Tensor::full(&kept, v, DType::F32, &Device::Cpu).unwrap();
        for general in [false, true] {
            let run = |f: &dyn Fn() -> tallow_tensor::Result<Tensor>| if general { force_general_path(f) } else { f() };
            testing::assert_same_bits(&run(&|| x.sum(axis, true)).unwrap(), &fill(0.0));
            testing::assert_same_bits(&run(&|| x.prod(axis, true)).unwrap(), &fill(1.0));
            testing::assert_same_bits(&run(&|| x.mean(axis, true)).unwrap(), &fill(f64::NAN));
            testing::assert_same_bits(&run(&|| x.logsumexp(axis, true)).unwrap(), &fill(f64::NEG_INFINITY));
            for r in [run(&|| x.max(axis, true)), run(&|| x.argmin(Some(axis), true))] {
                assert_eq!(r.unwrap_err().kind(), ErrorKind::InvalidArgument);
            }
        }
        assert_eq!(x.cumsum(axis).unwrap().shape(), shape);
        let v = x.variable();
        let g = backward(&[(v.sum(axis, true).unwrap(), fill(1.0))], &[v], false).unwrap();
        assert_eq!(g[0].shape(), shape);
    }
    // An empty axis that is kept.
    let x = t(&[], &[0, 4], DType::F32);
    assert_eq!(x.sum(1, false).unwrap().shape(), [0]);
    assert_eq!(x.max(1, false).unwrap().shape(), [0]);
    assert_eq!(x.argmax(Some(1), false).unwrap().shape(), [0]);
}

#[test]
fn dtypes() {
    for dtype in DType::ALL {
        let x = t(&[1.0, 0.0, 1.0, 1.0], &[2, 2], dtype);
        let sum = match dtype {
            DType::U8 => DType::U32,
            DType::Bool => DType::I32,
            d => d,
        };
        for general in [false, true] {
            let run = |f: &dyn Fn() -> tallow_tensor::Result<Tensor>| {
                if general { force_general_path(f) } else { f() }.unwrap()
            };
            testing::assert_same_bits(&run(&|| x.sum(Axes::All, false)), &t(&[3.0], &[], sum));
            testing::assert_same_bits(&run(&|| x.sum(0, false)), &t(&[2.0, 1.0], &[2], sum));
            testing::assert_same_bits(&run(&|| x.prod(1, false)), &t(&[0.0, 1.0], &[2], sum));
            testing::assert_same_bits(&run(&|| x.mean(Axes::All, false)), &t(&[0.75], &[], dtype.to_float()));
            testing::assert_same_bits(&run(&|| x.max(0, false)), &t(&[1.0, 1.0], &[2], dtype));
            testing::assert_same_bits(&run(&|| x.min(0, false)), &t(&[1.0, 0.0], &[2], dtype));
            testing::assert_same_bits(&run(&|| x.argmin(Some(1), false)), &t(&[1.0, 0.0], &[2], DType::I32));
            testing::assert_same_bits(&run(&|| x.argmax(None, false)), &t(&[0.0], &[], DType::I32));
            testing::assert_same_bits(&run(&|| x.cumsum(1)), &t(&[1.0, 1.0, 1.0, 2.0], &[2, 2], sum));
            testing::assert_same_bits(&run(&|| x.any(1, false)), &t(&[1.0, 1.0], &[2], DType::Bool));
            testing::assert_same_bits(&run(&|| x.all(1, false)), &t(&[0.0, 1.0], &[2], DType::Bool));
        }
    }
}

#[test]
fn halves_sum_in_float32() {
    for dtype in [DType::F16, DType::BF16] {
        // 4096 ones and a half exceed what either half counts by ones.
        let x = Tensor::ones(&[4096, 2], dtype, &Device::Cpu).unwrap();
        for general in [false, true] {
            let run = |f: &dyn Fn() -> tallow_tensor::Result<Tensor>| {
                if general { force_general_path(f) } else { f() }.unwrap()
            };
            testing::assert_same_bits(&run(&|| x.sum(0, false)), &t(&[4096.0; 2], &[2], dtype));
            testing::assert_same_bits(&run(&|| x.mean(Axes::All, false)), &t(&[1.0], &[], dtype));
        }
    }
}

#[test]
fn large_float32_sums_are_accurate() {
    let n = 1 << 20;
    let x = testing::random(&[n], 5).add_scalar(1.0).unwrap();
    let exact: f64 = x.to_f64_vec().unwrap().iter().map(|&v| v as f32 as f64).sum();
    let x = x.cast(DType::F32).unwrap();
    let error = |v: Tensor| (v.item().unwrap() - exact).abs() / exact;
    assert!(error(x.sum(Axes::All, false).unwrap()) < 2e-7);
    let columns = x.reshape(&[n / 2, 2]).unwrap().sum(0, false).unwrap();
    assert!(error(columns.sum(Axes::All, false).unwrap()) < 1e-6);
}

#[test]
fn not_finite() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x = t(&[1.0, nan, 3.0, -inf, inf, 2.0, -inf, -inf, -inf], &[3, 3], DType::F32);
    for general in [false, true] {
        let run =
            |f: &dyn Fn() -> tallow_tensor::Result<Tensor>| if general { force_general_path(f) } else { f() }.unwrap();
        testing::assert_same_bits(&run(&|| x.max(1, false)), &t(&[nan, inf, -inf], &[3], DType::F32));
        testing::assert_same_bits(&run(&|| x.min(1, false)), &t(&[nan, -inf, -inf], &[3], DType::F32));
        testing::assert_same_bits(&run(&|| x.sum(1, false)), &t(&[nan, nan, -inf], &[3], DType::F32));
        testing::assert_same_bits(&run(&|| x.logsumexp(1, false)), &t(&[nan, inf, -inf], &[3], DType::F32));
        testing::assert_same_bits(&run(&|| x.argmax(Some(1), false)), &t(&[1.0, 1.0, 0.0], &[3], DType::I32));
        testing::assert_same_bits(&run(&|| x.argmin(Some(1), false)), &t(&[1.0, 0.0, 0.0], &[3], DType::I32));
        testing::assert_same_bits(&run(&|| x.argmax(Some(0), false)), &t(&[0.0, 0.0, 0.0], &[3], DType::I32));
        let y = run(&|| {
            let v = x.narrow(0, 2, 1)?.variable();
            let y = v.logsumexp(1, false)?;
            Ok(backward(&[(y, t(&[1.0], &[1], DType::F32))], &[v], false)?.remove(0))
        });
        testing::assert_same_bits(&y, &t(&[0.0; 3], &[1, 3], DType::F32));
    }
    // The maximum of a long row with one NaN anywhere.
    for at in [0, 31, 32, 2047, 2048, 69_999] {
        let mut v = vec![0.0; 70_000];
        v[at] = nan;
        assert!(t(&v, &[70_000], DType::F32).max(Axes::All, false).unwrap().item().unwrap().is_nan());
        v[at] = 1.0;
        assert_eq!(t(&v, &[70_000], DType::F32).argmax(None, false).unwrap().item().unwrap(), at as f64);
    }
}

#[test]
fn gradients() {
    for shape in [vec![4], vec![2, 3], vec![2, 3, 2]] {
        for x in layouts(&shape) {
            for axes in subsets(shape.len()) {
                for keep in [false, true] {
                    testing::check_gradients(
                        |xs| {
                            let (x, a) = (&xs[0], || axes_of(&axes));
                            Ok(vec![
                                x.sum(a(), keep)?,
                                x.mean(a(), keep)?,
                                x.var(a(), keep)?,
                                x.prod(a(), keep)?,
                                x.logsumexp(a(), keep)?,
                            ])
                        },
                        std::slice::from_ref(&x),
                    );
                }
            }
        }
    }
    let x = testing::random(&[3, 4], 9);
    testing::check_gradients(|xs| Ok(vec![xs[0].max(0, true)?, xs[0].min(-1, false)?]), std::slice::from_ref(&x));
    testing::check_gradients(|xs| Ok(vec![xs[0].cumsum(0)?, xs[0].cumsum(-1)?]), std::slice::from_ref(&x));
    testing::check_gradients(|xs| Ok(vec![xs[0].sum_to(&[1, 4])?, xs[0].sum_to(&[4])?, xs[0].sum_to(&[])?]), &[x]);
}

#[test]
fn gradients_of_products_with_zeros() {
    for values in [vec![2.0, 3.0, 4.0], vec![2.0, 0.0, 4.0], vec![0.0, 3.0, 0.0], vec![0.0, 0.0, 0.0]] {
        testing::check_gradients(|xs| Ok(vec![xs[0].prod(0, false)?]), &[t(&values, &[3], DType::F64)]);
    }
}

#[test]
fn gradients_at_the_edges() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let gradient = |f: &dyn Fn(&Tensor) -> tallow_tensor::Result<Tensor>, x: &[f64], ct: f64, dtype| {
        let x = t(x, &[x.len()], dtype).variable();
        let run = || backward(&[(f(&x)?, t(&[ct], &[], dtype))], std::slice::from_ref(&x), false);
        [run().unwrap().remove(0), force_general_path(run).unwrap().remove(0)]
    };
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let is = |g: [Tensor; 2], want: &[f64]| {
            g.iter().for_each(|g| testing::assert_close(g, &t(want, &[want.len()], dtype), dtype));
        };
        let prod: &dyn Fn(&Tensor) -> tallow_tensor::Result<Tensor> = &|x| x.prod(0, false);
        // The product of the others, even where the whole is infinite, overflows or underflows.
        is(gradient(prod, &[inf, 2.0, 4.0], 1.0, dtype), &[8.0, inf, inf]);
        is(
            gradient(prod, &[1e30, 1e20, 1e-30], 1.0, dtype),
            &[1e-10, 1.0, if dtype == DType::F64 { 1e50 } else { inf }],
        );
        is(
            gradient(prod, &[1e-30, 1e-20, 0.5], 1.0, dtype),
            &[5e-21, 5e-31, if dtype == DType::F64 { 1e-50 } else { 0.0 }],
        );
        is(gradient(prod, &[0.0, inf], 1.0, dtype), &[inf, 0.0]);
        // An infinite cotangent goes to the extremes alone.
        is(gradient(&|x| x.max(0, false), &[1.0, 3.0], inf, dtype), &[0.0, inf]);
        is(gradient(&|x| x.min(0, false), &[1.0, 3.0], -inf, dtype), &[-inf, 0.0]);
        is(gradient(&|x| x.logsumexp(0, false), &[-inf, -inf], 1.0, dtype), &[0.0, 0.0]);
        is(gradient(&|x| x.logsumexp(0, false), &[-inf, 2.0], 1.0, dtype), &[0.0, 1.0]);
        is(gradient(&|x| x.var(0, false), &[4.0, 4.0], 1.0, dtype), &[0.0, 0.0]);
        is(gradient(&|x| x.softmax(0)?.index(0, 0), &[-inf, 1.0], 1.0, dtype), &[0.0, 0.0]);
        is(gradient(&|x| x.log_softmax(0)?.index(0, 1), &[-inf, 1.0], 1.0, dtype), &[0.0, 0.0]);
        is(gradient(&|x| x.sigmoid()?.sum(0, false), &[inf, -inf, nan], 1.0, dtype), &[0.0, 0.0, nan]);
        is(
            gradient(&|x| x.erf()?.sum(0, false), &[inf, -inf, 0.0], 1.0, dtype),
            &[0.0, 0.0, std::f64::consts::FRAC_2_SQRT_PI],
        );
    }
}

#[test]
fn means_of_more_halves_than_halves_can_count() {
    for dtype in [DType::F16, DType::BF16] {
        let x = Tensor::ones(&[100_000], dtype, &Device::Cpu).unwrap().variable();
        for general in [false, true] {
            let g = || backward(&[(x.mean(0, false)?, t(&[1024.0], &[], dtype))], std::slice::from_ref(&x), false);
            let g = if general { force_general_path(g) } else { g() }.unwrap();
            testing::assert_same_bits(&g[0].narrow(0, 99_999, 1).unwrap(), &t(&[0.01024], &[1], dtype));
        }
    }
    // 5,000 equal maxima, of which float16 counts no odd number: each gets its share.
    let x = Tensor::ones(&[5_001], DType::F16, &Device::Cpu).unwrap().variable();
    let g = backward(&[(x.max(0, false).unwrap(), t(&[5_001.0 * 2.0], &[], DType::F16))], &[x], false).unwrap();
    testing::assert_same_bits(&g[0].narrow(0, 7, 1).unwrap(), &t(&[10_000.0 / 5_001.0], &[1], DType::F16));
}

#[test]
fn equal_extremes_share_the_gradient() {
    let x = t(&[1.0, 3.0, 3.0, 2.0], &[4], DType::F32).variable();
    let one = t(&[1.0], &[], DType::F32);
    for general in [false, true] {
        let g = || backward(&[(x.max(Axes::All, false)?, one.clone())], std::slice::from_ref(&x), false);
        let g = if general { force_general_path(g) } else { g() }.unwrap();
        testing::assert_same_bits(&g[0], &t(&[0.0, 0.5, 0.5, 0.0], &[4], DType::F32));
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let x = testing::random(&[70, 60, 50], 11).cast(DType::F32).unwrap();
    let run = || {
        let mut out = Vec::new();
        for axes in subsets(3) {
            out.push(x.sum(axes_of(&axes), true).unwrap());
            out.push(x.var(axes_of(&axes), true).unwrap());
        }
        out.push(x.cumsum(1).unwrap());
        out.push(x.reshape(&[7, 30_000]).unwrap().sum(1, false).unwrap());
        out.push(x.argmax(Some(1), false).unwrap());
        out
    };
    let one = testing::on_threads(1, run);
    for n in [2, 4] {
        for (a, b) in one.iter().zip(testing::on_threads(n, run)) {
            testing::assert_same_bits(a, &b);
        }
    }
}

#[test]
fn refusals() {
    let x = t(&[0.0; 6], &[2, 3], DType::F32);
    for bad in [x.sum(2, false), x.max([-3], false), x.mean([0, -2], false), x.cumsum(5), x.argmax(Some(2), true)] {
        assert_eq!(bad.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(x.sum_to(&[2]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(x.sum_to(&[1, 2, 3]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}
