//! SM3: second moments kept as one bound for each row, column and further axis.
use super::{check, momentum_update, sgd_update, write::untracked, Clip, MomentumStep, SgdStep};
use crate::{
    for_wide,
    kernels::{
        optimizer::{covered, Cover},
        real::Real,
    },
    ops::general::{as_matrix, wide_dtype},
    Error, Result, Tensor,
};

const NAME: &str = "sm3_update";

/// The numbers of one step of SM3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sm3Step {
    /// The learning rate.
    pub lr: f64,
    /// Decay of the second moments; 1 adds them up.
    pub second_moment_averaging: f64,
    /// The part of each weight that is added to what is taken from it.
    pub l2: f64,
    /// The momentum, where there is one; its rate and decays are not read.
    pub momentum: Option<MomentumStep>,
}

/// What SM3 keeps for weights.
#[derive(Debug, Clone)]
pub struct Sm3Moments {
    /// The momentum, where there is one.
    pub momentum: Option<Tensor>,
    /// For each axis, a bound of the second moments at each of its places. A single number has one axis of length 1.
    pub bounds: Vec<Tensor>,
    /// As `bounds`, of moments that are added up, where the others are averaged; else empty.
    pub sums: Vec<Tensor>,
}

/// New weights and slots after one step of SM3 (Anil et al., 2019, arXiv:1901.11150), as Trax has it.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point; `ShapeMismatch` for a gradient or slots of other shapes.
pub fn sm3_update(
    p: Tensor,
    g: &Tensor,
    slots: Sm3Moments,
    clip: Clip,
    step: &Sm3Step,
) -> Result<(Tensor, Sm3Moments)> {
    check(NAME, &p, &[(g, "the gradient")])?;
    let axes = if p.rank() == 0 { vec![1] } else { p.shape().to_vec() };
    let of_axes = |bounds: &[Tensor]| {
        bounds.len() == axes.len() && bounds.iter().zip(&axes).all(|(b, &n)| b.shape() == [n] && b.dtype().is_float())
    };
    let averaged = step.second_moment_averaging != 1.0;
    let fits = of_axes(&slots.bounds)
        && (if averaged { of_axes(&slots.sums) } else { slots.sums.is_empty() })
        && slots.momentum.is_some() == step.momentum.is_some();
    if !fits {
        return Err(Error::shape(format!("{NAME}: slots {slots:?} do not fit weights of shape {:?}", p.shape())));
    }
    if p.size() == 0 {
        return Ok((p, slots));
    }
    let wide = wide_dtype(p.dtype());
    let (g, scale) = clip.apart(&g.detach().cast(wide)?)?;
    let wide_slots =
        |bounds: Vec<Tensor>| -> Result<Vec<Tensor>> { bounds.into_iter().map(|b| untracked(b).cast(wide)).collect() };
    let beta = step.second_moment_averaging;
    let share = if averaged { 1.0 - beta } else { 1.0 };
    let (y, squares, bounds) = directed(&g, scale, &wide_slots(slots.bounds)?, (beta, share))?;
    let mut graft = 1.0;
    let mut sums = Vec::new();
    if averaged {
        // The step is as long as that of moments that are added up.
        let (_, summed, new) = directed(&g, scale, &wide_slots(slots.sums)?, (1.0, 1.0))?;
        graft = summed.sqrt() / (squares.sqrt() + 1e-16);
        sums = new;
    }
    let clip = Clip { scale: graft, ..Clip::NONE };
    let (p, momentum) = match (step.momentum, slots.momentum) {
        (Some(momentum), Some(m)) => {
            let momentum = MomentumStep { lr: step.lr, weight_decay_rate: 0.0, l2: step.l2, ..momentum };
            let (p, m) = momentum_update(p, &y, m, clip, &momentum)?;
            (p, Some(m))
        }
        _ => (sgd_update(p, &y, clip, &SgdStep { lr: step.lr, weight_decay_rate: 0.0, l2: step.l2 })?, None),
    };
    Ok((p, Sm3Moments { momentum, bounds, sums }))
}

/// The gradient over the roots of its second moments, the sum of its squares, and the new bounds.
fn directed(
    g: &Tensor,
    scale: f64,
    bounds: &[Tensor],
    (keep, share): (f64, f64),
) -> Result<(Tensor, f64, Vec<Tensor>)> {
    let by_kernel = g.path(NAME).by_kernel();
    let (leading, last) = bounds.split_at(bounds.len() - 1);
    // One bound for each row of the last axis: the least of those of the other axes.
    let rows_shape = &g.shape()[..leading.len()];
    let mut rows = Tensor::full(rows_shape, f64::INFINITY, g.dtype(), g.device())?;
    for (i, bound) in leading.iter().enumerate() {
        let mut shape = vec![1; leading.len()];
        shape[i] = bound.size();
        rows = rows.minimum(&bound.reshape(&shape)?)?;
    }
    let (_, cols) = as_matrix(g);
    let (y, squares, row_max, col_max) = if by_kernel {
        for_wide!(g.dtype(), NAME, T => {
            let (r, c) = (rows.values::<T>()?, last[0].values::<T>()?);
            let cover = Cover { rows: &r, cols: &c, keep: T::of(keep), share: T::of(share) };
            let found = covered::<T>(&g.values::<T>()?, T::of(scale), cover)?;
            let y = Tensor::from_vec(found.direction, g.shape())?;
            (y, found.square_sum, Tensor::from_vec(found.rows, rows_shape)?, Tensor::from_vec(found.cols, &[cols])?)
        })
    } else {
        let shape = [rows_shape, &[cols]].concat();
        let g = g.mul_scalar(scale)?.reshape(&shape)?;
        let bound = rows.expand_dims(-1)?.minimum(&last[0])?;
        let moment = bound.mul_scalar(keep)?.add(&g.square()?.mul_scalar(share)?)?;
        let y = g.div(&moment.sqrt()?.add_scalar(1e-16)?)?;
        let y = Tensor::where_(&moment.gt_scalar(0.0)?, &y, &y.zeros_like()?)?;
        let squares = y.square()?.sum(None, false)?.item()?;
        let row_max = moment.max(-1, false)?;
        let col_max = moment.reshape_infer(&[-1, cols as isize])?.max(0, false)?;
        (y, squares, row_max, col_max)
    };
    let mut new = Vec::with_capacity(bounds.len());
    for i in 0..leading.len() {
        let others: Vec<isize> = (0..leading.len()).filter(|&a| a != i).map(|a| a as isize).collect();
        new.push(if others.is_empty() { row_max.clone() } else { row_max.max(&others[..], false)? });
    }
    new.push(col_max);
    let y = if y.shape() == g.shape() { y } else { y.reshape(g.shape())? };
    Ok((y, squares, new))
}
