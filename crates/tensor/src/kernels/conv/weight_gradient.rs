//! The gradient of a convolution's weight: for each place of the window, input positions times cotangents.
use super::{
    micro::{Convolve, Kernel, Run},
    Conv,
};
use crate::{
    kernels::window::{unravel, Axis},
    memory,
    threads::{self, for_tasks},
    Result,
};
use smallvec::SmallVec;
use std::ops::Range;

/// Partial sums over the batch, at most; how many there are depends on the shapes alone.
const PARTS: usize = 8;
/// Elements that all partial sums may have together.
const PARTIAL: usize = 1 << 22;
/// Output positions that are worked off before the next block of the weight, so that they stay in the cache.
const POSITIONS: usize = 192;
/// Multiplications that make a task worth handing out.
const TASK: usize = 1 << 20;

/// Windows of a line that see the input at one place: the first, how many, and how far apart.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    first: usize,
    count: usize,
    step: usize,
}

/// The gradient `[places…, inputs, outputs]` for cotangents `g` of the output.
pub(crate) fn weight_gradient<T: Convolve>(c: &Conv, x: &[T], g: &[T]) -> Result<Vec<T>> {
    let kernel = T::kernel(c.outputs);
    let (places, size) = (c.places(), c.places() * c.inputs * c.outputs);
    assert_eq!(
        x.len(),
        c.batch * c.axes.iter().map(|a| a.input).product::<usize>() * c.inputs,
        "an input fills its shape"
    );
    assert_eq!(g.len(), c.windows() * c.outputs, "cotangents fill the output's shape");
    if size == 0 || g.is_empty() {
        return memory::zeros(size);
    }
    let lines = c.windows() / c.axes.last().map_or(1, |a| a.output);
    let work = c.windows().saturating_mul(size);
    let parts = (PARTIAL / size).min(work / TASK).clamp(1, PARTS).min(lines);
    // Blocks of rows, of like size: place, first input channel, end.
    let per_place = c.inputs.div_ceil(kernel.rows);
    let blocks: Vec<[usize; 3]> =
        memory::collect((0..places * per_place).map(|b| {
            [b / per_place, b % per_place * c.inputs / per_place, (b % per_place + 1) * c.inputs / per_place]
        }))?;
    let groups = (2 * PARTS / parts).min(work / TASK).clamp(1, blocks.len());
    let job = Job {
        c,
        x,
        g,
        kernel,
        tail: tail(c, g, kernel.columns)?,
        lines: c.axes.last().map(line_table).transpose()?.unwrap_or_default(),
    };
    let mut partials: Vec<T> = memory::zeros(parts * size)?;
    let mut tasks = memory::room(parts * groups)?;
    for (p, mut left) in partials.chunks_exact_mut(size).enumerate() {
        for group in 0..groups {
            let blocks = &blocks[group * blocks.len() / groups..(group + 1) * blocks.len() / groups];
            let len = blocks.iter().map(|[_, from, to]| (to - from) * c.outputs).sum();
            let (into, rest) = left.split_at_mut(len);
            left = rest;
            tasks.push((p * lines / parts..(p + 1) * lines / parts, blocks, into));
        }
    }
    for_tasks(tasks, work, |(lines, blocks, into)| job.run(lines, blocks, into))?;
    for i in 1..parts {
        let (sum, rest) = partials.split_at_mut(i * size);
        sum[..size].iter_mut().zip(&rest[..size]).for_each(|(s, &p)| *s += p);
    }
    partials.truncate(size);
    Ok(partials)
}

