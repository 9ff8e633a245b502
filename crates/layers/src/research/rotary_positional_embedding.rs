//! Rotary positional embeddings.
use crate::{
    base::pure_layer, entry, options, registry::Entry, Error, HostValue, LayerRef, Result, TensorArg, TensorSpec,
};
use tallow_tensor::{memory, Tensor};

options! {
    /// Turns pairs of features by angles that grow with the position, so that products depend on distances only.
    ///
    /// Formula: with `θ_i = 10000^(-2i/d)` features `i` and `i + d/2` at position `t` become
    /// `(x_i cos tθ_i - x_(i+d/2) sin tθ_i, x_(i+d/2) cos tθ_i + x_i sin tθ_i)`.
    /// Shapes: `(batch, length, d)`, kept; `d` is even. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for another number of axes or an odd `d`; `DTypeMismatch` unless floating point.
    /// Source: Su et al. 2021, arXiv:2104.09864.
    pub struct RotateOptions for "Rotate" () {}
}

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] =
    &[entry!("research.rotary_positional_embedding", RotateOptions, |_| Ok(rotate_layer()))];

options! {
    /// Turns pairs of features by angles that grow with the position, as the layer `Rotate` does.
    ///
    /// Shapes: `(batch, length, d)`, kept; `d` is even.
    /// Errors: `ShapeMismatch` for another number of axes or an odd `d`; `DTypeMismatch` unless floating point.
    pub struct RotateFunctionOptions for "rotate" ("x") {
        /// Vectors.
        x "x": TensorArg,
    }
}

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] =
    &[entry!("research.rotary_positional_embedding", RotateFunctionOptions, |o: RotateFunctionOptions| {
        rotate(&o.x.0).map(HostValue::Tensor)
    })];

/// Layer that applies [`rotate`].
pub fn rotate_layer() -> LayerRef {
    pure_layer(
        "Rotate",
        1,
        1,
        |s| {
            check(&s[0])?;
            Ok(s.to_vec())
        },
        |xs| Ok(vec![rotate(&xs[0])?]),
    )
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

/// Features turned by their position; see [`RotateOptions`].
///
/// # Errors
/// `ShapeMismatch` for what is not `(batch, length, even)`, `DTypeMismatch` unless floating point.
pub fn rotate(x: &Tensor) -> Result<Tensor> {
    let [length, d] = check(&TensorSpec::of(x))?;
    let angle = |t: usize, i: usize| {
        // In float32, as Trax computes them.
        let frequency = ((2 * i) as f32 * -(10_000f32.ln() / d as f32)).exp();
        t as f32 * frequency
    };
    let half = d / 2;
    let table = |f: fn(f32) -> f32| -> Result<Tensor> {
        let values: Vec<f32> = memory::collect((0..length * d).map(|j| f(angle(j / d, j % d % half))))?;
        Ok(Tensor::from_vec(values, &[length, d])?.cast(x.dtype())?.to_device(x.device())?)
    };
    let halves = x.split(2, -1)?;
    let turned = Tensor::concat(&[halves[1].neg()?, halves[0].clone()], -1)?;
    Ok(x.mul(&table(f32::cos)?)?.add(&turned.mul(&table(f32::sin)?)?)?)
}
