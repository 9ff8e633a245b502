//! Operations that run kernels where a GPU would, against the kernels of the CPU: argument lists, strides, shapes and grids.
use crate::common::kernel_tests;
use tallow_emulator::{launched, take_over};
use tallow_tensor::{
    backward, force_general_path, host_trips,
    ops::{
        self, adam_update, momentum_update, sgd_update, Activation, AdamStep, AttentionOptions,
        ChunkedAttentionOptions, Clip, GruWeights, MomentumStep, SgdStep,
    },
    random::Key,
    testing, DType, Result, Tensor,
};

/// Reproducible normal values.
fn normal(shape: &[usize], seed: u64) -> Tensor {
    testing::random(shape, seed).cast(DType::F32).expect("a cast")
}

/// Outputs of `f`, and the gradients of all inputs for cotangents of all outputs.
fn all_of(inputs: &[Tensor], f: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let outputs = f(&variables).expect("outputs");
    let mut all: Vec<Tensor> = outputs.iter().map(Tensor::detach).collect();
    let pairs: Vec<(Tensor, Tensor)> = (outputs.into_iter().enumerate())
        .map(|(i, y)| {
            let ct = normal(y.shape(), 900 + i as u64).cast(y.dtype()).expect("a cotangent");
            (y, ct)
        })
        .collect();
    all.extend(backward(&pairs, &variables, false).expect("gradients"));
    all
}

/// Holds `f` on the kernels of accelerators against the kernels of the CPU: the same bits, or near. It must run each of `kernels`.
#[track_caller]
fn check(what: &str, kernels: &[&str], same: bool, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    take_over();
    let expected = all_of(inputs, &f);
    assert!(launched().is_empty(), "{what}: the CPU has kernels of its own");
    let actual = force_general_path(|| all_of(inputs, &f));
    let names = launched();
    for kernel in kernels {
        assert!(names.contains(kernel), "{what}: {kernel} was not run, but {names:?}");
    }
    assert_eq!(actual.len(), expected.len());
    for (i, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        assert_eq!((actual.shape(), actual.dtype()), (expected.shape(), expected.dtype()), "{what}: {i}");
        if same {
            testing::assert_same_bits(&actual.contiguous().expect("values"), &expected.contiguous().expect("values"));
        } else if let Err(message) = testing::within(actual, expected, testing::tolerance(expected.dtype())) {
            panic!("{what}: {i}: {message}");
        }
    }
}

