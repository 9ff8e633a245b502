//! Attention against its definition written out, its gradients and independence of threads.
use tallow_tensor::{
    backward, force_general_path,
    ops::{attention, AttentionOptions},
    random::{bernoulli, Key},
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, on_threads, random, Tolerance},
    DType, ErrorKind, Tensor,
};

struct Case {
    name: &'static str,
    q: Vec<usize>,
    k: Vec<usize>,
    v: Vec<usize>,
    options: AttentionOptions,
}

fn bools(shape: &[usize], f: impl Fn(usize) -> bool) -> Option<Tensor> {
    let n = shape.iter().product();
    Some(Tensor::from_bools((0..n).map(|i| u8::from(f(i))).collect(), shape).unwrap())
}

fn cases() -> Vec<Case> {
    let o = || AttentionOptions { scale: 0.4, ..Default::default() };
    let case = |name, q: &[usize], k: &[usize], v: &[usize], options| Case {
        name,
        q: q.into(),
        k: k.into(),
        v: v.into(),
        options,
    };
    let key = Key::new(7);
    vec![
        case("plain", &[2, 5, 3], &[2, 7, 3], &[2, 7, 4], o()),
        case("matrices", &[3, 2], &[4, 2], &[4, 1], o()),
        case("heads", &[2, 3, 4, 2], &[2, 3, 4, 2], &[2, 3, 4, 2], o()),
        case("one query", &[2, 1, 3], &[2, 6, 3], &[2, 6, 3], o()),
        case("causal", &[2, 6, 3], &[2, 6, 3], &[2, 6, 3], AttentionOptions { causal: true, ..o() }),
        case("causal, more keys", &[4, 3], &[7, 3], &[7, 3], AttentionOptions { causal: true, ..o() }),
        case("causal, more queries", &[7, 3], &[4, 3], &[4, 3], AttentionOptions { causal: true, ..o() }),
        case(
            "mask of all",
            &[2, 4, 3],
            &[2, 5, 3],
            &[2, 5, 3],
            AttentionOptions { mask: bools(&[2, 4, 5], |i| i % 3 != 0), ..o() },
        ),
        case(
            "mask of keys",
            &[2, 2, 4, 3],
            &[2, 2, 5, 3],
            &[2, 2, 5, 3],
            AttentionOptions { mask: bools(&[2, 1, 1, 5], |i| i % 5 < 3), ..o() },
        ),
        case(
            "mask of queries",
            &[2, 4, 3],
            &[2, 5, 3],
            &[2, 5, 3],
            AttentionOptions { mask: bools(&[4, 1], |i| i != 2), ..o() },
        ),
        case(
            "nothing allowed",
            &[2, 4, 3],
            &[2, 5, 3],
            &[2, 5, 3],
            AttentionOptions { mask: bools(&[1], |_| false), ..o() },
        ),
        // Row 0 sees only key 0, which the mask hides: it attends to all keys, those of the future too.
        case(
            "causal and a mask that hides the past",
            &[2, 6, 3],
            &[2, 6, 3],
            &[2, 6, 3],
            AttentionOptions { causal: true, mask: bools(&[6], |i| i > 1), ..o() },
        ),
        case(
            "a small mask value",
            &[2, 6, 3],
            &[2, 6, 3],
            &[2, 6, 3],
            AttentionOptions { causal: true, mask_value: -0.5, ..o() },
        ),
        case("dropout", &[2, 4, 3], &[2, 5, 3], &[2, 5, 2], AttentionOptions { dropout: Some((0.4, key)), ..o() }),
        case(
            "dropout, causal, mask",
            &[2, 2, 5, 3],
            &[2, 2, 5, 3],
            &[2, 2, 5, 2],
            AttentionOptions { dropout: Some((0.3, key)), causal: true, mask: bools(&[2, 1, 1, 5], |i| i != 0), ..o() },
        ),
        case("shared keys", &[2, 3, 4, 2], &[2, 1, 5, 2], &[1, 5, 3], o()),
        case("shared queries", &[4, 2], &[3, 5, 2], &[3, 5, 2], AttentionOptions { causal: true, ..o() }),
        case("values of more heads", &[4, 2], &[5, 2], &[3, 5, 2], o()),
        case("no matrices", &[0, 4, 2], &[0, 5, 2], &[0, 5, 2], o()),
        case("no queries", &[2, 0, 2], &[2, 5, 2], &[2, 5, 2], o()),
        case("no keys", &[2, 4, 2], &[2, 0, 2], &[2, 0, 3], AttentionOptions { causal: true, ..o() }),
        case("no depth", &[2, 4, 0], &[2, 5, 0], &[2, 5, 3], o()),
        case("no values", &[2, 4, 2], &[2, 5, 2], &[2, 5, 0], o()),
    ]
}

