//! Simple recurrent units: recurrences without products, element by element. Batch first: `[batch, steps, units]`.
use super::{written, Wide};
use crate::{kernels::gemm::Out, kernels::real::simd, memory, threads, Result};

/// Columns a task takes through all steps.
const COLS: usize = 128;

/// Sizes of a sequence.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub batch: usize,
    pub steps: usize,
    pub units: usize,
}

impl Extent {
    pub(crate) fn size(&self) -> usize {
        self.batch * self.steps * self.units
    }
    /// Runs `f(row, first column, columns)` for each row of the batch and block of columns.
    fn for_blocks(&self, f: impl Fn(usize, usize, usize) + Sync) -> Result<()> {
        let across = self.units.div_ceil(COLS);
        threads::for_each_index(self.batch * across, self.size() * 8, |i| {
            let col = i % across * COLS;
            f(i / across, col, COLS.min(self.units - col));
        })
    }
    /// Where a row's step starts among values `width` a step.
    fn at(&self, row: usize, step: usize, width: usize) -> usize {
        (row * self.steps + step) * width
    }
}

/// `c[t] = f[t] · c[t-1] + x[t]` from `c[-1] = state`.
pub(crate) fn scan<T: Wide>(x: &[T], f: &[T], state: &[T], e: Extent) -> Result<Vec<T>> {
    let fill = |[out]: &[Out<T>; 1]| {
        e.for_blocks(|row, col, cols| {
            let mut c = [T::default(); COLS];
            let c = &mut c[..cols];
            c.copy_from_slice(&state[row * e.units + col..][..cols]);
            for t in 0..e.steps {
                let at = e.at(row, t, e.units) + col;
                // SAFETY: a task writes its own row and columns alone.
                scan_step(c, &x[at..at + cols], &f[at..at + cols], unsafe { out.part(at, cols) });
            }
        })
    };
    // SAFETY: the blocks cover all columns of all rows, and `scan_step` writes each step of one.
    let [cells] = unsafe { written([e.size()], fill) }?;
    Ok(cells)
}

/// Cotangents of `x`, `f` and `state` of [`scan`].
pub(crate) fn scan_back<T: Wide>(
    f: &[T],
    cells: &[T],
    state: &[T],
    dy: Option<&[T]>,
    dlast: Option<&[T]>,
    e: Extent,
) -> Result<[Vec<T>; 3]> {
    let mut dstate = dlast.map_or_else(|| memory::zeros(e.batch * e.units), memory::copy)?;
    let last = Out::new(&mut dstate);
    let fill = |[dx, df]: &[Out<T>; 2]| {
        e.for_blocks(|row, col, cols| {
            // SAFETY: a task writes its own row and columns alone.
            let dc = unsafe { last.part(row * e.units + col, cols) };
            for t in (0..e.steps).rev() {
                let at = e.at(row, t, e.units) + col;
                let before =
                    if t == 0 { &state[row * e.units + col..][..cols] } else { &cells[at - e.units..][..cols] };
                if let Some(dy) = dy {
                    dc.iter_mut().zip(&dy[at..at + cols]).for_each(|(d, &y)| *d += y);
                }
                // SAFETY: as above.
                let (dx, df) = unsafe { (dx.part(at, cols), df.part(at, cols)) };
                scan_step_back(dc, &f[at..at + cols], before, dx, df);
            }
        })
    };
    // SAFETY: the blocks cover all columns of all rows, and `scan_step_back` writes each step of one.
    let [dx, df] = unsafe { written([e.size(); 2], fill) }?;
    Ok([dx, df, dstate])
}

/// What [`forward`] computes, `[batch, steps, units]` each.
pub(crate) struct Forward<T> {
    pub out: Vec<T>,
    pub cells: Vec<T>,
}

/// A whole unit: `gates: [batch, steps, 3 · units]` hold what the reset gate, the forget gate and the new value are made of.
pub(crate) fn forward<T: Wide>(gates: &[T], x: &[T], state: &[T], e: Extent) -> Result<Forward<T>> {
    let n = e.units;
    let fill = |[out, cells]: &[Out<T>; 2]| {
        e.for_blocks(|row, col, cols| {
            let mut c = [T::default(); COLS];
            let c = &mut c[..cols];
            c.copy_from_slice(&state[row * n + col..][..cols]);
            for t in 0..e.steps {
                let (at, g) = (e.at(row, t, n) + col, e.at(row, t, 3 * n) + col);
                let gates = [0, n, 2 * n].map(|k| &gates[g + k..g + k + cols]);
                // SAFETY: a task writes its own row and columns alone.
                let (out, cells) = unsafe { (out.part(at, cols), cells.part(at, cols)) };
                step(c, gates, &x[at..at + cols], out);
                cells.copy_from_slice(c);
            }
        })
    };
    // SAFETY: the blocks cover all columns of all rows, and both are written at each step of one.
    let [out, cells] = unsafe { written([e.size(); 2], fill) }?;
    Ok(Forward { out, cells })
}

