//! A linear layer and the cross-entropy of its outputs as one operation.
use crate::{
    autodiff::record,
    kernels::{
        cross_entropy::Smoothing,
        gemm::Multiply,
        linear_cross_entropy::{run, Found, Problem, Wanted},
        plan::read,
        real::{Float, Real},
    },
    ops::{
        dense,
        general::wide_dtype,
        loss::{categories, cross_entropy},
    },
    DType, Error, Result, Tensor,
};
use smallvec::{smallvec, SmallVec};

/// How [`linear_cross_entropy`] counts losses.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinearCrossEntropyOptions {
    /// Share of probability spread evenly over all categories, from 0 to 1.
    pub label_smoothing: f64,
    /// Loss of an item below which it counts as 0; what is above is reduced by as much.
    pub cutoff: f64,
}

/// `Σ scale · max(loss − cutoff, 0)`, a number, of the losses that [`cross_entropy`] gives of the outputs of [`dense`]:
/// `x […, depth]`, `w [depth, categories]`, `b [categories]`, `targets` and `scale […]`. An item whose scale is 0 counts nothing, whatever its
/// loss is.
///
/// On the CPU the outputs of all items never exist at once: a few rows are computed at a time, and, where gradients are wanted,
/// what these rows add to them. So the gradients of `x`, `w` and `b` are kept from this call until the backward pass, which only multiplies
/// them by a number. Float16 and bfloat16 are computed in float32, in which the result is.
///
/// # Errors
/// `DTypeMismatch` unless targets are integers and all else floats, `ShapeMismatch` where shapes do not fit or there are no categories,
/// `InvalidArgument` unless `0 <= label_smoothing <= 1` and `cutoff` is a number that is not negative.
pub fn linear_cross_entropy(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    targets: &Tensor,
    scale: &Tensor,
    o: LinearCrossEntropyOptions,
) -> Result<Tensor> {
    check(x, w, b, targets, scale, o)?;
    let dtype = b.map_or(x.dtype().promote(w.dtype()), |b| x.dtype().promote(w.dtype()).promote(b.dtype()));
    let wide = wide_dtype(dtype);
    let (x, w, b) = (x.cast(dtype)?, w.cast(dtype)?, b.map(|b| b.cast(dtype)).transpose()?);
    let scale = scale.cast(wide)?;
    let path = x.path("linear_cross_entropy");
    if !path.by_kernel() || targets.size() == 0 {
        return in_parts(&x, &w, b.as_ref(), targets, &scale, o);
    }
    let mut inputs: SmallVec<[&Tensor; 4]> = smallvec![&x, &w, &scale];
    inputs.extend(b.as_ref());
    let tracked = |t: &Tensor| crate::is_recording() && t.is_tracked();
    let wanted = Wanted { x: tracked(&x), w: tracked(&w), bias: b.as_ref().is_some_and(tracked) };
    let computed = {
        let up = |t: &Tensor| t.detach().cast(wide);
        let (x, w, b) = (up(&x)?, up(&w)?, b.as_ref().map(up).transpose()?);
        match wide {
            DType::F64 => computed::<f64>(&x, &w, b.as_ref(), targets, &scale, o, wanted)?,
            _ => computed::<f32>(&x, &w, b.as_ref(), targets, &scale, o, wanted)?,
        }
    };
    let Computed { total, losses, gradients, dw_turned } = computed;
    let scale_dtype = scale.dtype();
    Ok(record(total, &inputs, move |ct, need| {
        let factor = ct.item()?;
        let times = |t: &Tensor| if factor == 1.0 { Ok(t.clone()) } else { t.mul_scalar(factor) };
        let given = |i: usize, t: Option<&Tensor>, to: DType| match t {
            Some(t) if need[i] => times(t)?.cast(to).map(Some),
            _ => Ok(None),
        };
        let [dx, dw, db] = &gradients;
        let dw = match given(1, dw.as_ref(), dtype)? {
            Some(dw) if dw_turned => Some(dw.transpose(None)?),
            dw => dw,
        };
        let mut grads = smallvec![given(0, dx.as_ref(), dtype)?, dw, given(2, Some(&losses), scale_dtype)?];
        if need.len() > 3 {
            grads.push(given(3, db.as_ref(), dtype)?);
        }
        Ok(grads)
    }))
}