/// Cases of several tiles, too large for central differences.
fn large_cases() -> Vec<Case> {
    let o = || AttentionOptions { scale: 0.3, ..Default::default() };
    let case = |name, q: &[usize], k: &[usize], v: &[usize], options| Case {
        name,
        q: q.into(),
        k: k.into(),
        v: v.into(),
        options,
    };
    let key = Key::new(8);
    vec![
        case("plain", &[2, 131, 8], &[2, 300, 8], &[2, 300, 5], o()),
        case("causal", &[300, 8], &[300, 8], &[300, 8], AttentionOptions { causal: true, ..o() }),
        case("causal, more keys", &[70, 8], &[400, 8], &[400, 8], AttentionOptions { causal: true, ..o() }),
        case(
            "padding",
            &[2, 2, 260, 8],
            &[2, 2, 260, 8],
            &[2, 2, 260, 8],
            AttentionOptions { mask: bools(&[2, 1, 1, 260], |i| i % 260 < 20 + i / 3), ..o() },
        ),
        case(
            "left padding, causal",
            &[2, 2, 300, 8],
            &[2, 2, 300, 8],
            &[2, 2, 300, 8],
            AttentionOptions { causal: true, mask: bools(&[2, 1, 1, 300], |i| i >= 150), ..o() },
        ),
        case(
            "dropout, causal",
            &[3, 290, 8],
            &[3, 290, 8],
            &[3, 290, 8],
            AttentionOptions { causal: true, dropout: Some((0.1, key)), ..o() },
        ),
    ]
}

fn index(shape: &[usize], full: &[usize], mut i: usize) -> usize {
    let (mut at, mut step) = (0, 1);
    for (axis, &n) in full.iter().enumerate().rev() {
        let x = i % n;
        i /= n;
        if let Some(j) = (axis + shape.len()).checked_sub(full.len()) {
            at += if shape[j] == 1 { 0 } else { x } * step;
            step *= shape[j];
        }
    }
    at
}

/// Outputs and gradients for a cotangent, by the definition, in float64.
fn naive(c: &Case, inputs: &[Tensor; 3], ct: &[f64]) -> [Vec<f64>; 4] {
    let lead = |s: &[usize]| s[..s.len() - 2].to_vec();
    let rank = [&c.q, &c.k, &c.v].iter().map(|s| s.len() - 2).max().unwrap();
    let mut batch = vec![1; rank];
    for s in [&c.q, &c.k, &c.v] {
        for (i, &n) in lead(s).iter().enumerate() {
            let at = &mut batch[rank + i - (s.len() - 2)];
            if n != 1 {
                *at = n;
            }
        }
    }
    let (lq, d) = (c.q[c.q.len() - 2], c.q[c.q.len() - 1]);
    let (lk, dv) = (c.v[c.v.len() - 2], c.v[c.v.len() - 1]);
    let [q, k, v] = [0, 1, 2].map(|i| inputs[i].to_f64_vec().unwrap());
    let mut full = batch.clone();
    full.extend([lq, lk]);
    let mask = c.options.mask.as_ref().map(|m| m.to_f64_vec().unwrap());
    let drop = c
        .options
        .dropout
        .map(|(rate, key)| (bernoulli(key, 1.0 - rate, &full).unwrap().to_f64_vec().unwrap(), 1.0 - rate));
    let items: usize = batch.iter().product();
    let mut out = vec![0.0; items * lq * dv];
    let mut g = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for b in 0..items {
        let [bq, bk, bv] = [&c.q, &c.k, &c.v].map(|s| index(&lead(s), &batch, b));
        for i in 0..lq {
            let place = |j: usize| (b * lq + i) * lk + j;
            let open = |j: usize| {
                (!c.options.causal || j <= i)
                    && mask
                        .as_ref()
                        .is_none_or(|m| m[index(c.options.mask.as_ref().unwrap().shape(), &full, place(j))] != 0.0)
            };
            let at = |x: usize, r: usize, n: usize, w: usize| (x * n + r) * w;
            let dots: Vec<f64> = (0..lk)
                .map(|j| {
                    let dot: f64 = (0..d).map(|x| q[at(bq, i, lq, d) + x] * k[at(bk, j, lk, d) + x]).sum();
                    if open(j) {
                        dot * c.options.scale
                    } else {
                        c.options.mask_value
                    }
                })
                .collect();
            let top = dots.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = dots.iter().map(|x| (x - top).exp()).sum();
            let p: Vec<f64> = dots.iter().map(|x| (x - top).exp() / total).collect();
            let keep = |j: usize| drop.as_ref().map_or(1.0, |(m, kept)| m[place(j)] / kept);
            let row = (b * lq + i) * dv;
            let mut dp = vec![0.0; lk];
            for j in 0..lk {
                for x in 0..dv {
                    out[row + x] += p[j] * keep(j) * v[at(bv, j, lk, dv) + x];
                    g[2][at(bv, j, lk, dv) + x] += p[j] * keep(j) * ct[row + x];
                    dp[j] += keep(j) * v[at(bv, j, lk, dv) + x] * ct[row + x];
                }
            }
            let inner: f64 = (0..lk).map(|j| p[j] * dp[j]).sum();
            for j in (0..lk).filter(|&j| open(j)) {
                let ds = p[j] * (dp[j] - inner) * c.options.scale;
                for x in 0..d {
                    g[0][at(bq, i, lq, d) + x] += ds * k[at(bk, j, lk, d) + x];
                    g[1][at(bk, j, lk, d) + x] += ds * q[at(bq, i, lq, d) + x];
                }
            }
        }
    }
    let [a, b, c] = g;
    [out, a, b, c]
}

