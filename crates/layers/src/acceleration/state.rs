//! The state of replicas: where they start from, and what becomes of what they come to.
use crate::{framework::tree::NOTHING, Cx, Error, ErrorKind, LayerId, LayerRef, ReplicaState, Result, Store, Tree};
use tallow_tensor::{memory, Tensor};

/// Under what the states of each device stand in the view of a state.
const DEVICES: &str = "devices";
/// Under what the layer's own state stands beside them.
const SUBLAYER: &str = "sublayer";

/// Instances whose state each device keeps for itself, in order of first visit.
fn kept_by_each(layer: &LayerRef) -> Vec<LayerId> {
    let mut ids = Vec::new();
    crate::for_each_instance(layer, &mut |l| {
        if l.replica_state() == ReplicaState::Each {
            ids.push(l.base().id);
        }
    });
    ids
}

/// The states that `n` devices start from: what `layer` holds in `cx`, and over it what stands under `own`, if anything does.
pub(super) fn of_devices(layer: &LayerRef, own: LayerId, n: usize, cx: &Cx) -> Result<Vec<Store>> {
    let mut common = Store::new();
    crate::for_each_instance(layer, &mut |l| {
        let id = l.base().id;
        if let Some(tree) = cx.find_state(id) {
            common.insert(id, tree.clone());
        }
    });
    let mut devices = memory::full(n, common)?;
    if let Tree::Tuple(each) = &*cx.state(own) {
        let ids = kept_by_each(layer);
        for (state, tree) in devices.iter_mut().zip(each) {
            if let Tree::Tuple(trees) = tree {
                state.extend(ids.iter().copied().zip(trees.iter().cloned()));
            }
        }
    }
    Ok(devices)
}

/// Writes the states that devices have come to into `cx`: those of `layer`, and under `own` those of each device where
/// they differ in more than what is learned.
pub(super) fn merge(layer: &LayerRef, own: LayerId, states: Vec<Store>, cx: &mut Cx) -> Result<()> {
    let (common, apart) = merged(layer, &states)?;
    common.into_iter().for_each(|(id, tree)| cx.set_state(id, tree));
    let each = || {
        let ids = kept_by_each(layer);
        let device = |s: &Store| Tree::Tuple(ids.iter().map(|id| s.get(id).cloned().unwrap_or(Tree::EMPTY)).collect());
        Tree::Tuple(states.iter().map(device).collect())
    };
    cx.set_state(own, if apart.is_empty() { Tree::EMPTY } else { each() });
    Ok(())
}

/// One state from those of replicas of `layer`, and the instances whose states differ in more than what is learned: of these there is the first
/// one's.
pub(super) fn merged(layer: &LayerRef, states: &[Store]) -> Result<(Store, Vec<LayerRef>)> {
    let mut instances = Vec::new();
    crate::for_each_instance(layer, &mut |l| instances.push(l.clone()));
    let (mut common, mut apart) = (Store::new(), Vec::new());
    for layer in instances {
        let id = layer.base().id;
        let trees: Vec<&Tree<Tensor>> = states.iter().filter_map(|s| s.get(&id)).collect();
        let Some(first) = trees.first() else { continue };
        let alike = trees.len() == states.len() && same(&trees)?;
        let tree = match layer.replica_state() {
            ReplicaState::Mean if !alike => mean(&trees)?,
            ReplicaState::Each if !alike => {
                apart.push(layer);
                (*first).clone()
            }
            _ => (*first).clone(),
        };
        common.insert(id, tree);
    }
    Ok((common, apart))
}

/// Whether all trees have the same structure and values.
fn same(trees: &[&Tree<Tensor>]) -> Result<bool> {
    let (first, others) = match trees.split_first() {
        Some((first, others)) => (first, others),
        None => return Ok(true),
    };
    let shape = |t: &Tree<Tensor>| t.map(&mut |x| (x.shape().to_vec(), x.dtype()));
    for other in others {
        if shape(first) != shape(other) {
            return Ok(false);
        }
        for (a, b) in first.leaves().into_iter().zip(other.leaves()) {
            let equal =
                a.storage_id() == b.storage_id() || a.detach().eq(&b.detach())?.all(None, false)?.item()? != 0.0;
            if !equal {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The mean of the float leaves; other leaves are the first tree's, as all are if the structures differ.
fn mean(trees: &[&Tree<Tensor>]) -> Result<Tree<Tensor>> {
    let leaves: Vec<Vec<&Tensor>> = trees.iter().map(|t| t.leaves_in_place()).collect();
    let fits = |v: &Vec<&Tensor>| v.iter().map(|t| t.shape()).eq(leaves[0].iter().map(|t| t.shape()));
    if !leaves.iter().all(fits) {
        return Ok(trees[0].clone());
    }
    let mut at = 0;
    trees[0].try_map(&mut |first: &Tensor| {
        let of_each: Vec<Tensor> = leaves.iter().map(|v| v[at].clone()).collect();
        at += 1;
        if !first.dtype().is_float() {
            return Ok(first.clone());
        }
        Ok(Tensor::stack(&of_each, 0)?.mean(0, false)?)
    })
}

/// The view of a state from the states of each device, `()` if there are none, and the view of the layer's own.
pub(super) fn view(each: Tree<Tensor>, layer: Tree<Tensor>) -> Tree<Tensor> {
    if each.is_empty() {
        return layer;
    }
    Tree::Dict(vec![(DEVICES.into(), each), (SUBLAYER.into(), layer)])
}

/// The states of each of `n` devices and the view of the layer's own state, from what [`view`] gives.
///
/// # Errors
/// `WeightsMismatch` for the states of another number of devices.
pub(super) fn parts(tree: &Tree<Tensor>, n: usize) -> Result<(&Tree<Tensor>, &Tree<Tensor>)> {
    let Tree::Dict(entries) = tree else { return Ok((&NOTHING, tree)) };
    let find = |key: &str| entries.iter().find(|(k, _)| k == key).map(|(_, t)| t);
    let (Some(each), Some(layer), 2) = (find(DEVICES), find(SUBLAYER), entries.len()) else {
        return Ok((&NOTHING, tree));
    };
    match each {
        Tree::Tuple(devices) if devices.len() == n => Ok((each, layer)),
        other => {
            let what = format!("the state is that of other devices than the {n} of Accelerate: {}", other.describe());
            Err(Error::new(ErrorKind::WeightsMismatch, what))
        }
    }
}
