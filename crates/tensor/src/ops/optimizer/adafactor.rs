//! Adafactor: second moments kept as one mean for each row and one for each column.
use super::{
    check, global_norm, momentum_update, sgd_update,
    write::{untracked, writable},
    Clip, MomentumStep, SgdStep,
};
use crate::{
    for_wide,
    kernels::{
        inplace::with_mut,
        optimizer::{direction, rescaled, square_means, Blocks},
        real::Real,
    },
    ops::general::wide_dtype,
    Error, Result, Tensor,
};

const NAME: &str = "adafactor_update";

/// The numbers of one step of Adafactor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdafactorStep {
    /// The learning rate; a factor on the root mean square of the weights where `by_weights`.
    pub lr: f64,
    /// Whether second moments are kept for rows and columns alone, where there are two axes.
    pub factored: bool,
    /// Whether the step grows with the root mean square of the weights.
    pub by_weights: bool,
    /// The largest root mean square of what is taken from the weights, before the learning rate; infinite for none.
    pub clipping_threshold: f64,
    /// Decay of the momentum, where there is one.
    pub momentum: Option<f64>,
    /// The exponent of the second moments' decay: `1 − (step + 1)^-exponent`.
    pub decay_exponent: f64,
    /// The fraction of each weight that is taken away at this step.
    pub weight_decay_rate: f64,
    /// Added to second moments.
    pub epsilon1: f64,
    /// The least root mean square that weights are taken to have.
    pub epsilon2: f64,
    /// The number of steps done before this one.
    pub step: u64,
}

/// Shapes of the second moments of weights: of rows and of columns where they are factored, else of the weights.
pub fn adafactor_slots(shape: &[usize], factored: bool) -> Vec<Vec<usize>> {
    match shape {
        [leading @ .., rows, cols] if factored => {
            vec![[leading, &[*rows]].concat(), [leading, &[*cols]].concat()]
        }
        _ => vec![shape.to_vec()],
    }
}

/// New weights, second moments and momentum after one step of Adafactor (Shazeer & Stern, 2018, arXiv:1804.04235), as Trax has it.
///
/// `slots` are the second moments of [`adafactor_slots`], then the momentum where there is one. A momentum may be of 16 bits; it stays so.
///
/// # Errors
/// `DTypeMismatch` for what is not floating point; `ShapeMismatch` for a gradient or slots of other shapes.
pub fn adafactor_update(
    p: Tensor,
    g: &Tensor,
    mut slots: Vec<Tensor>,
    clip: Clip,
    step: &AdafactorStep,
) -> Result<(Tensor, Vec<Tensor>)> {
    check(NAME, &p, &[(g, "the gradient")])?;
    let shapes = adafactor_slots(p.shape(), step.factored);
    let fits = slots.len() == shapes.len() + usize::from(step.momentum.is_some())
        && slots.iter().zip(&shapes).all(|(s, shape)| s.shape() == shape && s.dtype().is_float());
    if !fits {
        let what = format!("{NAME}: slots {slots:?} do not fit weights of shape {:?}", p.shape());
        return Err(Error::shape(what));
    }
    let momentum = step.momentum.and_then(|beta| slots.pop().map(|m| (beta, m)));
    if p.size() == 0 {
        slots.extend(momentum.map(|(_, m)| m));
        return Ok((p, slots));
    }
    let n = p.size() as f64;
    let mut rate = step.lr;
    if step.by_weights {
        rate *= (global_norm(std::slice::from_ref(&p))? / n.sqrt()).max(step.epsilon2);
    }
    let wide = wide_dtype(p.dtype());
    let (g, gradient_scale) = clip.apart(&g.detach().cast(wide)?)?;
    let slots: Vec<Tensor> = slots.into_iter().map(|s| untracked(s).cast(wide)).collect::<Result<_>>()?;
    let (y, squares, mut slots) = match <[Tensor; 2]>::try_from(slots) {
        Ok(means) => factored(&g, gradient_scale, means, step)?,
        Err(whole) => unfactored(&g, gradient_scale, whole, step)?,
    };
    let scale = rate / ((squares / n).sqrt() / step.clipping_threshold).max(1.0);
    let clip = Clip { scale, ..Clip::NONE };
    let decay = step.weight_decay_rate;
    let new = match momentum {
        Some((beta, m)) => {
            let kept = m.dtype();
            let descent = MomentumStep {
                lr: 1.0,
                mass: beta,
                share: 1.0 - beta,
                weight_decay_rate: decay,
                l2: 0.0,
                nesterov: false,
            };
            let m = untracked(m).cast(wide)?;
            let (new, m) = momentum_update(p, &y, m, clip, &descent)?;
            slots.push(m.cast(kept)?);
            new
        }
        None => sgd_update(p, &y, clip, &SgdStep { lr: 1.0, weight_decay_rate: decay, l2: 0.0 })?,
    };
    Ok((new, slots))
}

