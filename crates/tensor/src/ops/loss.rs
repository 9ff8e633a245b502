//! Cross-entropy.
use crate::{
    accelerated::missing,
    autodiff::record,
    for_any, for_float,
    kernels::cross_entropy::{self as kernel, Losses, Saved, Smoothing, NO_CATEGORY},
    memory,
    ops::general::{as_matrix, narrow, require_float, wide_dtype, widen},
    tensor::Raw,
    DType, Error, Result, Tensor,
};
use smallvec::smallvec;
use std::sync::Arc;

/// Cross-entropy of `logits: [..., C]` against whole-number `targets: [...]`, one loss per item: `−Σ t log softmax(logits)`
/// with `t = (1 − label_smoothing) · one_hot(target) + label_smoothing / C`.
///
/// A target outside `0..C` names no category: its one-hot part is zero, so without smoothing the loss and its gradient are 0.
/// A logit of −∞ harms only the items whose `t` puts weight on it. Losses of halves are float32.
/// Neither `t` nor the probabilities are stored: backward recomputes them from the logits and two numbers per item.
///
/// # Errors
/// `DTypeMismatch` unless logits are floats and targets integers, `ShapeMismatch` where their shapes do not fit or C is 0,
/// `InvalidArgument` unless `0 <= label_smoothing <= 1`.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    require_float(logits, "cross_entropy")?;
    if targets.dtype().is_float() {
        return Err(Error::dtype(format!("cross_entropy takes integer targets, got {}", targets.dtype())));
    }
    if logits.rank() == 0 || targets.shape() != &logits.shape()[..logits.rank() - 1] {
        return Err(Error::shape(format!(
            "cross_entropy: targets of shape {:?} must have the shape of the logits {:?} without the last axis",
            targets.shape(),
            logits.shape()
        )));
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::argument(format!("label_smoothing must be from 0 to 1, got {label_smoothing}")));
    }
    let (_, cols) = as_matrix(logits);
    let smoothing = Smoothing(label_smoothing);
    let wide = wide_dtype(logits.dtype());
    if targets.size() == 0 {
        let value = Tensor::zeros(targets.shape(), wide, logits.device())?;
        let (shape, dtype, device) = (logits.shape().to_vec(), logits.dtype(), logits.device().clone());
        return Ok(record(value, &[logits], move |_, _| Ok(smallvec![Some(Tensor::zeros(&shape, dtype, &device)?)])));
    }
    if cols == 0 {
        return Err(Error::shape(format!("cross_entropy of logits {:?}: there are no categories", logits.shape())));
    }
    if let Some(value) = accelerated(logits, targets, smoothing)? {
        return Ok(value);
    }
    let targets = Arc::new(categories(targets, cols)?);
    let (value, stats) = forward(logits, targets.clone(), smoothing)?;
    let kept = logits.detach();
    Ok(record(value, &[logits], move |g, _| {
        Ok(smallvec![Some(backward(&kept, &targets, &stats, smoothing, &g.cast(wide)?)?)])
    }))
}

/// The same by kernels of an accelerator, which int32 targets need not leave; nothing where it has none.
fn accelerated(logits: &Tensor, targets: &Tensor, smoothing: Smoothing) -> Result<Option<Tensor>> {
    let path = logits.path("cross_entropy");
    if path.by_kernel() || targets.dtype() != DType::I32 {
        return Ok(None);
    }
    let found = path.accelerated(logits, |kernels| {
        let targets = targets.raw().flatten_all()?;
        Ok(kernels.cross_entropy(&widen(logits)?, &targets, smoothing.0)?.map(|found| (found, targets)))
    })?;
    let Some(([loss, tops, log_sums], targets)) = found else { return Ok(None) };
    let value = Tensor::from_raw(loss.reshape(&logits.shape()[..logits.rank() - 1])?, DType::F32);
    let kept = logits.detach();
    Ok(Some(record(value, &[logits], move |g, _| {
        let path = kept.path("gradient of cross_entropy");
        let dx = path.accelerated(&kept, |kernels| {
            let g = widen(&g.cast(DType::F32)?)?;
            kernels.cross_entropy_back(&widen(&kept)?, &targets, [&tops, &log_sums], smoothing.0, &g)
        })?;
        let dx = dx.ok_or_else(missing)?;
        Ok(smallvec![Some(narrow(dx, kept.dtype())?)])
    })))
}

