//! Layers one after another.
use crate::{
    options, reversible::Reversible, Arity, Base, Cx, Error, InitCx, Layer, LayerList, LayerNest, LayerRef, Rebuild,
    Result, TensorSpec,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies layers one after another, over a stack.
    ///
    /// Each layer takes its inputs off the top of the stack and puts its outputs there. Nested lists are flattened.
    /// Without layers (or with `null` alone) it returns its one input.
    /// Shapes: `nIn` is what the layers need of the stack below them, `nOut` what they leave; further inputs stay behind the outputs.
    /// Weights and state: one element per layer.
    /// Errors: `InvalidOption` for `null` among layers; `ArityMismatch` for too few inputs.
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
    let arity = if layers.is_empty() { Arity::ONE } else { stack_arity(&layers) };
    Arc::new(Stack { base, layers, arity, reversible: false })
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

/// What layers in series take from the stack, and what they leave there for it.
pub(crate) fn stack_arity(layers: &[LayerRef]) -> Arity {
    let (mut n_in, mut have) = (0, 0);
    for layer in layers {
        let a = layer.arity();
        if a.n_in > have {
            n_in += a.n_in - have;
            have = a.n_in;
        }
        have = have - a.n_in + a.n_out;
    }
    Arity::new(n_in, have)
}

/// Layers one after another, over a stack.
#[derive(Debug)]
pub(crate) struct Stack {
    pub base: Base,
    pub layers: Vec<LayerRef>,
    pub arity: Arity,
    /// Whether it runs backwards too, as all its layers then do.
    pub reversible: bool,
}

impl Layer for Stack {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.arity
    }
    fn open(&self) -> bool {
        true
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.layers
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::stack_signature(&self.layers, inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        cx.init_stack(&self.layers, inputs).map(drop)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        cx.apply_stack(&self.layers, xs, key)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let (base, layers) = (self.base.rebuilt(r), r.layers(&self.layers));
        Arc::new(Self { base, layers, arity: self.arity, reversible: self.reversible })
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.reversible.then_some(self as &dyn Reversible)
    }
}