fn check(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    targets: &Tensor,
    scale: &Tensor,
    o: LinearCrossEntropyOptions,
) -> Result<()> {
    let op = "linear_cross_entropy";
    if let Some(t) = [Some(x), Some(w), b, Some(scale)].into_iter().flatten().find(|t| !t.dtype().is_float()) {
        return Err(Error::dtype(format!("{op} takes floats, got {}", t.dtype())));
    }
    if targets.dtype().is_float() {
        return Err(Error::dtype(format!("{op} takes integer targets, got {}", targets.dtype())));
    }
    if x.rank() == 0 || w.rank() != 2 || x.shape()[x.rank() - 1] != w.shape()[0] {
        return Err(Error::shape(format!(
            "{op} of {:?} and {:?}: the last axis of x must be the first of a 2-D weight",
            x.shape(),
            w.shape()
        )));
    }
    let categories = w.shape()[1];
    if b.is_some_and(|b| b.shape() != [categories]) {
        let got = b.map(Tensor::shape);
        return Err(Error::shape(format!("{op}: the bias must have shape [{categories}], got {got:?}")));
    }
    let items = &x.shape()[..x.rank() - 1];
    if targets.shape() != items || scale.shape() != items {
        return Err(Error::shape(format!(
            "{op}: targets and scale must have the shape of x without its last axis, {items:?}, got {:?} and {:?}",
            targets.shape(),
            scale.shape()
        )));
    }
    if categories == 0 && targets.size() > 0 {
        return Err(Error::shape(format!("{op} with weights {:?}: there are no categories", w.shape())));
    }
    if !(0.0..=1.0).contains(&o.label_smoothing) {
        return Err(Error::argument(format!("label_smoothing must be from 0 to 1, got {}", o.label_smoothing)));
    }
    if !(o.cutoff >= 0.0 && o.cutoff.is_finite()) {
        return Err(Error::argument(format!("cutoff must be a number that is not negative, got {}", o.cutoff)));
    }
    Ok(())
}

/// The general path: one operation after another, with all outputs of the layer.
fn in_parts(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    targets: &Tensor,
    scale: &Tensor,
    o: LinearCrossEntropyOptions,
) -> Result<Tensor> {
    let mut losses = cross_entropy(&dense(x, w, b)?, targets, o.label_smoothing)?;
    if o.cutoff > 0.0 {
        losses = losses.maximum_scalar(o.cutoff)?.add_scalar(-o.cutoff)?;
    }
    // A loss that does not count has no gradient, and is 0 where it is not finite: 0 times it would be NaN.
    let nothing = Tensor::zeros(&[], losses.dtype(), losses.device())?;
    let counted = scale.detach().ne(&nothing)?;
    let fixed = losses.detach();
    let fixed = Tensor::where_(&fixed.isfinite()?, &fixed, &nothing)?;
    Tensor::where_(&counted, &losses, &fixed)?.mul(scale)?.sum(None, false)
}

/// What [`linear_cross_entropy`] computes, and keeps for its backward pass.
struct Computed {
    total: Tensor,
    losses: Tensor,
    /// Those of inputs, weights and bias.
    gradients: [Option<Tensor>; 3],
    /// Whether that of the weights is transposed, to lie as they do.
    dw_turned: bool,
}

fn computed<T: crate::Element + Float<Wide = T> + Real + Multiply>(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    targets: &Tensor,
    scale: &Tensor,
    o: LinearCrossEntropyOptions,
    wanted: Wanted,
) -> Result<Computed> {
    let [depth, categories] = [w.shape()[0], w.shape()[1]];
    let targets_read = self::categories(targets, categories)?;
    let (x_values, scale_values) = (x.values::<T>()?, scale.values::<T>()?);
    let b_values = b.map(Tensor::values::<T>).transpose()?;
    let w_read = read(w.raw());
    let w_strides = [w_read.layout.stride()[0], w_read.layout.stride()[1]];
    let problem = Problem {
        x: &x_values,
        depth,
        w: w_read.slice::<T>()?,
        w_strides,
        bias: b_values.as_deref(),
        categories,
        targets: &targets_read,
        scale: &scale_values,
        smoothing: Smoothing(o.label_smoothing),
        cutoff: o.cutoff,
    };
    let dw_turned = problem.by_columns();
    let Found { total, losses, dx, dw, db } = run(&problem, wanted)?;
    let dw_shape = if dw_turned { [categories, depth] } else { [depth, categories] };
    let dw = dw.map(|dw| Tensor::from_vec(dw, &dw_shape)).transpose()?;
    let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape())).transpose()?;
    let db = db.map(|db| Tensor::from_vec(db, &[categories])).transpose()?;
    Ok(Computed {
        total: Tensor::scalar(total),
        losses: Tensor::from_vec(losses, targets.shape())?,
        gradients: [dx, dw, db],
        dw_turned,
    })
}