/// Targets as positions; those outside `0..cols` become [`NO_CATEGORY`].
pub(super) fn categories(targets: &Tensor, cols: usize) -> Result<Vec<usize>> {
    for_any!(targets.dtype(), T => {
        let place = |v: &T| usize::try_from(candle_core::WithDType::to_f64(*v) as i64).ok().filter(|&t| t < cols);
        memory::collect(targets.values::<T>()?.iter().map(|v| place(v).unwrap_or(NO_CATEGORY)))
    })
}

/// The losses, and per item the largest logit and the logarithm of the sum of exponentials below it.
fn forward(x: &Tensor, targets: Arc<Vec<usize>>, smoothing: Smoothing) -> Result<(Tensor, [Tensor; 2])> {
    let (rows, cols) = as_matrix(x);
    let shape = &x.shape()[..x.rank() - 1];
    let path = x.path("cross_entropy");
    if path.by_kernel() {
        return for_float!(x.dtype(), "cross_entropy", T => {
            let Losses { loss, top, log_sum } = kernel::forward(&x.values::<T>()?, &targets, cols, smoothing)?;
            Ok((Tensor::from_vec(loss, shape)?, [Tensor::from_vec(top, &[rows])?, Tensor::from_vec(log_sum, &[rows])?]))
        });
    }
    let wide = wide_dtype(x.dtype());
    let v = widen(x)?.reshape((rows, cols))?;
    let top = v.max_keepdim(1)?;
    let below = v.broadcast_sub(&top)?;
    let log_sum = below.exp()?.sum_keepdim(1)?.log()?;
    let hot = Hot::new(&targets, smoothing, &v)?;
    let mut loss = (&log_sum - below.gather(&hot.at, 1)?)?.mul(&hot.weight)?;
    // A weight of zero must also silence an infinite logit.
    loss = hot.weight.ne(0.0)?.where_cond(&loss, &loss.zeros_like()?)?;
    if smoothing.0 > 0.0 {
        loss = (loss + ((&log_sum - below.mean_keepdim(1)?)? * smoothing.0)?)?;
    }
    loss = log_sum.eq(&log_sum)?.where_cond(&loss, &log_sum)?;
    let keep = |raw: Raw| Tensor::from_raw(raw, wide);
    Ok((keep(loss.reshape(shape)?), [keep(top), keep(log_sum)]))
}

/// Targets on the device: positions clamped into range and the weight of each.
struct Hot {
    at: Raw,
    weight: Raw,
}

impl Hot {
    fn new(targets: &[usize], Smoothing(s): Smoothing, like: &Raw) -> Result<Hot> {
        let column = (targets.len(), 1);
        let at: Vec<u32> = memory::collect(targets.iter().map(|&t| if t == NO_CATEGORY { 0 } else { t as u32 }))?;
        let weight: Vec<f64> = memory::collect(targets.iter().map(|&t| if t == NO_CATEGORY { 0.0 } else { 1.0 - s }))?;
        Ok(Hot {
            at: Raw::from_vec(at, column, like.device())?,
            weight: Raw::from_vec(weight, column, &candle_core::Device::Cpu)?
                .to_dtype(like.dtype())?
                .to_device(like.device())?,
        })
    }
}

fn backward(x: &Tensor, targets: &[usize], stats: &[Tensor; 2], smoothing: Smoothing, g: &Tensor) -> Result<Tensor> {
    let (rows, cols) = as_matrix(x);
    let path = x.path("gradient of cross_entropy");
    if path.by_kernel() {
        return for_float!(x.dtype(), "cross_entropy", T => {
            type W = <T as crate::Element>::Acc;
            let (x_values, top, log_sum) = (x.values::<T>()?, stats[0].values::<W>()?, stats[1].values::<W>()?);
            let saved = Saved { x: &x_values, targets, top: &top, log_sum: &log_sum, smoothing };
            Tensor::from_vec(kernel::backward(&saved, &g.values::<W>()?, cols)?, x.shape())
        });
    }
    let v = widen(x)?.reshape((rows, cols))?;
    let column = |t: &Tensor| t.raw().reshape((rows, 1));
    let hot = Hot::new(targets, smoothing, &v)?;
    let p = v.broadcast_sub(&column(&stats[0])?)?.broadcast_sub(&column(&stats[1])?)?.exp()?;
    let d = (p.broadcast_mul(&(&hot.weight + smoothing.0)?)? - smoothing.0 / cols as f64)?;
    let d = d.scatter_add(&hot.at, &hot.weight.neg()?, 1)?;
    narrow(d.broadcast_mul(&column(g)?)?.reshape(x.shape())?, x.dtype())
}
