//! Attention within segments: what is of other segments is as if it were not there.
use tallow_tensor::{
    backward, force_general_path,
    ops::{
        attention, chunked_attention, penalized_attention, AttentionOptions, ChunkedAttentionOptions,
        PenalizedAttentionOptions,
    },
    random::Key,
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, on_threads, random, Tolerance},
    DType, ErrorKind, Result, Tensor,
};

const NEAR: Tolerance = Tolerance { absolute: 2e-5, relative: 2e-5 };

/// Ids of rows in which segments of these lengths follow one another, each row turned by one segment; ids are in no order.
fn ids(rows: usize, lengths: &[usize]) -> Tensor {
    let mut all = Vec::new();
    for row in 0..rows {
        for i in 0..lengths.len() {
            let segment = (i + row) % lengths.len();
            all.extend(std::iter::repeat_n([7, 3, 0, 11, 5][segment], lengths[segment]));
        }
    }
    Tensor::from_vec::<i32>(all, &[rows, lengths.iter().sum()]).unwrap()
}

/// The result of `f`, and the gradients of what it makes of `xs`, for a fixed cotangent.
fn result_and_gradients(f: impl Fn(&[Tensor]) -> Result<Tensor>, xs: &[Tensor]) -> Vec<Tensor> {
    let vars: Vec<Tensor> = xs.iter().map(Tensor::variable).collect();
    let y = f(&vars).unwrap();
    let ct = random(y.shape(), 9).cast(y.dtype()).unwrap();
    let mut all = vec![y.detach()];
    all.extend(backward(&[(y, ct)], &vars, false).unwrap());
    all
}

/// Queries, keys and values of `batch` matrices.
fn operands(batch: usize, [queries, keys]: [usize; 2], dtype: DType) -> [Tensor; 3] {
    let of = |shape: &[usize], seed| random(shape, seed).cast(dtype).unwrap();
    [of(&[batch, queries, 5], 1), of(&[batch, keys, 5], 2), of(&[batch, keys, 4], 3)]
}

/// The same with other numbers in the positions of the row's segment `id`.
fn changed(x: &Tensor, ids: &Tensor, id: i64) -> Tensor {
    let at = ids.eq_scalar(id).unwrap().expand_dims(-1).unwrap();
    let other = random(x.shape(), 77).mul_scalar(3.0).unwrap().cast(x.dtype()).unwrap();
    Tensor::where_(&at, &other, x).unwrap()
}

/// What is not of the segment, with zeros elsewhere. A zero may have the sign of what 0 was multiplied by.
fn outside(x: &Tensor, ids: &Tensor, id: i64) -> Tensor {
    x.mask_fill(&ids.eq_scalar(id).unwrap().expand_dims(-1).unwrap(), 0.0).unwrap().add_scalar(0.0).unwrap()
}

const LENGTHS: [&[usize]; 5] = [&[1, 1], &[3, 5, 1], &[70, 3, 150, 1], &[64, 128, 64], &[200, 1, 31, 90, 6]];

#[test]
fn segments_are_the_mask_of_equal_ids() {
    for lengths in LENGTHS {
        let ids = ids(2, lengths);
        let n = ids.shape()[1];
        let mask = ids.expand_dims(2).unwrap().eq(&ids.expand_dims(1).unwrap()).unwrap();
        for (causal, dtype) in [(true, DType::F32), (false, DType::F32), (true, DType::F64), (false, DType::BF16)] {
            let o = AttentionOptions { scale: 0.4, causal, ..Default::default() };
            let of_mask = AttentionOptions { mask: Some(mask.clone()), ..o.clone() };
            let of_ids = AttentionOptions { segments: Some([ids.clone(), ids.clone()]), ..o };
            let xs = operands(2, [n, n], dtype);
            let run = |o: &AttentionOptions| result_and_gradients(|x| attention(&x[0], &x[1], &x[2], o), &xs);
            run(&of_ids).iter().zip(run(&of_mask)).for_each(|(a, b)| assert_same_bits(a, &b));
        }
    }
}

/// An attention and its name.
type Named<'a> = (&'static str, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + 'a>);

