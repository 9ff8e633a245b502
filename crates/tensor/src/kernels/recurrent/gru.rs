//! Gated recurrent units over whole sequences.
use super::{parts_mut, project, project_back, rows_of, weight_gradient, written, Extent, Recurrent, Wide};
use crate::{
    kernels::{
        gemm::{column_sums, Out},
        real::simd,
    },
    memory, threads, Result,
};

/// The two weight matrices with their biases: of the gates (`[depth + units, 2 · units]`), of the candidate (`[depth + units, units]`).
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a, T> {
    pub gates: &'a [T],
    pub gates_bias: &'a [T],
    pub candidate: &'a [T],
    pub candidate_bias: &'a [T],
}

/// What forward computes.
pub(crate) struct Forward<T> {
    /// Gates after their nonlinearity, `[steps, batch, 2 · units]`: update, reset.
    pub gates: Vec<T>,
    /// Candidates after theirs, `[steps, batch, units]`.
    pub candidates: Vec<T>,
    /// Hidden values, the first before any step: `[steps + 1, batch, units]`.
    pub hidden: Vec<T>,
}

/// Gradients; what was not asked for is empty.
pub(crate) struct Gradients<T> {
    pub x: Vec<T>,
    pub state: Vec<T>,
    /// Weights and bias of the gates, weights and bias of the candidate.
    pub w: [Vec<T>; 4],
}

/// All steps from `state: [batch, units]`, for inputs `x: [steps, batch, depth]`.
pub(crate) fn forward<T: Wide>(x: &[T], state: &[T], w: Weights<'_, T>, e: Extent) -> Result<Forward<T>> {
    let n = e.units;
    let mut gates = project(x, &w.gates[..e.depth * 2 * n], w.gates_bias, [e.rows(), e.depth])?;
    let mut candidates = project(x, &w.candidate[..e.depth * n], w.candidate_bias, [e.rows(), e.depth])?;
    let to_gates = Recurrent::new(&w.gates[e.depth * 2 * n..], [n, 2 * n], false, e.steps)?;
    let to_candidate = Recurrent::new(&w.candidate[e.depth * n..], [n, n], false, e.steps)?;
    let mut hidden = memory::room((e.rows() + e.batch) * n)?;
    hidden.extend_from_slice(state);
    hidden.resize((e.rows() + e.batch) * n, T::default()); // within its room
    let (g, c, h) = (Out::new(&mut gates), Out::new(&mut candidates), Out::new(&mut hidden));
    e.for_rows(|first, rows| {
        let part = (first, rows);
        let mut reset: Vec<T> = memory::zeros(rows * n)?;
        for t in 0..e.steps {
            threads::check()?;
            // SAFETY: a task touches its own rows alone, and no two of these are the same step of a buffer.
            let (gates, candidates, before, after) = unsafe {
                (
                    rows_of(&g, &e, t, part, 2 * n),
                    rows_of(&c, &e, t, part, n),
                    rows_of(&h, &e, t, part, n),
                    rows_of(&h, &e, t + 1, part, n),
                )
            };
            to_gates.product(gates, before, true);
            open(gates, before, &mut reset, n);
            to_candidate.product(candidates, &reset, true);
            mix(gates, candidates, before, after, n);
        }
        Ok(())
    })?;
    Ok(Forward { gates, candidates, hidden })
}

