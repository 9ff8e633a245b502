//! Chunked attention against the same composed of operations, its gradients and independence of threads.
use tallow_tensor::{
    backward, force_general_path,
    ops::{chunked_attention, chunked_attention_joint, hash_buckets, ChunkedAttentionOptions},
    random::Key,
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, on_threads, random, Tolerance},
    DType, ErrorKind, Result, Tensor,
};

struct Case {
    name: &'static str,
    /// Leading axes, length, depth, depth of values.
    sizes: (&'static [usize], usize, usize, usize),
    keys: bool,
    options: ChunkedAttentionOptions,
}

fn buckets(lead: &[usize], n: usize, count: i32) -> Option<Tensor> {
    let shape: Vec<usize> = lead.iter().copied().chain([n]).collect();
    let total: usize = shape.iter().product();
    let values = (0..total as i32).map(|i| (i * 7 + i * i / 5) % count).collect();
    Some(Tensor::from_vec(values, &shape).unwrap())
}

fn seen(shape: &[usize], f: impl Fn(usize) -> bool) -> Option<Tensor> {
    let n: usize = shape.iter().product();
    Some(Tensor::from_bools((0..n).map(|i| u8::from(f(i))).collect(), shape).unwrap())
}

fn cases() -> Vec<Case> {
    let o = |chunk_len, before, after| ChunkedAttentionOptions {
        chunk_len,
        n_chunks_before: before,
        n_chunks_after: after,
        ..Default::default()
    };
    let case = |name, sizes, keys, options| Case { name, sizes, keys, options };
    vec![
        case("one chunk", (&[2], 4, 3, 2), true, o(4, 0, 0)),
        case("neighbours", (&[2], 8, 3, 2), true, o(2, 1, 1)),
        case("causal", (&[1, 2], 9, 3, 4), true, ChunkedAttentionOptions { causal: true, ..o(3, 1, 0) }),
        case("a shorter last chunk", (&[2], 7, 3, 2), true, ChunkedAttentionOptions { causal: true, ..o(3, 1, 0) }),
        case(
            "shared",
            (&[2], 6, 4, 3),
            false,
            ChunkedAttentionOptions { causal: true, exclude_self: true, ..o(2, 1, 0) },
        ),
        case("around the end", (&[1], 4, 2, 2), false, ChunkedAttentionOptions { exclude_self: true, ..o(4, 1, 1) }),
        case(
            "one round",
            (&[3], 8, 3, 3),
            false,
            ChunkedAttentionOptions { causal: true, exclude_self: true, buckets: buckets(&[3], 8, 4), ..o(2, 1, 0) },
        ),
        case(
            "rounds",
            (&[2, 2], 8, 3, 2),
            false,
            ChunkedAttentionOptions {
                causal: true,
                exclude_self: true,
                buckets: buckets(&[2, 2], 24, 4),
                ..o(4, 1, 0)
            },
        ),
        case(
            "chunks over the end of a round, dropped",
            (&[2], 6, 3, 2),
            false,
            ChunkedAttentionOptions {
                exclude_self: true,
                buckets: buckets(&[2], 12, 3),
                dropout: Some((0.3, Key::new(5))),
                ..o(4, 1, 1)
            },
        ),
        case(
            "masked",
            (&[2, 2], 10, 3, 2),
            false,
            ChunkedAttentionOptions {
                exclude_self: true,
                mask: seen(&[2, 1, 10], |i| i % 10 < 7),
                buckets: buckets(&[2, 2], 20, 3),
                dropout: Some((0.5, Key::new(9))),
                ..o(2, 1, 0)
            },
        ),
        case("one position", (&[2], 1, 3, 2), false, ChunkedAttentionOptions { causal: true, ..o(5, 1, 0) }),
    ]
}

impl Case {
    fn inputs(&self) -> Vec<Tensor> {
        let (lead, l, d, dv) = self.sizes;
        let shape = |last| lead.iter().copied().chain([l, last]).collect::<Vec<_>>();
        let mut all = vec![random(&shape(d), 1), random(&shape(dv), 2)];
        if self.keys {
            all.push(random(&shape(d), 3));
        }
        all
    }
    fn run(&self, xs: &[Tensor]) -> Result<Tensor> {
        chunked_attention(&xs[0], xs.get(2), &xs[1], &self.options)
    }
}

#[test]
fn both_paths_agree_in_values_and_gradients() {
    for case in cases() {
        eprintln!("{}", case.name);
        let xs = case.inputs();
        let fused = case.run(&xs).unwrap();
        let composed = force_general_path(|| case.run(&xs)).unwrap();
        assert_close(&fused, &composed, DType::F64);
        check_gradients(|xs| Ok(vec![case.run(xs)?]), &xs);
        force_general_path(|| check_gradients(|xs| Ok(vec![case.run(xs)?]), &xs));
        // In float32 rows that see masked keys only weigh them alike, on both paths.
        let xs: Vec<Tensor> = xs.iter().map(|x| x.cast(DType::F32).unwrap()).collect();
        let gradients = || {
            let vars: Vec<Tensor> = xs.iter().map(Tensor::variable).collect();
            let y = case.run(&vars).unwrap();
            let ct = random(y.shape(), 8).cast(DType::F32).unwrap();
            let mut all = backward(&[(y.clone(), ct)], &vars, false).unwrap();
            all.push(y.detach());
            all
        };
        let composed = force_general_path(gradients);
        for (a, b) in gradients().iter().zip(&composed) {
            assert_within(a, b, Tolerance { absolute: 2e-5, relative: 2e-5 });
        }
    }
}

#[test]
fn queries_and_values_may_lie_side_by_side() {
    for case in cases().into_iter().filter(|case| !case.keys) {
        let (lead, l, d, dv) = case.sizes;
        // Heads beside one another, as a projection makes them.
        let swap = lead.len() > 1;
        let mut shape = lead.iter().copied().chain([l, d + dv]).collect::<Vec<_>>();
        let rank = shape.len();
        if swap {
            shape.swap(rank - 3, rank - 2);
        }
        let joint = |x: &Tensor| {
            let x = if swap { x.swap_axes(-3, -2).unwrap() } else { x.clone() };
            chunked_attention_joint(&x, d, &case.options)
        };
        let x = random(&shape, 5);
        check_gradients(|xs| Ok(vec![joint(&xs[0])?]), std::slice::from_ref(&x));
        let run = |joined: bool| {
            let x = x.cast(DType::F32).unwrap().variable();
            let y = if joined {
                joint(&x).unwrap()
            } else {
                let x = if swap { x.swap_axes(-3, -2).unwrap() } else { x.clone() };
                case.run(&[x.narrow(-1, 0, d).unwrap(), x.narrow(-1, d, dv).unwrap()]).unwrap()
            };
            let ct = random(y.shape(), 8).cast(DType::F32).unwrap();
            [backward(&[(y.clone(), ct)], &[x], false).unwrap().remove(0), y.detach()]
        };
        run(true).iter().zip(&run(false)).for_each(|(a, b)| assert_same_bits(a, b));
    }
    let wrong = chunked_attention_joint(&random(&[4, 3], 1), 4, &ChunkedAttentionOptions::default());
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::ShapeMismatch);
}