/// Cotangents of gates, `x` and `state` of [`forward`].
pub(crate) fn backward<T: Wide>(
    [gates, x, state, cells]: [&[T]; 4],
    dy: Option<&[T]>,
    dlast: Option<&[T]>,
    e: Extent,
) -> Result<[Vec<T>; 3]> {
    let n = e.units;
    let mut dstate = dlast.map_or_else(|| memory::zeros(e.batch * n), memory::copy)?;
    let last = Out::new(&mut dstate);
    let fill = |[dgates, dx]: &[Out<T>; 2]| {
        e.for_blocks(|row, col, cols| {
            let zeros = [T::default(); COLS];
            // SAFETY: a task writes its own row and columns alone, one step at a time.
            let dc = unsafe { last.part(row * n + col, cols) };
            for t in (0..e.steps).rev() {
                let (at, g) = (e.at(row, t, n) + col, e.at(row, t, 3 * n) + col);
                let before = if t == 0 { &state[row * n + col..][..cols] } else { &cells[at - n..][..cols] };
                let dy = dy.map_or(&zeros[..cols], |dy| &dy[at..at + cols]);
                let gates = [0, n, 2 * n].map(|k| &gates[g + k..g + k + cols]);
                // SAFETY: as above; the three gates lie apart.
                let (dg, dx) = unsafe { ([0, n, 2 * n].map(|k| dgates.part(g + k, cols)), dx.part(at, cols)) };
                step_back(dc, gates, [&x[at..at + cols], before, &cells[at..at + cols], dy], dg, dx);
            }
        })
    };
    // SAFETY: the blocks cover all columns of all rows, and `step_back` writes all of each step of one.
    let [dgates, dx] = unsafe { written([3 * e.size(), e.size()], fill) }?;
    Ok([dgates, dx, dstate])
}

/// What the input is multiplied with in the highway connection, so that its variance is kept: √3.
const HIGHWAY: f64 = 1.732_050_807_568_877_2;

simd! {
fn scan_step<T: Wide>(c: &mut [T], x: &[T], f: &[T], out: &mut [T]) {
    for (((c, &x), &f), o) in c.iter_mut().zip(x).zip(f).zip(out) {
        *c = f * *c + x;
        *o = *c;
    }
}
}

simd! {
fn scan_step_back<T: Wide>(dc: &mut [T], f: &[T], before: &[T], dx: &mut [T], df: &mut [T]) {
    let n = dc.len();
    let (f, before, dx, df) = (&f[..n], &before[..n], &mut dx[..n], &mut df[..n]);
    for k in 0..n {
        dx[k] = dc[k];
        df[k] = dc[k] * before[k];
        dc[k] *= f[k];
    }
}
}

simd! {
fn step<T: Wide>(c: &mut [T], [r, f, y]: [&[T]; 3], x: &[T], out: &mut [T]) {
    let (one, highway, n) = (T::of(1.0), T::of(HIGHWAY), c.len());
    let (r, f, y, x, out) = (&r[..n], &f[..n], &y[..n], &x[..n], &mut out[..n]);
    for k in 0..n {
        let (r, f) = (r[k].sigmoid(), f[k].sigmoid());
        c[k] = f * c[k] + y[k] * (one - f);
        out[k] = c[k] * r + x[k] * (one - r) * highway;
    }
}
}

simd! {
fn step_back<T: Wide>(
    dc: &mut [T],
    [r, f, y]: [&[T]; 3],
    [x, before, after, dy]: [&[T]; 4],
    [dr, df, dz]: [&mut [T]; 3],
    dx: &mut [T],
) {
    let (one, highway, n) = (T::of(1.0), T::of(HIGHWAY), dc.len());
    let (r, f, y, x, before, after, dy) = (&r[..n], &f[..n], &y[..n], &x[..n], &before[..n], &after[..n], &dy[..n]);
    let (dr, df, dz, dx) = (&mut dr[..n], &mut df[..n], &mut dz[..n], &mut dx[..n]);
    for k in 0..n {
        let (r, f) = (r[k].sigmoid(), f[k].sigmoid());
        let d = dc[k] + dy[k] * r;
        dr[k] = dy[k] * (after[k] - x[k] * highway) * (r * (one - r));
        dx[k] = dy[k] * (one - r) * highway;
        df[k] = d * (before[k] - y[k]) * (f * (one - f));
        dz[k] = d * (one - f);
        dc[k] = d * f;
    }
}
}
