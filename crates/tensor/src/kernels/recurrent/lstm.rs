//! Long short-term memory over whole sequences.
use super::{parts, parts_mut, project, project_back, rows_of, weight_gradient, written, Extent, Recurrent, Wide};
use crate::{
    kernels::{
        gemm::{column_sums, Out},
        real::simd,
    },
    memory, threads, Result,
};

/// What forward computes.
pub(crate) struct Forward<T> {
    /// Gates after their nonlinearities, `[steps, batch, 4 · units]`: input, new value, forget, output.
    pub gates: Vec<T>,
    /// Cells, the first before any step: `[steps + 1, batch, units]`.
    pub cells: Vec<T>,
    /// Hidden values, the first before any step: `[steps + 1, batch, units]`.
    pub hidden: Vec<T>,
}

/// Gradients; what was not asked for is empty.
pub(crate) struct Gradients<T> {
    pub x: Vec<T>,
    pub state: Vec<T>,
    pub w: Vec<T>,
    pub b: Vec<T>,
}

/// All steps from `state` (`[batch, 2 · units]`: cell, hidden), for inputs `x: [steps, batch, depth]`.
pub(crate) fn forward<T: Wide>(x: &[T], state: &[T], w: &[T], b: &[T], e: Extent) -> Result<Forward<T>> {
    let n = e.units;
    let mut gates = project(x, &w[..e.depth * 4 * n], b, [e.rows(), e.depth])?;
    let recurrent = Recurrent::new(&w[e.depth * 4 * n..], [n, 4 * n], false, e.steps)?;
    let whole = (e.rows() + e.batch) * n;
    let g = Out::new(&mut gates);
    let fill = |[c, h]: &[Out<T>; 2]| {
        for (row, s) in state.chunks_exact((2 * n).max(1)).enumerate() {
            // SAFETY: the rows before any step lie one after another at the start.
            let (cell, hidden) = unsafe { (c.part(row * n, n), h.part(row * n, n)) };
            cell.copy_from_slice(&s[..n]);
            hidden.copy_from_slice(&s[n..]);
        }
        e.for_rows(|first, rows| {
            let part = (first, rows);
            for t in 0..e.steps {
                threads::check()?;
                // SAFETY: a task touches its own rows alone, and no two of these are the same step of a buffer.
                let (gates, before, after, h_before, h_after) = unsafe {
                    (
                        rows_of(&g, &e, t, part, 4 * n),
                        rows_of(c, &e, t, part, n),
                        rows_of(c, &e, t + 1, part, n),
                        rows_of(h, &e, t, part, n),
                        rows_of(h, &e, t + 1, part, n),
                    )
                };
                recurrent.product(gates, h_before, true);
                step(gates, before, after, h_after, n);
            }
            Ok(())
        })
    };
    // SAFETY: there is a row of the state for each of the batch, and `step` writes all rows after each step.
    let [cells, hidden] = unsafe { written([whole; 2], fill) }?;
    Ok(Forward { gates, cells, hidden })
}