impl AdafactorStep {
    /// What a gradient's squares count for in the second moments.
    fn mixing(&self) -> f64 {
        libm::pow(self.step as f64 + 1.0, -self.decay_exponent)
    }

    fn mixed(&self, moment: &Tensor, mean: &Tensor) -> Result<Tensor> {
        moment.mul_scalar(1.0 - self.mixing())?.add(&mean.mul_scalar(self.mixing())?)
    }
}

/// The gradient over the roots of second moments, the sum of its squares, and the moments.
type Directed = (Tensor, f64, Vec<Tensor>);

fn factored(g: &Tensor, scale: f64, [rows, cols]: [Tensor; 2], step: &AdafactorStep) -> Result<Directed> {
    let shape = g.shape();
    let blocks = Blocks { rows: shape[shape.len() - 2], cols: shape[shape.len() - 1] };
    let by_kernel = g.path(NAME).by_kernel();
    let (row_means, col_means) = if by_kernel {
        for_wide!(g.dtype(), NAME, T => {
            let (r, c) = square_means::<T>(&g.values::<T>()?, blocks, T::of(scale))?;
            (Tensor::from_vec(r, rows.shape())?, Tensor::from_vec(c, cols.shape())?)
        })
    } else {
        let squares = g.mul_scalar(scale)?.square()?;
        (squares.mean(-1, false)?, squares.mean(-2, false)?)
    };
    let (rows, cols) = (step.mixed(&rows, &row_means)?, step.mixed(&cols, &col_means)?);
    let row_factors = rows.mean(-1, true)?.div(&rows.add_scalar(step.epsilon1)?)?.sqrt()?;
    let col_factors = cols.add_scalar(step.epsilon1)?.sqrt()?.rdiv_scalar(1.0)?;
    let (y, squares) = if by_kernel {
        for_wide!(g.dtype(), NAME, T => {
            let (r, c) = (row_factors.values::<T>()?, col_factors.values::<T>()?);
            let (y, squares) = direction::<T>(&g.values::<T>()?, blocks, T::of(scale), &r, &c)?;
            (Tensor::from_vec(y, shape)?, squares)
        })
    } else {
        let y = g.mul_scalar(scale)?.mul(&row_factors.expand_dims(-1)?)?.mul(&col_factors.expand_dims(-2)?)?;
        let squares = y.square()?.sum(None, false)?.item()?;
        (y, squares)
    };
    Ok((y, squares, vec![rows, cols]))
}

fn unfactored(g: &Tensor, scale: f64, whole: Vec<Tensor>, step: &AdafactorStep) -> Result<Directed> {
    let mut whole = whole.into_iter();
    let Some(v) = whole.next() else { return Err(Error::internal("a second moment for each weight")) };
    if !g.path(NAME).by_kernel() {
        let g = g.mul_scalar(scale)?;
        let v = step.mixed(&v, &g.square()?)?;
        let y = g.div(&v.add_scalar(step.epsilon1)?.sqrt()?)?;
        let squares = y.square()?.sum(None, false)?.item()?;
        return Ok((y, squares, vec![v]));
    }
    for_wide!(g.dtype(), NAME, T => {
        let v = writable::<T>(v)?;
        let values = g.values::<T>()?;
        let (mixing, eps) = (T::of(step.mixing()), T::of(step.epsilon1));
        let (y, squares) = with_mut(&v, |v| rescaled::<T>(&values, v, T::of(scale), mixing, eps))??;
        Ok((Tensor::from_vec(y, g.shape())?, squares, vec![v]))
    })
}