/// Gradients from the cotangents of all hidden values (`dy: [steps, batch, units]`) and of the last state.
pub(crate) fn backward<T: Wide>(
    x: &[T],
    w: Weights<'_, T>,
    saved: &[&[T]; 3],
    dy: Option<&[T]>,
    dlast: Option<&[T]>,
    e: Extent,
    need: [bool; 6],
) -> Result<Gradients<T>> {
    let (n, [gates, candidates, hidden]) = (e.units, *saved);
    let of_gates = Recurrent::new(&w.gates[e.depth * 2 * n..], [n, 2 * n], true, e.steps)?;
    let of_candidate = Recurrent::new(&w.candidate[e.depth * n..], [n, n], true, e.steps)?;
    let mut dstate = dlast.map_or_else(|| memory::zeros(e.batch * n), memory::copy)?;
    let last = Out::new(&mut dstate);
    let fill = |outs: &[Out<T>; 3]| {
        e.for_rows(|first, rows| {
            let part = (first, rows);
            // SAFETY: a task touches its own rows alone, and one step at a time.
            let dh = unsafe { last.part(first * n, rows * n) };
            let mut dreset: Vec<T> = memory::zeros(rows * n)?;
            for t in (0..e.steps).rev() {
                threads::check()?;
                let at = (t * e.batch + first) * n..(t * e.batch + first + rows) * n;
                let gates = &gates[at.start * 2..at.end * 2];
                let before = &hidden[at.clone()];
                if let Some(dy) = dy {
                    dh.iter_mut().zip(&dy[at.clone()]).for_each(|(d, &y)| *d += y);
                }
                // SAFETY: as above.
                let (dg, dc, reset) = unsafe {
                    (
                        rows_of(&outs[0], &e, t, part, 2 * n),
                        rows_of(&outs[1], &e, t, part, n),
                        rows_of(&outs[2], &e, t, part, n),
                    )
                };
                mix_back(dg, dc, gates, &candidates[at], before, dh, n);
                of_candidate.product(&mut dreset, dc, false);
                open_back(dg, gates, before, &dreset, dh, reset, n);
                of_gates.product(dh, dg, true);
            }
            Ok(())
        })
    };
    let size = e.rows() * n;
    // The last is what the candidate's weights were multiplied with.
    // SAFETY: `mix_back` and `open_back` write all rows of each step.
    let [dgates, dcandidates, resets] = unsafe { written([2 * size, size, size], fill) }?;
    let rows = e.rows();
    let gradient = |wanted: bool, dy: &[T], inputs: &[T], cols: usize| {
        if wanted {
            weight_gradient([(x, e.depth), (inputs, n)], dy, [rows, cols])
        } else {
            Ok(Vec::new())
        }
    };
    let sums = |wanted: bool, dy: &[T], cols: usize| if wanted { column_sums(dy, cols) } else { Ok(Vec::new()) };
    let mut dx = Vec::new();
    if need[0] {
        dx = project_back(&dgates, &w.gates[..e.depth * 2 * n], [rows, e.depth, 2 * n])?;
        let more = project_back(&dcandidates, &w.candidate[..e.depth * n], [rows, e.depth, n])?;
        threads::for_chunks(&mut dx, threads::GRAIN, |start, part| {
            part.iter_mut().zip(&more[start..]).for_each(|(d, &m)| *d += m);
        })?;
    }
    Ok(Gradients {
        x: dx,
        w: [
            gradient(need[2], &dgates, hidden, 2 * n)?,
            sums(need[3], &dgates, 2 * n)?,
            gradient(need[4], &dcandidates, &resets, n)?,
            sums(need[5], &dcandidates, n)?,
        ],
        state: dstate,
    })
}

simd! {
/// Gates of some rows through the logistic function, and the state that the reset gates let through.
fn open<T: Wide>(gates: &mut [T], before: &[T], reset: &mut [T], n: usize) {
    for (row, gates) in gates.chunks_exact_mut((2 * n).max(1)).enumerate() {
        let [u, r] = parts_mut(gates, n);
        let (u, r) = (&mut u[..n], &mut r[..n]);
        let (before, reset) = (&before[row * n..][..n], &mut reset[row * n..][..n]);
        for k in 0..n {
            u[k] = u[k].sigmoid();
            r[k] = r[k].sigmoid();
            reset[k] = r[k] * before[k];
        }
    }
}
}

simd! {
/// Candidates of some rows through their nonlinearity, and the new state.
fn mix<T: Wide>(gates: &[T], candidates: &mut [T], before: &[T], after: &mut [T], n: usize) {
    let one = T::of(1.0);
    for (row, gates) in gates.chunks_exact((2 * n).max(1)).enumerate() {
        let (u, c) = (&gates[..n], &mut candidates[row * n..][..n]);
        let (before, after) = (&before[row * n..][..n], &mut after[row * n..][..n]);
        for k in 0..n {
            c[k] = c[k].tanh();
            after[k] = u[k] * before[k] + (one - u[k]) * c[k];
        }
    }
}
}

simd! {
/// Cotangents of the update gates and candidates before their nonlinearities; `dh` becomes what goes around both.
fn mix_back<T: Wide>(dg: &mut [T], dc: &mut [T], gates: &[T], candidates: &[T], before: &[T], dh: &mut [T], n: usize) {
    let (one, width) = (T::of(1.0), (2 * n).max(1));
    for (row, (dg, gates)) in dg.chunks_exact_mut(width).zip(gates.chunks_exact(width)).enumerate() {
        let (du, u, dc) = (&mut dg[..n], &gates[..n], &mut dc[row * n..][..n]);
        let (c, before) = (&candidates[row * n..][..n], &before[row * n..][..n]);
        let dh = &mut dh[row * n..][..n];
        for k in 0..n {
            du[k] = dh[k] * (before[k] - c[k]) * (u[k] * (one - u[k]));
            dc[k] = dh[k] * (one - u[k]) * (one - c[k] * c[k]);
            dh[k] *= u[k];
        }
    }
}
}

simd! {
/// Cotangents of the reset gates before their nonlinearity, and what they let through to `dh`.
fn open_back<T: Wide>(dg: &mut [T], gates: &[T], before: &[T], dreset: &[T], dh: &mut [T], reset: &mut [T], n: usize) {
    let (one, width) = (T::of(1.0), (2 * n).max(1));
    for (row, (dg, gates)) in dg.chunks_exact_mut(width).zip(gates.chunks_exact(width)).enumerate() {
        let (dr, r, d) = (&mut dg[n..][..n], &gates[n..][..n], &dreset[row * n..][..n]);
        let (before, dh) = (&before[row * n..][..n], &mut dh[row * n..][..n]);
        let reset = &mut reset[row * n..][..n];
        for k in 0..n {
            dr[k] = d[k] * before[k] * (r[k] * (one - r[k]));
            dh[k] += d[k] * r[k];
            reset[k] = r[k] * before[k];
        }
    }
}
}
