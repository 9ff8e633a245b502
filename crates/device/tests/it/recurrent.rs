use crate::common::{kernel_tests, normal, result, run, same_bits, tensor};
use tallow_tensor::{backward, ops, Result, Tensor};

/// Batch, steps, units.
const SHAPES: [[usize; 3]; 6] = [[0, 3, 4], [2, 0, 3], [1, 1, 1], [2, 5, 3], [3, 17, 33], [1, 4, 130]];

/// Outputs of `f` (two), and the gradients of all inputs for the cotangents of both.
fn both(inputs: &[Tensor], cts: [&[f32]; 2], f: impl Fn(&[Tensor]) -> Result<(Tensor, Tensor)>) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let (y, last) = f(&variables).expect("outputs");
    let seeds = [&y, &last].map(Tensor::shape).map(<[usize]>::to_vec);
    let mut out = vec![y.detach(), last.detach()];
    let pairs = [(y, tensor(cts[0], &seeds[0])), (last, tensor(cts[1], &seeds[1]))];
    out.extend(backward(&pairs, &variables, false).expect("gradients"));
    out
}

kernel_tests! {
    fn linear_recurrence_has_the_bits_of_tensors() {
        for [batch, steps, units] in SHAPES {
            let n = batch * steps * units;
            let (x, state, dy, dlast) = (normal(n, 51), normal(batch * units, 52), normal(n, 53), normal(batch * units, 54));
            let f: Vec<f32> = normal(n, 55).iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect();
            let sizes = || [batch.into(), steps.into(), units.into()].into_iter();
            let cells = run("linear_recurrence", &sizes().chain([(&x).into(), (&f).into(), (&state).into(), result()]).collect::<Vec<_>>());
            let d = run("linear_recurrence_backward", &sizes().chain([
                (&f).into(), (&state).into(), (&cells[0]).into(), (&dy).into(), (&dlast).into(), result(), result(), result(),
            ]).collect::<Vec<_>>());
            let whole = [batch, steps, units];
            let inputs = [tensor(&x, &whole), tensor(&f, &whole), tensor(&state, &[batch, units])];
            let expected = both(&inputs, [&dy, &dlast], |t| ops::linear_recurrence(&t[0], &t[1], &t[2]));
            for (actual, expected) in [&cells[0], &d[0], &d[1], &d[2]].into_iter().zip([0, 2, 3, 4].map(|i| &expected[i])) {
                same_bits(actual.f32(), expected);
            }
        }
    }
    fn simple_recurrent_units_have_the_bits_of_tensors() {
        for [batch, steps, units] in SHAPES {
            let n = batch * steps * units;
            let (gates, x, state) = (normal(3 * n, 61), normal(n, 62), normal(batch * units, 63));
            let (dy, dlast) = (normal(n, 64), normal(batch * units, 65));
            let sizes = || [batch.into(), steps.into(), units.into()].into_iter();
            let out = run("sru", &sizes().chain([(&gates).into(), (&x).into(), (&state).into(), result(), result()]).collect::<Vec<_>>());
            let d = run("sru_backward", &sizes().chain([
                (&gates).into(), (&x).into(), (&state).into(), (&out[1]).into(), (&dy).into(), (&dlast).into(),
                result(), result(), result(),
            ]).collect::<Vec<_>>());
            let inputs =
                [tensor(&gates, &[batch, steps, 3 * units]), tensor(&x, &[batch, steps, units]), tensor(&state, &[batch, units])];
            let expected = both(&inputs, [&dy, &dlast], |t| ops::sru(&t[0], &t[1], &t[2]));
            for (actual, expected) in [&out[0], &d[0], &d[1], &d[2]].into_iter().zip([0, 2, 3, 4].map(|i| &expected[i])) {
                same_bits(actual.f32(), expected);
            }
        }
    }
}
