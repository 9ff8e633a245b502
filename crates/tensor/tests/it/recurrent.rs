//! Whole sequences against their cells step by step, on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads};
use tallow_tensor::{
    backward,
    ops::{gru, gru_cell, linear_recurrence, lstm, lstm_cell, sru, GruWeights},
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Result, Tensor,
};

const SIZES: [[usize; 4]; 6] = [[2, 5, 3, 4], [1, 1, 2, 1], [9, 3, 1, 5], [3, 7, 4, 33], [17, 2, 5, 9], [4, 4, 6, 40]];

fn small(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).mul_scalar(0.4).unwrap()
}

fn lstm_inputs([batch, steps, depth, n]: [usize; 4]) -> Vec<Tensor> {
    vec![
        random(&[batch, steps, depth], 1),
        random(&[batch, 2 * n], 2),
        small(&[depth + n, 4 * n], 3),
        small(&[4 * n], 4),
    ]
}

fn gru_inputs([batch, steps, depth, n]: [usize; 4]) -> Vec<Tensor> {
    vec![
        random(&[batch, steps, depth], 1),
        random(&[batch, n], 2),
        small(&[depth + n, 2 * n], 3),
        small(&[2 * n], 4),
        small(&[depth + n, n], 5),
        small(&[n], 6),
    ]
}

fn sru_inputs([batch, steps, _, n]: [usize; 4]) -> Vec<Tensor> {
    vec![random(&[batch, steps, 3 * n], 1), random(&[batch, steps, n], 2), random(&[batch, n], 3)]
}

fn weights(t: &[Tensor]) -> GruWeights<'_> {
    GruWeights { gates: &t[0], gates_bias: &t[1], candidate: &t[2], candidate_bias: &t[3] }
}

fn pair((y, last): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![y, last]
}

/// Both results as one tensor, so that gradients flow from both.
fn joined((y, last): (Tensor, Tensor)) -> Result<Tensor> {
    Tensor::concat(&[y.reshape(&[y.size()])?, last.reshape(&[last.size()])?], 0)
}

#[test]
fn values_by_hand() {
    // One unit, one input: the formulas with numbers.
    let t = |v: &[f64], s: &[usize]| Tensor::from_vec(v.to_vec(), s).unwrap();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (w, b) = (t(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], &[2, 4]), t(&[0.01, 0.02, 0.03, 0.04], &[4]));
    let (y, last) = lstm(&t(&[2.0], &[1, 1, 1]), &t(&[0.5, -1.0], &[1, 2]), &w, &b).unwrap();
    let gate = |k: usize| 2.0 * (0.1 + 0.1 * k as f64) - (0.5 + 0.1 * k as f64) + 0.01 * (k + 1) as f64;
    let c = 0.5 * sigmoid(gate(2)) + sigmoid(gate(0)) * gate(1).tanh();
    let h = c.tanh() * sigmoid(gate(3));
    assert_close(&y, &t(&[h], &[1, 1, 1]), DType::F64);
    assert_close(&last, &t(&[c, h], &[1, 2]), DType::F64);

    let w = [t(&[0.1, 0.2, 0.3, 0.4], &[2, 2]), t(&[0.5, 0.6], &[2]), t(&[0.7, 0.8], &[2, 1]), t(&[0.9], &[1])];
    let (y, last) = gru(&t(&[2.0], &[1, 1, 1]), &t(&[-0.5], &[1, 1]), weights(&w)).unwrap();
    let (u, r) = (sigmoid(0.2 - 0.15 + 0.5), sigmoid(0.4 - 0.2 + 0.6));
    let h = u * -0.5 + (1.0 - u) * (1.4 + 0.8 * r * -0.5 + 0.9f64).tanh();
    assert_close(&y, &t(&[h], &[1, 1, 1]), DType::F64);
    assert_close(&last, &t(&[h], &[1, 1]), DType::F64);

    let (y, last) = sru(&t(&[0.3, -0.2, 0.7], &[1, 1, 3]), &t(&[2.0], &[1, 1, 1]), &t(&[0.4], &[1, 1])).unwrap();
    let c = sigmoid(-0.2) * 0.4 + (1.0 - sigmoid(-0.2)) * 0.7;
    assert_close(&last, &t(&[c], &[1, 1]), DType::F64);
    let h = sigmoid(0.3) * c + (1.0 - sigmoid(0.3)) * 2.0 * 3f64.sqrt();
    assert_close(&y, &t(&[h], &[1, 1, 1]), DType::F64);
}

