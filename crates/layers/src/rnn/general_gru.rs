//! Gated recurrent units of any transformation.
use crate::{
    activation_fns::{sigmoid, tanh, SigmoidOptions, TanhOptions},
    combinators::{branch, dup, gate, multiply, serial},
    convolution::{conv, ConvOptions},
    core::dropout,
    framework::pure::pure_layer,
    options,
    windows::{PaddingArg, Sizes},
    Dim, Factory, LayerNest, LayerRef, Mode, Num, Rate, Result, TensorSpec,
};
use tallow_tensor::ops::Padding;

options! {
    /// Makes one step of a gated recurrent unit whose transformations are layers of yours.
    ///
    /// Formula: `u = g(U₁ s + sigmoidBias)`, `r = g(U₂ s + sigmoidBias)`, `c = h(U₃ (r s))`, `s′ = u m(s) + (1 - u) dropout(c)`. Here
    /// `s` is the state; `U₁`, `U₂` and `U₃` are made by `candidateTransform`, each with weights of its own; `g` and `h` are the
    /// nonlinearities, `m` is made by `memoryTransformFn`.
    /// Shapes: that of the state → the same. The transformations must keep it.
    /// Weights: those of the layers, nested as they are.
    /// State: that of the layers.
    /// Modes: drops values of `c` in `'train'` only.
    /// Errors:
    /// - those of the layers.
    /// Source: Trax; Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555.
    /// See: `ConvGRUCell`.
    /// Example:
    /// ```ts
    /// const cell = tl.GeneralGRUCell(() => tl.Dense(4));
    /// cell.init({ shape: [1, 4], dtype: 'float32' });
    /// cell(tl.ones([1, 4])).shape; // → [ 1, 4 ]
    /// ```
    pub struct GeneralGruOptions for "GeneralGRUCell" ("candidateTransform") {
        /// Makes the transformations `U`; called three times.
        candidate_transform "candidateTransform": Factory,
        /// Makes `m`; by default the state itself.
        memory_transform_fn "memoryTransformFn": Option<Factory> = None,
        /// Makes the nonlinearity of the gates.
        gate_nonlinearity "gateNonlinearity": Factory = sigmoids(),
        /// Makes the nonlinearity of the candidate.
        candidate_nonlinearity "candidateNonlinearity": Factory = tanhs(),
        /// Probability with which a value of the candidate is dropped.
        dropout_rate_c "dropoutRateC": Rate = Rate(0.1),
        /// Added before the nonlinearity of the gates; positive to start with much memory.
        sigmoid_bias "sigmoidBias": Num = Num(0.5),
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode = Mode::Train,
    }
}

/// One step of a gated recurrent unit whose transformations are the caller's.
///
/// # Errors
/// Those of the factories.
pub fn general_gru_cell(o: GeneralGruOptions) -> Result<LayerRef> {
    let gate_block = || -> Result<LayerNest> {
        let layers = [o.candidate_transform.make()?, add_sigmoid_bias(o.sigmoid_bias.0), o.gate_nonlinearity.make()?];
        Ok(LayerNest::List(layers.into_iter().map(LayerNest::One).collect()))
    };
    let update = gate_block()?;
    let candidate = LayerNest::List(vec![
        dup().into(),
        gate_block()?,
        multiply().into(),
        o.candidate_transform.make()?.into(),
        o.candidate_nonlinearity.make()?.into(),
        dropout(o.dropout_rate_c.0, o.mode).into(),
    ]);
    let memory = match &o.memory_transform_fn {
        Some(make) => make.make()?.into(),
        None => LayerNest::List(Vec::new()),
    };
    Ok(serial(vec![branch(vec![memory, update, candidate])?, gate()]))
}

options! {
    /// Makes one step of a convolutional gated recurrent unit: a `GeneralGRUCell` whose transformations are convolutions that keep the
    /// size.
    ///
    /// Formula: that of `GeneralGRUCell`, with `Conv` for `U`.
    /// Shapes: `[batch, height, width, nUnits]` → the same. A state of one channel broadcasts to `nUnits`.
    /// Weights: `[w, b]` for each of the three convolutions, with `w: [...kernelSize, channels, nUnits]` and `b: [nUnits]`, nested as
    /// the layers are; `channels` are those of its input.
    /// State: none.
    /// Modes: drops values in `'train'` only, with probability 0.1.
    /// Errors:
    /// - `ShapeMismatch`: the input has another number of axes, or its channels are neither `nUnits` nor one.
    /// Source: Trax; Ballas et al. 2015, arXiv:1511.06432.
    /// Example:
    /// ```ts
    /// const cell = tl.ConvGRUCell(2);
    /// cell.init({ shape: [1, 4, 4, 2], dtype: 'float32' });
    /// cell(tl.ones([1, 4, 4, 2])).shape; // → [ 1, 4, 4, 2 ]
    /// ```
    pub struct ConvGruOptions for "ConvGRUCell" ("nUnits") {
        /// Number of channels.
        n_units "nUnits": Dim,
        /// Size of the kernels along each spatial axis.
        kernel_size "kernelSize": Sizes = Sizes(vec![3, 3]),
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode = Mode::Train,
    }
}

/// One step of a convolutional gated recurrent unit.
///
/// # Errors
/// Those of the convolutions.
pub fn conv_gru_cell(o: ConvGruOptions) -> Result<LayerRef> {
    let transform = Factory::of("Conv", move |_| {
        conv(ConvOptions { padding: PaddingArg(Padding::Same), ..ConvOptions::new(o.n_units, o.kernel_size.clone()) })
    });
    general_gru_cell(GeneralGruOptions { mode: o.mode, ..GeneralGruOptions::new(transform) })
}

/// Makes layers of the logistic function.
fn sigmoids() -> Factory {
    Factory::of("Sigmoid", |given| SigmoidOptions::parse(given).and_then(|_| sigmoid()))
}

/// Makes layers of the hyperbolic tangent.
fn tanhs() -> Factory {
    Factory::of("Tanh", |given| TanhOptions::parse(given).and_then(|_| tanh()))
}

/// Trax prints the name of the parameter, not its value.
fn add_sigmoid_bias(bias: f64) -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(vec![TensorSpec::new(s[0].shape.clone(), s[0].dtype.to_float())]);
    pure_layer("AddSigmoidBias({sigmoid_bias})", 1, 1, signature, move |xs| {
        Ok(vec![xs[0].cast(xs[0].dtype().to_float())?.add_scalar(bias)?])
    })
}
