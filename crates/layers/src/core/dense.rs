//! The fully connected layer.
use crate::{
    framework::shapes::last_axis,
    initializers::{glorot_uniform, random_normal},
    leaf,
    leaf_layer::leaf_named,
    options, Call, Dim, Error, Initializer, LayerRef, Leaf, Local, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{ops::Outputs, random::Key, DType, Tensor};

options! {
    /// Multiplies the last axis by a matrix of weights and adds a bias: a fully connected layer.
    ///
    /// Formula: `y = x · w + b`.
    /// Shapes: `[..., m]` → `[..., nUnits]`. `init` fixes `m`. The output has the wider of the types of input and weights.
    /// Weights: `[w, b]`, with `w: [m, nUnits]` and `b: [nUnits]`; `w` alone if `useBias` is false.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes, or its last axis has another size than at `init`.
    /// - `WeightsMismatch`: weights of other shapes were set.
    ///
    /// Source: Trax.
    /// See: `LowRankDense`, `SparseDenseWithOptions`.
    /// Example:
    /// ```ts
    /// const layer = tl.Dense(4);
    /// layer.init({ shape: [2, 3], dtype: 'float32' });
    /// layer([[1, 2, 3]]).shape; // → [1, 4]
    /// ```
    pub struct DenseOptions for "Dense" ("nUnits") {
        /// Width of the layer: size of the output's last axis.
        n_units "nUnits": Dim,
        /// Makes `w`, of shape `[m, nUnits]`.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b`, of shape `[nUnits]`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
        /// Whether weights are bfloat16, which halves their memory, in place of float32.
        use_bfloat16 "useBfloat16": bool = false,
    }
}

#[derive(Debug, Clone)]
struct Dense(DenseOptions);

/// The layer of these options.
pub fn dense_of(o: DenseOptions) -> LayerRef {
    leaf(Dense(o))
}

/// [`dense_of`] under another printed name.
pub(crate) fn dense_named(name: String, o: DenseOptions) -> LayerRef {
    leaf_named(name, Dense(o))
}

/// A fully connected layer of this width, with the defaults.
pub fn dense(n_units: usize) -> LayerRef {
    dense_of(DenseOptions::new(Dim(n_units)))
}

fn mapped(shape: &[usize]) -> Result<usize> {
    last_axis(shape, "Dense needs a last axis to map")
}

impl Leaf for Dense {
    fn name(&self) -> String {
        format!("Dense_{}", self.0.n_units.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        mapped(&inputs[0].shape)?;
        let mut shape = inputs[0].shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = self.0.n_units.0;
        }
        let weights = if self.0.use_bfloat16 { DType::BF16 } else { DType::F32 };
        Ok(vec![TensorSpec::new(shape, inputs[0].dtype.promote(weights))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let o = &self.0;
        let (kw, kb) = key.split_pair();
        let narrow = |t: Tensor| if o.use_bfloat16 { t.cast(DType::BF16) } else { Ok(t) };
        let w = narrow(o.kernel_initializer.make(&[mapped(&inputs[0].shape)?, o.n_units.0], kw)?)?;
        let b = o.use_bias.then(|| o.bias_initializer.make(&[o.n_units.0], kb)).transpose()?;
        Ok(Local::weights(Tree::with_bias(w, b.map(narrow).transpose()?)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let (w, b) = call.w.matrix_and_bias(self.0.use_bias)?;
        let (n, units) = (mapped(x.shape())?, self.0.n_units.0);
        let bias_fits = b.is_none_or(|b| b.shape() == [units]);
        if w.shape().len() != 2 || w.shape()[1] != units || !bias_fits {
            return Err(match b {
                Some(b) => Error::weights_of(&[&[n, units], &[units]], &[w.shape(), b.shape()]),
                None => Error::weights_of(&[&[n, units]], &[w.shape()]),
            });
        }
        if w.shape()[0] != n {
            return Err(Error::made_for("last axis is", n, w.shape()[0]));
        }
        Ok(w.dense(x, b)?.into())
    }
    fn traits(&self) -> Traits {
        Traits { is_dense: true, matrix: Some(Outputs::Columns), ..Traits::LEAF }
    }
}