/// Every attention that takes segments, of queries, keys and values; the last ones are their own keys.
fn attentions(ids: &Tensor) -> Vec<Named<'_>> {
    let both = || Some([ids.clone(), ids.clone()]);
    let (rows, n) = (ids.shape()[0], ids.shape()[1]);
    let masked = |period: usize| {
        let seen = (0..rows * n).map(|i| u8::from(i % period != 0)).collect();
        Tensor::from_bools(seen, &[rows, n]).unwrap()
    };
    let mut all: Vec<Named<'_>> = Vec::new();
    let dropped = Some((0.3, Key::new(4)));
    for (name, o) in [
        ("all", AttentionOptions::default()),
        ("causal", AttentionOptions { causal: true, ..Default::default() }),
        ("masked", AttentionOptions { mask: Some(masked(3).expand_dims(1).unwrap()), ..Default::default() }),
        ("dropped", AttentionOptions { dropout: dropped, ..Default::default() }),
    ] {
        let o = AttentionOptions { scale: 0.4, segments: both(), ..o };
        all.push((name, Box::new(move |x| attention(&x[0], &x[1], &x[2], &o))));
    }
    let taken = masked(2).logical_not().unwrap().cast(DType::F64).unwrap().mul_scalar(1e9).unwrap();
    for (name, o) in [
        ("less", PenalizedAttentionOptions { exclude_self: true, ..Default::default() }),
        ("less, causal", PenalizedAttentionOptions { causal: true, exclude_self: true, ..Default::default() }),
        ("less, masked", PenalizedAttentionOptions { key_penalties: Some(taken), ..Default::default() }),
    ] {
        let o = PenalizedAttentionOptions { scale: 0.4, sums_to_one: true, segments: both(), ..o };
        all.push((name, Box::new(move |x| penalized_attention(&x[0], &x[1], &x[2], &o))));
    }
    let buckets = |rounds: usize| {
        let values = (0..rows * rounds * n).map(|i| ((i * 7 + i * i / 5) % 4) as i32).collect();
        Some(Tensor::from_vec::<i32>(values, &[rows, rounds * n]).unwrap())
    };
    let chunks = |chunk_len| ChunkedAttentionOptions {
        chunk_len,
        n_chunks_before: 1,
        exclude_self: true,
        segments: Some(ids.clone()),
        ..Default::default()
    };
    for (name, own_keys, o) in [
        ("chunks", false, ChunkedAttentionOptions { causal: true, ..chunks(4) }),
        ("chunks around the ends", false, ChunkedAttentionOptions { n_chunks_after: 1, ..chunks(3) }),
        ("hashed", true, ChunkedAttentionOptions { causal: true, buckets: buckets(1), ..chunks(4) }),
        ("hashed twice", true, ChunkedAttentionOptions { causal: true, buckets: buckets(2), ..chunks(3) }),
        ("hashed, masked", true, ChunkedAttentionOptions { mask: Some(masked(3)), buckets: buckets(2), ..chunks(5) }),
        ("hashed, dropped", true, ChunkedAttentionOptions { dropout: dropped, buckets: buckets(1), ..chunks(4) }),
    ] {
        let run = move |x: &[Tensor]| chunked_attention(&x[0], (!own_keys).then_some(&x[1]), &x[2], &o);
        // Keys that are not used still have a gradient, of zeros.
        all.push((name, Box::new(move |x| run(x)?.add(&x[1].sum(-1, true)?.mul_scalar(0.0)?))));
    }
    all
}

#[test]
fn what_another_segment_holds_changes_no_bit() {
    for lengths in LENGTHS {
        let ids = ids(2, lengths);
        let n = ids.shape()[1];
        for (name, run) in attentions(&ids) {
            for dtype in [DType::F32, DType::F64] {
                eprintln!("{name}, {lengths:?}, {dtype}");
                let xs = operands(2, [n, n], dtype);
                let others = xs.each_ref().map(|x| changed(x, &ids, 3));
                let (before, after) = (result_and_gradients(&run, &xs), result_and_gradients(&run, &others));
                for (a, b) in before.iter().zip(&after) {
                    assert_same_bits(&outside(a, &ids, 3), &outside(b, &ids, 3));
                }
                // A position that sees nothing but itself may have its only strength dropped.
                if name.contains("dropped") {
                    continue;
                }
                let differs = before[0].ne(&after[0]).unwrap().cast(DType::I32).unwrap().max(None, false).unwrap();
                assert_eq!(differs.item().unwrap(), 1.0, "what changed was not seen");
            }
        }
    }
}

