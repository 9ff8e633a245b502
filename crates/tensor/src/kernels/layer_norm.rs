//! Normalisation of rows to mean 0 and variance 1 (or to mean square 1), with its gradients in one pass.
use super::{
    fill::{filled, Unfilled},
    real::{add_partials, rows_per_partial, rows_per_task, simd, sum, sum2, Float, Real},
};
use crate::{memory, threads::for_tasks, Result};

/// What forward gives.
pub(crate) struct Normalised<T: Float> {
    pub(crate) out: Vec<T>,
    /// Mean of each row (0 when not centred).
    pub(crate) mean: Vec<T::Wide>,
    /// 1 / √(variance + ε) of each row.
    pub(crate) rstd: Vec<T::Wide>,
}

/// (x − mean) / √(var + ε) · scale + bias over rows of `cols`; two passes over a row for an accurate variance.
pub(crate) fn forward<T: Float>(
    x: &[T],
    cols: usize,
    scale: Option<&[T]>,
    bias: Option<&[T]>,
    epsilon: f64,
    center: bool,
) -> Result<Normalised<T>> {
    let rows = x.len() / cols;
    let (mut mean, mut rstd) = (memory::zeros(rows)?, memory::zeros(rows)?);
    let step = rows_per_task(cols);
    let fill = |out: &mut Unfilled<T>| {
        let tasks: Vec<_> = (x.chunks(step * cols).zip(out.chunks_mut(step * cols)))
            .zip(mean.chunks_mut(step).zip(rstd.chunks_mut(step)))
            .collect();
        for_tasks(tasks, x.len(), |((x, out), (mean, rstd))| {
            forward_rows::<T>(x, out, mean, rstd, (scale, bias), T::Wide::of(epsilon), center);
        })
    };
    // SAFETY: the tasks cover the rows, and `forward_rows` writes all of each row (scale and bias have its length).
    let out = unsafe { filled(rows * cols, fill) }?;
    Ok(Normalised { out, mean, rstd })
}

simd! {
fn forward_rows<T: Float>(
    x: &[T],
    out: &mut Unfilled<T>,
    means: &mut [T::Wide],
    rstds: &mut [T::Wide],
    (scale, bias): (Option<&[T]>, Option<&[T]>),
    epsilon: T::Wide,
    center: bool,
) {
    let cols = x.len() / means.len();
    let n = T::Wide::of(cols as f64);
    let rows = x.chunks_exact(cols).zip(out.chunks_exact_mut(cols));
    for ((x, out), (kept_mean, kept_rstd)) in rows.zip(means.iter_mut().zip(rstds)) {
        let mean = if center { sum(x, |v| v) / n } else { T::Wide::default() };
        let variance = sum(x, |v| (v - mean) * (v - mean)) / n;
        let rstd = T::Wide::of(1.0) / (variance + epsilon).sqrt();
        (*kept_mean, *kept_rstd) = (mean, rstd);
        let normal = |v: T| (v.up() - mean) * rstd;
        match (scale, bias) {
            (Some(scale), Some(bias)) => {
                for (((o, &v), &s), &b) in out.iter_mut().zip(x).zip(scale).zip(bias) {
                    o.write(T::down(normal(v) * s.up() + b.up()));
                }
            }
            (Some(scale), None) => {
                for ((o, &v), &s) in out.iter_mut().zip(x).zip(scale) {
                    o.write(T::down(normal(v) * s.up()));
                }
            }
            (None, Some(bias)) => {
                for ((o, &v), &b) in out.iter_mut().zip(x).zip(bias) {
                    o.write(T::down(normal(v) + b.up()));
                }
            }
            (None, None) => {
                for (o, &v) in out.iter_mut().zip(x) {
                    o.write(T::down(normal(v)));
                }
            }
        }
    }
}
}

/// Gradients of input, scale and bias; empty where not wanted.
pub(crate) struct Gradients<T> {
    pub(crate) dx: Vec<T>,
    pub(crate) dscale: Vec<T>,
    pub(crate) dbias: Vec<T>,
}