fn inputs(c: &Case, dtype: DType) -> [Tensor; 3] {
    [(&c.q, 1), (&c.k, 2), (&c.v, 3)].map(|(s, seed)| random(s, seed).cast(dtype).unwrap())
}

/// The result and the gradients for a fixed cotangent.
fn run(inputs: &[Tensor; 3], options: &AttentionOptions) -> Vec<Tensor> {
    let vars = inputs.clone().map(|t| t.variable());
    let y = attention(&vars[0], &vars[1], &vars[2], options).unwrap();
    let ct = random(y.shape(), 9).cast(y.dtype()).unwrap();
    let mut out = vec![y.detach()];
    out.extend(backward(&[(y, ct)], &vars, false).unwrap());
    out.into_iter().map(|t| t.detach()).collect()
}

fn holds_to_definition(c: &Case, dtype: DType, tolerance: Tolerance) {
    let x = inputs(c, dtype);
    // Shown when the test fails.
    eprintln!("{} in {dtype}{}", c.name, if tallow_tensor::general_path_forced() { ", general path" } else { "" });
    let got = run(&x, &c.options);
    let ct = random(got[0].shape(), 9).cast(dtype).unwrap().to_f64_vec().unwrap();
    for (a, e) in got.iter().zip(naive(c, &x, &ct)) {
        assert_eq!(a.dtype(), dtype);
        assert_within(a, &Tensor::from_vec(e, a.shape()).unwrap(), tolerance);
    }
}

