//! Layers side by side.
use crate::{
    options, print, Arity, Base, Cx, Error, InitCx, Layer, LayerList, LayerNest, LayerRef, Rebuild, Result, TensorSpec,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies layers side by side: each to the next inputs, as many as it takes.
    ///
    /// `null` and `[]` are no-ops on one input, a list is a `Serial`.
    /// Shapes: inputs and outputs are those of the layers, one after another. Weights and state: one element per layer.
    /// Errors: `InvalidOption` for fewer than two layers or one without inputs.
    pub struct ParallelOptions for "Parallel" () ...("sublayers") {
        /// Layers, `null`, or lists of layers.
        sublayers "sublayers": LayerList = LayerList::default(),
        /// Printed name.
        name "name": String = "Parallel".into(),
    }
}

pub(super) fn build(o: ParallelOptions) -> Result<LayerRef> {
    parallel_named(o.name, o.sublayers.0)
}

/// Layers side by side, each on the next inputs.
///
/// # Errors
/// `InvalidOption` for fewer than two layers or one without inputs.
pub fn parallel<L: Into<LayerNest>>(layers: Vec<L>) -> Result<LayerRef> {
    parallel_named("Parallel", layers)
}

/// [`parallel`] under another printed name.
///
/// # Errors
/// Those of [`parallel`].
pub fn parallel_named<L: Into<LayerNest>>(name: impl Into<String>, layers: Vec<L>) -> Result<LayerRef> {
    if layers.len() < 2 {
        return Err(Error::option(format!("Parallel: needs at least two layers, got {}", layers.len())));
    }
    let layers = layers.into_iter().map(|l| super::as_layer(l.into())).collect::<Result<Vec<_>>>()?;
    if let Some(l) = layers.iter().find(|l| l.arity().n_in == 0) {
        return Err(Error::option(format!("Parallel: each layer must take an input, but {} takes none", print(l))));
    }
    let sum = |f: fn(Arity) -> usize| layers.iter().map(|l| f(l.arity())).sum();
    let arity = Arity::new(sum(|a| a.n_in), sum(|a| a.n_out));
    Ok(Arc::new(Parallel { base: Base::new(name), layers, arity }))
}

#[derive(Debug)]
struct Parallel {
    base: Base,
    layers: Vec<LayerRef>,
    arity: Arity,
}

impl Parallel {
    /// Each layer with its share of `items`.
    fn shares<'a, T>(&'a self, items: &'a [T]) -> impl Iterator<Item = (&'a LayerRef, &'a [T])> {
        let mut rest = items;
        self.layers.iter().map(move |l| {
            let (share, more) = rest.split_at(l.arity().n_in.min(rest.len()));
            rest = more;
            (l, share)
        })
    }
}

impl Layer for Parallel {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.arity
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.layers
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let outputs = self.shares(inputs).map(|(l, s)| crate::signature(l, s)).collect::<Result<Vec<_>>>()?;
        Ok(outputs.into_iter().flatten().collect())
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        self.shares(inputs).try_for_each(|(l, s)| cx.init(l, s))
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let mut ys = Vec::with_capacity(self.arity.n_out);
        for ((layer, share), key) in self.shares(&xs).zip(cx.split(key, self.layers.len())) {
            ys.extend(cx.apply(layer, share.to_vec(), key)?);
        }
        Ok(ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        Arc::new(Self { base: self.base.rebuilt(r), layers: r.layers(&self.layers), arity: self.arity })
    }
}
