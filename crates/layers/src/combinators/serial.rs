//! Layers one after another.
use crate::{
    composite,
    framework::{composite::ReverseParts, context::Reversal},
    options, Arity, Base, Composite, Cx, Error, InitCx, LayerList, LayerNest, LayerRef, Parts, Result, TensorSpec,
    Traits,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies layers one after another, over the data stack.
    ///
    /// Data flows over a stack of tensors. Each layer takes its inputs off the top and puts its outputs there; what it does not take stays
    /// below.
    /// Nested lists of layers are flattened. Without layers, or with `null` alone, it returns its one input.
    ///
    /// Shapes: what the first layers take from the stack → what is on it after the last. Further inputs stay behind the outputs.
    /// Weights: a list with one entry for each layer.
    /// State: a list with one entry for each layer.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: `null` stands among other layers.
    /// - `ArityMismatch`: there are fewer inputs than the layers take.
    ///
    /// Source: Trax.
    /// See: `Parallel`, `Branch`, `Residual`.
    /// Example:
    /// ```ts
    /// const model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2));
    /// model.init({ shape: [1, 3], dtype: 'float32' });
    /// model([[1, 2, 3]]).shape; // → [1, 2]
    /// ```
    pub struct SerialOptions for "Serial" () ...("sublayers") {
        /// Layers, or nested lists of them.
        sublayers "sublayers": LayerList = LayerList::default(),
        /// Printed name.
        name "name": String = "Serial".into(),
        /// Layers to print instead of all sublayers.
        sublayers_to_print "sublayersToPrint": Option<LayerList> = None,
    }
}

pub(super) fn build(o: SerialOptions) -> Result<LayerRef> {
    let layers = flat("Serial", o.sublayers.0)?;
    Ok(make(Base { to_print: o.sublayers_to_print.map(|l| l.0), ..Base::new(o.name) }, layers))
}

/// Layers one after another; none at all is a no-op on one input.
pub fn serial(layers: Vec<LayerRef>) -> LayerRef {
    serial_named("Serial", layers)
}

/// [`serial`] under another printed name.
pub fn serial_named(name: impl Into<String>, layers: Vec<LayerRef>) -> LayerRef {
    make(Base::new(name), layers)
}

/// [`serial`] with what to print instead of all sublayers.
pub(crate) fn serial_printing(name: &str, layers: Vec<LayerRef>, to_print: Vec<LayerNest>) -> LayerRef {
    make(Base { to_print: Some(to_print), ..Base::new(name) }, layers)
}

fn make(base: Base, layers: Vec<LayerRef>) -> LayerRef {
    Stack { reversible: false }.of(base, layers)
}

/// The layers in nested lists, in order. A lone `null` is none at all.
pub(crate) fn flat(kind: &str, nests: Vec<LayerNest>) -> Result<Vec<LayerRef>> {
    fn walk(kind: &str, nest: LayerNest, out: &mut Vec<LayerRef>) -> Result<()> {
        match nest {
            LayerNest::One(l) => out.push(l),
            LayerNest::List(v) => v.into_iter().try_for_each(|n| walk(kind, n, out))?,
            LayerNest::Null => {
                return Err(Error::option(format!(
                    "{kind}: null stands among layers; it is a no-op only when it stands alone"
                )))
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    if !matches!(nests[..], [LayerNest::Null]) {
        nests.into_iter().try_for_each(|n| walk(kind, n, &mut out))?;
    }
    Ok(out)
}

/// One layer for an entry of a list: `null` and `[]` are no-ops, a list is a [`serial()`].
pub(super) fn as_layer(nest: LayerNest) -> Result<LayerRef> {
    match nest {
        LayerNest::Null => Ok(serial(Vec::new())),
        LayerNest::One(l) => Ok(l),
        list @ LayerNest::List(_) => Ok(serial(flat("Serial", vec![list])?)),
    }
}

/// Layers one after another, over a stack.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// Whether it runs backwards too, as all its layers then do.
    pub reversible: bool,
}

impl Stack {
    /// The layer of these layers; none at all is a no-op on one input.
    pub(crate) fn of(self, base: Base, layers: Vec<LayerRef>) -> LayerRef {
        let arity = if layers.is_empty() { Arity::ONE } else { Arity::of_stack(&layers) };
        composite(Parts { base, layers, arity }, self)
    }
}

impl Composite for Stack {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::stack_signature(&parts.layers, inputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init_stack(&parts.layers, inputs).map(drop)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        cx.apply_stack(&parts.layers, xs, key)
    }
    fn traits(&self) -> Traits {
        Traits::ON_STACK
    }
    fn reversal(&self) -> Option<&dyn ReverseParts> {
        self.reversible.then_some(self as &dyn ReverseParts)
    }
}

impl ReverseParts for Stack {
    fn reverse(&self, parts: &Parts, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let calls = parts.layers.iter().zip(key.split(parts.layers.len())).rev();
        calls.into_iter().try_fold(ys, |stack, (layer, key)| r.reverse(layer, stack, key))
    }
    fn reverse_and_grad(
        &self,
        parts: &Parts,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        let calls = parts.layers.iter().zip(key.split(parts.layers.len())).rev();
        calls.into_iter().try_fold((ys, cts), |(stack, cts), (layer, key)| r.reverse_and_grad(layer, stack, cts, key))
    }
    fn is_chain(&self) -> bool {
        true
    }
}
