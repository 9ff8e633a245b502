//! Replicas of a layer side by side, in the forward and in the backward pass.
use super::split::Split;
use crate::{
    framework::held::{Read, Source},
    framework::pack::Pack,
    framework::precision,
    peers::Peers,
    Cx, LayerId, LayerRef, Result, Store,
};
use std::sync::Arc;
use tallow_tensor::{
    backward, custom_vjp, is_recording, is_retaining, memory, no_grad, random::Key, recording, threads::side_by_side,
    Tensor,
};

/// What all replicas share, and how the values of the operation lie: inputs, weights, then the state of each device.
struct Job {
    layer: LayerRef,
    ids: Vec<LayerId>,
    split: Split,
    keys: Vec<Key>,
    peers: Option<Arc<Peers>>,
    weights: Pack,
    states: Vec<Pack>,
    n_inputs: usize,
    n_weights: usize,
    /// Number of leaves of the state of each device.
    n_state: Vec<usize>,
    /// Which of the values want gradients.
    tracked: Vec<bool>,
}

/// What a replica has computed: with the graph of its own that leads there, if gradients are wanted.
struct Replica {
    /// Its values (share of the inputs, weights, its state): variables where gradients are wanted.
    values: Vec<Tensor>,
    ys: Vec<Tensor>,
    new_state: Vec<Tensor>,
    pack: Pack,
}

impl Job {
    fn n(&self) -> usize {
        self.keys.len()
    }
    /// Where the state of device `i` begins among the values.
    fn state_at(&self, i: usize) -> usize {
        self.n_inputs + self.n_weights + self.n_state[..i].iter().sum::<usize>()
    }
    /// Places, among the values of the operation, of the values of device `i`.
    fn places(&self, i: usize) -> impl Iterator<Item = usize> {
        let state = self.state_at(i);
        (0..self.n_inputs + self.n_weights).chain(state..state + self.n_state[i])
    }
    /// The values of device `i`.
    fn values(&self, i: usize, share: &[Tensor], values: &[Tensor], record: bool) -> Vec<Tensor> {
        let of = |place: usize| if place < self.n_inputs { &share[place] } else { &values[place] };
        let variable = |place: usize| record && self.tracked[place] && of(place).dtype().is_float();
        self.places(i).map(|p| if variable(p) { of(p).variable() } else { of(p).clone() }).collect()
    }
    fn run(&self, i: usize, values: Vec<Tensor>) -> Result<Replica> {
        let (xs, rest) = values.split_at(self.n_inputs);
        let (w, s) = rest.split_at(self.n_weights);
        let weights = self.weights.store(w)?;
        let mut cx = Cx::new(&weights, self.states[i].store(s)?).among(self.peers.clone());
        let ys = cx.apply(&self.layer, xs.to_vec(), self.keys[i])?;
        let (pack, new_state) = Pack::of(&self.ids, |id| cx.find_state(id));
        Ok(Replica { values, ys, new_state, pack })
    }
    fn forward(&self, values: &[Tensor], record: bool) -> Result<Vec<Replica>> {
        let shares = self.split.inputs(&values[..self.n_inputs])?;
        // A thread may begin this in the middle of another replica: whether to record must not come from there.
        let dtype = precision::compute_dtype();
        let one = |i: usize| {
            let run = || precision::computing_in(dtype, || self.run(i, self.values(i, &shares[i], values, record)));
            if record {
                recording(run)
            } else {
                no_grad(run)
            }
        };
        side_by_side(self.n(), one).into_iter().collect()
    }
    /// Gradients of the values, from cotangents of the outputs and then of the new state of each device.
    fn backward(
        &self,
        replicas: &[Replica],
        cts: &[Option<Tensor>],
        shapes: &[Vec<usize>],
    ) -> Result<Vec<Option<Tensor>>> {
        let retain = is_retaining();
        let n_outputs = replicas.first().map_or(0, |r| r.ys.len());
        let (of_outputs, mut of_state) = cts.split_at(n_outputs.min(cts.len()));
        let mut seeds: Vec<Vec<(Tensor, Tensor)>> = memory::full(self.n(), Vec::new())?;
        for (k, ct) in of_outputs.iter().enumerate() {
            let Some(ct) = ct else { continue };
            let parts = self.split.cotangents(replicas[0].ys[k].shape(), ct)?;
            for ((seeds, replica), part) in seeds.iter_mut().zip(replicas).zip(parts) {
                seeds.push((replica.ys[k].clone(), part));
            }
        }
        for (seeds, replica) in seeds.iter_mut().zip(replicas) {
            let (own, rest) = of_state.split_at(replica.new_state.len().min(of_state.len()));
            of_state = rest;
            seeds.extend(replica.new_state.iter().zip(own).filter_map(|(s, ct)| Some((s.clone(), ct.clone()?))));
        }
        let dtype = precision::compute_dtype();
        let one = |i: usize| {
            let wanted: Vec<Tensor> = replicas[i].values.iter().filter(|t| t.is_tracked()).cloned().collect();
            precision::computing_in(dtype, || backward(&seeds[i], &wanted, retain))
        };
        let found: Vec<Vec<Tensor>> = side_by_side(self.n(), one).into_iter().collect::<tallow_tensor::Result<_>>()?;
        let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); self.tracked.len()];
        for (i, (replica, found)) in replicas.iter().zip(found).enumerate() {
            let places = self.places(i).zip(&replica.values).filter(|(_, t)| t.is_tracked());
            places.zip(found).for_each(|((place, _), g)| parts[place].push(g));
        }
        let joined = parts.into_iter().enumerate().map(|(place, parts)| {
            if parts.is_empty() {
                return Ok(None);
            }
            if place < self.n_inputs {
                return self.split.input_gradient(&shapes[place], &parts).map(Some);
            }
            // In the order of the devices, so that the bits do not depend on who came first.
            let mut parts = parts.into_iter();
            let Some(first) = parts.next() else { return Ok(None) };
            parts.try_fold(first, |sum, g| Ok(sum.add(&g)?)).map(Some)
        });
        joined.collect()
    }
}

