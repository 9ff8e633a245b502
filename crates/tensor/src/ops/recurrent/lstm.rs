//! Long short-term memory.
use super::{
    accelerated, after_first, batch_first, by_steps, extent, halves, require_shape, step_of, time_first, widened,
};
use crate::{
    custom_vjp, for_wide,
    kernels::recurrent::{
        lstm::{self as kernel},
        Extent,
    },
    memory,
    ops::dense,
    Error, Result, Tensor,
};

/// One step: the hidden values, and the state after it.
///
/// `[i, j, f, o] = [x, h] · w + b`, `c' = σ(f) c + σ(i) tanh(j)`, `h' = σ(o) tanh(c')`; the state is `[c, h]`
/// (Hochreiter & Schmidhuber 1997; the variant of Zaremba et al. 2014, arXiv:1409.2329).
/// `x: [batch, depth]`, `state: [batch, 2 · units]`, `w: [depth + units, 4 · units]`, `b: [4 · units]`.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn lstm_cell(x: &Tensor, state: &Tensor, w: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    lstm_cell_by(x, state, |xh| dense(xh, w, Some(b)))
}

/// [`lstm_cell`] with `gates` in the place of `· w + b`.
///
/// # Errors
/// Those of `gates`, and as [`lstm_cell`].
pub fn lstm_cell_by<E: From<Error>>(
    x: &Tensor,
    state: &Tensor,
    gates: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
) -> std::result::Result<(Tensor, Tensor), E> {
    let [c, h]: [Tensor; 2] = halves(state.split(2, -1)?)?;
    let gates = gates(&Tensor::concat(&[x.clone(), h], -1)?)?;
    let [i, j, f, o]: [Tensor; 4] = halves(gates.split(4, -1)?)?;
    let c = c.mul(&f.sigmoid()?)?.add(&i.sigmoid()?.mul(&j.tanh()?)?)?;
    let h = c.tanh()?.mul(&o.sigmoid()?)?;
    let state = Tensor::concat(&[c, h.clone()], -1)?;
    Ok((h, state))
}

/// [`lstm_cell`] over the steps of `x: [batch, steps, depth]`: the hidden values of all steps, `[batch, steps, units]`, and the last state.
///
/// Backward keeps the gates, cells and hidden values of all steps. Halves compute in float32.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn lstm(x: &Tensor, state: &Tensor, w: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let e = extent("lstm", x, state, w, 2)?;
    require_shape("lstm", "w", w, &[e.depth + e.units, 4 * e.units])?;
    require_shape("lstm", "b", b, &[4 * e.units])?;
    let (dtype, inputs) = widened("lstm", &[x, state, w, b])?;
    let path = x.path("lstm");
    let (y, last) = if path.by_kernel() {
        for_wide!(inputs[0].dtype(), "lstm", T => fused::<T>(&inputs, e)?)
    } else if let Some(found) = accelerated::lstm(&inputs, e, &path)? {
        found
    } else {
        let cell = |x: &[Tensor], state: &Tensor| lstm_cell(&x[0], state, &inputs[2], &inputs[3]);
        by_steps(&[&inputs[0]], &inputs[1], e.units, cell)?
    };
    Ok((y.cast(dtype)?, last.cast(dtype)?))
}

/// What backward reads: the inputs time first, the weights, and what the kernel computed.
struct Saved {
    x: Tensor,
    w: Tensor,
    gates: Tensor,
    cells: Tensor,
    hidden: Tensor,
}

fn fused<T: crate::Element + crate::kernels::recurrent::Wide>(
    inputs: &[Tensor],
    e: Extent,
) -> Result<(Tensor, Tensor)> {
    let n = e.units;
    let forward = move |t: &[Tensor]| {
        let x = time_first(&t[0])?;
        let done =
            kernel::forward(&x.values::<T>()?, &t[1].values::<T>()?, &t[2].values::<T>()?, &t[3].values::<T>()?, e)?;
        let (cells, hidden) = (step_of(&done.cells, &e, e.steps), step_of(&done.hidden, &e, e.steps));
        let rows = cells.chunks_exact(n.max(1)).zip(hidden.chunks_exact(n.max(1)));
        let mut last: Vec<T> = memory::room(&[e.batch, 2 * n])?;
        rows.for_each(|(c, h)| last.extend(c.iter().chain(h)));
        let last = Tensor::from_vec(last, &[e.batch, 2 * n])?;
        let whole = [e.steps + 1, e.batch, n];
        let saved = Saved {
            x,
            w: t[2].clone(),
            gates: Tensor::from_vec(done.gates, &[e.steps, e.batch, 4 * n])?,
            cells: Tensor::from_vec(done.cells, &whole)?,
            hidden: Tensor::from_vec(done.hidden, &whole)?,
        };
        Ok((vec![after_first(&saved.hidden, &e)?, last], saved))
    };
    let out = custom_vjp(inputs, forward, move |s: &Saved, cts, need| {
        let dy = cts[0].as_ref().map(|ct| ct.swap_axes(0, 1)?.values::<T>()).transpose()?;
        let dlast = cts.get(1).and_then(Option::as_ref).map(Tensor::values::<T>).transpose()?;
        let g = kernel::backward(
            &s.x.values::<T>()?,
            &s.w.values::<T>()?,
            &[&s.gates.values::<T>()?, &s.cells.values::<T>()?, &s.hidden.values::<T>()?],
            dy.as_deref(),
            dlast.as_deref(),
            e,
            [need[0], need[1], need[2], need[3]],
        )?;
        Ok(vec![
            need[0].then(|| batch_first(g.x, &e, e.depth)).transpose()?,
            need[1].then(|| Tensor::from_vec(g.state, &[e.batch, 2 * n])).transpose()?,
            need[2].then(|| Tensor::from_vec(g.w, &[e.depth + n, 4 * n])).transpose()?,
            need[3].then(|| Tensor::from_vec(g.b, &[4 * n])).transpose()?,
        ])
    })?;
    let [y, last] = halves(out)?;
    Ok((y, last))
}