#[test]
fn both_paths_agree_in_values_and_gradients() {
    let ids = ids(2, &[3, 5, 1]);
    for (name, run) in attentions(&ids) {
        eprintln!("{name}");
        let xs = operands(2, [9, 9], DType::F64);
        assert_close(&run(&xs).unwrap(), &force_general_path(|| run(&xs)).unwrap(), DType::F64);
        let once = |xs: &[Tensor]| Ok(vec![run(xs)?]);
        if !name.contains("less, masked") {
            check_gradients(once, &xs);
            force_general_path(|| check_gradients(once, &xs));
        }
        let xs = operands(2, [9, 9], DType::F32);
        let general = force_general_path(|| result_and_gradients(&run, &xs));
        result_and_gradients(&run, &xs).iter().zip(&general).for_each(|(a, b)| assert_within(a, b, NEAR));
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let ids = ids(2, &[200, 1, 31, 90, 62]);
    for (name, run) in attentions(&ids) {
        eprintln!("{name}");
        let xs = operands(2, [384, 384], DType::F32);
        let run = || result_and_gradients(&run, &xs);
        let one = on_threads(1, run);
        for n in [2, 4] {
            one.iter().zip(on_threads(n, run)).for_each(|(a, b)| assert_same_bits(&b, a));
        }
    }
}

/// Each sequence alone, by the same attention without segments.
#[test]
fn packed_sequences_are_as_each_alone() {
    for lengths in LENGTHS {
        let ids = ids(1, lengths);
        let n = ids.shape()[1];
        let xs = operands(1, [n, n], DType::F32);
        let buckets = |n: usize| Some(Tensor::zeros(&[1, 2 * n], DType::I32, xs[0].device()).unwrap());
        type Run<'a> = Box<dyn Fn(&[Tensor], Option<Tensor>) -> Result<Tensor> + 'a>;
        let runs: Vec<Run<'_>> = vec![
            Box::new(|x, ids| {
                let segments = ids.map(|ids| [ids.clone(), ids]);
                let o = AttentionOptions { scale: 0.4, segments, ..Default::default() };
                attention(&x[0], &x[1], &x[2], &o)
            }),
            Box::new(|x, ids| {
                let o = PenalizedAttentionOptions {
                    scale: 0.4,
                    causal: true,
                    exclude_self: true,
                    sums_to_one: true,
                    segments: ids.map(|ids| [ids.clone(), ids]),
                    ..Default::default()
                };
                penalized_attention(&x[0], &x[1], &x[2], &o)
            }),
            // One chunk holds all.
            Box::new(|x, segments| {
                let o = ChunkedAttentionOptions {
                    chunk_len: 1000,
                    causal: true,
                    exclude_self: true,
                    buckets: buckets(x[0].shape()[1]),
                    segments,
                    ..Default::default()
                };
                chunked_attention(&x[0], None, &x[2], &o)
            }),
        ];
        for run in runs {
            let packed = run(&xs, Some(ids.clone())).unwrap();
            let mut at = 0;
            for &length in lengths {
                let part = xs.each_ref().map(|x| x.narrow(1, at, length).unwrap());
                assert_within(&packed.narrow(1, at, length).unwrap(), &run(&part, None).unwrap(), NEAR);
                at += length;
            }
        }
    }
}

#[test]
fn a_query_without_a_key_in_its_segment_is_answered_with_zeros() {
    let ints = |v: &[i32]| Tensor::from_vec(v.to_vec(), &[1, v.len()]).unwrap();
    let segments = Some([ints(&[1, 1, 2, 4]), ints(&[1, 2, 2, 3, 3])]);
    let plain = AttentionOptions { segments: segments.clone(), ..Default::default() };
    let less = PenalizedAttentionOptions { segments, ..Default::default() };
    let attend = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], &plain);
    let lower = |x: &[Tensor]| penalized_attention(&x[0], &x[1], &x[2], &less);
    let xs = operands(1, [4, 5], DType::F64);
    let check = |run: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let all = result_and_gradients(run, &xs);
        let zeros = |x: &Tensor, at, n| x.narrow(1, at, n).unwrap().to_f64_vec().unwrap().iter().all(|&v| v == 0.0);
        assert!(zeros(&all[0], 3, 1) && !zeros(&all[0], 0, 1));
        assert!(zeros(&all[1], 3, 1) && zeros(&all[2], 3, 2) && zeros(&all[3], 3, 2));
        // The only key of its segment is the answer.
        assert_close(&all[0].narrow(1, 0, 1).unwrap(), &xs[2].narrow(1, 0, 1).unwrap(), DType::F64);
        check_gradients(|x| Ok(vec![run(x)?]), &xs);
    };
    for run in [&attend as &dyn Fn(&[Tensor]) -> Result<Tensor>, &lower] {
        check(run);
        force_general_path(|| check(run));
    }
}

#[test]
fn ids_of_any_integer_type_are_told_apart() {
    let xs = operands(1, [4, 4], DType::F32);
    let run = |ids: Tensor| {
        let o = AttentionOptions { segments: Some([ids.clone(), ids]), ..Default::default() };
        attention(&xs[0], &xs[1], &xs[2], &o)
    };
    let expected = run(Tensor::from_vec(vec![0i32, 0, 1, 1], &[1, 4]).unwrap()).unwrap();
    // 2³² is 0 in 32 bits.
    let wide = run(Tensor::from_vec(vec![0i64, 0, 1 << 32, 1 << 32], &[1, 4]).unwrap()).unwrap();
    let unsigned = run(Tensor::from_vec(vec![u32::MAX, u32::MAX, 0, 0], &[1, 4]).unwrap()).unwrap();
    assert_same_bits(&wide, &expected);
    assert_same_bits(&unsigned, &expected);
    assert_eq!(run(Tensor::zeros(&[1, 4], DType::F32, xs[0].device()).unwrap()).unwrap_err().kind(), {
        ErrorKind::DTypeMismatch
    });
    let wrong = Tensor::zeros(&[1, 3], DType::I32, xs[0].device()).unwrap();
    assert_eq!(run(wrong.clone()).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let o = ChunkedAttentionOptions { segments: Some(wrong), ..Default::default() };
    assert_eq!(chunked_attention(&xs[0], None, &xs[2], &o).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}
