//! Sums of squares.
use crate::{
    kernels::real::{simd, sum, Float, Real},
    memory,
    threads::{for_tasks, GRAIN},
    Result,
};

/// Σ x², summed in parts of fixed size; the parts are added in float64.
pub(crate) fn square_sum<T: Float>(x: &[T]) -> Result<f64> {
    let mut sums: Vec<f64> = memory::zeros(x.len().div_ceil(GRAIN))?;
    let tasks = memory::collect(x.chunks(GRAIN).zip(&mut sums))?;
    for_tasks(tasks, x.len(), |(part, total)| *total = square_sum_part::<T>(part).wide())?;
    Ok(sums.iter().sum())
}

simd! {
fn square_sum_part<T: Float>(x: &[T]) -> T::Wide {
    sum(x, |v| v * v)
}
}
