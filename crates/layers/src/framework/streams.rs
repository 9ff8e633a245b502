//! Sequences that are computed together, each where it stands.
//!
//! A call names the streams that its rows belong to. So they come, go and are copied as lists do, and weights are those that the layer holds.
use crate::{
    framework::{
        held::Source,
        instances::{held_by, require_weights},
        rows,
    },
    init_signature, Cx, Error, ErrorKind, LayerId, LayerRef, Result, Store, TensorSpec, Tree,
};
use std::collections::HashMap;
use tallow_tensor::{no_grad, random::Key, Tensor};

/// One sequence: what each layer that goes on has read of it.
///
/// A clone goes on by itself. It costs little: what both have read is held once.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    state: HashMap<LayerId, Tree<Tensor>>,
    /// What all streams of the last call, of which this was the first, hold as one. Their states are views of it, so it is no more to hold.
    as_one: HashMap<LayerId, Tree<Tensor>>,
}

impl Stream {
    /// Bytes of what was read; what clones have in common is counted by each.
    pub fn bytes(&self) -> usize {
        self.state.values().map(Tree::bytes).sum()
    }
}

/// What a layer in mode `'predict'` computes streams with.
#[derive(Debug)]
pub struct Streams {
    layer: LayerRef,
    /// What a stream begins with.
    fresh: Stream,
    /// State that belongs to no sequence.
    common: Store,
}

impl Streams {
    /// For a layer whose weights are there. `inputs` are those of one stream: the sizes of their first axes are what each stream has of a call.
    ///
    /// # Errors
    /// `NotInitialized` for a layer without weights; `InvalidArgument` for one that sees the positions of one call only; inputs that it does not
    /// take.
    pub fn new(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<Self> {
        require_weights(layer, "call init(signature) or load them before its streams begin")?;
        let held = held_by(layer);
        let mut stuck = None;
        let mut learned = Store::new();
        let mut goes_on = Vec::new();
        crate::for_each_instance(layer, &mut |l| {
            let (id, traits) = (l.base().id, l.traits());
            if traits.sees_one_call {
                stuck.get_or_insert_with(|| l.base().name.clone());
            }
            if traits.goes_on || traits.is_driven {
                goes_on.push(id);
            }
            if traits.keeps_state {
                learned.extend(held.state(id).map(|state| (id, Tree::clone(&state))));
            }
        });
        let key = layer.base().slot.key().unwrap_or(Key::new(0));
        let mut common = init_signature(layer, inputs, key)?.1;
        if let Some(name) = stuck {
            let model = &layer.base().name;
            let what = format!(
                "{model} cannot go on with a sequence, as {name} sees the positions of one call only; use attention that goes on in mode 'predict', such as CausalAttention, or call the model in mode 'eval' on the whole sequence each time"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let take = |id| common.remove(&id).filter(|tree| !tree.is_empty()).map(|tree| (id, tree));
        let state = goes_on.into_iter().filter_map(take).collect();
        common.retain(|_, tree| !tree.is_empty());
        common.extend(learned);
        Ok(Self { layer: layer.clone(), fresh: Stream { state, ..Stream::default() }, common })
    }
    /// The layer.
    pub fn layer(&self) -> &LayerRef {
        &self.layer
    }
    /// A stream that has read nothing.
    pub fn begin(&self) -> Stream {
        self.fresh.clone()
    }
    /// Runs the layer on the next positions of these streams, each as many. Along their first axis inputs and outputs have the rows of the first
    /// stream, then those of the second, and so on. What a stream gets does not depend on the others.
    ///
    /// # Errors
    /// `InvalidArgument` without streams, `ShapeMismatch` for inputs that cannot be divided among them, and those of the layer. All streams are
    /// then as they were.
    pub fn call(&self, streams: &mut [&mut Stream], xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let n = streams.len();
        if n == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "a call of streams needs at least one stream"));
        }
        for x in &xs {
            rows::per_stream(x, n)?;
        }
        let mut state = self.common.clone();
        for id in streams.iter().flat_map(|stream| stream.state.keys()) {
            state.entry(*id).or_insert_with(|| {
                let own = streams.iter().map(|s| s.state.get(id).cloned().unwrap_or(Tree::EMPTY));
                Tree::Rows(own.chain(streams[0].as_one.get(id).cloned()).collect())
            });
        }
        let source = Source::Held(held_by(&self.layer));
        let mut cx = Cx::from_source(source, state).with_streams(n);
        let ys = no_grad(|| cx.apply(&self.layer, xs, key))?;
        streams.iter_mut().for_each(|stream| stream.as_one.clear());
        for (id, tree) in cx.into_state() {
            if let Tree::Rows(each) = tree {
                let mut each = each.into_iter().map(|tree| tree.map(&mut Tensor::detach));
                for (stream, tree) in streams.iter_mut().zip(each.by_ref()) {
                    stream.state.insert(id, tree);
                }
                streams[0].as_one.extend(each.next().map(|tree| (id, tree)));
            }
        }
        Ok(ys)
    }
}
