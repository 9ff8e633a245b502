//! The weights of an embedding, used again to tell ids from vectors.
use super::weights;
use crate::{composite, initializers::random_normal};
use crate::{
    framework::{precision::narrowed, quantize::Matrix, shapes::last_axis},
    init_signature, options, Arity, Base, Composite, Cx, Error, InitCx, Initializer, LayerArg, LayerRef, Parts, Result,
    TensorSpec,
};
use tallow_tensor::{ops, random::Key, DType, Tensor};

options! {
    /// Multiplies by the transposed weights of an embedding: an output layer that is tied to the input layer.
    ///
    /// It refers to the embedding, which has one set of weights and gets the gradients of both uses. Give it the very layer that stands in
    /// the model; both train it, and files hold it once.
    ///
    /// Formula: `y = x · wᵀ + b`, with `w` the embedding's.
    /// Shapes: `[..., dFeature]` → `[..., vocabSize]`, both the embedding's.
    /// Weights: `[w]`, or `[w, b]` with `useBias`; where the embedding stands before it, its place holds the marker of a layer that
    /// occurred earlier. `b: [vocabSize]`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: the layer has no weights like those of an `Embedding`.
    /// - `ShapeMismatch`: the last axis of the input is not `dFeature`.
    ///
    /// Source: Press & Wolf 2016, arXiv:1608.05859.
    /// See: `Embedding`, `Dense`, `LinearCrossEntropy`.
    /// Example:
    /// ```ts
    /// const embedding = tl.Embedding(1000, 16);
    /// const layer = tl.Serial(embedding, tl.Dense(16), tl.TiedDense(embedding));
    /// layer.init({ shape: [1, 3], dtype: 'int32' });
    /// layer([[7, 42, 7]]).shape; // → [1, 3, 1000]
    /// ```
    pub struct TiedDenseOptions for "TiedDense" ("embedding") {
        /// Embedding whose weights are used.
        embedding "embedding": LayerArg,
        /// Whether to add `b`.
        use_bias "useBias": bool = false,
        /// Makes `b`, of shape `[vocabSize]`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

/// What a layer that uses the weights of an embedding knows of them. The embedding is the first of its parts, the bias the second.
#[derive(Debug, Clone)]
pub(crate) struct Tied {
    pub(crate) vocab_size: usize,
    d_feature: usize,
    dtype: DType,
}

impl Tied {
    /// A layer's parts, and what it knows of the embedding.
    ///
    /// # Errors
    /// `InvalidOption` naming `kind` for a layer that is no embedding.
    pub(crate) fn parts(
        kind: &str,
        name: impl FnOnce(usize) -> String,
        embedding: LayerRef,
        bias: Option<&Initializer>,
        arity: Arity,
    ) -> Result<(Parts, Self)> {
        let no_embedding = || {
            let got = &embedding.base().name;
            Error::option(format!(
                "{kind}: `embedding` must be a layer whose weights are those of an Embedding, got {got}"
            ))
        };
        if embedding.calls_host() || !embedding.sublayers().is_empty() || embedding.arity() != Arity::ONE {
            return Err(no_embedding());
        }
        let ids = [ids()];
        let (made, _) = init_signature(&embedding, &ids, Key::new(0)).map_err(|_| no_embedding())?;
        let of_ids = embedding.signature(&ids).map_err(|_| no_embedding())?;
        let w = made.get(&embedding.base().id).and_then(|tree| tree.one().ok()).ok_or_else(no_embedding)?;
        let (&[vocab_size, d_feature], [y]) = (w.shape(), &of_ids[..]) else { return Err(no_embedding()) };
        if y.shape != [1, d_feature] || !w.dtype().is_float() {
            return Err(no_embedding());
        }
        let tied = Self { vocab_size, d_feature, dtype: w.dtype() };
        let mut layers = vec![embedding.clone()];
        layers.extend(bias.map(|initializer| weights(initializer.clone(), &[vocab_size])));
        Ok((Parts { base: Base::new(name(vocab_size)), layers, arity }, tied))
    }
    /// The signature of what a layer of these weights gives.
    ///
    /// # Errors
    /// `ShapeMismatch` for inputs of another depth.
    pub(crate) fn mapped(&self, x: &TensorSpec) -> Result<TensorSpec> {
        let n = last_axis(&x.shape, "a tied layer needs a last axis to map")?;
        if n != self.d_feature {
            return Err(Error::made_for("last axis is", n, self.d_feature));
        }
        let mut shape = x.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = self.vocab_size;
        }
        Ok(TensorSpec::new(shape, x.dtype.promote(self.dtype)))
    }
    /// Makes the weights that nobody made before.
    ///
    /// # Errors
    /// None for parts that [`Tied::parts`] made.
    pub(crate) fn init(&self, parts: &Parts, cx: &mut InitCx) -> Result<()> {
        cx.init(&parts.layers[0], &[ids()])?;
        parts.layers[1..].iter().try_for_each(|bias| cx.init(bias, &[]))
    }
    /// Weights `[dFeature, vocabSize]`, a view of the embedding's, and the bias.
    ///
    /// # Errors
    /// `NotInitialized`, `WeightsMismatch`; `OutOfMemory`.
    pub(crate) fn weights(&self, parts: &Parts, cx: &Cx) -> Result<(Tensor, Option<Tensor>)> {
        let of_embedding = cx.weights(parts.layers[0].base().id);
        let (w, b) = self.checked(parts, cx, of_embedding.matrix()?)?;
        let w = match w {
            Matrix::Tensor(w) => narrowed(w)?,
            Matrix::Quantized(w) => w.dequantized()?,
        };
        Ok((w.transpose(None)?, b))
    }
    /// `x · wᵀ + b`.
    ///
    /// # Errors
    /// `NotInitialized`, `WeightsMismatch`; those of the product.
    fn product(&self, parts: &Parts, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let of_embedding = cx.weights(parts.layers[0].base().id);
        let (w, b) = self.checked(parts, cx, of_embedding.matrix()?)?;
        match w {
            Matrix::Tensor(w) => Ok(ops::dense(&narrowed(x)?, &narrowed(w)?.transpose(None)?, b.as_ref())?),
            quantized => quantized.dense(x, b.as_ref()),
        }
    }
    /// The embedding's weights, whose shape is right, and the bias.
    fn checked<'a>(&self, parts: &Parts, cx: &Cx, w: Matrix<'a>) -> Result<(Matrix<'a>, Option<Tensor>)> {
        let b = parts.layers.get(1).map(|l| narrowed(cx.weights(l.base().id).one()?)).transpose()?;
        let (expected, units) = ([self.vocab_size, self.d_feature], [self.vocab_size]);
        if w.shape() != expected || b.as_ref().is_some_and(|b| b.shape() != units) {
            return Err(match &b {
                Some(b) => Error::weights_of(&[&expected, &units], &[w.shape(), b.shape()]),
                None => Error::weights_of(&[&expected], &[w.shape()]),
            });
        }
        Ok((w, b))
    }
}

fn ids() -> TensorSpec {
    TensorSpec::new([1], DType::I32)
}

#[derive(Debug, Clone)]
struct TiedDense(Tied);

/// See [`TiedDenseOptions`].
///
/// # Errors
/// `InvalidOption` for a layer that is no embedding.
pub fn tied_dense(o: TiedDenseOptions) -> Result<LayerRef> {
    let bias = o.use_bias.then_some(&o.bias_initializer);
    let name = |vocab_size| format!("TiedDense_{vocab_size}");
    let (parts, tied) = Tied::parts("TiedDense", name, o.embedding.0, bias, Arity::ONE)?;
    Ok(composite(parts, TiedDense(tied)))
}

impl Composite for TiedDense {
    fn signature(&self, _parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![self.0.mapped(&inputs[0])?])
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        self.signature(parts, inputs)?;
        self.0.init(parts, cx)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, _key: Key) -> Result<Vec<Tensor>> {
        self.0.mapped(&TensorSpec::of(&xs[0]))?;
        Ok(vec![self.0.product(parts, cx, &xs[0])?])
    }
}
