//! The last layer of a classifier and its loss as one, for many categories.
use super::{
    category::{loss_dtype, weighed_items},
    common::{number, weighted_mean_dtype},
    targets::{weights_shape, Items, Labels, LeftOut, BY_LABEL},
};
use crate::{
    composite,
    core::Tied,
    framework::{precision::narrowed, shapes::last_axis},
    initializers::{glorot_uniform, random_normal},
    leaf, options, Arity, Call, Composite, Cx, Dim, Error, Fraction, InitCx, Initializer, LayerArg, LayerRef, Leaf,
    Local, Num, Output, Parts, Result, TensorSpec, Tree, Whole,
};
use tallow_tensor::{ops, random::Key, Axes, DType, Tensor};

options! {
    /// Options that both losses with a linear layer in them share.
    pub group LinearCrossEntropyHeadOptions {
        /// Embedding whose weights are used, transposed, in place of own ones, as in `TiedDense`.
        embedding "embedding": Option<LayerArg> = None,
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
        /// Makes `w`, of shape `[d, vocabSize]`.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b`, of shape `[vocabSize]`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Share of probability spread evenly over all categories, from 0 to 1; `null`: none.
        label_smoothing "labelSmoothing": Option<Fraction> = None,
        /// Target of items that do not count, whatever they weigh; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}

options! {
    /// Maps activations to categories and computes the cross-entropy with the targets: a `Dense` and a `CategoryCrossEntropy` in one.
    ///
    /// The outputs for all categories never exist at once, which is most of the memory of a language model with a large vocabulary:
    /// they are computed for a few rows at a time, together with the gradients. For predictions put a `Dense` of the same weights in its
    /// place.
    ///
    /// Formula: the mean of `-Σ p · logSoftmax(x · w + b)`, with `p = (1 - labelSmoothing) · oneHot(target) + labelSmoothing / vocabSize`.
    /// NaN for no items.
    /// Shapes: activations `[..., d]`, targets `[...]` or `[..., 1]` → `float32[]`. `init` fixes `d`.
    /// Weights: those of a `Dense` of `vocabSize` units; with `embedding` those of `TiedDense`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Dense`.
    /// - those of `CategoryCrossEntropy`.
    /// - `InvalidOption`: `embedding` has not `vocabSize` vectors, or no weights like those of an `Embedding`.
    /// Source: Wijmans et al. 2024, arXiv:2411.09009; Hsu et al. 2024, arXiv:2410.10989.
    /// See: `WeightedLinearCrossEntropy`, `Dense`, `CategoryCrossEntropy`.
    /// Example:
    /// ```ts
    /// const layer = tl.LinearCrossEntropy(1000);
    /// const [x, target] = [tl.zeros([2, 8]), tl.tensor([7, 42])];
    /// layer.init(tl.signature([x, target]));
    /// layer([x, target]); // → Tensor float32[] 6.9078
    /// ```
    pub struct LinearCrossEntropyOptions for "LinearCrossEntropy" ("vocabSize") with (head: LinearCrossEntropyHeadOptions) {
        /// Number of categories.
        vocab_size "vocabSize": Dim,
    }
}

options! {
    /// Maps activations to categories and computes the cross-entropy with the targets, on average by weights: a `Dense` and a
    /// `WeightedCategoryCrossEntropy` in one.
    ///
    /// The outputs for all categories never exist at once, which is most of the memory of a language model with a large vocabulary:
    /// they are computed for a few rows at a time, together with the gradients. An item of weight 0 counts nothing, whatever its outputs are.
    ///
    /// Formula: `Σ w · max(c - cutoff, 0) / Σ w`, with `c` the loss that `LinearCrossEntropy` has of each item. NaN for weights that sum
    /// to zero.
    /// Shapes: activations `[..., d]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`. `init`
    /// fixes `d`.
    /// Weights: those of a `Dense` of `vocabSize` units; with `embedding` those of `TiedDense`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Dense`.
    /// - those of `WeightedCategoryCrossEntropy`.
    /// - `InvalidOption`: `embedding` has not `vocabSize` vectors, or no weights like those of an `Embedding`.
    /// Source: Wijmans et al. 2024, arXiv:2411.09009; Hsu et al. 2024, arXiv:2410.10989.
    /// See: `LinearCrossEntropy`, `WeightedCategoryCrossEntropy`.
    /// Example:
    /// ```ts
    /// const layer = tl.WeightedLinearCrossEntropy(1000);
    /// const [x, target, w] = [tl.zeros([2, 8]), tl.tensor([7, 42]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([x, target, w]));
    /// layer([x, target, w]); // → Tensor float32[] 6.9078
    /// ```
    pub struct WeightedLinearCrossEntropyOptions for "WeightedLinearCrossEntropy" ("vocabSize")
        with (head: LinearCrossEntropyHeadOptions) {
        /// Number of categories.
        vocab_size "vocabSize": Dim,
        /// Loss of an item, in nats, below which it counts as 0; what is above is reduced by as much.
        cutoff "cutoff": Num = Num(0.0),
    }
}

/// The loss of activations for categories, however the weights are held.
#[derive(Debug, Clone)]
struct Loss {
    name: &'static str,
    vocab_size: usize,
    is_weighted: bool,
    smoothing: f64,
    cutoff: f64,
    ignore_label: Option<i64>,
}

impl Loss {
    fn arity(&self) -> Arity {
        Arity::new(2 + usize::from(self.is_weighted), 1)
    }
    fn printed(&self) -> String {
        format!("{}_{}", self.name, self.vocab_size)
    }
    /// The signature of the loss where outputs would have `dtype`.
    fn signature(&self, inputs: &[TensorSpec], dtype: DType) -> Result<Vec<TensorSpec>> {
        last_axis(&inputs[0].shape, "a linear layer needs a last axis to map")?;
        let mut outputs = inputs[0].clone();
        if let Some(last) = outputs.shape.last_mut() {
            *last = self.vocab_size;
        }
        let of_items = [outputs, inputs[1].clone()];
        let items = Items::with_targets(&of_items)?;
        let loss = loss_dtype(dtype);
        Ok(number(match inputs.get(2) {
            None => loss,
            Some(weights) => {
                weights_shape(&weights.shape, items.shape)?;
                weighted_mean_dtype(loss, weights.dtype)
            }
        }))
    }
    fn forward(&self, xs: &[Tensor], w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
        let dtype = b.map_or(xs[0].dtype(), |b| xs[0].dtype().promote(b.dtype())).promote(w.dtype());
        let out = self.signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>(), dtype)?;
        let mut shape = xs[0].shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.vocab_size;
        }
        let items = Items::of(&shape)?;
        let loss = loss_dtype(dtype);
        let (labels, weights) = if self.is_weighted {
            let (labels, weights) = weighed_items(&xs[1], &xs[2], items, self.ignore_label)?;
            (labels, weights.cast(loss)?)
        } else {
            let left_out = LeftOut { label: self.ignore_label, weights: None, way_out: BY_LABEL };
            let labels = Labels::read(&xs[1], items, left_out)?;
            let ones = match labels.weights(loss)? {
                Some(weights) => weights,
                None => Tensor::ones(items.shape, loss, xs[0].device())?,
            };
            (labels, ones)
        };
        let sum = weights.sum(Axes::All, false)?;
        let o = ops::LinearCrossEntropyOptions { label_smoothing: self.smoothing, cutoff: self.cutoff };
        let mean = ops::linear_cross_entropy(&xs[0].cast(dtype)?, w, b, &labels.places, &weights.div(&sum)?, o)?;
        // The mean of no items is 0 / 0.
        let mean = if labels.places.size() == 0 { mean.div(&sum)? } else { mean };
        Ok(mean.cast(out[0].dtype)?)
    }
}