#[test]
fn a_sequence_is_its_cells_step_by_step() {
    for size in SIZES {
        let (a, b) = (lstm_inputs(size), gru_inputs(size));
        let (mut state_a, mut state_b) = (a[1].clone(), b[1].clone());
        let (ys_a, last_a) = lstm(&a[0], &a[1], &a[2], &a[3]).unwrap();
        let (ys_b, last_b) = gru(&b[0], &b[1], weights(&b[2..])).unwrap();
        for t in 0..size[1] as isize {
            let y;
            (y, state_a) = lstm_cell(&a[0].index(1, t).unwrap(), &state_a, &a[2], &a[3]).unwrap();
            assert_close(&ys_a.index(1, t).unwrap(), &y, DType::F64);
            state_b = gru_cell(&b[0].index(1, t).unwrap(), &state_b, weights(&b[2..])).unwrap();
            assert_close(&ys_b.index(1, t).unwrap(), &state_b, DType::F64);
        }
        assert_close(&last_a, &state_a, DType::F64);
        assert_close(&last_b, &state_b, DType::F64);
    }
}

#[test]
fn gradients() {
    for size in &SIZES[..3] {
        check_gradients(|t| Ok(pair(lstm(&t[0], &t[1], &t[2], &t[3])?)), &lstm_inputs(*size));
        check_gradients(|t| Ok(pair(gru(&t[0], &t[1], weights(&t[2..]))?)), &gru_inputs(*size));
        check_gradients(|t| Ok(pair(sru(&t[0], &t[1], &t[2])?)), &sru_inputs(*size));
        let [_, f, state]: [Tensor; 3] = sru_inputs(*size).try_into().unwrap();
        check_gradients(|t| Ok(pair(linear_recurrence(&t[0], &t[1], &t[2])?)), &[f.sin().unwrap(), f, state]);
    }
    // One result alone, and some of the inputs alone.
    let (a, b) = (lstm_inputs(SIZES[0]), gru_inputs(SIZES[0]));
    check_gradients(|t| Ok(vec![lstm(&a[0], &a[1], &t[0], &a[3])?.0]), &a[2..3]);
    check_gradients(|t| Ok(vec![lstm(&t[0], &a[1], &a[2], &a[3])?.1]), &a[..1]);
    check_gradients(|t| Ok(vec![gru(&b[0], &t[0], weights(&b[2..]))?.1]), &b[1..2]);
}

#[test]
fn both_paths_agree() {
    for size in &SIZES[..5] {
        assert_paths_agree(|t| joined(lstm(&t[0], &t[1], &t[2], &t[3])?), &lstm_inputs(*size));
        assert_paths_agree(|t| joined(gru(&t[0], &t[1], weights(&t[2..]))?), &gru_inputs(*size));
        assert_paths_agree(|t| joined(sru(&t[0], &t[1], &t[2])?), &sru_inputs(*size));
        assert_paths_agree(|t| joined(linear_recurrence(&t[0], &t[0].tanh()?, &t[1])?), &sru_inputs(*size)[1..]);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let size = [19, 6, 24, 40];
    let f32 = DType::F32;
    assert_same_on_any_threads(|t| joined(lstm(&t[0], &t[1], &t[2], &t[3])?), &lstm_inputs(size), f32);
    assert_same_on_any_threads(|t| joined(gru(&t[0], &t[1], weights(&t[2..]))?), &gru_inputs(size), f32);
    assert_same_on_any_threads(|t| joined(sru(&t[0], &t[1], &t[2])?), &sru_inputs([5, 40, 1, 200]), f32);
}

/// A row of a batch has the bits it has alone or beside others: how many rows a task takes does not show.
#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    let inputs: Vec<Tensor> = lstm_inputs([11, 3, 5, 37]).iter().map(|t| t.cast(DType::F32).unwrap()).collect();
    let (all, _) = lstm(&inputs[0], &inputs[1], &inputs[2], &inputs[3]).unwrap();
    for (start, rows) in [(0, 1), (3, 2), (4, 7)] {
        let part = |t: &Tensor| t.narrow(0, start, rows).unwrap();
        let (some, _) = lstm(&part(&inputs[0]), &part(&inputs[1]), &inputs[2], &inputs[3]).unwrap();
        assert_close(&some, &part(&all), DType::F32);
    }
}

#[test]
fn views_are_taken_as_they_lie() {
    let inputs = lstm_inputs([3, 4, 5, 6]);
    let flipped = inputs[0].swap_axes(0, 1).unwrap().contiguous().unwrap().swap_axes(0, 1).unwrap();
    let (a, b) =
        (lstm(&inputs[0], &inputs[1], &inputs[2], &inputs[3]), lstm(&flipped, &inputs[1], &inputs[2], &inputs[3]));
    assert_close(&a.unwrap().0, &b.unwrap().0, DType::F64);
}

