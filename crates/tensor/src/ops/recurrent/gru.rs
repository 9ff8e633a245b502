//! Gated recurrent units.
use super::{
    accelerated, after_first, batch_first, by_steps, extent, halves, require_shape, step_of, time_first, widened,
};
use crate::{
    custom_vjp, for_wide,
    kernels::recurrent::{
        gru::{self as kernel, Weights},
        Extent, Wide,
    },
    memory,
    ops::dense,
    Element, Error, Result, Tensor,
};

/// The weights of a gated recurrent unit.
#[derive(Debug, Clone, Copy)]
pub struct GruWeights<'a> {
    /// Of update and reset gate: `[depth + units, 2 · units]`.
    pub gates: &'a Tensor,
    /// Their bias: `[2 · units]`.
    pub gates_bias: &'a Tensor,
    /// Of the candidate: `[depth + units, units]`.
    pub candidate: &'a Tensor,
    /// Its bias: `[units]`.
    pub candidate_bias: &'a Tensor,
}

/// One step: the new state, which is also the output.
///
/// `[u, r] = σ([x, h] · w₁ + b₁)`, `c = tanh([x, r h] · w₂ + b₂)`, `h' = u h + (1 - u) c` (Cho et al. 2014, Chung et al. 2014,
/// arXiv:1412.3555). `x: [batch, depth]`, `state: [batch, units]`.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn gru_cell(x: &Tensor, state: &Tensor, w: GruWeights<'_>) -> Result<Tensor> {
    let gates = |xh: &Tensor| dense(xh, w.gates, Some(w.gates_bias));
    gru_cell_by(x, state, gates, |xh| dense(xh, w.candidate, Some(w.candidate_bias)))
}

/// [`gru_cell`] with `gates` in the place of `· w₁ + b₁`, and `candidate` in that of `· w₂ + b₂`.
///
/// # Errors
/// Those of `gates` and `candidate`, and as [`gru_cell`].
pub fn gru_cell_by<E: From<Error>>(
    x: &Tensor,
    state: &Tensor,
    gates: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
    candidate: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
) -> std::result::Result<Tensor, E> {
    let gates = gates(&Tensor::concat(&[x.clone(), state.clone()], -1)?)?.sigmoid()?;
    let [u, r] = halves(gates.split(2, -1)?)?;
    let reset = r.mul(state)?;
    let c = candidate(&Tensor::concat(&[x.clone(), reset], -1)?)?.tanh()?;
    Ok(u.mul(state)?.add(&u.rsub_scalar(1.0)?.mul(&c)?)?)
}

/// [`gru_cell`] over the steps of `x: [batch, steps, depth]`: the states after all steps, `[batch, steps, units]`, and the last one.
///
/// Backward keeps the gates, candidates and states of all steps. Halves compute in float32.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn gru(x: &Tensor, state: &Tensor, w: GruWeights<'_>) -> Result<(Tensor, Tensor)> {
    let e = extent("gru", x, state, w.gates, 1)?;
    let (inner, n) = (e.depth + e.units, e.units);
    require_shape("gru", "the weights of the gates", w.gates, &[inner, 2 * n])?;
    require_shape("gru", "the bias of the gates", w.gates_bias, &[2 * n])?;
    require_shape("gru", "the weights of the candidate", w.candidate, &[inner, n])?;
    require_shape("gru", "the bias of the candidate", w.candidate_bias, &[n])?;
    let all = [x, state, w.gates, w.gates_bias, w.candidate, w.candidate_bias];
    let (dtype, inputs) = widened("gru", &all)?;
    let path = x.path("gru");
    let (y, last) = if path.by_kernel() {
        for_wide!(inputs[0].dtype(), "gru", T => fused::<T>(&inputs, e)?)
    } else if let Some(found) = accelerated::gru(&inputs, e, &path)? {
        found
    } else {
        let w =
            GruWeights { gates: &inputs[2], gates_bias: &inputs[3], candidate: &inputs[4], candidate_bias: &inputs[5] };
        by_steps(&[&inputs[0]], &inputs[1], n, |x, state| {
            let next = gru_cell(&x[0], state, w)?;
            Ok((next.clone(), next))
        })?
    };
    Ok((y.cast(dtype)?, last.cast(dtype)?))
}

/// What backward reads: the inputs time first, weights and biases, and what the kernel computed.
struct Saved {
    x: Tensor,
    w: [Tensor; 4],
    gates: Tensor,
    candidates: Tensor,
    hidden: Tensor,
}

fn fused<T: Element + Wide>(inputs: &[Tensor], e: Extent) -> Result<(Tensor, Tensor)> {
    let n = e.units;
    let forward = move |t: &[Tensor]| {
        let x = time_first(&t[0])?;
        let values = t[1..].iter().map(Tensor::values::<T>).collect::<Result<Vec<_>>>()?;
        let w =
            Weights { gates: &values[1], gates_bias: &values[2], candidate: &values[3], candidate_bias: &values[4] };
        let done = kernel::forward(&x.values::<T>()?, &values[0], w, e)?;
        let last = Tensor::from_vec(memory::copy(step_of(&done.hidden, &e, e.steps))?, &[e.batch, n])?;
        let saved = Saved {
            x,
            w: [2, 3, 4, 5].map(|i| t[i].clone()),
            gates: Tensor::from_vec(done.gates, &[e.steps, e.batch, 2 * n])?,
            candidates: Tensor::from_vec(done.candidates, &[e.steps, e.batch, n])?,
            hidden: Tensor::from_vec(done.hidden, &[e.steps + 1, e.batch, n])?,
        };
        Ok((vec![after_first(&saved.hidden, &e)?, last], saved))
    };
    let out = custom_vjp(inputs, forward, move |s: &Saved, cts, need| {
        let dy = cts[0].as_ref().map(|ct| ct.swap_axes(0, 1)?.values::<T>()).transpose()?;
        let dlast = cts.get(1).and_then(Option::as_ref).map(Tensor::values::<T>).transpose()?;
        let values = s.w.iter().map(Tensor::values::<T>).collect::<Result<Vec<_>>>()?;
        let w =
            Weights { gates: &values[0], gates_bias: &values[1], candidate: &values[2], candidate_bias: &values[3] };
        let g = kernel::backward(
            &s.x.values::<T>()?,
            w,
            &[&s.gates.values::<T>()?, &s.candidates.values::<T>()?, &s.hidden.values::<T>()?],
            dy.as_deref(),
            dlast.as_deref(),
            e,
            [need[0], need[1], need[2], need[3], need[4], need[5]],
        )?;
        let mut out = vec![
            need[0].then(|| batch_first(g.x, &e, e.depth)).transpose()?,
            need[1].then(|| Tensor::from_vec(g.state, &[e.batch, n])).transpose()?,
        ];
        for ((values, w), &needed) in g.w.into_iter().zip(&s.w).zip(&need[2..]) {
            out.push(needed.then(|| Tensor::from_vec(values, w.shape())).transpose()?);
        }
        Ok(out)
    })?;
    let [y, last] = halves(out)?;
    Ok((y, last))
}