kernel_tests! {
    fn rows_have_the_bits_of_the_cpu() {
        for shape in [&[3usize, 5][..], &[2, 3, 40], &[9]] {
            let cols = *shape.last().expect("a last axis");
            let x = normal(shape, 1);
            check("softmax", &["softmax", "softmax_backward"], true, std::slice::from_ref(&x), |t| Ok(vec![t[0].softmax(-1)?]));
            check("log_softmax", &["softmax"], true, std::slice::from_ref(&x), |t| Ok(vec![t[0].log_softmax(0)?]));
            let norm = ["layer_norm", "layer_norm_backward", "layer_norm_parameters"];
            let inputs = [x.clone(), normal(&[cols], 2), normal(&[cols], 3)];
            check("layer_norm", &norm, true, &inputs, |t| Ok(vec![ops::layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3)?]));
            check("rms_norm", &norm, true, &inputs[..2], |t| Ok(vec![ops::rms_norm(&t[0], Some(&t[1]), 1e-3)?]));
            check("dropout", &["dropout"], true, std::slice::from_ref(&x), |t| Ok(vec![ops::dropout(&t[0], 0.3, Key::new(4), shape)?]));
            let swapped = x.transpose(None).expect("a view");
            check("of a view", &["softmax"], true, &[swapped], |t| Ok(vec![t[0].softmax(-1)?]));
        }
    }
    fn activations_have_the_bits_of_the_cpu() {
        let inputs = [normal(&[3, 4, 7], 5), normal(&[7], 6)];
        let all = [
            Activation::None, Activation::Relu, Activation::Gelu, Activation::FastGelu, Activation::Sigmoid, Activation::Tanh,
            Activation::Swish, Activation::Softplus,
        ];
        for activation in all {
            let run = ["bias_activation", "activation_backward", "sum_columns"];
            check("bias", &run, true, &inputs, |t| Ok(vec![ops::bias_activation(&t[0], Some(&t[1]), activation)?]));
            if activation != Activation::None {
                check("no bias", &run[..2], true, &inputs[..1], |t| Ok(vec![ops::bias_activation(&t[0], None, activation)?]));
            }
        }
    }
    fn cross_entropy_stays_on_the_device() {
        let targets = Tensor::from_vec(vec![3i32, -1, 0, 6, 2, 9], &[2, 3]).expect("ids");
        let run = ["cross_entropy", "cross_entropy_backward"];
        for smoothing in [0.0, 0.1] {
            let f = |t: &[Tensor]| Ok(vec![ops::cross_entropy(&t[0], &targets, smoothing)?]);
            check("cross_entropy", &run, true, &[normal(&[2, 3, 7], 7)], f);
        }
    }
    fn embeddings_stay_on_the_device() {
        let ids = Tensor::from_vec(vec![3i32, 1, 0, 3, 2, 3, 3], &[7]).expect("ids");
        let run = ["embedding", "embedding_backward", "sort_count", "sort_offsets", "sort_move"];
        check("embedding", &run, true, &[normal(&[5, 6], 8)], |t| Ok(vec![ops::embedding(&t[0], &ids)?]));
    }
    fn reductions_have_the_bits_of_the_cpu() {
        let x = normal(&[3, 50, 4], 9);
        for axes in [vec![0isize], vec![1], vec![2], vec![0, 2], vec![0, 1, 2]] {
            let kernel = if axes.last() == Some(&2) { "sum_rows" } else { "sum_columns" };
            check("sum", &[kernel], true, std::slice::from_ref(&x), |t| Ok(vec![t[0].sum(&axes[..], false)?]));
        }
        take_over();
        for (axis, keepdims) in [(Some(-1), false), (None, true)] {
            for (largest, expected) in [(true, x.argmax(axis, keepdims)), (false, x.argmin(axis, keepdims))] {
                let expected = expected.expect("places");
                let actual = force_general_path(|| if largest { x.argmax(axis, keepdims) } else { x.argmin(axis, keepdims) });
                let actual = actual.expect("places");
                assert_eq!(actual.shape(), expected.shape());
                assert_eq!(actual.to_vec::<i32>().expect("places"), expected.to_vec::<i32>().expect("places"));
            }
        }
        assert_eq!(launched(), ["max_rows"; 4]);
        let trips = host_trips();
        assert!(trips.iter().all(|&(what, _)| what != "argmax and argmin"), "{trips:?}");
    }
    fn attention_is_that_of_the_cpu() {
        let run = ["attention", "attention_inner", "attention_dq", "attention_dkv"];
        let mask = Tensor::from_bools((0..11).map(|i| u8::from(i % 3 != 1)).collect(), &[11]).expect("a mask");
        for lead in [vec![], vec![3], vec![2, 3], vec![2, 1, 2]] {
            let of = |rows: usize, size: usize, seed| normal(&[&lead[..], &[rows, size]].concat(), seed);
            let inputs = [of(9, 8, 10), of(11, 8, 11), of(11, 5, 12)];
            let plain = AttentionOptions { scale: 0.4, ..AttentionOptions::default() };
            let cases = [
                plain.clone(),
                AttentionOptions { causal: true, ..plain.clone() },
                AttentionOptions { mask: Some(mask.clone()), ..plain.clone() },
                AttentionOptions { dropout: Some((0.25, Key::new(3))), ..plain },
            ];
            for options in cases {
                check("attention", &run, false, &inputs, |t| Ok(vec![ops::attention(&t[0], &t[1], &t[2], &options)?]));
            }
        }
        // Heads that lie within rows, and keys that all heads share.
        let shared = [normal(&[2, 9, 3, 8], 13), normal(&[2, 1, 11, 8], 14), normal(&[2, 1, 11, 5], 15)];
        let options = AttentionOptions::default();
        check("views", &run, false, &shared, |t| Ok(vec![ops::attention(&t[0].swap_axes(1, 2)?, &t[1], &t[2], &options)?]));
    }
    fn chunked_attention_is_that_of_the_cpu() {
        let run = ["lsh_attention", "attention_inner", "lsh_attention_dq", "lsh_attention_dkv"];
        let mask = Tensor::from_bools((0..40).map(|i| u8::from(i % 5 != 1)).collect(), &[2, 1, 20]).expect("a mask");
        let buckets = Tensor::from_vec((0..2 * 2 * 40).map(|i: i32| i * 7 % 5).collect(), &[2, 2, 40]).expect("buckets");
        let inputs = [normal(&[2, 2, 20, 8], 16), normal(&[2, 2, 20, 8], 17), normal(&[2, 2, 20, 6], 18)];
        let plain = ChunkedAttentionOptions { chunk_len: 6, n_chunks_before: 1, ..ChunkedAttentionOptions::default() };
        let cases = [
            plain.clone(),
            ChunkedAttentionOptions { causal: true, n_chunks_after: 1, ..plain.clone() },
            ChunkedAttentionOptions { exclude_self: true, mask: Some(mask), ..plain.clone() },
            ChunkedAttentionOptions { buckets: Some(buckets), causal: true, exclude_self: true, ..plain.clone() },
            ChunkedAttentionOptions { dropout: Some((0.25, Key::new(5))), chunk_len: 5, ..plain },
        ];
        for options in &cases {
            let apart = |t: &[Tensor]| Ok(vec![ops::chunked_attention(&t[0], Some(&t[1]), &t[2], options)?]);
            check("with keys", &run, false, &inputs, apart);
            let two = [inputs[0].clone(), inputs[2].clone()];
            check("without keys", &run, false, &two, |t| Ok(vec![ops::chunked_attention(&t[0], None, &t[1], options)?]));
        }
        let joint = [normal(&[2, 20, 2, 14], 19)];
        let f = |t: &[Tensor]| Ok(vec![ops::chunked_attention_joint(&t[0].swap_axes(1, 2)?, 8, &cases[3])?]);
        check("side by side", &run, false, &joint, f);
    }
    fn recurrent_networks_are_those_of_the_cpu() {
        let (batch, steps, depth, n) = (3, 4, 5, 6);
        let x = normal(&[batch, steps, depth], 20);
        let weights = |rows: usize, cols: usize, seed| normal(&[rows, cols], seed).mul_scalar(0.4).expect("weights");
        let inputs = [x.clone(), normal(&[batch, 2 * n], 21), weights(depth + n, 4 * n, 22), normal(&[4 * n], 23)];
        check("lstm", &["lstm", "lstm_backward"], false, &inputs, |t| {
            let (y, last) = ops::lstm(&t[0], &t[1], &t[2], &t[3])?;
            Ok(vec![y, last])
        });
        let inputs = [
            x, normal(&[batch, n], 24), weights(depth + n, 2 * n, 25), normal(&[2 * n], 26), weights(depth + n, n, 27), normal(&[n], 28),
        ];
        check("gru", &["gru", "gru_backward"], false, &inputs, |t| {
            let w = GruWeights { gates: &t[2], gates_bias: &t[3], candidate: &t[4], candidate_bias: &t[5] };
            let (y, last) = ops::gru(&t[0], &t[1], w)?;
            Ok(vec![y, last])
        });
        let whole = [batch, steps, n];
        let inputs = [normal(&whole, 29), normal(&whole, 30).sigmoid().expect("shares"), normal(&[batch, n], 31)];
        check("recurrence", &["linear_recurrence", "linear_recurrence_backward"], true, &inputs, |t| {
            let (y, last) = ops::linear_recurrence(&t[0], &t[1], &t[2])?;
            Ok(vec![y, last])
        });
        let inputs = [normal(&[batch, steps, 3 * n], 32), normal(&whole, 33), normal(&[batch, n], 34)];
        check("sru", &["sru", "sru_backward"], true, &inputs, |t| {
            let (y, last) = ops::sru(&t[0], &t[1], &t[2])?;
            Ok(vec![y, last])
        });
    }
    fn steps_of_optimizers_have_the_bits_of_the_cpu() {
        take_over();
        let (p, g, m) = (normal(&[33, 70], 35), normal(&[33, 70], 36), normal(&[33, 70], 37));
        let v = m.square().expect("squares");
        let clip = Clip { scale: 0.7, limit: 0.5 };
        let adam = AdamStep { lr: 0.01, b1: 0.9, b2: 0.99, eps: 1e-5, weight_decay_rate: 1e-4, step: 3 };
        let momentum = MomentumStep { lr: 0.01, mass: 0.9, share: 0.3, weight_decay_rate: 0.01, l2: 0.1, nesterov: true };
        let sgd = SgdStep { lr: 0.1, weight_decay_rate: 0.001, l2: 0.02 };
        let all = || {
            let (a, b, c) = adam_update(p.clone(), &g, m.clone(), v.clone(), clip, &adam).expect("a step");
            let (d, e) = momentum_update(p.clone(), &g, m.clone(), clip, &momentum).expect("a step");
            [a, b, c, d, e, sgd_update(p.clone(), &g, clip, &sgd).expect("a step")]
        };
        let (expected, actual) = (all(), force_general_path(all));
        assert_eq!(launched(), ["adam", "momentum", "sgd"]);
        for (actual, expected) in actual.iter().zip(&expected) {
            testing::assert_same_bits(actual, expected);
        }
    }
}
