//! What the tests of the fused operations share.
use tallow_tensor::{
    backward, force_general_path,
    testing::{assert_close, assert_same_bits, on_threads, random},
    DType, Result, Tensor,
};

pub const FLOATS: [DType; 4] = [DType::F64, DType::F32, DType::F16, DType::BF16];

/// The output of `f` on `inputs` (float64, cast to `dtype`) and the gradients of all inputs.
pub fn output_and_gradients(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], dtype: DType) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(|t| t.cast(dtype).unwrap().variable()).collect();
    let y = f(&variables).unwrap();
    let seed = random(y.shape(), 99).cast(y.dtype()).unwrap();
    let mut out = vec![y.detach()];
    out.extend(backward(&[(y, seed)], &variables, false).unwrap());
    out
}

/// Kernel and general path agree in output and gradients, and the kernel's results in `dtype` are near those in float64.
#[track_caller]
pub fn assert_paths_agree(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    for dtype in FLOATS {
        let fast = output_and_gradients(&f, inputs, dtype);
        let general = force_general_path(|| output_and_gradients(&f, inputs, dtype));
        let rounded: Vec<Tensor> = inputs.iter().map(|t| t.cast(dtype).unwrap().cast(DType::F64).unwrap()).collect();
        let exact = output_and_gradients(&f, &rounded, DType::F64);
        for ((a, b), c) in fast.iter().zip(&general).zip(&exact) {
            assert_eq!(a.dtype(), b.dtype());
            assert_close(a, b, dtype);
            assert_close(a, c, dtype);
        }
    }
}

/// The same bits on 1, 2 and 4 threads.
#[track_caller]
pub fn assert_same_on_any_threads(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], dtype: DType) {
    let on = |n| on_threads(n, || output_and_gradients(&f, inputs, dtype));
    let one = on(1);
    for n in [2, 4] {
        for (a, b) in one.iter().zip(on(n)) {
            assert_same_bits(a, &b);
        }
    }
}

/// A float64 tensor of `f(row, column)`.
pub fn matrix(rows: usize, cols: usize, f: impl Fn(usize, usize) -> f64) -> Tensor {
    let values = (0..rows * cols).map(|i| f(i / cols, i % cols)).collect();
    Tensor::from_vec::<f64>(values, &[rows, cols]).unwrap()
}

/// How far `got` is from `exact`, in units in the last place of float32.
pub fn ulps(got: f32, exact: f64) -> f64 {
    if got as f64 == exact || (got.is_nan() && exact.is_nan()) || got == exact as f32 {
        return 0.0;
    }
    let near = (exact.abs() as f32).min(f32::MAX);
    let unit = (f32::from_bits(near.to_bits() + 1) as f64 - near as f64).min(2f64.powi(104)).max(2f64.powi(-149));
    (got as f64 - exact).abs() / unit
}
