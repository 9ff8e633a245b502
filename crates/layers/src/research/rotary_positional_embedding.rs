//! Rotary positional embeddings.
use crate::{
    entry, leaf, options, options::Entry, Call, Error, HostValue, LayerRef, Leaf, Local, Mode, Output, Result,
    TensorArg, TensorSpec, Traits, Tree,
};
use tallow_tensor::{memory, random::Key, Tensor};

options! {
    /// Turns pairs of features by angles that grow with the position, so that products of two vectors depend on their distance only.
    ///
    /// Formula: features `i` and `i + d/2` at position `t` become `x[i] cos(t θ) - x[i + d/2] sin(t θ)` and
    /// `x[i + d/2] cos(t θ) + x[i] sin(t θ)`, with `θ = 10000^(-2i/d)`.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`; `d` is even.
    /// Weights: none.
    /// State: none; in mode `'predict'` the index of the next position.
    /// Modes: in `'predict'` it goes on at the stored index. All others start at 0.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or `d` is odd.
    /// - `DTypeMismatch`: the input is of integers or bool.
    /// Source: Trax; Su et al. 2021, arXiv:2104.09864.
    /// Example:
    /// ```ts
    /// const layer = tl.Rotate();
    /// layer.init({ shape: [1, 2, 2], dtype: 'float32' });
    /// layer(tl.ones([1, 2, 2])); // → Tensor float32[1,2,2] [[[1,1],[-0.301169,1.38177]]]
    /// ```
    pub struct RotateOptions for "Rotate" () {
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] =
    &[entry!("research.rotary_positional_embedding", RotateOptions, |o: RotateOptions| { Ok(rotate_layer(o.mode)) })];

options! {
    /// Turns pairs of features by angles that grow with the position, as the layer `Rotate` does.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`; `d` is even.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or `d` is odd.
    /// - `DTypeMismatch`: the input is of integers or bool.
    /// Source: Trax; Su et al. 2021, arXiv:2104.09864.
    /// See: `Rotate`.
    /// Example:
    /// ```ts
    /// tl.rotate(tl.ones([1, 2, 2])); // → Tensor float32[1,2,2] [[[1,1],[-0.301169,1.38177]]]
    /// ```
    pub struct RotateFunctionOptions for "rotate" ("x") {
        /// Vectors.
        x "x": TensorArg,
    }
}

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] =
    &[entry!("research.rotary_positional_embedding", RotateFunctionOptions, |o: RotateFunctionOptions| {
        rotate(&o.x.0, 0).map(HostValue::Tensor)
    })];

/// Layer that applies [`rotate`].
pub fn rotate_layer(mode: Mode) -> LayerRef {
    leaf(Rotate(mode))
}

#[derive(Debug, Clone)]
struct Rotate(Mode);

impl Leaf for Rotate {
    fn name(&self) -> String {
        "Rotate".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check(&inputs[0])?;
        Ok(inputs.to_vec())
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        check(&inputs[0])?;
        Ok(if self.traits().goes_on { Local::state(Tree::Leaf(Tensor::scalar(0i32))) } else { Local::EMPTY })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        if !self.traits().goes_on {
            return Ok(rotate(x, 0)?.into());
        }
        let start = call.s.one()?.item()? as usize;
        let y = rotate(x, start)?;
        Ok(Output { ys: vec![y], state: Some(Tree::Leaf(Tensor::scalar((start + x.shape()[1]) as i32))) })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0 == Mode::Predict, ..Traits::LEAF }
    }
}

fn check(x: &TensorSpec) -> Result<[usize; 2]> {
    let &[_, length, d] = &x.shape[..] else {
        return Err(Error::shape(format!("Rotate takes (batch, length, features), got {x}")));
    };
    if !x.dtype.is_float() {
        return Err(Error::dtype(format!("Rotate takes floats, got {}", x.dtype)));
    }
    if d % 2 != 0 {
        return Err(Error::shape(format!("Rotate pairs features, so their number must be even, got {x}")));
    }
    Ok([length, d])
}

/// Features turned by their position, the first being `start`; see [`RotateOptions`].
///
/// # Errors
/// `ShapeMismatch` for what is not `(batch, length, even)`, `DTypeMismatch` unless floating point.
pub fn rotate(x: &Tensor, start: usize) -> Result<Tensor> {
    let [length, d] = check(&TensorSpec::of(x))?;
    let angle = |t: usize, i: usize| {
        // In float32, as Trax computes them.
        let frequency = ((2 * i) as f32 * -(10_000f32.ln() / d as f32)).exp();
        t as f32 * frequency
    };
    let half = d / 2;
    let table = |f: fn(f32) -> f32| -> Result<Tensor> {
        let values: Vec<f32> = memory::collect((0..length * d).map(|j| f(angle(start + j / d, j % d % half))))?;
        Ok(Tensor::from_vec(values, &[length, d])?.cast(x.dtype())?.to_device(x.device())?)
    };
    let halves = x.split(2, -1)?;
    let turned = Tensor::concat(&[halves[1].neg()?, halves[0].clone()], -1)?;
    Ok(x.mul(&table(f32::cos)?)?.add(&turned.mul(&table(f32::sin)?)?)?)
}