#[test]
fn values_and_gradients_are_those_of_the_definition() {
    let t = |t| Tolerance { absolute: t, relative: t };
    for c in cases().iter().chain(&large_cases()) {
        holds_to_definition(c, DType::F64, t(1e-11));
        holds_to_definition(c, DType::F32, t(2e-5));
        force_general_path(|| {
            holds_to_definition(c, DType::F64, t(1e-11));
            holds_to_definition(c, DType::F32, t(2e-5));
        });
    }
    for c in cases() {
        for (dtype, close) in [(DType::F16, 4e-3), (DType::BF16, 3e-2)] {
            holds_to_definition(&c, dtype, t(close));
            force_general_path(|| holds_to_definition(&c, dtype, t(close)));
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for c in cases() {
        check_gradients(|x| Ok(vec![attention(&x[0], &x[1], &x[2], &c.options)?]), &inputs(&c, DType::F64));
    }
}

#[test]
fn a_fully_masked_row_attends_uniformly() {
    let (q, k, v) = (random(&[1, 200, 4], 1), random(&[1, 200, 4], 2), random(&[1, 200, 4], 3));
    let options = AttentionOptions { causal: true, mask: bools(&[200], |i| i >= 150), ..Default::default() };
    let y = attention(&q, &k, &v, &options).unwrap().to_f64_vec().unwrap();
    let values = v.to_f64_vec().unwrap();
    for x in 0..4 {
        let mean = (0..200).map(|j| values[j * 4 + x]).sum::<f64>() / 200.0;
        for i in 0..150 {
            assert!((y[i * 4 + x] - mean).abs() < 1e-12, "row {i}");
        }
        assert!((y[150 * 4 + x] - values[150 * 4 + x]).abs() < 1e-12);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for c in large_cases() {
        let x = inputs(&c, DType::F32);
        let one = on_threads(1, || run(&x, &c.options));
        for n in [2, 4] {
            for (a, b) in on_threads(n, || run(&x, &c.options)).iter().zip(&one) {
                assert_same_bits(a, b);
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let t = |s: &[usize]| random(s, 1);
    let fail =
        |q: &[usize], k: &[usize], v: &[usize], o: AttentionOptions| attention(&t(q), &t(k), &t(v), &o).unwrap_err();
    let o = AttentionOptions::default;
    let e = fail(&[2, 3], &[4, 5], &[4, 5], o());
    assert_eq!(
        (e.kind(), e.message()),
        (ErrorKind::ShapeMismatch, "attention of q [2, 3], k [4, 5], v [4, 5]: queries have depth 3, keys 5")
    );
    assert!(fail(&[2, 3], &[4, 3], &[5, 3], o()).message().contains("4 keys and 5 values"));
    assert!(fail(&[3], &[4, 3], &[4, 3], o()).message().contains("two axes"));
    assert!(fail(&[2, 2, 3], &[3, 4, 3], &[4, 3], o()).message().contains("broadcast"));
    let e = fail(&[2, 3], &[4, 3], &[4, 3], AttentionOptions { mask: bools(&[3, 4], |_| true), ..o() });
    assert!(e.message().contains("mask of shape [3, 4]"));
    let e = fail(&[2, 3], &[4, 3], &[4, 3], AttentionOptions { mask: Some(t(&[4])), ..o() });
    assert_eq!(e.kind(), ErrorKind::DTypeMismatch);
    let e = fail(&[2, 3], &[4, 3], &[4, 3], AttentionOptions { dropout: Some((1.0, Key::new(0))), ..o() });
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    let whole = Tensor::from_vec(vec![1i32; 6], &[2, 3]).unwrap();
    assert_eq!(attention(&whole, &whole, &whole, &o()).unwrap_err().kind(), ErrorKind::DTypeMismatch);
}

#[test]
fn kernel_and_general_path_agree_on_infinities() {
    let q = Tensor::from_vec(vec![f64::INFINITY, 1.0, -1.0, 0.5], &[4, 1]).unwrap();
    let k = Tensor::from_vec(vec![1.0, 2.0], &[2, 1]).unwrap();
    let o = AttentionOptions::default();
    let a = attention(&q, &k, &k, &o).unwrap();
    assert_close(&a, &force_general_path(|| attention(&q, &k, &k, &o).unwrap()), DType::F64);
    assert!(a.to_f64_vec().unwrap()[0].is_nan());
}

#[test]
fn heads_seen_through_a_transpose_are_read_in_place() {
    // [B, L, H, D] seen as [B, H, L, D]; the second pair has columns that are not adjacent.
    let split = |seed, l: usize| random(&[2, l, 3, 4], seed);
    let view = |t: &Tensor| t.transpose(Some(&[0, 2, 1, 3])).unwrap();
    let odd = |seed, l: usize| random(&[2, 3, 4, l], seed).transpose(Some(&[0, 1, 3, 2])).unwrap();
    for causal in [false, true] {
        let options =
            AttentionOptions { causal, scale: 0.5, mask: bools(&[2, 1, 1, 140], |i| i % 7 != 3), ..Default::default() };
        for x in [[1, 2, 3].map(|s| view(&split(s, 140))), [1, 2, 3].map(|s| odd(s, 140))] {
            let dense = x.clone().map(|t| t.contiguous().unwrap());
            let (a, b) = (run(&x, &options), run(&dense, &options));
            for (a, b) in a.iter().zip(&b) {
                assert_same_bits(a, b);
            }
        }
        let x = [1, 2, 3].map(|s| view(&split(s, 140)));
        for t in run(&x, &options) {
            // The result and the gradients lie as the operands do, so that merging the heads again copies nothing.
            assert!(view(&t).is_contiguous());
        }
    }
    let options = AttentionOptions { causal: true, ..Default::default() };
    check_gradients(
        |x| Ok(vec![attention(&view(&x[0]), &view(&x[1]), &view(&x[2]), &options)?]),
        &[1, 2, 3].map(|s| split(s, 5)),
    );
}
