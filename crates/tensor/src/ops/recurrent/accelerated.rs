//! Recurrent networks by kernels of an accelerator: products of all steps at once, and a scan for what goes from one step to the next.
use super::{after_first, halves, time_first};
use crate::{
    accelerated::{missing, Gru, Kernels},
    custom_vjp,
    device_path::Path,
    kernels::recurrent::Extent,
    ops::attention::turned,
    tensor::Raw,
    DType, Result, Tensor,
};

/// A result of kernels.
fn whole(raw: Raw) -> Tensor {
    Tensor::from_raw(raw, DType::F32)
}

/// `x · w`, of the rows of x below one another.
fn product(x: &Raw, w: &Raw) -> Result<Raw> {
    let cols = w.dims()[1];
    let rows = x.elem_count().checked_div(w.dims()[0]).unwrap_or(0);
    Ok(x.contiguous()?.reshape((rows, w.dims()[0]))?.matmul(&w.contiguous()?)?.reshape((rows, cols))?)
}

/// A cotangent, or zeros for none.
fn or_zeros(ct: Option<&Tensor>, shape: &[usize], like: &Tensor) -> Result<Raw> {
    match ct {
        Some(ct) => Ok(ct.cast(DType::F32)?.raw().contiguous()?),
        None => Ok(Tensor::zeros(shape, DType::F32, like.device())?.raw().clone()),
    }
}

/// The rows of weights `[depth + units, …]` for the inputs, and for the state.
fn parts(w: &Tensor, e: Extent) -> Result<[Raw; 2]> {
    Ok([w.raw().narrow(0, 0, e.depth)?.contiguous()?, w.raw().narrow(0, e.depth, e.units)?.contiguous()?])
}

/// What both networks are computed of at once: neither is when something is empty.
fn sizes(e: Extent) -> Option<[usize; 3]> {
    let is_empty = [e.steps, e.batch, e.depth, e.units].contains(&0);
    (!is_empty).then_some([e.steps, e.batch, e.units])
}

