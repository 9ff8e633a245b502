//! Copies into row-major order.
use super::{
    fill::{build, Unfilled},
    plan::{read, Plan},
};
use crate::{raw::Raw, threads::GRAIN, Element, Result};
use candle_core::DType as C;

/// `raw` in row-major order: itself where it already is (a CPU tensor otherwise copied by threads).
pub(crate) fn contiguous(raw: &Raw) -> Result<Raw> {
    if raw.is_contiguous() {
        return Ok(raw.clone());
    }
    match raw.dtype() {
        _ if !raw.device().is_cpu() => Ok(raw.contiguous()?),
        C::F32 => packed::<f32>(raw),
        C::F64 => packed::<f64>(raw),
        C::F16 => packed::<half::f16>(raw),
        C::BF16 => packed::<half::bf16>(raw),
        C::I32 => packed::<i32>(raw),
        C::I64 => packed::<i64>(raw),
        C::U32 => packed::<u32>(raw),
        C::U8 => packed::<u8>(raw),
        _ => Ok(raw.contiguous()?),
    }
}

fn packed<T: Element>(raw: &Raw) -> Result<Raw> {
    Ok(Raw::from_vec(row_major::<T>(raw)?, raw.dims(), raw.device())?)
}

/// The values of a CPU tensor in row-major order, always a copy.
pub(crate) fn row_major<T: Element>(raw: &Raw) -> Result<Vec<T>> {
    if raw.elem_count() == 0 {
        return Ok(Vec::new());
    }
    let source = read(raw);
    let plan = Plan::new(source.layout.dims(), [source.layout.stride()]);
    let values = source.slice::<T>()?;
    // SAFETY: the tiles and runs below cover each part they are given.
    unsafe {
        match transposed_axis(&plan) {
            Some(axis) => {
                // A part is a whole number of slices along `axis`, so that tiles have two sides.
                let below: usize = plan.axes()[axis + 1..].iter().map(|a| a.0).product();
                let whole = below * plan.axes()[axis].0;
                let chunk = if whole <= GRAIN { whole * (GRAIN / whole) } else { below * side(below) };
                build(raw.dims(), chunk, |start, out| transpose_part(&plan, axis, values, start, out))
            }
            None => build(raw.dims(), GRAIN, |start, out| copy_part(&plan, values, start, out)),
        }
    }
}

/// How many slices of `below` elements make a part.
fn side(below: usize) -> usize {
    (GRAIN / below).max(16)
}

/// The axis that lies densely in memory while the last one does not.
fn transposed_axis(plan: &Plan<1>) -> Option<usize> {
    let axes = plan.axes();
    if plan.inner()[0] <= 1 {
        return None;
    }
    axes.iter().position(|(_, s)| s[0] == 1)
}

fn copy_part<T: Copy>(plan: &Plan<1>, values: &[T], start: usize, out: &mut Unfilled<T>) {
    let [step] = plan.inner();
    plan.runs(start, out.len(), |at, len, [i]| {
        let out = &mut out[at..at + len];
        match step {
            1 => {
                for (o, &v) in out.iter_mut().zip(&values[i..i + len]) {
                    o.write(v);
                }
            }
            0 => {
                let v = values[i];
                for o in out {
                    o.write(v);
                }
            }
            _ => {
                for (o, &v) in out.iter_mut().zip(values[i..].iter().step_by(step)) {
                    o.write(v);
                }
            }
        }
    });
}

/// Fills a part made of whole slices along `axis` in tiles of `axis` by the last axis.
fn transpose_part<T: Copy + Default>(plan: &Plan<1>, axis: usize, values: &[T], start: usize, out: &mut Unfilled<T>) {
    const TILE: usize = 16;
    let axes = plan.axes();
    let last = axes.len() - 1;
    let (columns, column_step) = (axes[last].0, axes[last].1[0]);
    let middle = &axes[axis + 1..last];
    let between: usize = middle.iter().map(|a| a.0).product();
    let slice = between * columns;
    let rows_of_axis = axes[axis].0;
    let mut tile = [[T::default(); TILE]; TILE];
    let mut slice_index = start / slice;
    let mut done = 0;
    while done < out.len() {
        // Slices up to the end of `axis` or of the part.
        let (outer, first) = (slice_index / rows_of_axis, slice_index % rows_of_axis);
        let rows = (rows_of_axis - first).min((out.len() - done) / slice);
        let mut base = first;
        let mut rest = outer;
        for (n, s) in axes[..axis].iter().rev() {
            base += (rest % n) * s[0];
            rest /= n;
        }
        for m in 0..between {
            let mut from = base;
            let mut rest = m;
            for (n, s) in middle.iter().rev() {
                from += (rest % n) * s[0];
                rest /= n;
            }
            for column in (0..columns).step_by(TILE) {
                let width = TILE.min(columns - column);
                for row in (0..rows).step_by(TILE) {
                    // Through a tile: each line of memory is then read once, however the strides fall into cache sets.
                    let height = TILE.min(rows - row);
                    for (c, line) in tile.iter_mut().enumerate().take(width) {
                        let at = from + row + (column + c) * column_step;
                        line[..height].copy_from_slice(&values[at..at + height]);
                    }
                    for r in 0..height {
                        let to = done + (row + r) * slice + m * columns + column;
                        for (o, line) in out[to..to + width].iter_mut().zip(&tile) {
                            o.write(line[r]);
                        }
                    }
                }
            }
        }
        done += rows * slice;
        slice_index += rows;
    }
}
