//! Helpers for tests of every crate: reproducible values, closeness by dtype, gradient checks. They panic, as assertions do.
use crate::{
    element_count,
    gradient_check::{compare, position, Plan},
    random::Key,
    threads, DType, Result, Tensor,
};
use std::sync::{Mutex, PoisonError};

/// How far apart two values may be: `|a - b| <= absolute + relative * |b|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Allowed in any case.
    pub absolute: f64,
    /// Allowed per unit of the expected value.
    pub relative: f64,
}

/// The one table of tolerances, by the dtype a result was computed in. Integers and booleans must be equal.
pub fn tolerance(dtype: DType) -> Tolerance {
    let same = |t| Tolerance { absolute: t, relative: t };
    match dtype {
        DType::F64 => same(1e-11),
        DType::F32 => same(1e-5),
        DType::F16 => same(4e-3),
        DType::BF16 => same(3e-2),
        _ => same(0.0),
    }
}

/// What a central difference in float64 leaves of the exact derivative.
pub const GRADIENT_TOLERANCE: Tolerance = Tolerance { absolute: 2e-6, relative: 2e-6 };

/// Reproducible standard normal values (float64) of `shape`.
///
/// # Panics
/// When `shape` has too many elements.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let n = element_count(shape).expect("a shape that fits in memory");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    // SplitMix64, then Box-Muller.
    let mut unit = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    };
    let values = (0..n)
        .map(|_| (-2.0 * (1.0 - unit()).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos())
        .collect::<Vec<_>>();
    Tensor::from_vec(values, shape).expect("as many values as the shape has")
}

/// Asserts equal shapes and values within [`tolerance`] of `dtype`; NaN equals NaN, infinities must be equal. Dtypes may differ.
///
/// # Panics
/// When they are not close, with the first difference.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &Tensor, dtype: DType) {
    assert_within(actual, expected, tolerance(dtype));
}

/// As [`assert_close`] with a tolerance of the caller's.
///
/// # Panics
/// When they are not close, with the first difference.
#[track_caller]
pub fn assert_within(actual: &Tensor, expected: &Tensor, tolerance: Tolerance) {
    if let Err(message) = within(actual, expected, tolerance) {
        panic!("{message}");
    }
}

/// [`assert_within`] as a result: the sentence it would panic with.
///
/// # Errors
/// When they are not close.
pub fn within(actual: &Tensor, expected: &Tensor, tolerance: Tolerance) -> std::result::Result<(), String> {
    let shape = actual.shape();
    if shape != expected.shape() {
        return Err(format!("shapes differ: got {shape:?}, expected {:?}", expected.shape()));
    }
    let (a, e) = (floats(actual), floats(expected));
    match (0..a.len()).find(|&i| !close(a[i], e[i], tolerance)) {
        None => Ok(()),
        Some(i) => {
            let at = position(i, shape);
            Err(format!("values of shape {shape:?} differ at {at:?}: got {:e}, expected {:e}", a[i], e[i]))
        }
    }
}

/// Asserts equal shapes, dtypes and values to the last bit (any NaN equals any NaN, 0 differs from -0).
///
/// # Panics
/// When they differ.
#[track_caller]
pub fn assert_same_bits(actual: &Tensor, expected: &Tensor) {
    assert_eq!((actual.shape(), actual.dtype()), (expected.shape(), expected.dtype()), "shapes or dtypes differ");
    let (a, e) = (floats(actual), floats(expected));
    let same = |x: f64, y: f64| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
    if let Some(i) = (0..a.len()).find(|&i| !same(a[i], e[i])) {
        panic!("bits differ at {:?}: got {:e}, expected {:e}", position(i, actual.shape()), a[i], e[i]);
    }
}

/// Holds the gradients of `f` against central differences, in float64.
///
/// The outputs that are floats are projected on fixed random directions to one number; each element of each input is moved
/// by ±1e-5. Inputs must be float64 and away from kinks; an output that is NaN or infinite fails the check.
///
/// # Panics
/// When a gradient is off by more than [`GRADIENT_TOLERANCE`], when `f` fails, or when inputs are not float64.
#[track_caller]
pub fn check_gradients(f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>, inputs: &[Tensor]) {
    if let Err(message) = gradient_error(f, inputs) {
        panic!("{message}");
    }
}

/// [`check_gradients`] as a result: the sentence it would panic with.
///
/// # Errors
/// When a gradient is wrong or cannot be had.
pub fn gradient_error(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
) -> std::result::Result<(), String> {
    if let Some(t) = inputs.iter().find(|t| t.dtype() != DType::F64) {
        return Err(format!("gradient checks need float64 inputs, got {t:?}"));
    }
    let plan = Plan { step: 1e-5, coordinates: usize::MAX, key: Key::new(1000) };
    let mut wrong = None;
    let compared = compare(f, inputs, plan, |c| {
        let right = c.numeric.is_finite() && close(c.analytic, c.numeric, GRADIENT_TOLERANCE);
        if !right {
            let place = c.place.unwrap_or_default();
            wrong = Some(format!(
                "the gradient of input {} at {place:?} is {:e}, central differences say {:e}",
                c.input, c.analytic, c.numeric
            ));
        }
        right
    });
    compared.map_err(|e| e.to_string())?;
    wrong.map_or(Ok(()), Err)
}

fn floats(t: &Tensor) -> Vec<f64> {
    t.to_f64_vec().expect("values of any dtype can be read")
}

fn close(actual: f64, expected: f64, t: Tolerance) -> bool {
    actual == expected
        || (actual.is_nan() && expected.is_nan())
        || (actual.is_finite()
            && expected.is_finite()
            && (actual - expected).abs() <= t.absolute + t.relative * expected.abs())
}

pub use crate::accelerated::run_kernels_by;

/// Runs `f` on so many threads, and leaves the process with as many as it had. One caller at a time: the number is the process's,
/// and a test that asks for two threads must have them.
///
/// # Panics
/// When so many threads cannot be started.
pub fn on_threads<R>(n: usize, f: impl FnOnce() -> R) -> R {
    static LOCK: Mutex<()> = Mutex::new(());
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            threads::set_num_threads(self.0).expect("as many threads as before");
        }
    }
    let _alone = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore(threads::num_threads());
    threads::set_num_threads(n).expect("threads");
    f()
}
