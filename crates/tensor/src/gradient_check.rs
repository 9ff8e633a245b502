//! Gradients held against central differences.
use crate::{
    autodiff::backward,
    no_grad,
    random::{normal, uniform, Key},
    DType, Result, Tensor,
};

/// How gradients are held against differences.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How far an input is moved to either side.
    pub step: f64,
    /// The most elements of an input that are moved one by one. Of a larger input so many, spread over it, are moved; and then it is moved
    /// as a whole, in a random direction.
    pub coordinates: usize,
    /// What the random directions follow from.
    pub key: Key,
}

/// A derivative by autodiff, and by differences.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The number of the input.
    pub input: usize,
    /// The element that was moved; `None` for a random direction.
    pub place: Option<Vec<usize>>,
    /// By autodiff.
    pub analytic: f64,
    /// By central differences.
    pub numeric: f64,
}

/// Compares the gradients of `f` with central differences, and tells `each` of every comparison until it says `false`.
///
/// The outputs that are floats are projected on fixed random directions to one number. Inputs that are no floats stay as they are. What is
/// computed has the precision of the inputs.
///
/// # Errors
/// Those of `f` and of its gradients.
pub fn compare(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    plan: Plan,
    mut each: impl FnMut(Compared) -> bool,
) -> Result<()> {
    let moving: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].dtype().is_float()).collect();
    let (of_outputs, of_inputs) = plan.key.split_pair();
    let mut moved: Vec<Tensor> = inputs.to_vec();
    moving.iter().for_each(|&i| moved[i] = inputs[i].variable());
    let variables: Vec<Tensor> = moving.iter().map(|&i| moved[i].clone()).collect();
    let outputs = f(&moved)?;
    let mut seeds = Vec::new();
    for (i, y) in outputs.iter().enumerate().filter(|(_, y)| y.dtype().is_float()) {
        seeds.push((y.clone(), normal(of_outputs.fold_in(i as u32), y.shape(), DType::F64)?));
    }
    let gradients = backward(&seeds, &variables, false)?;
    let directions = seeds.iter().map(|(_, p)| p.to_f64_vec()).collect::<Result<Vec<_>>>()?;
    drop((outputs, variables, seeds));
    moved = inputs.to_vec();
    let project = |xs: &[Tensor]| -> Result<f64> {
        let ys = no_grad(|| f(xs))?;
        let floats = ys.iter().filter(|y| y.dtype().is_float());
        floats.zip(&directions).map(|(y, d)| Ok(dot(&y.to_f64_vec()?, d))).sum()
    };
    for (&k, gradient) in moving.iter().zip(&gradients) {
        let (input, gradient, key) = (&inputs[k], gradient.to_f64_vec()?, of_inputs.fold_in(k as u32));
        let values = input.to_f64_vec()?;
        let mut at = values.clone();
        // What comes of moving the input to where `at` is.
        let mut side = |at: &[f64]| -> Result<f64> {
            moved[k] = Tensor::from_f64(at, input.shape(), input.dtype(), input.device())?;
            project(&moved)
        };
        for i in chosen(values.len(), plan.coordinates, key)? {
            at[i] = values[i] + plan.step;
            let above = side(&at)?;
            at[i] = values[i] - plan.step;
            let numeric = (above - side(&at)?) / (2.0 * plan.step);
            at[i] = values[i];
            let place = Some(position(i, input.shape()));
            if !each(Compared { input: k, place, analytic: gradient[i], numeric }) {
                return Ok(());
            }
        }
        if values.len() > plan.coordinates {
            let direction = normal(key, input.shape(), DType::F64)?.to_f64_vec()?;
            let length = dot(&direction, &direction).sqrt();
            let mut at_distance = |distance: f64| {
                let all = at.iter_mut().zip(&values).zip(&direction);
                all.for_each(|((at, value), d)| *at = value + distance * d / length);
                side(&at)
            };
            let numeric = (at_distance(plan.step)? - at_distance(-plan.step)?) / (2.0 * plan.step);
            let analytic = dot(&gradient, &direction) / length;
            if !each(Compared { input: k, place: None, analytic, numeric }) {
                return Ok(());
            }
        }
        moved[k] = input.clone();
    }
    Ok(())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The elements of an input of this size that are moved: all, or one in each of `most` equal parts.
fn chosen(size: usize, most: usize, key: Key) -> Result<Box<dyn Iterator<Item = usize>>> {
    if size <= most {
        return Ok(Box::new(0..size));
    }
    let part = size as f64 / most as f64;
    let within = uniform(key, &[most], DType::F64, 0.0, 1.0)?.to_f64_vec()?;
    Ok(Box::new(within.into_iter().enumerate().map(move |(i, u)| (((i as f64 + u) * part) as usize).min(size - 1))))
}

/// The index of an element by its number.
pub(crate) fn position(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut out = vec![0; shape.len()];
    for (p, &d) in out.iter_mut().zip(shape).rev() {
        *p = i % d;
        i /= d;
    }
    out
}
