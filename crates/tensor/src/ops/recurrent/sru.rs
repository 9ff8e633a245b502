//! Simple recurrent units, and the linear recurrence inside them.
use super::{accelerated, by_steps, halves, require_shape, widened};
use crate::{
    custom_vjp, for_wide,
    kernels::recurrent::{
        sru::{self as kernel, Extent},
        Wide,
    },
    memory, Element, Error, Result, Tensor,
};

fn sizes(op: &str, x: &Tensor) -> Result<Extent> {
    match *x.shape() {
        [batch, steps, units] => Ok(Extent { batch, steps, units }),
        _ => Err(Error::shape(format!("{op}: x must have shape [batch, steps, units], got {:?}", x.shape()))),
    }
}

/// `c[t] = f[t] · c[t-1] + x[t]`, element by element, over the steps of `x` and `f` (`[batch, steps, units]`), from
/// `c[-1] = state` (`[batch, units]`): all `c`, and the last.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn linear_recurrence(x: &Tensor, f: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
    const OP: &str = "linear_recurrence";
    let e = sizes(OP, x)?;
    require_shape(OP, "f", f, x.shape())?;
    require_shape(OP, "state", state, &[e.batch, e.units])?;
    let (dtype, inputs) = widened(OP, &[x, f, state])?;
    let path = x.path(OP);
    let (y, last) = if path.by_kernel() {
        for_wide!(inputs[0].dtype(), OP, T => scan::<T>(&inputs, e)?)
    } else if let Some(found) = accelerated::linear_recurrence(&inputs, &path)? {
        found
    } else {
        by_steps(&[&inputs[0], &inputs[1]], &inputs[2], e.units, |t, c| {
            let next = t[1].mul(c)?.add(&t[0])?;
            Ok((next.clone(), next))
        })?
    };
    Ok((y.cast(dtype)?, last.cast(dtype)?))
}

/// A simple recurrent unit after its product: `gates: [batch, steps, 3 · units]` hold `r`, `f` and `y` one after another.
///
/// `c[t] = σ(f) c[t-1] + (1 - σ(f)) y`, `h[t] = σ(r) c[t] + √3 (1 - σ(r)) x` (Lei et al. 2018, arXiv:1709.02755), with
/// `x: [batch, steps, units]` and `state: [batch, units]`. Gives all `h`, and the last `c`. Backward keeps `c` alone.
///
/// # Errors
/// `ShapeMismatch` for shapes that do not fit, `DTypeMismatch` for what is not floating point.
pub fn sru(gates: &Tensor, x: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
    let e = sizes("sru", x)?;
    require_shape("sru", "gates", gates, &[e.batch, e.steps, 3 * e.units])?;
    require_shape("sru", "state", state, &[e.batch, e.units])?;
    let (dtype, inputs) = widened("sru", &[gates, x, state])?;
    let path = x.path("sru");
    let (y, last) = if path.by_kernel() {
        for_wide!(inputs[0].dtype(), "sru", T => unit::<T>(&inputs, e)?)
    } else if let Some(found) = accelerated::sru(&inputs, &path)? {
        found
    } else {
        let [r, f, y] = halves(inputs[0].split(3, -1)?)?;
        let (r, f) = (r.sigmoid()?, f.sigmoid()?);
        let (c, last) = linear_recurrence(&y.mul(&f.rsub_scalar(1.0)?)?, &f, &inputs[2])?;
        let highway = inputs[1].mul(&r.rsub_scalar(1.0)?)?.mul_scalar(3f64.sqrt())?;
        (c.mul(&r)?.add(&highway)?, last)
    };
    Ok((y.cast(dtype)?, last.cast(dtype)?))
}

/// The last of the cells, or what they started from.
fn last<T: Element>(cells: &[T], state: &[T], e: Extent) -> Result<Tensor> {
    let n = e.units;
    let values = match e.steps {
        0 => memory::copy(state)?,
        t => {
            let mut values = memory::room(&[e.batch, n])?;
            (0..e.batch).for_each(|row| values.extend_from_slice(&cells[(row * t + t - 1) * n..][..n]));
            values
        }
    };
    Tensor::from_vec(values, &[e.batch, n])
}

fn scan<T: Element + Wide>(inputs: &[Tensor], e: Extent) -> Result<(Tensor, Tensor)> {
    let shape = [e.batch, e.steps, e.units];
    let forward = move |t: &[Tensor]| {
        let state = t[2].values::<T>()?;
        let cells = kernel::scan(&t[0].values::<T>()?, &t[1].values::<T>()?, &state, e)?;
        let last = last(&cells, &state, e)?;
        let y = Tensor::from_vec(cells, &shape)?;
        Ok((vec![y.clone(), last], [t[1].clone(), t[2].clone(), y]))
    };
    let out = custom_vjp(inputs, forward, move |[f, state, cells]: &[Tensor; 3], cts, need| {
        let dy = cts[0].as_ref().map(Tensor::values::<T>).transpose()?;
        let dlast = cts.get(1).and_then(Option::as_ref).map(Tensor::values::<T>).transpose()?;
        let (f, cells, state) = (f.values::<T>()?, cells.values::<T>()?, state.values::<T>()?);
        let [dx, df, dstate] = kernel::scan_back(&f, &cells, &state, dy.as_deref(), dlast.as_deref(), e)?;
        Ok(vec![
            need[0].then(|| Tensor::from_vec(dx, &shape)).transpose()?,
            need[1].then(|| Tensor::from_vec(df, &shape)).transpose()?,
            need[2].then(|| Tensor::from_vec(dstate, &[e.batch, e.units])).transpose()?,
        ])
    })?;
    let [y, last] = halves(out)?;
    Ok((y, last))
}

fn unit<T: Element + Wide>(inputs: &[Tensor], e: Extent) -> Result<(Tensor, Tensor)> {
    let n = e.units;
    let forward = move |t: &[Tensor]| {
        let state = t[2].values::<T>()?;
        let done = kernel::forward(&t[0].values::<T>()?, &t[1].values::<T>()?, &state, e)?;
        let last = last(&done.cells, &state, e)?;
        let cells = Tensor::from_vec(done.cells, &[e.batch, e.steps, n])?;
        let y = Tensor::from_vec(done.out, &[e.batch, e.steps, n])?;
        Ok((vec![y, last], [t[0].clone(), t[1].clone(), t[2].clone(), cells]))
    };
    let out = custom_vjp(inputs, forward, move |saved: &[Tensor; 4], cts, need| {
        let dy = cts[0].as_ref().map(Tensor::values::<T>).transpose()?;
        let dlast = cts.get(1).and_then(Option::as_ref).map(Tensor::values::<T>).transpose()?;
        let [gates, x, state, cells] = saved;
        let (gates, x, state, cells) =
            (gates.values::<T>()?, x.values::<T>()?, state.values::<T>()?, cells.values::<T>()?);
        let [dgates, dx, dstate] = kernel::backward([&gates, &x, &state, &cells], dy.as_deref(), dlast.as_deref(), e)?;
        Ok(vec![
            need[0].then(|| Tensor::from_vec(dgates, &[e.batch, e.steps, 3 * n])).transpose()?,
            need[1].then(|| Tensor::from_vec(dx, &[e.batch, e.steps, n])).transpose()?,
            need[2].then(|| Tensor::from_vec(dstate, &[e.batch, n])).transpose()?,
        ])
    })?;
    let [y, last] = halves(out)?;
    Ok((y, last))
}
