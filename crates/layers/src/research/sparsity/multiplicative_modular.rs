//! A dense layer whose weight is a product of gates, a small matrix and a matrix for each module.
use super::{factored_dense::gated, modules::merge_last_two_axes};
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
    /// Maps a vector to one of the same size, with about `sparsity / 2` times less weights than `Dense` has.
    ///
    /// It is what `FactoredDense` makes of the vector, with each module of it mapped by a matrix of its own.
    ///
    /// Formula: `y = join of (((x · g[n]) · p) · w[n]) over the modules n, + b`.
    /// Shapes: `[..., dFeature]` → `[..., dFeature]`.
    /// Weights: `g: [sparsity, dFeature]`, `p: [dFeature, m]`, `w: [sparsity, m, m]` and `b: [dFeature]`, each in a `Weights` layer of
    /// its own, with `m = dFeature / sparsity`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `sparsity` does not divide `dFeature`.
    /// - `ShapeMismatch`: the last axis of the input is not `dFeature`.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.MultiplicativeModularSparseDense(2, 4);
    /// layer.init({ shape: [1, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 4])).shape; // → [ 1, 4 ]
    /// ```
    pub struct MultiplicativeModularSparseDenseOptions for "MultiplicativeModularSparseDense" ("sparsity", "dFeature") {
        /// Modules that the output is divided into.
        sparsity "sparsity": Dim,
        /// Size of the last axis of input and output.
        d_feature "dFeature": Dim,
    }
}

/// See [`MultiplicativeModularSparseDenseOptions`].
///
/// # Errors
/// `InvalidOption` unless `sparsity` divides `dFeature`.
pub fn multiplicative_modular_sparse_dense(o: MultiplicativeModularSparseDenseOptions) -> Result<LayerRef> {
    let (modules, d) = (o.sparsity.0, o.d_feature.0);
    if !d.is_multiple_of(modules) {
        return Err(Error::option(format!(
            "MultiplicativeModularSparseDense: `dFeature` must be a multiple of `sparsity`, got {d} and {modules}"
        )));
    }
    let m = d / modules;
    let layers = vec![
        listed_weights(random_normal(0.5), &[modules, d], false),
        listed_weights(glorot_uniform(), &[d, m], false),
        listed_weights(glorot_uniform(), &[modules, m, m], false),
        gate_project_and_map(),
        merge_last_two_axes()?,
        listed_weights(random_normal(1e-6), &[d], false),
        add(),
    ];
    assert_function("...a->...a", serial(layers))
}

/// `(matrices [n, m, o], projection [d, m], gating [n, d], x [..., d])` to `[..., n, o]`.
fn gate_project_and_map() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let [matrices, projection, gating, x] = s else {
            return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs"));
        };
        match (&matrices.shape[..], &projection.shape[..], &gating.shape[..], &x.shape[..]) {
            ([n, m, o], [d, m2], [n2, d2], [rest @ .., e]) if m == m2 && n == n2 && d == d2 && d == e => {
                let dtype = [projection, gating, x].iter().fold(matrices.dtype, |t, s| t.promote(s.dtype));
                Ok(vec![TensorSpec::new([rest, &[*n, *o]].concat(), dtype)])
            }
            (_, _, [_, made], [.., d]) if made != d => Err(Error::made_for("last axis is", d, made)),
            _ => Err(Error::shape(format!("{x} does not go with weights {gating}, {projection} and {matrices}"))),
        }
    };
    pure_layer("SparseDenseEinsum", 4, 1, signature, move |xs| {
        signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let [matrices, projection, gating, x] = xs else {
            return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs"));
        };
        Ok(vec![Tensor::einsum("...nm,nmo->...no", &[&gated(x, gating, projection)?, matrices])?])
    })
}
