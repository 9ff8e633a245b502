//! Running layers: the contexts sublayers run in, and the one door ([`Cx::apply`]) they run through.
use crate::{
    framework::{
        context::{Passage, Reversal},
        layer::Reversible,
        observe,
        pack::Pack,
        reversal::instances,
        rows,
        signature::{check_count, taken},
    },
    peers::Peers,
    stack::deep,
    Cx, LayerRef, Phase, Result, Store, TensorSpec,
};
use smallvec::SmallVec;
use std::sync::Arc;
use tallow_tensor::{custom_vjp, no_grad, random::Key, DType, Tensor};

impl Cx<'_> {
    /// Runs a layer: checks its arity, names it in errors, and stops before it if the work was cancelled
    /// ([`tallow_tensor::cancel`]). A reversible layer keeps its outputs only for a backward pass ([`crate::reversible`]).
    ///
    /// # Errors
    /// `ArityMismatch`, `Aborted`, or the layer's own error with this layer added to its path.
    pub fn apply(&mut self, layer: &LayerRef, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.apply_as(layer, xs, |cx, xs| {
            if let Some(n) = cx.streams().filter(|_| rows::runs_alone(cx, layer)) {
                return rows::one_by_one(cx, layer, n, xs, key);
            }
            if tallow_tensor::is_recording() && layer.reversible().is_some() {
                return cut(layer, cx, xs, key);
            }
            layer.forward(cx, xs, key)
        })
    }
    /// As [`Cx::apply`], with `forward` as what the layer does.
    pub(crate) fn apply_as(
        &mut self,
        layer: &LayerRef,
        mut xs: Vec<Tensor>,
        forward: impl FnOnce(&mut Self, Vec<Tensor>) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        // For an error's text. Nearly no call has one, so nothing is allocated for it.
        let seen: SmallVec<[(SmallVec<[usize; 6]>, DType); 2]> =
            xs.iter().map(|x| (x.shape().into(), x.dtype())).collect();
        let told = observe::Run::begin(self, layer, &xs);
        let run = |cx: &mut Self| {
            tallow_tensor::cancel::check()?;
            let rest = xs.split_off(taken(layer, xs.len())?);
            let mut ys = forward(cx, xs)?;
            check_count("promises", "output", layer.arity().n_out, ys.len())?;
            ys.extend(rest);
            Ok(ys)
        };
        let ys = deep(|| run(self));
        if let Some(told) = told {
            told.end(&ys);
        }
        ys.map_err(|e| {
            let specs = || seen.into_iter().map(|(shape, dtype)| TensorSpec::new(shape.into_vec(), dtype)).collect();
            layer.base().within(e, Phase::Forward, specs)
        })
    }
    /// Runs layers in series on a stack (top first): each takes its inputs off the top and puts its outputs there.
    ///
    /// # Errors
    /// Those of [`Cx::apply`].
    pub fn apply_stack(&mut self, layers: &[LayerRef], stack: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.apply_stack_by(layers, stack, key, Self::apply)
    }
    /// As [`Cx::apply_stack`], with `apply` to run a layer.
    pub(crate) fn apply_stack_by(
        &mut self,
        layers: &[LayerRef],
        mut stack: Vec<Tensor>,
        key: Key,
        mut apply: impl FnMut(&mut Self, &LayerRef, Vec<Tensor>, Key) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        for (layer, key) in layers.iter().zip(self.split(key, layers.len())) {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            stack = apply(self, layer, stack, key)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// The layer as a pure function: outputs and new state from inputs, weights, state and key.
///
/// # Errors
/// Those of the layers, with their path.
pub fn pure_fn(
    layer: &LayerRef,
    xs: Vec<Tensor>,
    weights: &Store,
    state: Store,
    key: Key,
) -> Result<(Vec<Tensor>, Store)> {
    let mut cx = Cx::new(weights, state);
    let ys = cx.apply(layer, xs, key)?;
    Ok((ys, cx.into_state()))
}

/// The passages of calls that a backward pass will reverse, in the order of the calls.
#[derive(Debug, Default)]
struct Log(Vec<Passage>);

impl Log {
    /// Runs a reversible layer as [`Cx::apply`] does, and remembers the states it went through.
    fn apply(&mut self, cx: &mut Cx, layer: &LayerRef, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        if let Some(chain) = layer.reversible().and_then(Reversible::chain) {
            return cx.apply_as(layer, xs, |cx, xs| {
                cx.apply_stack_by(chain, xs, key, |cx, l, xs, k| self.apply(cx, l, xs, k))
            });
        }
        let ids = instances(layer);
        let of = |cx: &Cx| ids.iter().filter_map(|id| Some((*id, cx.find_state(*id)?.clone()))).collect();
        let before = of(cx);
        let ys = cx.apply(layer, xs, key)?;
        self.0.push(Passage { before, after: of(cx) });
        Ok(ys)
    }
}

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
fn cut(layer: &LayerRef, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
    let ids = instances(layer);
    let (pack, leaves) = Pack::of(&ids, |id| cx.source().find(id));
    if xs.iter().chain(&leaves).all(|t| !t.is_tracked()) {
        return no_grad(|| layer.forward(cx, xs, key));
    }
    let places = pack.places();
    let n = xs.len();
    let values: Vec<Tensor> = xs.into_iter().chain(leaves).collect();
    let state: Store = ids.iter().filter_map(|id| Some((*id, cx.find_state(*id)?.map(&mut Tensor::detach)))).collect();
    let peers = cx.peers();
    let mut new_state = None;
    let ys = custom_vjp(
        &values,
        |values| {
            let weights = pack.store(&values[n..])?;
            let mut log = Log::default();
            let mut inner = Cx::new(&weights, state).among(peers.clone());
            let ys = log
                .apply(&mut inner, layer, values[..n].to_vec(), key)
                .map_err(|e| e.without_outermost(layer.base().names()))?;
            new_state = Some(inner.into_state());
            Ok((ys.clone(), Kept { layer: layer.clone(), key, ys, weights, log, peers }))
        },
        move |kept, cts, need| {
            let constants = places.iter().zip(&need[n..]).filter(|(_, need)| !**need).map(|(p, _)| *p).collect();
            let mut reversal = Reversal::of_log(&kept.weights, constants, &kept.log.0, kept.peers.clone());
            let (_, grads) = reversal.reverse_and_grad(&kept.layer, kept.ys.clone(), cts.to_vec(), kept.key)?;
            let mut of_weights = reversal.into_gradients();
            let all = grads.into_iter().chain(places.iter().map(|p| of_weights.remove(p)));
            Ok(all.zip(need).map(|(grad, need)| if *need { grad } else { None }).collect())
        },
    )?;
    cx.set_states(new_state.unwrap_or_default());
    Ok(ys)
}
