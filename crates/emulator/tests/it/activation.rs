use crate::common::{gradients, kernel_tests, normal, result, run, same_bits, tensor};
use tallow_tensor::ops::{self, Activation};

/// In the order of their numbers.
const ALL: [Activation; 8] = [
    Activation::None,
    Activation::Relu,
    Activation::Gelu,
    Activation::FastGelu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Swish,
    Activation::Softplus,
];

/// Zeros of one sign: sums of nothing but -0 begin with +0 in one place, with the first in the other.
fn plus_zero(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| v + 0.0).collect()
}

kernel_tests! {
    fn activations_have_the_bits_of_tensors() {
        for ((rows, cols), biased) in [(0, 3), (1, 1), (3, 5), (9, 32), (4, 100)].into_iter().flat_map(|s| [(s, true), (s, false)]) {
            let mut x = normal(rows * cols, 21).iter().map(|v| v * 4.0).collect::<Vec<_>>();
            if cols > 4 && rows > 2 {
                let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-30, -120.0, 120.0, -12.0, 12.0];
                x[..10].copy_from_slice(&special);
            }
            let bias = if biased { normal(cols, 22) } else { vec![] };
            let g = normal(rows * cols, 23);
            for (kind, activation) in ALL.into_iter().enumerate() {
                let given = [rows.into(), cols.into(), kind.into(), u32::from(biased).into(), (&x).into(), (&bias).into(), result()];
                let y = run("bias_activation", &given).remove(0);
                let from_output = kind == 1 || kind == 4 || kind == 5;
                let (kept, with_bias) = if from_output { (y.f32(), false) } else { (&x[..], biased) };
                let kept_bias: &[f32] = if with_bias { &bias } else { &[] };
                let dx = run("activation_backward", &[
                    rows.into(), cols.into(), kind.into(), u32::from(with_bias).into(), kept.into(), kept_bias.into(), (&g).into(),
                    result(),
                ]).remove(0);
                let tall = rows.div_ceil(32).max((16 * 1024 / cols).max(1));
                let parts = run("sum_columns", &[1u32.into(), rows.into(), cols.into(), tall.into(), (&dx).into(), result()]);
                let n = rows.div_ceil(tall);
                let dbias = run("sum_columns", &[1u32.into(), n.into(), cols.into(), n.max(1).into(), (&parts[0]).into(), result()]);
                let mut inputs = vec![tensor(&x, &[rows, cols])];
                inputs.extend(biased.then(|| tensor(&bias, &[cols])));
                let expected = gradients(&inputs, &g, |t| ops::bias_activation(&t[0], t.get(1), activation));
                same_bits(y.f32(), &expected[0]);
                same_bits(dx.f32(), &expected[1]);
                if biased && rows > 0 {
                    let zero = tallow_tensor::Tensor::scalar(0f32);
                    same_bits(&plus_zero(dbias[0].f32()), &expected[2].add(&zero).expect("+0"));
                }
            }
        }
    }
}
