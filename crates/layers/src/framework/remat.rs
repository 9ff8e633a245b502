//! Running a layer without keeping its intermediate values: the backward pass computes them anew.
use crate::{peers::Peers, Cx, Error, LayerId, LayerRef, Result, Store, Tree};
use std::sync::Arc;
use tallow_tensor::{backward, custom_vjp, is_recording, random::Key, recording, Tensor};

/// A layer whose forward pass is repeated in the backward pass, instead of being kept.
///
/// Equal to [`Cx::apply`] in outputs, state and gradients (also those that flow through state); only inputs, weights and state are kept.
#[derive(Debug)]
pub struct Recompute {
    layer: LayerRef,
    ids: Vec<LayerId>,
}

/// Trees of several layers, taken apart into their leaves and put together again.
#[derive(Debug, Clone)]
pub(crate) struct Pack(Vec<(LayerId, Tree<()>)>);

impl Pack {
    /// How the trees of `ids` lie, and their leaves.
    pub(crate) fn of(store: &Store, ids: &[LayerId]) -> (Self, Vec<Tensor>) {
        let mut leaves = Vec::new();
        let shapes = ids.iter().filter_map(|id| {
            let tree = store.get(id)?;
            leaves.extend(tree.leaves_in_place().into_iter().cloned());
            Some((*id, tree.map(&mut |_| ())))
        });
        let pack = Self(shapes.collect());
        (pack, leaves)
    }
    /// The layer of each leaf, and the leaf's place in its tree.
    pub(crate) fn places(&self) -> Vec<(LayerId, usize)> {
        self.0.iter().flat_map(|(id, tree)| (0..tree.leaves_in_place().len()).map(|i| (*id, i))).collect()
    }
    /// The trees, from leaves in the same order.
    ///
    /// # Errors
    /// `Internal` if there are too few.
    pub(crate) fn store(&self, leaves: &[Tensor]) -> Result<Store> {
        let mut next = leaves.iter();
        let missing = || Error::new("Internal", "fewer leaves than the tree they came from");
        let mut fill = |tree: &Tree<()>| tree.try_map(&mut |()| next.next().cloned().ok_or_else(missing));
        self.0.iter().map(|(id, tree)| Ok((*id, fill(tree)?))).collect()
    }
}

/// Everything a repetition starts from.
struct Start {
    layer: LayerRef,
    ids: Vec<LayerId>,
    key: Key,
    peers: Option<Arc<Peers>>,
    weights: Pack,
    state: Pack,
    /// How many leading values are inputs, and how many of the others are weights.
    counts: [usize; 2],
}

impl Start {
    /// Outputs, then the leaves of the new state; and how the latter lie.
    fn run(&self, values: &[Tensor]) -> Result<(Vec<Tensor>, usize, Pack)> {
        let (xs, rest) = values.split_at(self.counts[0]);
        let (w, s) = rest.split_at(self.counts[1]);
        let weights = self.weights.store(w)?;
        let mut cx = Cx::new(&weights, self.state.store(s)?).among(self.peers.clone());
        let mut ys = cx.apply(&self.layer, xs.to_vec(), self.key)?;
        let n = ys.len();
        let (pack, leaves) = Pack::of(&cx.state, &self.ids);
        ys.extend(leaves);
        Ok((ys, n, pack))
    }
}

impl Recompute {
    /// Prepares `layer`.
    pub fn new(layer: &LayerRef) -> Self {
        let mut ids = Vec::new();
        crate::for_each_instance(layer, &mut |l| ids.push(l.base().id));
        Self { layer: layer.clone(), ids }
    }
    /// Runs the layer as [`Cx::apply`] does.
    ///
    /// # Errors
    /// Those of [`Cx::apply`].
    pub fn apply(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        if !is_recording() {
            return cx.apply(&self.layer, xs, key);
        }
        let (weights, w) = Pack::of(cx.store(), &self.ids);
        let (state, s) = Pack::of(&cx.state, &self.ids);
        let counts = [xs.len(), w.len()];
        let start =
            Start { layer: self.layer.clone(), ids: self.ids.clone(), key, peers: cx.peers(), weights, state, counts };
        let values: Vec<Tensor> = xs.into_iter().chain(w).chain(s).collect();
        let mut shape = None;
        let mut ys = custom_vjp(
            &values,
            |values| {
                let (ys, n, pack) = start.run(values)?;
                shape = Some((n, pack));
                Ok((ys, (start, values.to_vec())))
            },
            |(start, values), cts, need| {
                let variables: Vec<Tensor> =
                    values.iter().zip(need).map(|(t, need)| if *need { t.variable() } else { t.clone() }).collect();
                let (ys, ..) = recording(|| start.run(&variables))?;
                let seeds: Vec<(Tensor, Tensor)> =
                    ys.into_iter().zip(cts).filter_map(|(y, ct)| Some((y, ct.clone()?))).collect();
                let wanted: Vec<Tensor> = variables.into_iter().filter(Tensor::is_tracked).collect();
                let mut found = backward(&seeds, &wanted, false)?.into_iter();
                Ok(need.iter().map(|need| if *need { found.next() } else { None }).collect())
            },
        )?;
        if let Some((n, pack)) = shape {
            let leaves = ys.split_off(n);
            cx.state.extend(pack.store(&leaves)?);
        }
        Ok(ys)
    }
}
