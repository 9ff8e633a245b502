//! Running a layer without keeping its intermediate values: the backward pass computes them anew.
use crate::{framework::pack::Pack, peers::Peers, Cx, LayerId, LayerRef, Result};
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
        let (pack, leaves) = Pack::of(&self.ids, |id| cx.find_state(id));
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
        let (weights, w) = Pack::of(&self.ids, |id| cx.source().find(id));
        let (state, s) = Pack::of(&self.ids, |id| cx.find_state(id));
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
            cx.set_states(pack.store(&leaves)?);
        }
        Ok(ys)
    }
}