/// Heads seen through a transpose, several walks a round, several blocks of rows a chunk.
#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for (length, chunk_len, rounds) in [(1024, 16, 3), (600, 150, 2), (333, 64, 1)] {
        let heads = |seed| {
            let t = random(&[2, length, 2, 8], seed).cast(DType::F32).unwrap();
            t.transpose(Some(&[0, 2, 1, 3])).unwrap()
        };
        let options = ChunkedAttentionOptions {
            chunk_len,
            n_chunks_before: 1,
            causal: true,
            exclude_self: true,
            buckets: buckets(&[2, 2], rounds * length, 32),
            ..Default::default()
        };
        let run = || {
            let vars = [heads(1).variable(), heads(2).variable()];
            let y = chunked_attention(&vars[0], None, &vars[1], &options).unwrap();
            let mut all = backward(&[(y.clone(), heads(3))], &vars, false).unwrap();
            all.push(y.detach());
            all
        };
        let composed = force_general_path(run);
        let one = on_threads(1, run);
        for (a, b) in one.iter().zip(&composed) {
            assert_within(a, b, Tolerance { absolute: 5e-5, relative: 5e-5 });
        }
        for n in [2, 4] {
            one.iter().zip(on_threads(n, run)).for_each(|(a, b)| assert_same_bits(&b, a));
        }
    }
}

