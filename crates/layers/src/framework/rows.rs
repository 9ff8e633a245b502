//! The rows of a call that belong to several streams: what each has for a state, and layers run for one stream after the other.
use crate::{framework::reversal::instances, Cx, Error, LayerId, LayerRef, Result, Store, Tree};
use std::collections::HashMap;
use tallow_tensor::{memory, random::Key, Tensor};

/// The state that a layer has in each of `n` streams.
pub(crate) fn states(cx: &Cx, id: LayerId, n: usize) -> Vec<Tree<Tensor>> {
    match &*cx.state(id) {
        Tree::Rows(each) => each.clone(),
        tree => (0..n).map(|_| tree.clone()).collect(),
    }
}

/// Whether streams must run in a layer one after the other: not where it would go on, but holds nothing to go on with.
pub(crate) fn runs_alone(cx: &Cx, layer: &LayerRef) -> bool {
    let traits = layer.traits();
    let holds_nothing = || layer.sublayers().is_empty() && cx.state(layer.base().id).is_empty();
    traits.alone && !(traits.goes_on && holds_nothing())
}

/// Rows of `x` of stream `i` of `n`.
///
/// # Errors
/// `ShapeMismatch` for a tensor whose first axis is not made of the rows of the streams.
pub(crate) fn of_stream(x: &Tensor, i: usize, n: usize) -> Result<Tensor> {
    let rows = per_stream(x, n)?;
    Ok(x.narrow(0, i * rows, rows)?)
}

/// How many rows of `x` each of `n` streams has.
///
/// # Errors
/// As [`of_stream`].
pub(crate) fn per_stream(x: &Tensor, n: usize) -> Result<usize> {
    match x.shape().first() {
        Some(&rows) if rows % n == 0 => Ok(rows / n),
        _ => Err(Error::shape(format!(
            "the first axis of {:?} is not made of as many rows for each of {n} streams; give them one batch axis in front",
            x.shape()
        ))),
    }
}

/// Tensors of one stream after the other as one, along the first axis.
///
/// # Errors
/// `ShapeMismatch` where other axes differ.
pub(crate) fn joined(parts: &[Tensor]) -> Result<Tensor> {
    match parts {
        [one] => Ok(one.clone()),
        _ => Ok(Tensor::concat(parts, 0)?),
    }
}

/// Runs a layer for stream `i` of `n` alone; returns the state that it comes to.
///
/// # Errors
/// Those of the layer.
pub(crate) fn run_one(
    cx: &Cx,
    layer: &LayerRef,
    (i, n): (usize, usize),
    xs: &[Tensor],
    key: Key,
) -> Result<(Vec<Tensor>, Store)> {
    let mut state = Store::new();
    for id in instances(layer) {
        if let Some(tree) = cx.find_state(id) {
            let own = match &*tree {
                Tree::Rows(each) => each.get(i).cloned().unwrap_or(Tree::EMPTY),
                tree => tree.clone(),
            };
            state.insert(id, own);
        }
    }
    let xs = xs.iter().map(|x| of_stream(x, i, n)).collect::<Result<_>>()?;
    let mut inner = Cx::from_source(cx.source(), state).among(cx.peers());
    let ys = layer.forward(&mut inner, xs, key)?;
    Ok((ys, inner.into_state()))
}

/// Runs a layer for one stream after the other.
///
/// # Errors
/// Those of the layer.
pub(crate) fn one_by_one(cx: &mut Cx, layer: &LayerRef, n: usize, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
    let mut outputs: Vec<Vec<Tensor>> = Vec::new();
    let mut states: HashMap<LayerId, Vec<Tree<Tensor>>> = HashMap::new();
    for i in 0..n {
        let (ys, state) = run_one(cx, layer, (i, n), &xs, key)?;
        outputs.resize(ys.len(), Vec::new());
        outputs.iter_mut().zip(ys).for_each(|(all, y)| all.push(y));
        for (id, tree) in state {
            let all = states.entry(id).or_default();
            all.resize(i, Tree::EMPTY); // few
            all.push(tree);
        }
    }
    cx.set_states(states.into_iter().map(|(id, each)| (id, Tree::Rows(each))).collect());
    let mut ys = memory::room(outputs.len())?;
    for parts in &outputs {
        ys.push(joined(parts)?);
    }
    Ok(ys)
}
