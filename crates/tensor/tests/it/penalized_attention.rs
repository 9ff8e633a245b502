//! Attention by penalties against the same composed of operations, and its gradients.
use tallow_tensor::{
    backward, force_general_path,
    ops::{attention, penalized_attention, AttentionOptions, PenalizedAttentionOptions},
    random::Key,
    testing::{assert_close, assert_within, check_gradients, random, Tolerance},
    DType, ErrorKind, Tensor,
};

fn penalties(shape: &[usize], period: usize) -> Option<Tensor> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| if i % period == 0 { 1e9 } else { 0.0 }).collect::<Vec<f64>>();
    Some(Tensor::from_vec(values, shape).unwrap())
}

#[test]
fn both_paths_agree_in_values_and_gradients() {
    let o = || PenalizedAttentionOptions { scale: 0.5, ..Default::default() };
    let cases = [
        ([2, 5, 7], o()),
        ([2, 6, 6], PenalizedAttentionOptions { causal: true, ..o() }),
        ([1, 6, 6], PenalizedAttentionOptions { causal: true, exclude_self: true, ..o() }),
        ([2, 4, 6], PenalizedAttentionOptions { key_penalties: penalties(&[2, 6], 4), ..o() }),
        ([2, 6, 6], PenalizedAttentionOptions { causal: true, key_penalties: penalties(&[6], 3), ..o() }),
        ([2, 4, 6], PenalizedAttentionOptions { key_penalties: penalties(&[2, 6], 1), ..o() }),
        ([2, 4, 6], PenalizedAttentionOptions { dropout: Some((0.4, Key::new(3))), ..o() }),
        ([1, 150, 150], PenalizedAttentionOptions { causal: true, exclude_self: true, ..o() }),
        ([1, 70, 300], PenalizedAttentionOptions { key_penalties: penalties(&[300], 1), ..o() }),
    ];
    for ([b, queries, keys], options) in cases {
        eprintln!("{b} {queries} {keys} {options:?}");
        let xs = [random(&[b, queries, 3], 1), random(&[b, keys, 3], 2), random(&[b, keys, 2], 3)];
        let run = |xs: &[Tensor]| penalized_attention(&xs[0], &xs[1], &xs[2], &options);
        assert_within(
            &run(&xs).unwrap(),
            &force_general_path(|| run(&xs)).unwrap(),
            Tolerance { absolute: 1e-6, relative: 1e-6 },
        );
        if options.key_penalties.is_none() && queries < 10 {
            check_gradients(|xs| Ok(vec![run(xs)?]), &xs);
            force_general_path(|| check_gradients(|xs| Ok(vec![run(xs)?]), &xs));
        }
        let xs = xs.map(|x| x.cast(DType::F32).unwrap());
        let gradients = || {
            let vars: Vec<Tensor> = xs.iter().map(Tensor::variable).collect();
            let y = run(&vars).unwrap();
            let ct = random(y.shape(), 8).cast(DType::F32).unwrap();
            let mut all = backward(&[(y.clone(), ct)], &vars, false).unwrap();
            all.push(y.detach());
            all
        };
        for (a, b) in gradients().iter().zip(&force_general_path(gradients)) {
            assert_within(a, b, Tolerance { absolute: 1e-4, relative: 1e-4 });
        }
    }
}

#[test]
fn without_penalties_it_is_attention() {
    let [q, k, v] = [1, 2, 3].map(|seed| random(&[2, 5, 4], seed));
    let penalized =
        penalized_attention(&q, &k, &v, &PenalizedAttentionOptions { causal: true, ..Default::default() }).unwrap();
    let plain = attention(&q, &k, &v, &AttentionOptions { causal: true, ..Default::default() }).unwrap();
    assert_close(&penalized, &plain, DType::F64);
}

#[test]
fn in_float32_masked_keys_only_weigh_one_each() {
    let [q, k, v] = [1, 2, 3].map(|seed| random(&[3, 4], seed).cast(DType::F32).unwrap());
    let options = PenalizedAttentionOptions { key_penalties: penalties(&[3], 1), ..Default::default() };
    let y = penalized_attention(&q, &k, &v, &options).unwrap();
    assert_close(&y, &v.sum(0, true).unwrap().broadcast_to(&[3, 4]).unwrap(), DType::F32);
}

#[test]
fn weights_of_masked_keys_sum_to_one_where_they_are_asked_to() {
    let [q, k, v] = [1, 2, 3].map(|seed| random(&[5, 4], seed).cast(DType::F32).unwrap());
    let options = || PenalizedAttentionOptions { sums_to_one: true, ..Default::default() };
    let mean = v.mean(0, true).unwrap().broadcast_to(&[5, 4]).unwrap();
    let all = PenalizedAttentionOptions { key_penalties: penalties(&[5], 1), ..options() };
    let run = || penalized_attention(&q, &k, &v, &all).unwrap();
    for y in [run(), force_general_path(run)] {
        assert_close(&y, &mean, DType::F32);
    }
    // Elsewhere it is the same.
    let some = |sums_to_one| PenalizedAttentionOptions {
        causal: true,
        exclude_self: true,
        key_penalties: penalties(&[5], 3),
        sums_to_one,
        ..Default::default()
    };
    let run = |sums_to_one| penalized_attention(&q, &k, &v, &some(sums_to_one)).unwrap().narrow(0, 2, 3).unwrap();
    assert_close(&run(true), &run(false), DType::F32);
}

#[test]
fn penalties_must_fit_the_keys() {
    let x = random(&[2, 5, 4], 1);
    for shape in [vec![4], vec![3, 5], vec![1]] {
        let options = PenalizedAttentionOptions { key_penalties: penalties(&shape, 2), ..Default::default() };
        assert_eq!(penalized_attention(&x, &x, &x, &options).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    }
}