#[test]
fn nan_stays_where_it_is_seen() {
    let mut values = vec![0.5f32; 16];
    values[4] = f32::NAN;
    let q = Tensor::from_vec(values, &[8, 2]).unwrap();
    let v = random(&[8, 2], 3).cast(DType::F32).unwrap();
    let rotations = random(&[2, 1, 2], 4).cast(DType::F32).unwrap();
    let buckets = hash_buckets(&q, &rotations, &[4]).unwrap().reshape(&[8]).unwrap();
    assert!(buckets.to_vec::<i32>().unwrap().iter().all(|b| (0..4).contains(b)));
    let options =
        ChunkedAttentionOptions { chunk_len: 8, exclude_self: true, buckets: Some(buckets), ..Default::default() };
    let y = chunked_attention(&q, None, &v, &options).unwrap();
    assert!(y.to_vec::<f32>().unwrap().iter().all(|x| x.is_nan()));
}

/// Queries that see themselves once or several times and nothing else, masked keys only, or anything: (length, length of a chunk,
/// chunks before, after, rounds, buckets of a round).
const SIGHTS: [(usize, usize, usize, usize, usize, i32); 9] = [
    (7, 7, 0, 0, 1, 2),
    (7, 7, 1, 0, 1, 2),
    (9, 16, 1, 1, 1, 3),
    (40, 5, 1, 0, 2, 8),
    (40, 5, 1, 0, 4, 30),
    (24, 6, 2, 1, 3, 4),
    (20, 8, 1, 0, 3, 5),
    (150, 75, 1, 0, 8, 4),
    (33, 1, 1, 0, 5, 9),
];

fn sight(
    (length, chunk_len, before, after, rounds, count): (usize, usize, usize, usize, usize, i32),
    kind: usize,
) -> ChunkedAttentionOptions {
    ChunkedAttentionOptions {
        chunk_len,
        n_chunks_before: before,
        n_chunks_after: after,
        causal: kind.is_multiple_of(2),
        exclude_self: true,
        // Of the first example the first third is masked, of the second everything.
        mask: if kind < 2 { None } else { seen(&[2, length], |i| i < length && 3 * i >= length) },
        segments: None,
        buckets: buckets(&[2], rounds * length, count),
        dropout: None,
    }
}

/// The result for queries and values of some dtype, and the gradients of its sum weighed by 0.5, 1.5, 2.5 …
fn result_and_gradients(xs: &[Tensor; 2], dtype: DType, options: &ChunkedAttentionOptions) -> Vec<Tensor> {
    let vars = xs.each_ref().map(|x| x.cast(dtype).unwrap().variable());
    let y = chunked_attention(&vars[0], None, &vars[1], options).unwrap();
    let ct = Tensor::iota(y.size(), DType::F64, y.device()).unwrap().add_scalar(0.5).unwrap();
    let ct = ct.div_scalar(y.size() as f64).unwrap().reshape(y.shape()).unwrap().cast(dtype).unwrap();
    let mut all = vec![y.detach()];
    all.extend(backward(&[(y, ct)], &vars, false).unwrap());
    all
}

#[test]
fn the_weights_of_every_row_sum_to_one() {
    for (sizes, kind) in SIGHTS.into_iter().flat_map(|s| (0..4).map(move |kind| (s, kind))) {
        let (options, length) = (sight(sizes, kind), sizes.0);
        // Values of 1: so is the result, whatever the queries, which get no gradient; and each row's cotangent is dealt out whole.
        let xs = [
            random(&[2, length, 4], 3).mul_scalar(3.0).unwrap(),
            Tensor::ones(&[2, length, 3], DType::F64, &tallow_tensor::Device::Cpu).unwrap(),
        ];
        for (dtype, off) in [(DType::F32, 2e-6), (DType::F64, 1e-13)] {
            for general in [false, true] {
                let run = || result_and_gradients(&xs, dtype, &options);
                let found = if general { force_general_path(run) } else { run() };
                let [y, dq, dv] = &found[..] else { unreachable!() };
                let worst = |t: &Tensor, from: f64| {
                    t.to_f64_vec().unwrap().iter().fold(0.0, |w: f64, v| w.max((v - from).abs()))
                };
                assert!(worst(y, 1.0) <= off, "{sizes:?} {kind} {dtype} general: {general}: {}", worst(y, 1.0));
                assert!(
                    worst(dq, 0.0) <= 30.0 * off,
                    "{sizes:?} {kind} {dtype} general: {general}: {}",
                    worst(dq, 0.0)
                );
                let dealt: f64 = dv.to_f64_vec().unwrap().iter().sum();
                assert!(
                    (dealt / (y.size() as f64 / 2.0) - 1.0).abs() <= 10.0 * off,
                    "{sizes:?} {kind} {dtype}: {dealt}"
                );
            }
        }
    }
}

