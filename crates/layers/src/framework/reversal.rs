//! What a backward pass without remembered inputs runs in.
use crate::{
    framework::{
        context::{Passage, Passages, Place, Reversal},
        layer::Reversible,
    },
    peers::Peers,
    stack::deep,
    Cx, Error, ErrorKind, LayerId, LayerRef, Phase, Result, Store, TensorSpec, Tree,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tallow_tensor::{backward, no_grad, random::Key, recording, Tensor};

/// The identities of a layer and of everything below it.
pub(super) fn instances(layer: &LayerRef) -> Vec<LayerId> {
    let mut ids = Vec::new();
    crate::for_each_instance(layer, &mut |l| ids.push(l.base().id));
    ids
}

impl<'a> Reversal<'a> {
    fn new(weights: &'a Store, constants: HashSet<Place>, passages: Passages<'a>) -> Self {
        let (current, ids, grads) = (Passage::default(), Vec::new(), HashMap::new());
        Self { weights, constants, passages, current, ids, grads, peers: None }
    }
    /// Goes back through logged calls.
    pub(super) fn of_log(
        weights: &'a Store,
        constants: HashSet<Place>,
        log: &'a [Passage],
        peers: Option<Arc<Peers>>,
    ) -> Self {
        Self { peers, ..Self::new(weights, constants, Passages::Each(log)) }
    }
    /// Goes back through calls that together led from one state to another.
    pub(super) fn of_whole(weights: &'a Store, passage: &'a Passage) -> Self {
        Self::new(weights, HashSet::new(), Passages::Whole(passage))
    }
    /// Gradients of the weights that were used.
    pub(super) fn into_gradients(self) -> HashMap<Place, Tensor> {
        self.grads
    }
    /// Goes on to the call before, unless `layer` is a chain, whose layers have calls of their own.
    fn enter<'l>(&mut self, layer: &'l LayerRef) -> Result<&'l dyn Reversible> {
        let reversible = layer.reversible().ok_or_else(|| not_reversible(layer))?;
        if reversible.chain().is_none() {
            let passage = match &mut self.passages {
                Passages::Whole(passage) => passage,
                Passages::Each(rest) => {
                    let missing = || Error::new(ErrorKind::Internal, "more calls are reversed than were made");
                    let (last, before) = rest.split_last().ok_or_else(missing)?;
                    *rest = before;
                    last
                }
            };
            self.current = passage.clone();
            self.ids = instances(layer);
        }
        Ok(reversible)
    }
    /// Own state that the call now being reversed began with and left.
    pub(crate) fn states(&self, id: LayerId) -> [Tree<Tensor>; 2] {
        [&self.current.before, &self.current.after].map(|s| s.get(&id).cloned().unwrap_or(Tree::EMPTY))
    }
    /// Own weights of a layer.
    pub(crate) fn weights(&self, id: LayerId) -> Tree<Tensor> {
        self.weights.get(&id).cloned().unwrap_or(Tree::EMPTY)
    }
    /// Adds to the gradients of a layer's own weights, leaf by leaf.
    pub(crate) fn add_gradients(&mut self, id: LayerId, grads: impl IntoIterator<Item = Tensor>) -> Result<()> {
        grads.into_iter().enumerate().try_for_each(|(i, grad)| self.add((id, i), grad))
    }
    fn add(&mut self, place: Place, grad: Tensor) -> Result<()> {
        let sum = match self.grads.remove(&place) {
            Some(sum) => sum.add(&grad)?,
            None => grad,
        };
        self.grads.insert(place, sum);
        Ok(())
    }
    /// The weights of the current call, those that gradients are wanted of as variables.
    fn variables(&self) -> (Store, Vec<(Place, Tensor)>) {
        let mut used = Vec::new();
        let store = self.ids.iter().filter_map(|&id| {
            let mut place = 0;
            let tree = self.weights.get(&id)?.map(&mut |t| {
                place += 1;
                if !t.dtype().is_float() || self.constants.contains(&(id, place - 1)) {
                    return t.clone();
                }
                let t = t.variable();
                used.push(((id, place - 1), t.clone()));
                t
            });
            Some((id, tree))
        });
        (store.collect(), used)
    }
    /// Reverses a call of `layer`: inputs from outputs. Outputs beyond those of the layer stay behind its inputs.
    ///
    /// # Errors
    /// Those of the layer, with its path; `InvalidOption` if it is not reversible.
    pub fn reverse(&mut self, layer: &LayerRef, mut ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let specs = ys.iter().map(TensorSpec::of).collect();
        let rest = ys.split_off(layer.arity().n_out.min(ys.len()));
        let mut xs = named(layer, specs, self.enter(layer).and_then(|l| deep(|| l.reverse(self, ys, key))))?;
        xs.extend(rest);
        Ok(xs)
    }
    /// Reverses a call of `layer`: inputs from outputs, gradients of inputs from those of outputs.
    ///
    /// # Errors
    /// Those of the layer, with its path; `InvalidOption` if it is not reversible.
    pub fn reverse_and_grad(
        &mut self,
        layer: &LayerRef,
        mut ys: Vec<Tensor>,
        mut cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        tallow_tensor::cancel::check()?;
        let specs = ys.iter().map(TensorSpec::of).collect();
        let n = layer.arity().n_out.min(ys.len());
        cts.resize(ys.len(), None);
        let (rest, rest_cts) = (ys.split_off(n), cts.split_off(n));
        let found = self.enter(layer).and_then(|l| deep(|| l.reverse_and_grad(self, ys, cts, key)));
        let (mut xs, mut grads) = named(layer, specs, found)?;
        grads.resize(xs.len(), None);
        xs.extend(rest);
        grads.extend(rest_cts);
        Ok((xs, grads))
    }
    /// Reverses a call, repeats and differentiates it: what [`Reversible::reverse_and_grad`] does by default.
    pub(crate) fn reverse_then_differentiate<L: Reversible + ?Sized>(
        &mut self,
        layer: &L,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        let xs = layer.reverse(self, ys, key)?;
        let (_, grads) = self.differentiate(&xs, cts, |cx, xs| layer.forward(cx, xs, key), |_| Ok(()))?;
        Ok((xs, grads))
    }
    /// What repeats the current call with these weights.
    fn again<'c>(&'c self, weights: &'c Store) -> Cx<'c> {
        Cx::repeating(weights, self.current.before.clone(), &self.current.after).among(self.peers.clone())
    }
    /// Repeats a call without recording it: `f` runs from the state the call began with.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn repeat(&self, f: impl FnOnce(&mut Cx) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        no_grad(|| f(&mut self.again(self.weights)))
    }
    /// Repeats a call and differentiates it: outputs of `f`, and gradients of `xs`; those of weights are added up here.
    ///
    /// `cts` are the cotangents of the outputs. `between` is given the outputs before gradients are computed, when it may
    /// still free what is not needed then.
    ///
    /// # Errors
    /// Those of `f` and `between`.
    pub fn differentiate<T>(
        &mut self,
        xs: &[Tensor],
        cts: Vec<Option<Tensor>>,
        f: impl FnOnce(&mut Cx, Vec<Tensor>) -> Result<Vec<Tensor>>,
        between: impl FnOnce(&[Tensor]) -> Result<T>,
    ) -> Result<(T, Vec<Option<Tensor>>)> {
        if cts.iter().all(Option::is_none) {
            let ys = self.repeat(|cx| f(cx, xs.to_vec()))?;
            return Ok((between(&ys)?, vec![None; xs.len()]));
        }
        let variable = |t: &Tensor| if t.dtype().is_float() { t.variable() } else { t.detach() };
        let xs: Vec<Tensor> = xs.iter().map(variable).collect();
        let (weights, used) = self.variables();
        let mut cx = self.again(&weights);
        let ys = recording(|| f(&mut cx, xs.clone()))?;
        drop(cx);
        let done = between(&ys.iter().map(Tensor::detach).collect::<Vec<_>>())?;
        let seeds: Vec<_> = ys.into_iter().zip(cts).filter_map(|(y, ct)| Some((y, ct?))).collect();
        let floats = xs.iter().filter(|t| t.is_tracked());
        let wrt: Vec<Tensor> = floats.chain(used.iter().map(|(_, t)| t)).cloned().collect();
        let mut found = backward(&seeds, &wrt, false)?.into_iter();
        let grads = xs.iter().map(|t| if t.is_tracked() { found.next() } else { None }).collect();
        for ((place, _), grad) in used.into_iter().zip(found) {
            self.add(place, grad)?;
        }
        Ok((done, grads))
    }
}

/// The layer's name added to an error.
fn named<T>(layer: &LayerRef, specs: Vec<TensorSpec>, result: Result<T>) -> Result<T> {
    result.map_err(|e| layer.base().within(e, Phase::Backward, || specs))
}

/// The error for a layer that must be reversible and is not.
pub(super) fn not_reversible(layer: &LayerRef) -> Error {
    let name = &layer.base().name;
    Error::option(format!("{name} is not reversible; put it into a ReversibleHalfResidual"))
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
