use crate::common::{close, kernel_tests, normal, result, run, same_bits, tensor, Data, Given};
use tallow_tensor::{backward, ops, DType, Result, Tensor};

/// Batch, steps, units.
const SHAPES: [[usize; 3]; 6] = [[0, 3, 4], [2, 0, 3], [1, 1, 1], [2, 5, 3], [3, 17, 33], [1, 4, 130]];

/// Outputs of `f` (two), and the gradients of all inputs for the cotangents of both.
fn both(inputs: &[Tensor], cts: [&[f32]; 2], f: impl Fn(&[Tensor]) -> Result<(Tensor, Tensor)>) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let (y, last) = f(&variables).expect("outputs");
    let seeds = [&y, &last].map(Tensor::shape).map(<[usize]>::to_vec);
    let mut out = vec![y.detach(), last.detach()];
    let seed = |i: usize, like: &Tensor| tensor(cts[i], &seeds[i]).cast(like.dtype()).expect("a cotangent");
    let (of_y, of_last) = (seed(0, &y), seed(1, &last));
    let pairs = [(y, of_y), (last, of_last)];
    out.extend(backward(&pairs, &variables, false).expect("gradients"));
    out
}

/// Batch, steps, units, size of x.
const SCANS: [[usize; 4]; 6] = [[0, 2, 3, 2], [2, 0, 3, 2], [1, 1, 1, 1], [3, 5, 4, 3], [2, 4, 33, 7], [1, 2, 300, 4]];

/// [batch, steps, n] as [steps, batch, n], or back.
fn swapped(x: &[f32], [first, second, n]: [usize; 3]) -> Vec<f32> {
    (0..second).flat_map(|s| (0..first).flat_map(move |f| (0..n).map(move |i| x[(f * second + s) * n + i]))).collect()
}

/// a · b for a of [rows, inner] and b of [inner, cols], with a bias; either may be transposed by its strides of rows and columns.
fn product(
    (a, a_at): (&[f32], [usize; 2]),
    (b, b_at): (&[f32], [usize; 2]),
    [rows, inner, cols]: [usize; 3],
    bias: &[f32],
) -> Vec<f32> {
    let element = |r: usize, c: usize| {
        let terms =
            (0..inner).map(|i| f64::from(a[r * a_at[0] + i * a_at[1]]) * f64::from(b[i * b_at[0] + c * b_at[1]]));
        (terms.sum::<f64>() + bias.get(c).copied().map_or(0.0, f64::from)) as f32
    };
    (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))).map(|(r, c)| element(r, c)).collect()
}

/// x · w + b for all steps, time first: w has `width` columns.
fn projected(x: &[f32], w: &[f32], b: &[f32], [rows, depth, width]: [usize; 3]) -> Vec<f32> {
    product((x, [depth, 1]), (w, [width, 1]), [rows, depth, width], b)
}

/// The transpose of [rows, cols].
fn turned(w: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| w[r * cols + c])).collect()
}

/// Sums of the columns of [rows, cols].
fn sums(d: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    product((&vec![1.0; rows], [rows, 1]), (d, [cols, 1]), [1, rows, cols], &[])
}

/// The gradients of w [depth + units, width] from cotangents d [rows, width]: what x and what the state were multiplied with.
fn of_weights(x: &[f32], h: &[f32], d: &[f32], [rows, depth, units, width]: [usize; 4]) -> Vec<f32> {
    let part = |from: &[f32], n: usize| product((from, [1, n]), (d, [width, 1]), [n, rows, width], &[]);
    [part(x, depth), part(h, units)].concat()
}

/// The gradient of x, batch first again.
fn of_x(d: &[f32], w: &[f32], [batch, steps, depth, width]: [usize; 4]) -> Vec<f32> {
    let dx = product((d, [width, 1]), (w, [1, width]), [batch * steps, width, depth], &[]);
    swapped(&dx, [steps, batch, depth])
}

fn wide(x: &[f32], shape: &[usize]) -> Tensor {
    tensor(x, shape).cast(DType::F64).expect("a cast")
}

/// Holds values against those of float64.
fn near(what: &str, actual: &[f32], expected: &Tensor) {
    close(what, actual, &expected.cast(DType::F32).expect("a cast"));
}

/// The last step of [steps + 1, batch, units].
fn last_of(data: &Data, batch: usize, units: usize) -> &[f32] {
    let values = data.f32();
    &values[values.len() - batch * units..]
}

