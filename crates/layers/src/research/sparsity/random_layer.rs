//! One of two layers, chosen by lot.
use crate::{
    combinators::{cond, serial, CondOptions},
    core::random_uniform,
    leaf, options, Call, Error, Fraction, LayerArg, LayerRef, Leaf, Mode, Output, Result, TensorSpec,
};
use tallow_tensor::DType;

options! {
    /// Applies `layerA` with probability `probA`, else `layerB`, drawn anew in each call.
    ///
    /// Only the layer that is chosen runs, has gradients, and updates its state.
    ///
    /// Shapes: those of the layers, which take and give the same.
    /// Weights: `[[[], []], a, b]`, with those of the two layers.
    /// State: `[[[], []], a, b]`, with that of the two layers.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: the layers differ in how many inputs they take, or outputs they give.
    /// - `ShapeMismatch`: their outputs differ in shape.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.RandomLayer(tl.Relu(), tl.Tanh(), 0.5);
    /// layer.init({ shape: [2], dtype: 'float32' });
    /// [layer([0, 1])].flat().map((y) => y.shape); // → [ [ 2 ] ]
    /// ```
    pub struct RandomLayerOptions for "RandomLayer" ("layerA", "layerB", "probA") {
        /// Layer applied with probability `probA`.
        layer_a "layerA": LayerArg,
        /// Layer applied otherwise.
        layer_b "layerB": LayerArg,
        /// Probability of `layerA`.
        prob_a "probA": Fraction,
    }
}

/// See [`RandomLayerOptions`].
///
/// # Errors
/// `InvalidOption` for layers that differ in inputs or outputs.
pub fn random_layer(o: RandomLayerOptions) -> Result<LayerRef> {
    let (a, b) = (o.layer_a.0.arity(), o.layer_b.0.arity());
    if a != b {
        return Err(Error::option(format!(
            "RandomLayer: `layerA` and `layerB` must take and return equally many tensors, but `layerA` is {} to {} and `layerB` {} to {}",
            a.n_in, a.n_out, b.n_in, b.n_out
        )));
    }
    choose(o.layer_a.0, o.layer_b.0, o.prob_a.0, None)
}

/// `a` with probability `probability`, else `b`. Given a mode, the lot is cast in training only; elsewhere it is `a`.
pub(super) fn choose(a: LayerRef, b: LayerRef, probability: f64, mode: Option<Mode>) -> Result<LayerRef> {
    cond(CondOptions {
        cond: LayerArg(serial(vec![random_uniform(), leaf(SmallerThan { probability, mode })])),
        when_true: LayerArg(a),
        when_false: Some(LayerArg(b)),
        name: "Cond".into(),
    })
}

/// Whether a number drawn from `0 .. 1` is below a probability.
#[derive(Debug, Clone)]
struct SmallerThan {
    probability: f64,
    mode: Option<Mode>,
}

impl Leaf for SmallerThan {
    fn name(&self) -> String {
        "SmallerThan".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![TensorSpec::new(inputs[0].shape.clone(), DType::Bool)])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let draws = self.mode.is_none_or(|mode| mode == Mode::Train);
        Ok(call.xs[0].lt_scalar(if draws { self.probability } else { 1.0 })?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        self.mode.as_mut()
    }
}