#[test]
fn what_fits_a_chunk_sees_itself_as_a_whole_in_any_number_of_rounds() {
    let xs = [random(&[2, 7, 4], 5), random(&[2, 7, 3], 6)];
    let run = |rounds: usize, chunk_len: usize, before: usize| {
        let mut options = sight((7, chunk_len, before, 0, rounds, 3), 0);
        options.mask = seen(&[2, 7], |i| i % 5 != 3);
        chunked_attention(&xs[0], None, &xs[1], &options).unwrap()
    };
    let whole = run(1, 7, 0);
    for (rounds, chunk_len, before) in [(1, 8, 0), (2, 7, 1), (2, 8, 0), (3, 12, 1), (4, 100, 2)] {
        assert_close(&run(rounds, chunk_len, before), &whole, DType::F64);
        assert_close(&force_general_path(|| run(rounds, chunk_len, before)), &whole, DType::F64);
    }
}

#[test]
fn float32_tells_what_float64_tells() {
    for (sizes, causal) in SIGHTS.into_iter().flat_map(|s| [(s, true), (s, false)]) {
        let options = sight(sizes, usize::from(!causal));
        let xs = [random(&[2, sizes.0, 4], 5), random(&[2, sizes.0, 3], 6)];
        let exact = result_and_gradients(&xs, DType::F64, &options);
        for general in [false, true] {
            let run = || result_and_gradients(&xs, DType::F32, &options);
            let found = if general { force_general_path(run) } else { run() };
            for (a, b) in found.iter().zip(&exact) {
                assert_within(a, &b.cast(DType::F32).unwrap(), Tolerance { absolute: 3e-6, relative: 3e-5 });
            }
        }
    }
}

#[test]
fn no_sequences_and_no_positions_give_nothing() {
    let none = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &tallow_tensor::Device::Cpu).unwrap();
    for (lead, length) in [(&[0][..], 6), (&[2], 0), (&[0, 3], 0), (&[2, 0], 5)] {
        let shape = |last: usize| lead.iter().copied().chain([length, last]).collect::<Vec<_>>();
        let options = ChunkedAttentionOptions {
            chunk_len: 4,
            n_chunks_before: 1,
            causal: true,
            exclude_self: true,
            mask: seen(&shape(0)[..lead.len() + 1], |_| true),
            buckets: Some(Tensor::zeros(&[lead, &[2 * length]].concat(), DType::I32, none(&[0]).device()).unwrap()),
            ..Default::default()
        };
        for general in [false, true] {
            let run = || {
                let vars = [none(&shape(3)).variable(), none(&shape(2)).variable(), none(&shape(5)).variable()];
                let apart = chunked_attention(&vars[0], None, &vars[1], &options).unwrap();
                let joint = chunked_attention_joint(&vars[2], 3, &options).unwrap();
                assert_eq!([apart.shape(), joint.shape()], [&shape(2)[..]; 2]);
                let all = [apart, joint].map(|y| (y.clone(), y.detach()));
                backward(&all, &vars, false).unwrap()
            };
            let found = if general { force_general_path(run) } else { run() };
            assert_eq!(found.iter().map(|g| g.shape().to_vec()).collect::<Vec<_>>(), [shape(3), shape(2), shape(5)]);
        }
    }
}

