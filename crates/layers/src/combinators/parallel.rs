//! Layers side by side.
use crate::{
    composite, options, print, Arity, Base, Composite, Cx, Error, InitCx, LayerList, LayerNest, LayerRef, Parts,
    Result, TensorSpec,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies layers side by side: each to the next inputs, as many as it takes.
    ///
    /// `null` and `[]` pass one input on; a list of layers is a `Serial`.
    ///
    /// Shapes: the inputs of all layers, in order → the outputs of all layers, in order.
    /// Weights: a list with one entry for each layer.
    /// State: a list with one entry for each layer.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: there are fewer than two layers, or a layer takes no input.
    ///
    /// Source: Trax.
    /// See: `Serial`, `Branch`.
    /// Example:
    /// ```ts
    /// tl.Parallel(tl.Negate(), null)([[1, 2], [3, 4]]); // → [Tensor int32[2] [-1,-2], Tensor int32[2] [3,4]]
    /// ```
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
    let layers = layers.into_iter().map(|l| super::serial::as_layer(l.into())).collect::<Result<Vec<_>>>()?;
    if let Some(l) = layers.iter().find(|l| l.arity().n_in == 0) {
        return Err(Error::option(format!("Parallel: each layer must take an input, but {} takes none", print(l))));
    }
    let sum = |f: fn(Arity) -> usize| layers.iter().map(|l| f(l.arity())).sum();
    let arity = Arity::new(sum(|a| a.n_in), sum(|a| a.n_out));
    Ok(composite(Parts { base: Base::new(name), layers, arity }, Parallel))
}

#[derive(Debug, Clone)]
struct Parallel;

/// Each layer with its share of `items`.
fn shares<'a, T>(parts: &'a Parts, items: &'a [T]) -> impl Iterator<Item = (&'a LayerRef, &'a [T])> {
    let mut rest = items;
    parts.layers.iter().map(move |l| {
        let (share, more) = rest.split_at(l.arity().n_in.min(rest.len()));
        rest = more;
        (l, share)
    })
}

impl Composite for Parallel {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let outputs = shares(parts, inputs).map(|(l, s)| crate::signature(l, s)).collect::<Result<Vec<_>>>()?;
        Ok(outputs.into_iter().flatten().collect())
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        shares(parts, inputs).try_for_each(|(l, s)| cx.init(l, s))
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let mut ys = Vec::with_capacity(parts.arity.n_out);
        for ((layer, share), key) in shares(parts, &xs).zip(cx.split(key, parts.layers.len())) {
            ys.extend(cx.apply(layer, share.to_vec(), key)?);
        }
        Ok(ys)
    }
}