#[test]
fn empty_sequences_and_batches() {
    for [batch, steps] in [[0, 3], [2, 0], [0, 0]] {
        let inputs: Vec<Tensor> = lstm_inputs([batch, steps, 3, 4]).iter().map(Tensor::variable).collect();
        let (y, last) = lstm(&inputs[0], &inputs[1], &inputs[2], &inputs[3]).unwrap();
        assert_eq!((y.shape(), last.shape()), (&[batch, steps, 4][..], &[batch, 8][..]));
        if steps == 0 {
            assert_close(&last, &inputs[1], DType::F64);
        }
        let ct = last.detach();
        for (g, t) in tallow_tensor::backward(&[(last, ct)], &inputs, false).unwrap().iter().zip(&inputs) {
            assert_eq!(g.shape(), t.shape());
        }
        let inputs = gru_inputs([batch, steps, 3, 4]);
        let (y, last) = gru(&inputs[0], &inputs[1], weights(&inputs[2..])).unwrap();
        assert_eq!((y.shape(), last.shape()), (&[batch, steps, 4][..], &[batch, 4][..]));
        let inputs = sru_inputs([batch, steps, 3, 4]);
        let (y, last) = sru(&inputs[0], &inputs[1], &inputs[2]).unwrap();
        assert_eq!((y.shape(), last.shape()), (&[batch, steps, 4][..], &[batch, 4][..]));
    }
}

#[test]
fn refusals_name_the_shapes() {
    let t = |shape: &[usize]| random(shape, 1);
    let kind = |r: Result<(Tensor, Tensor)>| r.unwrap_err().kind();
    let (x, state, w, b) = (t(&[2, 3, 4]), t(&[2, 10]), t(&[9, 20]), t(&[20]));
    assert!(lstm(&x, &state, &w, &b).is_ok());
    for bad in [
        lstm(&t(&[2, 4]), &state, &w, &b),
        lstm(&x, &t(&[3, 10]), &w, &b),
        lstm(&x, &t(&[2, 9]), &w, &b),
        lstm(&x, &state, &t(&[8, 20]), &b),
        lstm(&x, &state, &t(&[9, 21]), &b),
        lstm(&x, &state, &w, &t(&[19])),
        sru(&t(&[2, 3, 12]), &x, &t(&[3, 4])),
        sru(&t(&[2, 3, 11]), &x, &t(&[2, 4])),
        linear_recurrence(&x, &t(&[2, 2, 4]), &t(&[2, 4])),
    ] {
        assert_eq!(kind(bad), ErrorKind::ShapeMismatch);
    }
    let text = lstm(&x, &state, &t(&[8, 20]), &b).unwrap_err().to_string();
    assert!(text.contains("[2, 3, 4]") && text.contains("[8, 20]"), "{text}");
    assert_eq!(kind(lstm(&x.cast(DType::I32).unwrap(), &state, &w, &b)), ErrorKind::DTypeMismatch);
}

#[test]
fn either_result_may_be_left_unused() {
    let [l, g, s] = [lstm_inputs([2, 3, 2, 4]), gru_inputs([2, 3, 2, 4]), sru_inputs([2, 3, 2, 4])];
    let scan = vec![random(&[2, 3, 4], 1), random(&[2, 3, 4], 2), random(&[2, 4], 3)];
    type Run = fn(&[Tensor]) -> Result<(Tensor, Tensor)>;
    let all: [(Run, Vec<Tensor>); 4] = [
        (|t| lstm(&t[0], &t[1], &t[2], &t[3]), l),
        (|t| gru(&t[0], &t[1], weights(&t[2..])), g),
        (|t| sru(&t[0], &t[1], &t[2]), s),
        (|t| linear_recurrence(&t[0], &t[1], &t[2]), scan),
    ];
    for (run, inputs) in all {
        let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
        let outputs = pair(run(&variables).unwrap());
        let ct = |i: usize| random(outputs[i].shape(), 7 + i as u64);
        for used in [0, 1] {
            let alone = backward(&[(outputs[used].clone(), ct(used))], &variables, true).unwrap();
            let zeros = outputs[1 - used].detach().zeros_like().unwrap();
            let both = [(outputs[used].clone(), ct(used)), (outputs[1 - used].clone(), zeros)];
            let both = backward(&both, &variables, true).unwrap();
            alone.iter().zip(&both).for_each(|(a, b)| assert_close(a, b, DType::F64));
            check_gradients(|t| Ok(vec![pair(run(t)?).swap_remove(used)]), &inputs);
        }
    }
}