#[test]
fn masked_keys_only_are_seen_alike() {
    // In float32 10⁹ swallows the products: each key weighs the same.
    let (q, v) = (random(&[4, 3], 1), random(&[4, 2], 2));
    let options = ChunkedAttentionOptions { chunk_len: 4, mask: seen(&[4], |_| false), ..Default::default() };
    let vars = [q, v.clone()].map(|t| t.cast(DType::F32).unwrap().variable());
    let y = chunked_attention(&vars[0], None, &vars[1], &options).unwrap();
    let mean = v.mean(0, true).unwrap().broadcast_to(&[4, 2]).unwrap();
    assert_close(&y, &mean, DType::F32);
    let ct = Tensor::ones(y.shape(), DType::F32, y.device()).unwrap();
    for g in backward(&[(y, ct)], &vars, false).unwrap() {
        assert!(g.to_f64_vec().unwrap().iter().all(|g| g.is_finite()));
    }
}

#[test]
fn buckets_are_the_places_of_the_largest_products() {
    let x = random(&[2, 70, 5], 1);
    let rotations = random(&[2, 5, 3, 4], 2);
    for factors in [vec![8], vec![4, 2, 2]] {
        let fused = hash_buckets(&x, &rotations, &factors).unwrap();
        assert_eq!((fused.shape(), fused.dtype()), (&[2, 3, 70][..], DType::I32));
        let composed = force_general_path(|| hash_buckets(&x, &rotations, &factors)).unwrap();
        assert_same_bits(&fused, &composed);
    }
    let one = Tensor::from_vec(vec![1.0f32, 0.0, -2.0, 1.0, 0.0, -1.0], &[3, 2]).unwrap();
    let axes = Tensor::eye(2, 2, DType::F32, one.device()).unwrap().reshape(&[2, 1, 2]).unwrap();
    assert_eq!(hash_buckets(&one, &axes, &[4]).unwrap().to_vec::<i32>().unwrap(), [0, 2, 3]);
    assert_eq!(hash_buckets(&one, &axes, &[2, 2]).unwrap().to_vec::<i32>().unwrap(), [0, 1, 2]);
}

#[test]
fn strange_vectors_have_buckets_too() {
    let mut values: Vec<f32> = random(&[20, 2], 7).to_vec::<f64>().unwrap().into_iter().map(|x| x as f32).collect();
    // Zeros tie; NaN is largest, in its first direction; an infinity is no NaN, though zero times it would be.
    for (row, x) in [(0, [0.0, 0.0]), (3, [0.0, f32::NAN]), (17, [1.0, f32::NEG_INFINITY]), (19, [f32::INFINITY, 2.0])]
    {
        values[2 * row..2 * row + 2].copy_from_slice(&x);
    }
    let x = Tensor::from_vec(values, &[20, 2]).unwrap();
    let axes = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], &[2, 1, 2]).unwrap();
    let fused = hash_buckets(&x, &axes, &[4]).unwrap();
    let composed = force_general_path(|| hash_buckets(&x, &axes, &[4])).unwrap();
    let (fused, composed) = (fused.to_vec::<i32>().unwrap(), composed.to_vec::<i32>().unwrap());
    assert_eq!(fused, composed);
    assert_eq!([fused[0], fused[3]], [0, 0]);
}

#[test]
fn wrong_arguments_are_refused() {
    let x = random(&[2, 6, 4], 1);
    let o = ChunkedAttentionOptions::default;
    let kind = |options| chunked_attention(&x, None, &x, &options).unwrap_err().kind();
    assert_eq!(kind(ChunkedAttentionOptions { chunk_len: 0, ..o() }), ErrorKind::InvalidArgument);
    assert_eq!(kind(ChunkedAttentionOptions { dropout: Some((1.0, Key::new(0))), ..o() }), ErrorKind::InvalidArgument);
    assert_eq!(kind(ChunkedAttentionOptions { buckets: buckets(&[2], 7, 3), ..o() }), ErrorKind::ShapeMismatch);
    assert_eq!(kind(ChunkedAttentionOptions { mask: seen(&[2, 5], |_| true), ..o() }), ErrorKind::ShapeMismatch);
    assert_eq!(kind(ChunkedAttentionOptions { buckets: Some(random(&[6], 1)), ..o() }), ErrorKind::DTypeMismatch);
    let rotations = random(&[2, 4, 1, 3], 2);
    for (factors, wanted) in [
        (vec![5], ErrorKind::InvalidArgument),
        (vec![], ErrorKind::InvalidArgument),
        (vec![4], ErrorKind::ShapeMismatch),
    ] {
        assert_eq!(hash_buckets(&x, &rotations, &factors).unwrap_err().kind(), wanted);
    }
}
