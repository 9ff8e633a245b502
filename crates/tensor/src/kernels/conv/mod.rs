//! Convolution of channels-last tensors, straight from the input: neither patches nor padding are written out.
//!
//! Every output position is one row of a product whose left operand is gathered by pointers: for each place of the window the
//! input's channels there, or a row of zeros. The gradient of the input is the same computation with the roles of stride
//! and input dilation exchanged.
mod micro;
mod weight_gradient;

pub(crate) use micro::Convolve;
pub(crate) use weight_gradient::weight_gradient;

use super::{
    fill::{build, Unfilled},
    window::{unravel, Axes},
};
use crate::{memory, Result};
use micro::{Kernel, Segment, MAX_ROWS};
use smallvec::SmallVec;

/// Sizes of a convolution `[batch, input…, inputs] -> [batch, output…, outputs]`.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    pub(crate) axes: Axes,
    pub(crate) batch: usize,
    /// Channels of the input.
    pub(crate) inputs: usize,
    /// Channels of the output.
    pub(crate) outputs: usize,
}

impl Conv {
    /// Places of a window.
    fn places(&self) -> usize {
        self.axes.iter().map(|a| a.size).product()
    }
    /// Positions of the output, over the whole batch.
    fn windows(&self) -> usize {
        self.batch * self.axes.iter().map(|a| a.output).product::<usize>()
    }
    /// The convolution that takes cotangents back to the input.
    pub(crate) fn transposed(&self) -> Self {
        Self {
            axes: self.axes.iter().map(super::window::Axis::transposed).collect(),
            batch: self.batch,
            inputs: self.outputs,
            outputs: self.inputs,
        }
    }
    /// How far neighbouring positions of each axis of the input lie apart.
    fn input_strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides: SmallVec<[usize; 4]> = SmallVec::from_elem(self.inputs, self.axes.len());
        for i in (0..self.axes.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * self.axes[i + 1].input;
        }
        strides
    }
}

/// Output positions a task computes, about.
const TASK: usize = 96;

/// The output of a convolution. `w` is `[places…, inputs, outputs]`; with `backward` it is that of the convolution this one is
/// the transpose of.
pub(crate) fn forward<T: Convolve>(c: &Conv, x: &[T], w: &[T], backward: bool, bias: Option<&[T]>) -> Result<Vec<T>> {
    let kernel = T::kernel(c.outputs);
    let forward = Forward {
        c,
        x,
        bias,
        kernel,
        packed: pack(c, w, backward, kernel.columns)?,
        zeros: memory::zeros(c.inputs * c.axes.last().map_or(1, |a| a.size))?,
        strides: c.input_strides(),
    };
    assert_eq!(
        x.len(),
        c.batch * c.axes.iter().map(|a| a.input).product::<usize>() * c.inputs,
        "an input fills its shape"
    );
    assert!(bias.is_none_or(|b| b.len() == c.outputs), "one bias per channel");
    // A task holds whole lines where positions of a line are reordered.
    let unit = c.axes.last().filter(|a| a.input_dilation > 1).map_or(1, |a| a.output).max(1);
    let chunk = (TASK / unit).max(1) * unit * c.outputs;
    let len = c.windows() * c.outputs;
    if len == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: `fill` writes every row of the part it is given, and parts are whole rows.
    unsafe { build(len, chunk, |start, part| forward.fill(start / c.outputs, part)) }
}

struct Forward<'a, T: 'static> {
    c: &'a Conv,
    x: &'a [T],
    bias: Option<&'a [T]>,
    kernel: &'static Kernel<T>,
    /// The weight in panels of the kernel's columns: `[panel][place][input][column]`.
    packed: Vec<T>,
    /// What windows see beyond the input.
    zeros: Vec<T>,
    strides: SmallVec<[usize; 4]>,
}

/// The weight in panels of `columns` outputs, the last one filled up with zeros.
fn pack<T: Convolve>(c: &Conv, w: &[T], backward: bool, columns: usize) -> Result<Vec<T>> {
    let (places, panels) = (c.places(), c.outputs.div_ceil(columns));
    assert_eq!(w.len(), places * c.inputs * c.outputs, "a weight fills its shape");
    let mut packed: Vec<T> = memory::zeros(panels * places * c.inputs * columns)?;
    let rows = packed.chunks_exact_mut(columns).enumerate();
    for (row, into) in rows {
        let (panel, place, input) = (row / (places * c.inputs), row / c.inputs % places, row % c.inputs);
        let from = panel * columns;
        let width = columns.min(c.outputs - from);
        if backward {
            let start = (places - 1 - place) * c.inputs * c.outputs + input;
            for (j, v) in into[..width].iter_mut().enumerate() {
                *v = w[start + (from + j) * c.inputs];
            }
        } else {
            into[..width].copy_from_slice(&w[(place * c.inputs + input) * c.outputs + from..][..width]);
        }
    }
    Ok(packed)
}

/// An output position: where its item starts in the input, and its window on each axis.
#[derive(Clone, Default)]
struct Position {
    item: usize,
    windows: SmallVec<[usize; 4]>,
}

