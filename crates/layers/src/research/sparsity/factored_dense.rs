//! A dense layer whose weight is a product of two smaller ones.
use super::modules::merge_last_two_axes;
use crate::{
    assert_shape::assert_function,
    combinators::{add, serial},
    core::listed_weights,
    framework::pure::pure_layer,
    initializers::{glorot_uniform, random_normal},
    options, Dim, Error, ErrorKind, LayerRef, Result, TensorSpec,
};
use tallow_tensor::Tensor;

options! {
    /// Maps the last axis with about `nModules` times less weights than `Dense` has.
    ///
    /// The vector is multiplied by `nModules` gating vectors, and the same matrix projects each product to a part of the output.
    ///
    /// Formula: `y = join of ((x · g[n]) · p) over the modules n, + b`.
    /// Shapes: `[..., dIn]` → `[..., dOut]`.
    /// Weights: `g: [nModules, dIn]`, `p: [dIn, dOut / nModules]` and `b: [dOut]`, each in a `Weights` layer of its own.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `nModules` does not divide `dOut`.
    /// - `ShapeMismatch`: the last axis of the input is not `dIn`.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// See: `SparseDenseWithOptions`, which picks one of such layers.
    /// Example:
    /// ```ts
    /// const layer = tl.FactoredDense(2, 4, 6);
    /// layer.init({ shape: [1, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 4])).shape; // → [ 1, 6 ]
    /// ```
    pub struct FactoredDenseOptions for "FactoredDense" ("nModules", "dIn", "dOut") {
        /// Parts of the output.
        n_modules "nModules": Dim,
        /// Size of the input's last axis.
        d_in "dIn": Dim,
        /// Size of the output's last axis.
        d_out "dOut": Dim,
        /// Whether to add a bias.
        use_bias "useBias": bool = true,
        /// Whether weights are bfloat16, which halves their memory, in place of float32.
        use_bfloat16 "useBfloat16": bool = false,
    }
}

/// See [`FactoredDenseOptions`].
///
/// # Errors
/// `InvalidOption` unless `nModules` divides `dOut`.
pub fn factored_dense(o: FactoredDenseOptions) -> Result<LayerRef> {
    let (modules, d_in, d_out) = (o.n_modules.0, o.d_in.0, o.d_out.0);
    if !d_out.is_multiple_of(modules) {
        return Err(Error::option(format!(
            "FactoredDense: `dOut` must be a multiple of `nModules`, got {d_out} and {modules}"
        )));
    }
    let mut layers = vec![
        listed_weights(random_normal(0.5), &[modules, d_in], o.use_bfloat16),
        listed_weights(glorot_uniform(), &[d_in, d_out / modules], o.use_bfloat16),
        gate_and_project(),
        merge_last_two_axes()?,
    ];
    if o.use_bias {
        layers.extend([listed_weights(random_normal(1e-6), &[d_out], o.use_bfloat16), add()]);
    }
    assert_function("...a->...b", serial(layers))
}

/// `(projection [d, m], gating [n, d], x [..., d])` to `[..., n, m]`: `x` times each gating vector, projected.
fn gate_and_project() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let [projection, gating, x] = s else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        match (&projection.shape[..], &gating.shape[..], &x.shape[..]) {
            ([d, m], [n, e], [rest @ .., f]) if d == e && e == f => {
                let dtype = x.dtype.promote(gating.dtype).promote(projection.dtype);
                Ok(vec![TensorSpec::new([rest, &[*n, *m]].concat(), dtype)])
            }
            (_, [_, made], [.., d]) if made != d => Err(Error::made_for("last axis is", d, made)),
            _ => Err(Error::shape(format!("{x} cannot be gated by {gating} and projected by {projection}"))),
        }
    };
    pure_layer("_GateAndProject", 3, 1, signature, move |xs| {
        let y = signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let [projection, gating, x] = xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        Ok(vec![gated(x, gating, projection)?.cast(y[0].dtype)?])
    })
}

/// `x [..., d]` times each vector of `gating [n, d]`, projected by `projection [d, m]`: `[..., n, m]`.
pub(super) fn gated(x: &Tensor, gating: &Tensor, projection: &Tensor) -> Result<Tensor> {
    let (n, d, m) = (gating.shape()[0], gating.shape()[1], projection.shape()[1]);
    // Either the weights are multiplied out or the gated vectors are, which rounds otherwise. So that a sequence is computed alike in any batch,
    // only how many positions it has may choose: of one position the gated vectors are fewer numbers.
    let positions = x.rank().checked_sub(2).map_or(1, |axis| x.shape()[axis]);
    if positions == 1 && x.rank() != 2 {
        return Ok(x.expand_dims(-2)?.mul(gating)?.matmul(projection)?);
    }
    let weight = gating.transpose(None)?.expand_dims(2)?.mul(&projection.expand_dims(1)?)?;
    let shape = [&x.shape()[..x.rank() - 1], &[n, m]].concat();
    Ok(x.matmul(&weight.reshape(&[d, n * m])?)?.reshape(&shape)?)
}
