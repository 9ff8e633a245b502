//! A batch in equal parts that are computed one by one, each as a device of [`super::accelerate`] computes its share.
use super::{split::Split, state};
use crate::{peers::Peers, Cx, Error, ErrorKind, LayerRef, Result, Store, TensorSpec};
use std::{mem::take, sync::Arc};
use tallow_tensor::{random::Key, Tensor};

/// The equal parts of a batch: what each gives depends on its own items and its number, not on where the others are computed.
#[derive(Debug)]
pub struct Parts {
    layer: LayerRef,
    inputs: Vec<Vec<Tensor>>,
    keys: Vec<Key>,
    peers: Option<Arc<Peers>>,
}

impl Parts {
    /// `xs` for `layer` in `n` parts (at least 1), cut along the first axes. Part `i` draws from the `i`-th of `n` keys split from `key`; where
    /// there is one part, from `key`.
    ///
    /// # Errors
    /// `ShapeMismatch` for inputs that cannot be cut into `n` equal parts.
    pub fn of(layer: &LayerRef, xs: &[Tensor], key: Key, n: usize) -> Result<Self> {
        let uneven = xs.iter().find(|x| !x.shape().first().is_some_and(|rows| rows.is_multiple_of(n)));
        if let Some(x) = uneven.filter(|_| n > 1) {
            let what = format!("a batch with an input of shape {:?} cannot be cut into {n} equal parts", x.shape());
            return Err(Error::shape(what));
        }
        let (inputs, keys) = if n > 1 {
            let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
            (Split::of(&specs, n)?.inputs(xs)?, key.try_split(n)?)
        } else {
            (vec![xs.to_vec()], vec![key])
        };
        let peers = (n > 1 && layer.draws_in_step()).then(|| Peers::new(&keys));
        Ok(Self { layer: layer.clone(), inputs, keys, peers })
    }
    /// The inputs of a part.
    pub fn inputs(&self, part: usize) -> &[Tensor] {
        &self.inputs[part]
    }
    /// What the layer gives for part number `part`, with these weights and this state before it; and the state behind it. The inputs of the part are
    /// used up.
    ///
    /// # Errors
    /// Those of the layer.
    pub fn apply(&mut self, part: usize, weights: &Store, state: Store) -> Result<(Vec<Tensor>, Store)> {
        let mut cx = Cx::new(weights, state).among(self.peers.clone());
        let ys = cx.apply(&self.layer, take(&mut self.inputs[part]), self.keys[part])?;
        Ok((ys, cx.into_state()))
    }
}

/// The state behind a batch, from those behind each of its parts: what is learned is averaged. What a layer tells of its own call alone, as the buckets
/// of LSH attention, is that of the first part.
///
/// # Errors
/// `InvalidArgument` where the next call would go on from states that differ, as in mode `'predict'`.
pub fn merge_parts(layer: &LayerRef, states: Vec<Store>) -> Result<Store> {
    let (mut merged, apart) = state::merged(layer, &states)?;
    // A function of the host, or a layer around others, may do with its state what it likes.
    let is_read = |l: &&LayerRef| l.goes_on() || l.calls_host() || !l.sublayers().is_empty();
    if let Some(l) = apart.iter().find(is_read) {
        let what = format!(
            "the state of {} differs between the parts of a batch, which cannot go on from it apart; train it without `gradientShards` and ranks",
            l.base().name
        );
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    // What is of no instance, as of a layer around these, stays as in the first part.
    for (id, tree) in states.into_iter().next().unwrap_or_default() {
        merged.entry(id).or_insert(tree);
    }
    Ok(merged)
}
