//! A dense layer of parts that stand on the stack.
use crate::{
    assert_shape::assert_function,
    combinators::{add, serial},
    core::listed_weights,
    framework::pure::pure_layer,
    initializers::{glorot_uniform, random_normal},
    options, Dim, Error, ErrorKind, LayerRef, Result, TensorSpec,
};

options! {
    /// Maps the last axis as `Dense` does, with a kernel that has a row for each output.
    ///
    /// Formula: `y = x · wᵀ + b`.
    /// Shapes: `[..., dInput]` → `[..., dOutput]`.
    /// Weights: `w: [dOutput, dInput]` and `b: [dOutput]`, each in a `Weights` layer of its own.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the last axis of the input is not `dInput`.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.EinsumDense(2, 3, true);
    /// layer.init({ shape: [1, 2], dtype: 'float32' });
    /// layer([[1, 2]]).shape; // → [ 1, 3 ]
    /// ```
    pub struct EinsumDenseOptions for "EinsumDense" ("dInput", "dOutput", "useBias") {
        /// Size of the input's last axis.
        d_input "dInput": Dim,
        /// Size of the output's last axis.
        d_output "dOutput": Dim,
        /// Whether to add a bias.
        use_bias "useBias": bool,
    }
}

/// See [`EinsumDenseOptions`].
///
/// # Errors
/// None; as all layer constructors.
pub fn einsum_dense(o: EinsumDenseOptions) -> Result<LayerRef> {
    let (d_input, d_output) = (o.d_input.0, o.d_output.0);
    let mut layers = vec![listed_weights(glorot_uniform(), &[d_output, d_input], false), times_rows()];
    if o.use_bias {
        layers.extend([listed_weights(random_normal(1e-6), &[d_output], false), add()]);
    }
    assert_function("...a->...b", serial(layers))
}

/// `(kernel [o, d], x [..., d])` to `[..., o]`: the product of `x` with each row of the kernel.
fn times_rows() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let [kernel, x] = s else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 2 inputs")) };
        match (&kernel.shape[..], &x.shape[..]) {
            ([o, d], [rest @ .., e]) if d == e => {
                Ok(vec![TensorSpec::new([rest, &[*o]].concat(), x.dtype.promote(kernel.dtype))])
            }
            ([_, made], [.., d]) => Err(Error::made_for("last axis is", d, made)),
            _ => Err(Error::shape(format!("{x} has no product with the rows of {kernel}"))),
        }
    };
    pure_layer("EinsumDense", 2, 1, signature, move |xs| {
        signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        Ok(vec![xs[1].matmul(&xs[0].transpose(None)?)?])
    })
}