/// For each place along the last axis the windows that see the input there.
fn line_table(axis: &Axis) -> Result<Vec<Line>> {
    let seen = |place: usize| {
        let mut windows = (0..axis.output).filter(move |&w| axis.source(w, place).is_some());
        let Some(first) = windows.next() else { return Line::default() };
        // Windows that fall onto positions of a dilated input come at even distances.
        let step = axis.input_dilation / gcd(axis.stride, axis.input_dilation);
        Line { first, count: 1 + windows.count(), step }
    };
    memory::collect((0..axis.size).map(seen))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

/// The last columns of the cotangents as rows of whole panels, filled up with zeros.
fn tail<T: Convolve>(c: &Conv, g: &[T], columns: usize) -> Result<Vec<T>> {
    let width = c.outputs % columns;
    if width == 0 {
        return Ok(Vec::new());
    }
    let mut tail: Vec<T> = memory::zeros(c.windows() * columns)?;
    for (into, row) in tail.chunks_exact_mut(columns).zip(g.chunks_exact(c.outputs)) {
        into[..width].copy_from_slice(&row[c.outputs - width..]);
    }
    Ok(tail)
}

struct Job<'a, T: 'static> {
    c: &'a Conv,
    x: &'a [T],
    g: &'a [T],
    kernel: &'static Kernel<T>,
    tail: Vec<T>,
    lines: Vec<Line>,
}

impl<T: Convolve> Job<'_, T> {
    /// Sums over `lines` for some blocks of the weight.
    fn run(&self, lines: Range<usize>, blocks: &[[usize; 3]], into: &mut [T]) -> Result<()> {
        let (c, columns) = (self.c, self.kernel.columns);
        let panels = c.outputs.div_ceil(columns);
        let rows: usize = blocks.iter().map(|[_, from, to]| to - from).sum();
        // Blocks of panels, each `[rows][columns]`.
        let mut sums: Vec<T> = memory::zeros(rows * panels * columns)?;
        let length = c.axes.last().map_or(1, |a| a.output);
        let at_once = (POSITIONS / length).max(1);
        for first in lines.clone().step_by(at_once) {
            threads::check()?;
            let some = first..(first + at_once).min(lines.end);
            for from in (0..length).step_by(POSITIONS) {
                self.add(some.clone(), from..(from + POSITIONS).min(length), blocks, &mut sums);
            }
        }
        let mut row = 0;
        for [_, from, to] in blocks {
            let rows = to - from;
            for panel in 0..panels {
                let column = panel * columns;
                let width = columns.min(c.outputs - column);
                let block = &sums[(row * panels + panel * rows) * columns..];
                for (i, source) in block.chunks_exact(columns).take(rows).enumerate() {
                    into[(row + i) * c.outputs + column..][..width].copy_from_slice(&source[..width]);
                }
            }
            row += rows;
        }
        Ok(())
    }

    /// Adds the terms of some windows of some lines.
    fn add(&self, lines: Range<usize>, windows: Range<usize>, blocks: &[[usize; 3]], sums: &mut [T]) {
        let (c, kernel) = (self.c, self.kernel);
        let (columns, full) = (kernel.columns, c.outputs / kernel.columns);
        let panels = c.outputs.div_ceil(columns);
        let (mut runs, mut tail_runs) = (Vec::new(), Vec::new());
        let (mut steps, mut known, mut row) = ([0, 0], usize::MAX, 0);
        for &[place, from, to] in blocks {
            if place != known {
                known = place;
                steps = self.runs(place, lines.clone(), windows.clone(), &mut runs);
                tail_runs.clear();
                tail_runs.extend(runs.iter().map(|r| Run { b: r.b / c.outputs * columns, ..*r }));
            }
            let rows = to - from;
            for panel in 0..panels {
                let into = &mut sums[(row * panels + panel * rows) * columns..][..rows * columns];
                let (runs, b, width) = if panel < full {
                    (&runs, self.g[panel * columns..].as_ptr(), c.outputs)
                } else {
                    (&tail_runs, self.tail.as_ptr(), columns)
                };
                let steps = [steps[0] * c.inputs, steps[1] * width];
                // SAFETY: `runs` made runs that stay within the input's positions, of which channels `from..to` are read, and within
                // the windows, of which a panel is read that lies within the cotangents or their tail; `into` is one block.
                unsafe { (kernel.outer)(rows, runs, self.x[from..].as_ptr(), b, steps, into.as_mut_ptr()) };
            }
            row += rows;
        }
    }

    /// Runs of windows that see the input at `place`. Returns how far its positions and the windows
    /// of a run lie apart.
    fn runs(&self, place: usize, lines: Range<usize>, windows: Range<usize>, runs: &mut Vec<Run>) -> [usize; 2] {
        let c = self.c;
        runs.clear();
        let Some((last, outer)) = c.axes.split_last() else {
            // Without axes each item is one position.
            runs.push(Run { a: lines.start * c.inputs, b: lines.start * c.outputs, len: lines.len() });
            return [1, 1];
        };
        let (outer_place, last_place) = (place / last.size, place % last.size);
        let seen = self.lines[last_place];
        if seen.count == 0 {
            return [0, 0];
        }
        // The windows among those asked for.
        let skipped = windows.start.saturating_sub(seen.first).div_ceil(seen.step).min(seen.count);
        let end = windows.end.saturating_sub(seen.first).div_ceil(seen.step).min(seen.count);
        let steps = [last.stride * seen.step / last.input_dilation, seen.step];
        let window = seen.first + skipped * seen.step;
        let Some(source) = last.source(window, last_place).filter(|_| skipped < end) else { return steps };
        let (mut at, mut places): (SmallVec<[usize; 4]>, SmallVec<[usize; 4]>) = Default::default();
        unravel(outer_place, outer.iter().map(|a| a.size), &mut places);
        let per_item: usize = outer.iter().map(|a| a.output).product();
        for line in lines {
            unravel(line, outer.iter().map(|a| a.output), &mut at);
            let start =
                outer.iter().zip(at.iter().zip(&places)).try_fold(line / per_item, |row, (axis, (&window, &place))| {
                    Some(row * axis.input + axis.source(window, place)?)
                });
            if let Some(row) = start {
                runs.push(Run {
                    a: (row * last.input + source) * c.inputs,
                    b: (line * last.output + window) * c.outputs,
                    len: end - skipped,
                });
            }
        }
        steps
    }
}
