//! A reversible layer as one operation of autodiff, which keeps outputs only.
use super::reversal::{instances, not_reversible, Log, Passage, Reversal};
use crate::{peers::Peers, remat::Pack, Cx, LayerRef, Result, Store, Tree};
use std::{collections::HashMap, sync::Arc};
use tallow_tensor::{custom_vjp, no_grad, random::Key, Tensor};

/// What is kept of a call until its backward pass: outputs, weights, states.
struct Kept {
    layer: LayerRef,
    key: Key,
    ys: Vec<Tensor>,
    weights: Store,
    log: Log,
    peers: Option<Arc<Peers>>,
}

/// Runs a reversible layer without recording what happens inside; its backward pass reverses it.
///
/// State is a constant to autodiff.
pub(crate) fn cut(layer: &LayerRef, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
    let ids = instances(layer);
    let (pack, leaves) = Pack::of(cx.store(), &ids);
    if xs.iter().chain(&leaves).all(|t| !t.is_tracked()) {
        return no_grad(|| layer.forward(cx, xs, key));
    }
    let places = pack.places();
    let n = xs.len();
    let values: Vec<Tensor> = xs.into_iter().chain(leaves).collect();
    let state: Store = ids.iter().filter_map(|id| Some((*id, cx.state.get(id)?.map(&mut Tensor::detach)))).collect();
    let peers = cx.peers();
    let mut new_state = None;
    let ys = custom_vjp(
        &values,
        |values| {
            let weights = pack.store(&values[n..])?;
            let mut log = Log::default();
            let mut inner = Cx::new(&weights, state).among(peers.clone());
            let ys = log.apply(&mut inner, layer, values[..n].to_vec(), key).map_err(|e| e.without_outermost())?;
            new_state = Some(inner.state);
            Ok((ys.clone(), Kept { layer: layer.clone(), key, ys, weights, log, peers }))
        },
        move |kept, cts, need| {
            let constants = places.iter().zip(&need[n..]).filter(|(_, need)| !**need).map(|(p, _)| *p).collect();
            let mut reversal = Reversal::of_log(&kept.weights, constants, &kept.log, kept.peers.clone());
            let (_, grads) = reversal.reverse_and_grad(&kept.layer, kept.ys.clone(), cts.to_vec(), kept.key)?;
            let mut of_weights = reversal.into_gradients();
            let all = grads.into_iter().chain(places.iter().map(|p| of_weights.remove(p)));
            Ok(all.zip(need).map(|(grad, need)| if *need { grad } else { None }).collect())
        },
    )?;
    cx.state.extend(new_state.unwrap_or_default());
    Ok(ys)
}

/// Inputs of a call of a reversible layer, from its outputs and what it was called with.
///
/// # Errors
/// `InvalidOption` if the layer is not reversible; outputs that do not fit.
pub fn reverse(
    layer: &LayerRef,
    ys: Vec<Tensor>,
    weights: &Store,
    state: Store,
    new_state: Store,
    key: Key,
) -> Result<Vec<Tensor>> {
    let passage = Passage { before: state, after: new_state };
    no_grad(|| Reversal::of_whole(weights, &passage).reverse(layer, ys, key))
}

/// Inputs of a call of a reversible layer from its outputs, and gradients of inputs and weights from those of the outputs.
///
/// Gradients are zeros where nothing depends on an input or weight, and `None` for what is not floating point.
///
/// # Errors
/// `InvalidOption` if the layer is not reversible; outputs that do not fit.
#[allow(clippy::type_complexity)]
pub fn reverse_and_grad(
    layer: &LayerRef,
    ys: Vec<Tensor>,
    cts: Vec<Option<Tensor>>,
    weights: &Store,
    state: Store,
    new_state: Store,
    key: Key,
) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>, Store)> {
    let passage = Passage { before: state, after: new_state };
    let (xs, grads, found) = no_grad(|| {
        let mut reversal = Reversal::of_whole(weights, &passage);
        let (xs, grads) = reversal.reverse_and_grad(layer, ys, cts, key)?;
        Ok::<_, crate::Error>((xs, grads, reversal.into_gradients()))
    })?;
    let or_zeros = |x: &Tensor, grad: Option<Tensor>| match grad {
        None if x.dtype().is_float() => Ok(Some(x.zeros_like()?)),
        grad => Ok(grad),
    };
    let grads = xs.iter().zip(grads).map(|(x, g)| or_zeros(x, g)).collect::<Result<_>>()?;
    Ok((xs, grads, weight_gradients(weights, found)?))
}

/// Gradients with the structure of the weights.
fn weight_gradients(weights: &Store, mut found: HashMap<(crate::LayerId, usize), Tensor>) -> Result<Store> {
    weights
        .iter()
        .map(|(id, tree)| {
            let mut place = 0;
            let grads: Tree<Tensor> = tree.try_map(&mut |t: &Tensor| {
                place += 1;
                found.remove(&(*id, place - 1)).map_or_else(|| t.zeros_like(), Ok)
            })?;
            Ok((*id, grads))
        })
        .collect()
}

/// Refuses a layer that is not reversible.
pub(crate) fn check_reversible(layer: &LayerRef) -> Result<()> {
    layer.reversible().map(drop).ok_or_else(|| not_reversible(layer))
}