/// The gradients of weights and their bias, of what was multiplied with them and the cotangent `d` of the products.
fn of_weights(x: &Raw, h: &Raw, d: &Raw, path: (Kernels<'_>, usize)) -> Result<[Raw; 2]> {
    let (kernels, width) = path;
    let w = Raw::cat(&[product(&turned(x)?, d)?, product(&turned(h)?, d)?], 0)?;
    let bias = match kernels.sum([1, d.dims()[0], width], d)? {
        Some(bias) => bias,
        None => d.sum(0)?,
    };
    Ok([w, bias.reshape(width)?])
}

/// What a recurrent network gives: hidden values batch first, and the last state.
type Outputs = Option<(Tensor, Tensor)>;

/// [`lstm`](super::lstm()) of float32 inputs; nothing where no kernel computes it.
pub(super) fn lstm(inputs: &[Tensor], e: Extent, path: &Path) -> Result<Outputs> {
    let Some(sizes) = sizes(e) else { return Ok(None) };
    let n = e.units;
    let done = path.accelerated(&inputs[0], |kernels| {
        let x = time_first(&inputs[0].detach())?.raw().reshape((e.steps * e.batch, e.depth))?;
        let [of_x, of_h] = parts(&inputs[2], e)?;
        let projected = product(&x, &of_x)?.broadcast_add(inputs[3].raw())?;
        let found = kernels.lstm(sizes, &projected, &of_h, &inputs[1].raw().contiguous()?)?;
        Ok(found.map(|found| (x, found)))
    })?;
    let Some((x, [gates, cells, hidden])) = done else { return Ok(None) };
    let last = [&cells, &hidden].map(|raw| raw.narrow(0, e.steps, 1));
    let [c, h] = last;
    let last = Raw::cat(&[c?.squeeze(0)?, h?.squeeze(0)?], 1)?;
    let hidden = whole(hidden);
    let y = after_first(&hidden, &e)?;
    let saved = (x, inputs[2].detach(), gates, cells, hidden);
    let forward = move |_: &[Tensor]| Ok((vec![y, whole(last)], saved));
    let out = custom_vjp(inputs, forward, move |(x, w, gates, cells, hidden), cts, need| {
        let (dy, dlast) = cotangents(cts, &e, 2 * n, hidden)?;
        let path = hidden.path("gradient of lstm");
        let grads = path.accelerated(hidden, |kernels| {
            let [of_x, of_h] = parts(w, e)?;
            let Some([d, state]) = kernels.lstm_back(sizes, [gates, cells, &turned(&of_h)?], &dy, &dlast)? else {
                return Ok(None);
            };
            let before = hidden.raw().narrow(0, 0, e.steps)?.contiguous()?.reshape((e.steps * e.batch, n))?;
            let [of_w, of_b] = of_weights(x, &before, &d, (kernels, 4 * n))?;
            Ok(Some([batch_first(product(&d, &turned(&of_x)?)?, &e)?, state, of_w, of_b]))
        })?;
        let grads = grads.ok_or_else(missing)?;
        Ok(grads.into_iter().zip(need).map(|(raw, &needed)| needed.then(|| whole(raw))).collect())
    })?;
    let [y, last] = halves(out)?;
    Ok(Some((y, last)))
}

/// [`gru`](super::gru()) of float32 inputs; nothing where no kernel computes it.
pub(super) fn gru(inputs: &[Tensor], e: Extent, path: &Path) -> Result<Outputs> {
    let Some(sizes) = sizes(e) else { return Ok(None) };
    let n = e.units;
    let done = path.accelerated(&inputs[0], |kernels| {
        let x = time_first(&inputs[0].detach())?.raw().reshape((e.steps * e.batch, e.depth))?;
        let ([x1, to_gates], [x2, to_candidate]) = (parts(&inputs[2], e)?, parts(&inputs[4], e)?);
        let gates = product(&x, &x1)?.broadcast_add(inputs[3].raw())?;
        let candidates = product(&x, &x2)?.broadcast_add(inputs[5].raw())?;
        let from = Gru { gates: &gates, candidates: &candidates, to_gates: &to_gates, to_candidate: &to_candidate };
        let found = kernels.gru(sizes, &from, &inputs[1].raw().contiguous()?)?;
        Ok(found.map(|found| (x, found)))
    })?;
    let Some((x, [gates, candidates, hidden])) = done else { return Ok(None) };
    let last = whole(hidden.narrow(0, e.steps, 1)?.contiguous()?.reshape((e.batch, n))?);
    let hidden = whole(hidden);
    let y = after_first(&hidden, &e)?;
    let saved = (x, [inputs[2].detach(), inputs[4].detach()], gates, candidates, hidden);
    let forward = move |_: &[Tensor]| Ok((vec![y, last], saved));
    let out = custom_vjp(inputs, forward, move |(x, [w1, w2], gates, candidates, hidden), cts, need| {
        let (dy, dlast) = cotangents(cts, &e, n, hidden)?;
        let path = hidden.path("gradient of gru");
        let grads = path.accelerated(hidden, |kernels| {
            let ([x1, to_gates], [x2, to_candidate]) = (parts(w1, e)?, parts(w2, e)?);
            let (gates_turned, candidate_turned) = (turned(&to_gates)?, turned(&to_candidate)?);
            let kept = [gates, candidates, hidden.raw(), &gates_turned, &candidate_turned];
            let Some([d1, d2, resets, state]) = kernels.gru_back(sizes, kept, &dy, &dlast)? else { return Ok(None) };
            let before = hidden.raw().narrow(0, 0, e.steps)?.contiguous()?.reshape((e.steps * e.batch, n))?;
            let [of_w1, of_b1] = of_weights(x, &before, &d1, (kernels, 2 * n))?;
            let [of_w2, of_b2] = of_weights(x, &resets, &d2, (kernels, n))?;
            let dx = (product(&d1, &turned(&x1)?)? + product(&d2, &turned(&x2)?)?)?;
            Ok(Some([batch_first(dx, &e)?, state, of_w1, of_b1, of_w2, of_b2]))
        })?;
        let grads = grads.ok_or_else(missing)?;
        Ok(grads.into_iter().zip(need).map(|(raw, &needed)| needed.then(|| whole(raw))).collect())
    })?;
    let [y, last] = halves(out)?;
    Ok(Some((y, last)))
}

/// Cotangents of hidden values, time first, and of the last state.
fn cotangents(cts: &[Option<Tensor>], e: &Extent, width: usize, like: &Tensor) -> Result<(Raw, Raw)> {
    let dy = cts[0].as_ref().map(time_first).transpose()?;
    let dy = or_zeros(dy.as_ref(), &[e.steps, e.batch, e.units], like)?;
    let dlast = or_zeros(cts.get(1).and_then(Option::as_ref), &[e.batch, width], like)?;
    Ok((dy, dlast))
}

/// The gradient of x, batch first again.
fn batch_first(dx: Raw, e: &Extent) -> Result<Raw> {
    Ok(dx.reshape((e.steps, e.batch, e.depth))?.transpose(0, 1)?)
}

/// The last step of `[batch, steps, units]`.
fn last_step(cells: &Raw) -> Result<Tensor> {
    let (_, steps, _) = cells.dims3()?;
    Ok(whole(cells.narrow(1, steps - 1, 1)?.squeeze(1)?.contiguous()?))
}

/// [`linear_recurrence`](super::linear_recurrence) of float32 inputs; nothing where no kernel computes it.
pub(super) fn linear_recurrence(inputs: &[Tensor], path: &Path) -> Result<Outputs> {
    let [x, f, state] = inputs else { return Ok(None) };
    if x.size() == 0 {
        return Ok(None);
    }
    let found = path.accelerated(x, |kernels| kernels.linear_recurrence(x.raw(), f.raw(), state.raw()))?;
    let Some(cells) = found else { return Ok(None) };
    let (outputs, saved) = ([whole(cells.clone()), last_step(&cells)?], (f.detach(), state.detach(), cells));
    let forward = move |_: &[Tensor]| Ok((outputs.to_vec(), saved));
    let out = custom_vjp(inputs, forward, move |(f, state, cells), cts, need| {
        let dy = or_zeros(cts[0].as_ref(), f.shape(), f)?;
        let dlast = or_zeros(cts.get(1).and_then(Option::as_ref), state.shape(), f)?;
        let path = f.path("gradient of linear_recurrence");
        let grads =
            path.accelerated(f, |kernels| kernels.linear_recurrence_back([f.raw(), state.raw(), cells], &dy, &dlast))?;
        let grads = grads.ok_or_else(missing)?;
        Ok(grads.into_iter().zip(need).map(|(raw, &needed)| needed.then(|| whole(raw))).collect())
    })?;
    let [y, last] = halves(out)?;
    Ok(Some((y, last)))
}

/// [`sru`](super::sru()) of float32 inputs; nothing where no kernel computes it.
pub(super) fn sru(inputs: &[Tensor], path: &Path) -> Result<Outputs> {
    let [gates, x, state] = inputs else { return Ok(None) };
    if x.size() == 0 {
        return Ok(None);
    }
    let found = path.accelerated(x, |kernels| kernels.sru(gates.raw(), x.raw(), state.raw()))?;
    let Some([hidden, cells]) = found else { return Ok(None) };
    let (outputs, saved) =
        ([whole(hidden), last_step(&cells)?], (inputs.iter().map(Tensor::detach).collect::<Vec<_>>(), cells));
    let forward = move |_: &[Tensor]| Ok((outputs.to_vec(), saved));
    let out = custom_vjp(inputs, forward, move |(inputs, cells), cts, need| {
        let (x, state) = (&inputs[1], &inputs[2]);
        let dy = or_zeros(cts[0].as_ref(), x.shape(), x)?;
        let dlast = or_zeros(cts.get(1).and_then(Option::as_ref), state.shape(), x)?;
        let path = x.path("gradient of sru");
        let grads = path
            .accelerated(x, |kernels| kernels.sru_back([inputs[0].raw(), x.raw(), state.raw(), cells], &dy, &dlast))?;
        let grads = grads.ok_or_else(missing)?;
        Ok(grads.into_iter().zip(need).map(|(raw, &needed)| needed.then(|| whole(raw))).collect())
    })?;
    let [y, last] = halves(out)?;
    Ok(Some((y, last)))
}