/// The loss with weights of its own.
#[derive(Debug, Clone)]
struct LinearCrossEntropy {
    loss: Loss,
    head: LinearCrossEntropyHeadOptions,
}

impl Leaf for LinearCrossEntropy {
    fn name(&self) -> String {
        self.loss.printed()
    }
    fn arity(&self) -> Arity {
        self.loss.arity()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.loss.signature(inputs, inputs[0].dtype.promote(DType::F32))
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let (kw, kb) = key.split_pair();
        let d = last_axis(&inputs[0].shape, "a linear layer needs a last axis to map")?;
        let w = self.head.kernel_initializer.make(&[d, self.loss.vocab_size], kw)?;
        let b = self.head.use_bias.then(|| self.head.bias_initializer.make(&[self.loss.vocab_size], kb)).transpose()?;
        Ok(Local::weights(Tree::with_bias(w, b)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let (w, b) = call.w.kernel_and_bias(self.head.use_bias)?;
        let (n, units) =
            (last_axis(call.xs[0].shape(), "a linear layer needs a last axis to map")?, self.loss.vocab_size);
        if w.rank() != 2 || w.shape()[1] != units || b.is_some_and(|b| b.shape() != [units]) {
            return Err(match b {
                Some(b) => Error::weights(&[&[n, units], &[units]], &[w, b]),
                None => Error::weights(&[&[n, units]], &[w]),
            });
        }
        if w.shape()[0] != n {
            return Err(Error::made_for("last axis is", n, w.shape()[0]));
        }
        Ok(self.loss.forward(call.xs, w, b)?.into())
    }
}

/// The loss with the weights of an embedding.
#[derive(Debug, Clone)]
struct TiedLinearCrossEntropy {
    loss: Loss,
    tied: Tied,
}

impl Composite for TiedLinearCrossEntropy {
    fn signature(&self, _parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.loss.signature(inputs, self.tied.mapped(&inputs[0])?.dtype)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        self.signature(parts, inputs)?;
        self.tied.init(parts, cx)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, mut xs: Vec<Tensor>, _key: Key) -> Result<Vec<Tensor>> {
        self.tied.mapped(&TensorSpec::of(&xs[0]))?;
        xs[0] = narrowed(&xs[0])?;
        let (w, b) = self.tied.weights(parts, cx)?;
        Ok(vec![self.loss.forward(&xs, &w, b.as_ref())?])
    }
}

fn made(loss: Loss, head: LinearCrossEntropyHeadOptions) -> Result<LayerRef> {
    let Some(embedding) = head.embedding.clone() else { return Ok(leaf(LinearCrossEntropy { loss, head })) };
    let bias = head.use_bias.then_some(&head.bias_initializer);
    let (parts, tied) = Tied::parts(loss.name, |_| loss.printed(), embedding.0, bias, loss.arity())?;
    if tied.vocab_size != loss.vocab_size {
        let what = format!(
            "{}: `vocabSize` {} must be the number of vectors of `embedding`, {}",
            loss.name, loss.vocab_size, tied.vocab_size
        );
        return Err(Error::option(what));
    }
    Ok(composite(parts, TiedLinearCrossEntropy { loss, tied }))
}

/// See [`LinearCrossEntropyOptions`].
///
/// # Errors
/// `InvalidOption` for a layer that is no embedding of `vocabSize` vectors.
pub fn linear_cross_entropy(o: LinearCrossEntropyOptions) -> Result<LayerRef> {
    let loss = Loss {
        name: "LinearCrossEntropy",
        vocab_size: o.vocab_size.0,
        is_weighted: false,
        smoothing: o.head.label_smoothing.map_or(0.0, |f| f.0),
        cutoff: 0.0,
        ignore_label: o.head.ignore_label.map(|n| n.0),
    };
    made(loss, o.head)
}

/// See [`WeightedLinearCrossEntropyOptions`].
///
/// # Errors
/// `InvalidOption` for a layer that is no embedding of `vocabSize` vectors.
pub fn weighted_linear_cross_entropy(o: WeightedLinearCrossEntropyOptions) -> Result<LayerRef> {
    let loss = Loss {
        name: "WeightedLinearCrossEntropy",
        vocab_size: o.vocab_size.0,
        is_weighted: true,
        smoothing: o.head.label_smoothing.map_or(0.0, |f| f.0),
        // As in `WeightedCategoryCrossEntropy`, where what is not above 0 changes nothing.
        cutoff: o.cutoff.0.max(0.0),
        ignore_label: o.head.ignore_label.map(|n| n.0),
    };
    made(loss, o.head)
}
