//! Order along an axis.
use super::{args::resolve_axis, make::made};
use crate::{
    device_path::on_host,
    for_any,
    host_trips::Hosted,
    kernels::sort::{argsort, top, Ordered},
    memory, threads, DType, Error, Result, Tensor,
};

impl Tensor {
    /// Finds the places of the elements in ascending order along an axis, or in descending order.
    ///
    /// Equal elements keep their order.
    ///
    /// NaN counts as larger than every number: it comes last, and first when descending, as in JAX. -0 equals 0.
    ///
    /// Shapes: any, kept.
    ///
    /// Dtypes: any; the result is int32.
    ///
    /// Gradient: none.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or longer than int32 can count.
    pub fn argsort(&self, axis: isize, descending: bool) -> Result<Tensor> {
        let at = resolve_axis("argsort", axis, self.rank())?;
        self.order("argsort", at, self.shape()[at], |rows| {
            for_any!(self.dtype(), T => each_row(&rows.values::<T>()?, self.shape()[at], self.shape()[at], |row: &[T]| {
                argsort(&memory::collect(row.iter().map(|v| if descending { v.falling() } else { v.key() }))?)
            }))
        })
    }
    /// Puts the elements along an axis in ascending order, or in descending order.
    ///
    /// Equal elements keep their order.
    ///
    /// NaN counts as larger than every number: it comes last, and first when descending, as in JAX. -0 equals 0.
    ///
    /// Shapes: any, kept.
    ///
    /// Dtypes: any, kept.
    ///
    /// Gradient: `dy` goes to the places that the elements came from.
    ///
    /// # Errors
    /// - `InvalidArgument`: the axis is out of range, or longer than int32 can count.
    pub fn sort(&self, axis: isize, descending: bool) -> Result<Tensor> {
        self.gather(&self.detach().argsort(axis, descending)?, axis)
    }
    /// Finds the `k` largest elements along the last axis, the largest first, and their places.
    ///
    /// Equal elements keep their order, and NaN counts as larger than every number.
    ///
    /// Shapes: `[..., n]` → values `[..., k]`, places `int32[..., k]`.
    ///
    /// Dtypes: any, kept for the values.
    ///
    /// Gradient: `dy` of the values goes to the places that they came from.
    ///
    /// # Errors
    /// - `InvalidArgument`: the tensor has no axes, or `k` is larger than the last one.
    pub fn top_k(&self, k: usize) -> Result<(Tensor, Tensor)> {
        let size = self.shape().last().copied().unwrap_or(0);
        if self.rank() == 0 || k > size {
            return Err(Error::argument(format!("top_k: {k} values of the last axis of {:?}", self.shape())));
        }
        let places = self.order(
            "top_k",
            self.rank() - 1,
            k,
            |rows| for_any!(self.dtype(), T => each_row(&rows.values::<T>()?, size, k, |row: &[T]| top(row, k))),
        )?;
        Ok((self.gather(&places, -1)?, places))
    }
    /// Calls `f` with the axis `at` moved to the end, on the host, and moves its `count` places per row back.
    fn order(&self, op: &str, at: usize, count: usize, f: impl Fn(&Tensor) -> Result<Vec<i32>>) -> Result<Tensor> {
        if self.shape()[at] > i32::MAX as usize {
            return Err(Error::argument(format!("{op}: an axis of {} positions does not fit int32", self.shape()[at])));
        }
        // Candle's own sorts are unstable and limited in length, so every device sorts on the host.
        on_host(Hosted::Sort, &[&self.detach()], |t| {
            let rows = t[0].move_axis(at as isize, -1)?;
            let mut shape = rows.shape().to_vec();
            shape[self.rank() - 1] = count;
            let places = made(f(&rows)?, &shape, DType::I32, rows.device())?;
            places.move_axis(-1, at as isize)?.contiguous()
        })
    }
}

/// `f` of each row of `size` values, `count` places each, in parallel.
fn each_row<T: Ordered>(
    values: &[T],
    size: usize,
    count: usize,
    f: impl Fn(&[T]) -> Result<Vec<u32>> + Sync,
) -> Result<Vec<i32>> {
    if size == 0 || count == 0 {
        return Ok(Vec::new());
    }
    let mut out: Vec<i32> = memory::zeros(values.len() / size * count)?;
    let tasks: Vec<(&[T], &mut [i32])> = memory::collect(values.chunks_exact(size).zip(out.chunks_exact_mut(count)))?;
    threads::for_tasks(tasks, values.len(), |(row, out)| {
        out.iter_mut().zip(f(row)?).for_each(|(out, place)| *out = place as i32);
        Ok(())
    })?;
    Ok(out)
}