/// Runs `layer` on each share of the inputs, side by side: whole outputs, and the new state of each device.
///
/// One operation to autodiff, whose backward pass runs the replicas side by side too. Keeps of each replica what the layer itself would.
///
/// # Errors
/// Those of the layer: the first device's that has one.
pub(super) fn run(
    layer: &LayerRef,
    weights: Source,
    states: Vec<Store>,
    split: Split,
    xs: Vec<Tensor>,
    keys: Vec<Key>,
    peers: Option<Arc<Peers>>,
) -> Result<(Vec<Tensor>, Vec<Store>)> {
    let mut ids = Vec::new();
    crate::for_each_instance(layer, &mut |l| ids.push(l.base().id));
    let (weights, w) = Pack::of(&ids, |id| weights.find(id));
    let (states, s): (Vec<Pack>, Vec<Vec<Tensor>>) =
        states.iter().map(|s| Pack::of(&ids, |id| s.get(&id).map(Read::Lent))).unzip();
    let (n_inputs, n_weights) = (xs.len(), w.len());
    let n_state = s.iter().map(Vec::len).collect();
    let values: Vec<Tensor> = xs.into_iter().chain(w).chain(s.into_iter().flatten()).collect();
    let tracked: Vec<bool> = values.iter().map(Tensor::is_tracked).collect();
    let record = is_recording() && tracked.contains(&true);
    let shapes: Vec<Vec<usize>> = values[..n_inputs].iter().map(|x| x.shape().to_vec()).collect();
    let layer = layer.clone();
    let job = Job { layer, ids, split, keys, peers, weights, states, n_inputs, n_weights, n_state, tracked };
    let mut packs = Vec::new();
    let mut n_outputs = 0;
    let mut ys = custom_vjp(
        &values,
        |values| {
            let replicas = job.forward(values, record)?;
            n_outputs = replicas.first().map_or(0, |r| r.ys.len());
            let column = |k: usize| replicas.iter().map(|r| r.ys[k].detach()).collect::<Vec<_>>();
            let mut ys = (0..n_outputs).map(|k| job.split.output(&column(k))).collect::<Result<Vec<_>>>()?;
            for replica in &replicas {
                ys.extend(replica.new_state.iter().cloned());
                packs.push((replica.pack.clone(), replica.new_state.len()));
            }
            Ok((ys, (job, replicas)))
        },
        move |(job, replicas), cts, _| Ok(job.backward(replicas, cts, &shapes)?),
    )?;
    let mut leaves = ys.split_off(n_outputs).into_iter();
    let states = packs.iter().map(|(pack, n)| pack.store(&leaves.by_ref().take(*n).collect::<Vec<_>>()));
    let states = states.collect::<Result<Vec<_>>>()?;
    Ok((ys, states))
}