kernel_tests! {
    fn long_short_term_memory_is_that_of_tensors() {
        for [batch, steps, n, depth] in SCANS {
            let rows = batch * steps;
            let (x, state) = (normal(rows * depth, 91), normal(batch * 2 * n, 92));
            let small = |len: usize, seed| normal(len, seed).iter().map(|v| v / (n as f32).sqrt()).collect::<Vec<_>>();
            let (w, b) = (small((depth + n) * 4 * n, 93), small(4 * n, 94));
            let (dy, dlast) = (normal(rows * n, 95), normal(batch * 2 * n, 96));
            let x_time = swapped(&x, [batch, steps, depth]);
            let to_gates = projected(&x_time, &w, &b, [rows, depth, 4 * n]);
            let recurrent = w[depth * 4 * n..].to_vec();
            let sizes = || -> Vec<Given<'_>> { vec![batch.into(), steps.into(), n.into()] };
            let mut given = sizes();
            given.extend([(&to_gates).into(), (&recurrent).into(), (&state).into(), result(), result(), result()]);
            let out = run("lstm", &given);
            let (back, dy_time) = (turned(&recurrent, n, 4 * n), swapped(&dy, [batch, steps, n]));
            let mut given = sizes();
            given.extend([
                (&out[0]).into(), (&out[1]).into(), (&back).into(), (&dy_time).into(), (&dlast).into(), result(), result(),
            ]);
            let d = run("lstm_backward", &given);
            let inputs = [
                wide(&x, &[batch, steps, depth]), wide(&state, &[batch, 2 * n]), wide(&w, &[depth + n, 4 * n]), wide(&b, &[4 * n]),
            ];
            let expected = both(&inputs, [&dy, &dlast], |t| ops::lstm(&t[0], &t[1], &t[2], &t[3]));
            let hidden = out[2].f32();
            near("hidden values", &swapped(&hidden[batch * n..], [steps, batch, n]), &expected[0]);
            let (c, h) = (last_of(&out[1], batch, n), last_of(&out[2], batch, n));
            let last: Vec<f32> = (0..batch).flat_map(|r| [&c[r * n..][..n], &h[r * n..][..n]].concat()).collect();
            near("the last state", &last, &expected[1]);
            let dgates = d[0].f32();
            near("of x", &of_x(dgates, &w, [batch, steps, depth, 4 * n]), &expected[2]);
            near("of the state", d[1].f32(), &expected[3]);
            near("of weights", &of_weights(&x_time, hidden, dgates, [rows, depth, n, 4 * n]), &expected[4]);
            near("of the bias", &sums(dgates, rows, 4 * n), &expected[5]);
        }
    }
    fn gated_recurrent_units_are_those_of_tensors() {
        for [batch, steps, n, depth] in SCANS {
            let rows = batch * steps;
            let (x, state) = (normal(rows * depth, 101), normal(batch * n, 102));
            let small = |len: usize, seed| normal(len, seed).iter().map(|v| v / (n as f32).sqrt()).collect::<Vec<_>>();
            let (w1, b1) = (small((depth + n) * 2 * n, 103), small(2 * n, 104));
            let (w2, b2) = (small((depth + n) * n, 105), small(n, 106));
            let (dy, dlast) = (normal(rows * n, 107), normal(batch * n, 108));
            let x_time = swapped(&x, [batch, steps, depth]);
            let to_gates = projected(&x_time, &w1, &b1, [rows, depth, 2 * n]);
            let to_candidates = projected(&x_time, &w2, &b2, [rows, depth, n]);
            let (u1, u2) = (w1[depth * 2 * n..].to_vec(), w2[depth * n..].to_vec());
            let sizes = || -> Vec<Given<'_>> { vec![batch.into(), steps.into(), n.into()] };
            let mut given = sizes();
            given.extend([
                (&to_gates).into(), (&to_candidates).into(), (&u1).into(), (&u2).into(), (&state).into(), result(), result(), result(),
            ]);
            let out = run("gru", &given);
            let (back1, back2, dy_time) = (turned(&u1, n, 2 * n), turned(&u2, n, n), swapped(&dy, [batch, steps, n]));
            let mut given = sizes();
            given.extend([
                (&out[0]).into(), (&out[1]).into(), (&out[2]).into(), (&back1).into(), (&back2).into(), (&dy_time).into(),
                (&dlast).into(), result(), result(), result(), result(),
            ]);
            let d = run("gru_backward", &given);
            let inputs = [
                wide(&x, &[batch, steps, depth]), wide(&state, &[batch, n]), wide(&w1, &[depth + n, 2 * n]), wide(&b1, &[2 * n]),
                wide(&w2, &[depth + n, n]), wide(&b2, &[n]),
            ];
            let expected = both(&inputs, [&dy, &dlast], |t| {
                let w = ops::GruWeights { gates: &t[2], gates_bias: &t[3], candidate: &t[4], candidate_bias: &t[5] };
                ops::gru(&t[0], &t[1], w)
            });
            let hidden = out[2].f32();
            near("hidden values", &swapped(&hidden[batch * n..], [steps, batch, n]), &expected[0]);
            near("the last state", last_of(&out[2], batch, n), &expected[1]);
            let (dgates, dcandidates, resets) = (d[0].f32(), d[1].f32(), d[2].f32());
            let through: Vec<Vec<f32>> =
                vec![of_x(dgates, &w1, [batch, steps, depth, 2 * n]), of_x(dcandidates, &w2, [batch, steps, depth, n])];
            let dx: Vec<f32> = through[0].iter().zip(&through[1]).map(|(a, b)| a + b).collect();
            near("of x", &dx, &expected[2]);
            near("of the state", d[3].f32(), &expected[3]);
            near("of the gates' weights", &of_weights(&x_time, hidden, dgates, [rows, depth, n, 2 * n]), &expected[4]);
            near("of their bias", &sums(dgates, rows, 2 * n), &expected[5]);
            near("of the candidate's weights", &of_weights(&x_time, resets, dcandidates, [rows, depth, n, n]), &expected[6]);
            near("of its bias", &sums(dcandidates, rows, n), &expected[7]);
        }
    }
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
