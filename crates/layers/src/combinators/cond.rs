//! One of two layers, chosen by a third.
use super::serial;
use crate::{
    composite, options, Arity, Base, Composite, Cx, Error, InitCx, LayerArg, LayerRef, Parts, Result, TensorSpec,
    Traits,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies one of two layers, as a third one decides.
    ///
    /// The first inputs go to `cond`, those after them to the chosen layer. Only that layer runs, and only its state changes. Without `false`
    /// the inputs pass through.
    ///
    /// Formula: `cond(x) ? true(y) : false(y)`.
    /// Shapes: the inputs of `cond`, the inputs of `true` → the outputs of `true`. `cond` returns one element. `true` and `false` return the
    /// same shapes and types.
    /// Weights: a list of three: of `cond`, `true` and `false`.
    /// State: a list of three: of `cond`, `true` and `false`.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: `cond` has more or fewer outputs than one, or `true` and `false` differ in the number of inputs or outputs.
    /// - `ShapeMismatch`: `cond` returns more or fewer elements than one, or the outputs of `true` and `false` differ.
    ///
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.Cond(tl.Fn('IsPositive', (x: tl.Tensor) => x.gt(0)), tl.Negate());
    /// layer.init([{ shape: [], dtype: 'int32' }, { shape: [2], dtype: 'int32' }]);
    /// layer([1, [5, 6]]); // → Tensor int32[2] [-5,-6]
    /// layer([-1, [5, 6]]); // → Tensor int32[2] [5,6]
    /// ```
    pub struct CondOptions for "Cond" ("cond", "true") {
        /// Layer that decides.
        cond "cond": LayerArg,
        /// Layer applied if the decision is not 0.
        when_true "true": LayerArg,
        /// Layer applied if the decision is 0.
        when_false "false": Option<LayerArg> = None,
        /// Printed name.
        name "name": String = "Cond".into(),
    }
}

/// `cond(x) ? true(y) : false(y)`.
///
/// # Errors
/// `InvalidOption` for layers whose inputs and outputs do not fit together.
pub fn cond(o: CondOptions) -> Result<LayerRef> {
    let layers = [o.cond.0, o.when_true.0, o.when_false.map_or_else(|| serial(Vec::new()), |l| l.0)];
    let [c, t, f] = [layers[0].arity(), layers[1].arity(), layers[2].arity()];
    if c.n_out != 1 {
        return Err(Error::option(format!("Cond: `cond` must have one output, it has {}", c.n_out)));
    }
    if t != f {
        return Err(Error::option(format!(
            "Cond: `true` and `false` must take and return equally many tensors, but `true` is {} to {} and `false` {} to {}",
            t.n_in, t.n_out, f.n_in, f.n_out
        )));
    }
    let arity = Arity::new(c.n_in + t.n_in, t.n_out);
    Ok(composite(Parts { base: Base::new(o.name), layers: layers.into(), arity }, Cond))
}

/// Of its layers the first decides, the second is for true, the third for false.
#[derive(Debug, Clone)]
struct Cond;

/// The inputs of the deciding layer, and those of the chosen one.
fn shares<'a, T>(parts: &Parts, items: &'a [T]) -> (&'a [T], &'a [T]) {
    items.split_at(parts.layers[0].arity().n_in)
}

impl Composite for Cond {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (x, y) = shares(parts, inputs);
        let decision = crate::signature(&parts.layers[0], x)?;
        if let Some(d) = decision.first().filter(|d| d.shape.iter().product::<usize>() != 1) {
            return Err(no_decision(&d.shape));
        }
        let out = crate::signature(&parts.layers[1], y)?;
        let other = crate::signature(&parts.layers[2], y)?;
        if out != other {
            return Err(Error::shape(format!("`true` returns {}, but `false` {}", list(&out), list(&other))));
        }
        Ok(out)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        let (x, y) = shares(parts, inputs);
        cx.init(&parts.layers[0], x)?;
        cx.init(&parts.layers[1], y)?;
        cx.init(&parts.layers[2], y)?;
        // Each call runs one of the two only, so what they return is compared here.
        self.signature(parts, inputs).map(drop)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let (x, y) = shares(parts, &xs);
        let keys = cx.split(key, 3);
        let decision = cx.apply(&parts.layers[0], x.to_vec(), keys[0])?;
        let chosen = match &decision[0] {
            d if d.size() == 1 && d.item()? != 0.0 => 1,
            d if d.size() == 1 => 2,
            d => return Err(no_decision(d.shape())),
        };
        cx.apply(&parts.layers[chosen], y.to_vec(), keys[chosen])
    }
    fn traits(&self) -> Traits {
        // Each stream decides for itself.
        Traits { alone: true, ..Traits::ON_STACK }
    }
}

fn no_decision(shape: &[usize]) -> Error {
    Error::shape(format!("`cond` must return one element, it returned shape {shape:?}"))
}

fn list(specs: &[TensorSpec]) -> String {
    specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