/// What the backward of one call reads.
pub(crate) struct Saved<'a, T: Float> {
    pub(crate) x: &'a [T],
    pub(crate) mean: &'a [T::Wide],
    pub(crate) rstd: &'a [T::Wide],
    pub(crate) scale: Option<&'a [T]>,
    pub(crate) center: bool,
}

/// One pass over `g` and `x`: `want_dx` for the input's gradient, `want_parameters` for those of scale and bias.
pub(crate) fn backward<T: Float>(
    saved: &Saved<'_, T>,
    g: &[T],
    cols: usize,
    want_dx: bool,
    want_parameters: bool,
) -> Result<Gradients<T>> {
    let rows = g.len() / cols;
    let step = rows_per_partial(rows, cols);
    let count = rows.div_ceil(step);
    let width = if want_parameters { cols } else { 0 };
    let mut dscale = memory::zeros(count * width)?;
    let mut dbias = memory::zeros(count * width)?;
    let fill = |dx: &mut Unfilled<T>| {
        let mut tasks = memory::room(count)?;
        let (mut dx_left, mut ds_left, mut db_left) = (dx, &mut dscale[..], &mut dbias[..]);
        for i in 0..count {
            let range = i * step..((i + 1) * step).min(rows);
            let take = if want_dx { range.len() * cols } else { 0 };
            let (dx, ds, db);
            (dx, dx_left) = std::mem::take(&mut dx_left).split_at_mut(take);
            (ds, ds_left) = std::mem::take(&mut ds_left).split_at_mut(width);
            (db, db_left) = std::mem::take(&mut db_left).split_at_mut(width);
            tasks.push((range, dx, ds, db));
        }
        for_tasks(tasks, 2 * g.len(), |(range, dx, ds, db)| backward_rows::<T>(saved, g, cols, range, dx, (ds, db)))
    };
    // SAFETY: the tasks cover the rows, and `backward_rows` writes all of each row where `dx` is not empty.
    let dx = unsafe { filled(if want_dx { rows * cols } else { 0 }, fill) }?;
    Ok(Gradients { dx, dscale: add_partials(&dscale, width)?, dbias: add_partials(&dbias, width)? })
}

simd! {
fn backward_rows<T: Float>(
    saved: &Saved<'_, T>,
    g: &[T],
    cols: usize,
    range: std::ops::Range<usize>,
    dx: &mut Unfilled<T>,
    (ds, db): (&mut [T::Wide], &mut [T::Wide]),
) -> Result<()> {
    let n = T::Wide::of(cols as f64);
    // The row's normalised values and its cotangent times scale.
    let mut normal: Vec<T::Wide> = memory::zeros(cols)?;
    let mut scaled: Vec<T::Wide> = memory::zeros(cols)?;
    for (i, row) in range.enumerate() {
        let (x, g) = (&saved.x[row * cols..][..cols], &g[row * cols..][..cols]);
        let (mean, rstd) = (saved.mean[row], saved.rstd[row]);
        for (h, &v) in normal.iter_mut().zip(x) {
            *h = (v.up() - mean) * rstd;
        }
        if !ds.is_empty() {
            for (((s, b), &h), &g) in ds.iter_mut().zip(db.iter_mut()).zip(&normal).zip(g) {
                *s += g.up() * h;
                *b += g.up();
            }
        }
        if dx.is_empty() {
            continue;
        }
        match saved.scale {
            Some(scale) => {
                for ((o, &g), &s) in scaled.iter_mut().zip(g).zip(scale) {
                    *o = g.up() * s.up();
                }
            }
            None => {
                for (o, &g) in scaled.iter_mut().zip(g) {
                    *o = g.up();
                }
            }
        }
        let shift = if saved.center { sum(&scaled, |v| v) / n } else { T::Wide::default() };
        let along = sum2(&scaled, &normal, |a, b| a * b) / n;
        for ((o, &a), &h) in dx[i * cols..][..cols].iter_mut().zip(&scaled).zip(&normal) {
            o.write(T::down((a - shift - h * along) * rstd));
        }
    }
    Ok(())
}
}