impl<T: Convolve> Forward<'_, T> {
    /// Computes the output positions from `first` on.
    fn fill(&self, first: usize, out: &mut Unfilled<T>) -> Result<()> {
        let (c, kernel) = (self.c, self.kernel);
        let count = out.len() / c.outputs;
        let line = c.axes.last().map_or(1, |a| a.output);
        let order = c.axes.last().filter(|a| a.input_dilation > 1).map(line_order).transpose()?;
        let in_order = |i: usize| order.as_ref().map_or(i, |o| i / line * line + o[i % line]);
        let groups = count.div_ceil(kernel.rows);
        let panel_len = c.places() * c.inputs * kernel.columns;
        let mut table = memory::room(c.axes.iter().map(|a| a.size).sum::<usize>())?;
        let mut segments: Vec<Segment<T>> = memory::room(c.places())?;
        let mut sums: Vec<T> = memory::zeros(kernel.rows * kernel.columns)?;
        let mut positions = memory::full(kernel.rows, Position::default())?;
        for g in 0..groups {
            // Groups of like size, so that no block is small.
            let (from, to) = (g * count / groups, (g + 1) * count / groups);
            for (position, i) in positions.iter_mut().zip(from..to) {
                self.locate(first + in_order(i), position);
            }
            let len = self.gather(&positions[..to - from], &mut table, &mut segments);
            for (panel, w) in self.packed.chunks_exact(panel_len).enumerate() {
                // SAFETY: `gather` made pointers to `len` elements of the input or of the zeros, and places within a panel;
                // `sums` has room for the largest block.
                unsafe { (kernel.gathered)(to - from, &segments, len, w.as_ptr(), sums.as_mut_ptr()) };
                let column = panel * kernel.columns;
                let width = kernel.columns.min(c.outputs - column);
                for (row, i) in sums.chunks_exact(kernel.columns).zip(from..to) {
                    let into = &mut out[in_order(i) * c.outputs + column..][..width];
                    match self.bias {
                        Some(bias) => {
                            for ((o, &v), &b) in into.iter_mut().zip(row).zip(&bias[column..]) {
                                let mut sum = v;
                                sum += b;
                                o.write(sum);
                            }
                        }
                        None => {
                            for (o, &v) in into.iter_mut().zip(row) {
                                o.write(v);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn locate(&self, index: usize, position: &mut Position) {
        let sizes = || self.c.axes.iter().map(|a| a.output);
        let item: usize = self.c.axes.iter().map(|a| a.input).product::<usize>() * self.c.inputs;
        position.item = index / sizes().product::<usize>() * item;
        unravel(index, sizes(), &mut position.windows);
    }

    /// For each place of the window the rows that the positions see there; places that none of them sees are left out. Returns the
    /// length of a row: that of one place, or of all along the last axis where every position sees these one behind the other.
    fn gather(
        &self,
        positions: &[Position],
        table: &mut Vec<[usize; MAX_ROWS]>,
        segments: &mut Vec<Segment<T>>,
    ) -> usize {
        let axes = &self.c.axes;
        // Offsets along each axis by place and position; a sum that reaches `NOWHERE` lies beyond the input.
        table.clear();
        for (i, (axis, stride)) in axes.iter().zip(&self.strides).enumerate() {
            for place in 0..axis.size {
                let mut row = [NOWHERE; MAX_ROWS];
                for (at, position) in row.iter_mut().zip(positions) {
                    if let Some(source) = axis.source(position.windows[i], place) {
                        *at = source * stride;
                    }
                }
                table.push(row);
            }
        }
        let mut items = [NOWHERE; MAX_ROWS];
        items.iter_mut().zip(positions).for_each(|(item, position)| *item = position.item);
        segments.clear();
        let last = axes.last().map_or(1, |a| a.size);
        let outer = &axes[..axes.len().saturating_sub(1)];
        let inner = table.len() - if axes.is_empty() { 0 } else { last };
        let joined = axes.last().is_some_and(|a| a.dilation == 1 && a.input_dilation == 1) && {
            let ends = [&table[inner], &table[inner + last - 1]];
            ends.iter().all(|row| row[..positions.len()].iter().all(|&at| at < NOWHERE))
        };
        let len = if joined { last * self.c.inputs } else { self.c.inputs };
        for index in 0..self.c.places() / last {
            let (mut rest, mut start, mut at) = (index, inner, items);
            for axis in outer.iter().rev() {
                start -= axis.size;
                add(&mut at, &table[start + rest % axis.size]);
                rest /= axis.size;
            }
            if at.iter().all(|&a| a >= NOWHERE) {
                continue;
            }
            for place in 0..if joined { 1 } else { last } {
                let mut at = at;
                if !axes.is_empty() {
                    add(&mut at, &table[inner + place]);
                }
                if at.iter().all(|&a| a >= NOWHERE) {
                    continue;
                }
                let mut rows = [self.zeros.as_ptr(); MAX_ROWS];
                for (row, at) in rows.iter_mut().zip(at) {
                    if at < NOWHERE {
                        *row = self.x[at..at + len].as_ptr();
                    }
                }
                segments.push(Segment { rows, b: (index * last + place) * self.c.inputs * self.kernel.columns });
            }
        }
        len
    }
}

/// Larger than any offset; few enough of it that a sum over all axes does not overflow.
const NOWHERE: usize = 1 << 56;

#[inline(always)]
fn add(sums: &mut [usize; MAX_ROWS], terms: &[usize; MAX_ROWS]) {
    sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t);
}

/// The windows of a line ordered so that neighbours see the same places: on a dilated input most places of a window fall between
/// positions, and which ones do repeats with the dilation.
fn line_order(axis: &super::window::Axis) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = memory::collect(0..axis.output)?;
    order.sort_by_key(|&o| ((o * axis.stride) as isize - axis.before).rem_euclid(axis.input_dilation as isize));
    Ok(order)
}
