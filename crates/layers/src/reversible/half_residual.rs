//! One half of a reversible residual block.
use super::Reversal;
use crate::{
    combinators::{flat, serial},
    composite,
    framework::{composite::ReverseParts, pure::elementwise_signature},
    options, Arity, Base, Composite, Cx, Error, ErrorKind, InitCx, LayerArg, LayerList, LayerRef, Parts, Result,
    TensorSpec, Traits,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Adds to the first input what layers compute from the other inputs, which pass on.
    ///
    /// Since `a` is the output less `f(context)`, the backward pass needs no activations from the forward pass. The attention layer stands
    /// apart
    /// because it may have to keep a choice of the forward pass, such as the buckets of LSH attention: when it is repeated, its state is
    /// the one that the forward pass left.
    ///
    /// Formula: `(a, ...context) → (a + f(context), ...context)`, where `f` is the residual layers one after another, and then
    /// `attentionLayer`.
    /// Shapes: `[...]`, `[...context]` → the same. `f(context)` must have the shape and type of `a`.
    /// Weights: `[the residual layers']`, or `[the residual layers', attentionLayer's]`.
    /// State: `[the residual layers']`, or `[the residual layers', attentionLayer's]`.
    /// Modes: those of the layers.
    /// Errors:
    /// - `ShapeMismatch`: `f(context)` has another shape than `a`.
    /// - `DTypeMismatch`: the sum has another type than `a`.
    ///
    /// Source: Trax; Gomez et al. 2017, arXiv:1707.04585; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `ReversibleSerial`, `Residual`.
    /// Example:
    /// ```ts
    /// const layer = tl.ReversibleHalfResidual(tl.Negate());
    /// layer([[1, 2], [10, 20]]); // → [Tensor int32[2] [-9,-18], Tensor int32[2] [10,20]]
    /// ```
    pub struct ReversibleHalfResidualOptions for "ReversibleHalfResidual" () ...("residualLayers") {
        /// Layers, or nested lists of them.
        residual_layers "residualLayers": LayerList = LayerList::default(),
        /// Layer after them.
        attention_layer "attentionLayer": Option<LayerArg> = None,
        /// Printed name.
        name "name": String = "ReversibleHalfResidual".into(),
    }
}

#[derive(Debug, Clone)]
struct HalfResidual;

pub(super) fn build(o: ReversibleHalfResidualOptions) -> Result<LayerRef> {
    let layers = flat("ReversibleHalfResidual", o.residual_layers.0)?;
    Ok(make(o.name, layers, o.attention_layer.map(|l| l.0)))
}

/// Adds to the first input what `residual_layers` and then `attention_layer` compute from the others.
pub fn half_residual(residual_layers: Vec<LayerRef>, attention_layer: Option<LayerRef>) -> LayerRef {
    make("ReversibleHalfResidual".into(), residual_layers, attention_layer)
}

fn make(name: String, residual_layers: Vec<LayerRef>, attention_layer: Option<LayerRef>) -> LayerRef {
    let mut layers = vec![serial(residual_layers)];
    layers.extend(attention_layer);
    // As in Trax; not the same as the needs of a `Serial`, since what the layers leave may exceed what they took.
    let (mut need, mut total) = (0, 0);
    for Arity { n_in, n_out } in layers.iter().map(|l| l.arity()) {
        total += n_in as isize;
        need = need.max(total);
        total -= n_out as isize;
    }
    let n = need as usize + 1;
    composite(Parts { base: Base::new(name), layers, arity: Arity::new(n, n) }, HalfResidual)
}

fn residual(parts: &Parts, cx: &mut Cx, context: Vec<Tensor>, key: Key) -> Result<Tensor> {
    let stack = cx.apply_stack(&parts.layers, context, key)?;
    stack.into_iter().next().ok_or_else(nothing)
}

fn nothing() -> Error {
    Error::new(ErrorKind::ArityMismatch, "the residual layers leave nothing")
}

/// Refuses a residual that the accumulator could not be rid of again.
fn check_like(accumulator: &TensorSpec, residual: &TensorSpec) -> Result<()> {
    if residual.shape != accumulator.shape {
        return Err(Error::shape(format!("the residual is {residual}, but is added to {accumulator}")));
    }
    if residual.dtype.promote(accumulator.dtype) != accumulator.dtype {
        return Err(Error::dtype(format!(
            "the residual is {residual}, which {accumulator} does not hold; cast one of them"
        )));
    }
    Ok(())
}

impl Composite for HalfResidual {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let stack = crate::stack_signature(&parts.layers, &inputs[1..])?;
        let residual = stack.first().ok_or_else(nothing)?;
        check_like(&inputs[0], residual)?;
        elementwise_signature(&[inputs[0].clone(), residual.clone()], |xs| Ok(xs[0].add(&xs[1])?))?;
        Ok(inputs.to_vec())
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        let stack = cx.init_stack(&parts.layers, &inputs[1..])?;
        check_like(&inputs[0], stack.first().ok_or_else(nothing)?)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, mut xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let residual = residual(parts, cx, xs[1..].to_vec(), key)?;
        check_like(&TensorSpec::of(&xs[0]), &TensorSpec::of(&residual))?;
        xs[0] = xs[0].add(&residual)?;
        Ok(xs)
    }
    fn traits(&self) -> Traits {
        Traits::ON_STACK
    }
    fn reversal(&self) -> Option<&dyn ReverseParts> {
        Some(self)
    }
}

impl ReverseParts for HalfResidual {
    fn reverse(&self, parts: &Parts, r: &mut Reversal, mut ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let residual = r.repeat(|cx| Ok(vec![residual(parts, cx, ys[1..].to_vec(), key)?]))?;
        ys[0] = ys[0].sub(&residual[0])?;
        Ok(ys)
    }
    fn reverse_and_grad(
        &self,
        parts: &Parts,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        mut cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        let mut ys = ys.into_iter();
        let sum = ys.next().ok_or_else(|| Error::new(ErrorKind::ArityMismatch, "there is no output to reverse"))?;
        let context: Vec<Tensor> = ys.collect();
        let (accumulator, grads) = r.differentiate(
            &context,
            vec![cts.first().cloned().flatten()],
            |cx, context| Ok(vec![residual(parts, cx, context, key)?]),
            |residual| Ok(sum.sub(&residual[0])?),
        )?;
        for (ct, grad) in cts[1..].iter_mut().zip(grads) {
            *ct = match (ct.take(), grad) {
                (Some(ct), Some(grad)) => Some(ct.add(&grad)?),
                (ct, grad) => ct.or(grad),
            };
        }
        Ok(([vec![accumulator], context].concat(), cts))
    }
}
