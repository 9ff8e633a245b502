use crate::common::{gradients, kernel_tests, normal, result, run, same_bits, tensor, Data};
use tallow_tensor::{ops, Tensor};

const SHAPES: [(usize, usize); 8] = [(0, 5), (1, 1), (3, 4), (9, 31), (8, 32), (5, 33), (17, 100), (2, 1025)];
/// Elements of a task of the kernels of tensors.
const GRAIN: usize = 16 * 1024;

/// Output, gradients of x, scale and bias.
fn layer_norm(x: &[f32], scale: &[f32], bias: &[f32], g: &[f32], rows: usize, center: bool) -> [Vec<f32>; 4] {
    let cols = x.len().checked_div(rows).unwrap_or(5);
    let step = rows.div_ceil(32).max((GRAIN / cols).max(1));
    let flag = |on: bool| u32::from(on).into();
    let (scaled, shifted) = (!scale.is_empty(), !bias.is_empty());
    let out = run(
        "layer_norm",
        &[
            rows.into(),
            cols.into(),
            1e-3f32.into(),
            flag(center),
            flag(scaled),
            flag(shifted),
            x.into(),
            scale.into(),
            bias.into(),
            result(),
            result(),
            result(),
        ],
    );
    let (mean, rstd) = (&out[1], &out[2]);
    let dx = run(
        "layer_norm_backward",
        &[
            rows.into(),
            cols.into(),
            flag(center),
            flag(scaled),
            x.into(),
            scale.into(),
            mean.into(),
            rstd.into(),
            g.into(),
            result(),
        ],
    );
    let parts = run(
        "layer_norm_parameters",
        &[rows.into(), cols.into(), step.into(), x.into(), mean.into(), rstd.into(), g.into(), result(), result()],
    );
    let n = rows.div_ceil(step);
    let added = |part: &Data| {
        let given = [1u32.into(), n.into(), cols.into(), n.max(1).into(), part.into(), result()];
        run("sum_columns", &given)[0].f32().to_vec()
    };
    [out[0].f32().to_vec(), dx[0].f32().to_vec(), added(&parts[0]), added(&parts[1])]
}

kernel_tests! {
    fn layer_norm_has_the_bits_of_tensors() {
        for (rows, cols) in SHAPES.into_iter().chain([(700, 40)]).filter(|s| s.0 > 0) {
            let x = normal(rows * cols, 1).iter().map(|v| v * 3.0 + 2.0).collect::<Vec<_>>();
            let (scale, bias, g) = (normal(cols, 2), normal(cols, 3), normal(rows * cols, 4));
            let inputs = [tensor(&x, &[rows, cols]), tensor(&scale, &[cols]), tensor(&bias, &[cols])];
            let [y, dx, ds, db] = layer_norm(&x, &scale, &bias, &g, rows, true);
            let expected = gradients(&inputs, &g, |t| ops::layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-3));
            for (actual, expected) in [&y, &dx, &ds, &db].into_iter().zip(&expected) {
                same_bits(actual, expected);
            }
            let [y, dx, ds, _] = layer_norm(&x, &scale, &[], &g, rows, false);
            let expected = gradients(&inputs[..2], &g, |t| ops::rms_norm(&t[0], Some(&t[1]), 1e-3));
            for (actual, expected) in [&y, &dx, &ds].into_iter().zip(&expected) {
                same_bits(actual, expected);
            }
            let [y, dx, ..] = layer_norm(&x, &[], &[], &g, rows, true);
            let expected = gradients(&inputs[..1], &g, |t| ops::layer_norm(&t[0], None, None, 1e-3));
            same_bits(&y, &expected[0]);
            same_bits(&dx, &expected[1]);
        }
        assert!(layer_norm(&[], &[], &[], &[], 0, true)[1].is_empty());
    }
    fn softmax_has_the_bits_of_tensors() {
        for (rows, cols) in SHAPES {
            let mut x = normal(rows * cols, 6).iter().map(|v| v * 5.0).collect::<Vec<_>>();
            if rows > 2 {
                // Masked, all masked, and with a NaN.
                x[0] = f32::NEG_INFINITY;
                x[cols..2 * cols].fill(f32::NEG_INFINITY);
                x[2 * cols + 1] = f32::NAN;
            }
            let g = normal(rows * cols, 7);
            for logarithm in [false, true] {
                let given = [rows.into(), cols.into(), u32::from(logarithm).into(), (&x).into(), result()];
                let y = run("softmax", &given);
                let given = [rows.into(), cols.into(), u32::from(logarithm).into(), (&y[0]).into(), (&g).into(), result()];
                let dx = run("softmax_backward", &given);
                let f = |t: &[Tensor]| if logarithm { t[0].log_softmax(-1) } else { t[0].softmax(-1) };
                let expected = gradients(&[tensor(&x, &[rows, cols])], &g, f);
                same_bits(y[0].f32(), &expected[0]);
                same_bits(dx[0].f32(), &expected[1]);
            }
        }
    }
    fn cross_entropy_has_the_bits_of_tensors() {
        for (rows, cols, smoothing) in SHAPES.into_iter().flat_map(|(r, c)| [(r, c, 0.0), (r, c, 0.1), (r, c, 1.0)]) {
            let mut x = normal(rows * cols, 8).iter().map(|v| v * 4.0).collect::<Vec<_>>();
            if rows > 2 && smoothing == 0.0 {
                x[0] = f32::NEG_INFINITY;
                x[cols] = f32::NAN;
            }
            let targets: Vec<i32> = (0..rows).map(|i| if i % 4 == 3 { -1 } else { (i * 7 + 1) as i32 % cols as i32 }).collect();
            let g = normal(rows, 9);
            let (hot, even) = (1.0f64 - smoothing, smoothing);
            let kept = run("cross_entropy", &[
                rows.into(), cols.into(), (hot as f32).into(), (even as f32).into(), (&x).into(), targets[..].into(),
                result(), result(), result(),
            ]);
            let dx = run("cross_entropy_backward", &[
                rows.into(), cols.into(), (hot as f32).into(), ((hot + even) as f32).into(), (even as f32).into(),
                ((even / cols as f64) as f32).into(), (&x).into(), targets[..].into(), (&kept[1]).into(), (&kept[2]).into(),
                (&g).into(), result(),
            ]);
            let ids = Tensor::from_vec(targets, &[rows]).expect("ids");
            let expected = gradients(&[tensor(&x, &[rows, cols])], &g, |t| ops::cross_entropy(&t[0], &ids, smoothing));
            same_bits(kept[0].f32(), &expected[0]);
            // A loss says that a row has a NaN; its gradient is NaN there, too.
            same_bits(dx[0].f32(), &expected[1]);
        }
    }
}
