//! Vectors for ids.
use crate::{
    framework::quantize::Matrix,
    initializers::{scaled, Distribution, FanMode},
    leaf, options, Call, Dim, Error, Initializer, LayerRef, Leaf, Local, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{ops, random::Key, DType};

options! {
    /// Looks up a trainable vector for each id.
    ///
    /// Formula: `y[..., :] = w[x[...], :]`.
    /// Shapes: `int32[...]` → `float32[..., dFeature]`. Any type of integers will do.
    /// Weights: `w: [vocabSize, dFeature]`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `IndexOutOfRange`: an id is below 0, or not below `vocabSize`. Trax takes the nearest row and says nothing.
    /// - `DTypeMismatch`: the ids are floats or booleans.
    ///
    /// Source: Trax.
    /// See: `Dense`, `PositionalEncoding`.
    /// Example:
    /// ```ts
    /// const layer = tl.Embedding(1000, 16);
    /// layer.init({ shape: [1, 3], dtype: 'int32' });
    /// layer([[7, 42, 7]]).shape; // → [1, 3, 16]
    /// ```
    pub struct EmbeddingOptions for "Embedding" ("vocabSize", "dFeature") {
        /// Number of ids.
        vocab_size "vocabSize": Dim,
        /// Size of the vectors.
        d_feature "dFeature": Dim,
        /// Whether weights are bfloat16, which halves their memory; the result is float32 all the same.
        use_bfloat16 "useBfloat16": bool = false,
        /// Makes `w`, of shape `[vocabSize, dFeature]`.
        kernel_initializer "kernelInitializer": Initializer =
            scaled(-1, -2, 1.0, FanMode::FanOut, Distribution::Uniform),
    }
}

#[derive(Debug, Clone)]
struct Embedding(EmbeddingOptions);

/// The layer of these options.
pub fn embedding_of(o: EmbeddingOptions) -> LayerRef {
    leaf(Embedding(o))
}

/// Vectors of size `d_feature` for ids below `vocab_size`.
pub fn embedding(vocab_size: usize, d_feature: usize) -> LayerRef {
    embedding_of(EmbeddingOptions::new(Dim(vocab_size), Dim(d_feature)))
}

impl Leaf for Embedding {
    fn name(&self) -> String {
        format!("Embedding_{}_{}", self.0.vocab_size.0, self.0.d_feature.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let ids = inputs[0].dtype;
        if ids.is_float() || ids == DType::Bool {
            return Err(Error::dtype(format!(
                "ids must be integers, got {ids}; cast them first, e.g. with cast('int32')"
            )));
        }
        let mut shape = inputs[0].shape.clone();
        shape.push(self.0.d_feature.0);
        Ok(vec![TensorSpec::new(shape, DType::F32)])
    }
    fn init(&self, _inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let w = self.0.kernel_initializer.make(&[self.0.vocab_size.0, self.0.d_feature.0], key)?;
        Ok(Local::weights(Tree::Leaf(if self.0.use_bfloat16 { w.cast(DType::BF16)? } else { w })))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&[TensorSpec::of(&call.xs[0])])?;
        let y = match call.w.matrix()? {
            Matrix::Tensor(w) => ops::embedding(w, &call.xs[0])?,
            Matrix::Quantized(w) => ops::embedding_quantized(w, &call.xs[0])?,
        };
        Ok(if self.0.use_bfloat16 { y.cast(DType::F32)? } else { y }.into())
    }
    fn traits(&self) -> Traits {
        Traits { matrix: Some(ops::Outputs::Rows), ..Traits::LEAF }
    }
}