/// Gradients from the cotangents of all hidden values (`dy: [steps, batch, units]`) and of the last state.
pub(crate) fn backward<T: Wide>(
    x: &[T],
    w: &[T],
    saved: &[&[T]; 3],
    dy: Option<&[T]>,
    dlast: Option<&[T]>,
    e: Extent,
    need: [bool; 4],
) -> Result<Gradients<T>> {
    let (n, [gates, cells, hidden]) = (e.units, *saved);
    let recurrent = Recurrent::new(&w[e.depth * 4 * n..], [n, 4 * n], true, e.steps)?;
    let mut dstate = dlast.map_or_else(|| memory::zeros(e.batch * 2 * n), memory::copy)?;
    let ds = Out::new(&mut dstate);
    let fill = |[dg]: &[Out<T>; 1]| {
        e.for_rows(|first, rows| {
            // SAFETY: a task touches its own rows alone, and one step of `dg` at a time.
            let ds = unsafe { ds.part(first * 2 * n, rows * 2 * n) };
            let (mut dc, mut dh): (Vec<T>, Vec<T>) = (memory::room(rows * n)?, memory::room(rows * n)?);
            for s in ds.chunks_exact((2 * n).max(1)) {
                dc.extend_from_slice(&s[..n]);
                dh.extend_from_slice(&s[n..]);
            }
            for t in (0..e.steps).rev() {
                threads::check()?;
                let at = (t * e.batch + first) * n..(t * e.batch + first + rows) * n;
                let after = at.start + e.batch * n..at.end + e.batch * n;
                if let Some(dy) = dy {
                    dh.iter_mut().zip(&dy[at.clone()]).for_each(|(d, &y)| *d += y);
                }
                // SAFETY: as above.
                let dg = unsafe { rows_of(dg, &e, t, (first, rows), 4 * n) };
                step_back(dg, &gates[at.start * 4..at.end * 4], &cells[at], &cells[after], &mut dc, &dh, n);
                recurrent.product(&mut dh, dg, false);
            }
            for (i, s) in ds.chunks_exact_mut((2 * n).max(1)).enumerate() {
                s[..n].copy_from_slice(&dc[i * n..(i + 1) * n]);
                s[n..].copy_from_slice(&dh[i * n..(i + 1) * n]);
            }
            Ok(())
        })
    };
    // SAFETY: `step_back` writes all rows of each step.
    let [dgates] = unsafe { written([e.rows() * 4 * n], fill) }?;
    let size = [e.rows(), e.depth, 4 * n];
    let inputs = [(x, e.depth), (hidden, n)];
    Ok(Gradients {
        x: if need[0] { project_back(&dgates, &w[..e.depth * 4 * n], size)? } else { Vec::new() },
        state: dstate,
        w: if need[2] { weight_gradient(inputs, &dgates, [e.rows(), 4 * n])? } else { Vec::new() },
        b: if need[3] { column_sums(&dgates, 4 * n)? } else { Vec::new() },
    })
}

simd! {
/// Gates of some rows through their nonlinearities, then the new cells and hidden values.
fn step<T: Wide>(gates: &mut [T], before: &[T], after: &mut [T], hidden: &mut [T], n: usize) {
    for (row, gates) in gates.chunks_exact_mut((4 * n).max(1)).enumerate() {
        let [i, j, f, o] = parts_mut(gates, n);
        let (i, j, f, o) = (&mut i[..n], &mut j[..n], &mut f[..n], &mut o[..n]);
        let (before, after) = (&before[row * n..][..n], &mut after[row * n..][..n]);
        let hidden = &mut hidden[row * n..][..n];
        for k in 0..n {
            let (vi, vj, vf, vo) = (i[k].sigmoid(), j[k].tanh(), f[k].sigmoid(), o[k].sigmoid());
            let c = before[k] * vf + vi * vj;
            (i[k], j[k], f[k], o[k], after[k]) = (vi, vj, vf, vo, c);
            hidden[k] = c.tanh() * vo;
        }
    }
}
}

simd! {
/// Cotangents of the gates before their nonlinearities; `dc` becomes that of the cells before the step.
fn step_back<T: Wide>(out: &mut [T], gates: &[T], before: &[T], after: &[T], dc: &mut [T], dh: &[T], n: usize) {
    let (one, width) = (T::of(1.0), (4 * n).max(1));
    for (row, (out, gates)) in out.chunks_exact_mut(width).zip(gates.chunks_exact(width)).enumerate() {
        let [di, dj, df, d_o] = parts_mut(out, n);
        let (di, dj, df, d_o) = (&mut di[..n], &mut dj[..n], &mut df[..n], &mut d_o[..n]);
        let [i, j, f, o] = parts(gates, n);
        let (i, j, f, o) = (&i[..n], &j[..n], &f[..n], &o[..n]);
        let (before, after) = (&before[row * n..][..n], &after[row * n..][..n]);
        let (dc, dh) = (&mut dc[row * n..][..n], &dh[row * n..][..n]);
        for k in 0..n {
            let c = after[k].tanh();
            let d = dc[k] + dh[k] * o[k] * (one - c * c);
            di[k] = d * j[k] * (i[k] * (one - i[k]));
            dj[k] = d * i[k] * (one - j[k] * j[k]);
            df[k] = d * before[k] * (f[k] * (one - f[k]));
            d_o[k] = dh[k] * c * (o[k] * (one - o[k]));
            dc[k] = d * f[k];
        }
    }
}
}
