//! How well a language model predicts, in units that people compare.
use super::{
    category::{item_losses, label_left_out, loss_dtype},
    common::number,
    items::{mean_by, ItemOptions},
    targets::{weights_of, weights_shape, Items, Labels, LeftOut},
};
use crate::{framework::pure::pure_layer, options, Error, ErrorKind, LayerRef, Result, TensorSpec, Whole};
use tallow_tensor::{Axes, Tensor};

options! {
    /// Computes the perplexity of target categories under the model: as good as guessing among so many.
    ///
    /// Formula: `exp(Σ w · c / Σ w)`, with the cross-entropy `c = -logSoftmax(activations)[target]` of each item, in nats. NaN for no
    /// items, or weights that sum to zero; infinite where the mean is beyond what an exponential can be.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target that counts is not below `N`.
    /// - `InvalidArgument`: a target that counts is not a whole number.
    /// Source: Jelinek et al. 1977.
    /// See: `CategoryCrossEntropy`, its logarithm; `BitsPerByte`, which does not depend on how text is cut into tokens.
    /// Example:
    /// ```ts
    /// const layer = tl.Perplexity();
    /// const [y, target] = [tl.zeros([2, 5]), tl.tensor([1, 4])]; // all of five alike
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 5
    /// ```
    pub struct PerplexityOptions for "Perplexity" () with (items: ItemOptions) {}
}
options! {
    /// Computes how many bits the model needs for a byte of text: comparable between models that cut text into other tokens.
    ///
    /// The third input says how many bytes of text each target token stands for. A token of 0 bytes, such as padding or a special token,
    /// does not count.
    ///
    /// Formula: `Σ c / (ln 2 · Σ bytes)` over the tokens of at least one byte, with the cross-entropy `c = -logSoftmax(activations)[target]`
    /// of each token, in nats. NaN where no token has bytes.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, bytes that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the bytes do not broadcast to it.
    /// - `IndexOutOfRange`: a target that counts is not below `N`.
    /// - `InvalidArgument`: a target that counts is not a whole number, or a number of bytes is below 0 or not finite.
    /// Source: Gao et al. 2020, arXiv:2101.00027.
    /// See: `Perplexity`.
    /// Example:
    /// ```ts
    /// const layer = tl.BitsPerByte();
    /// const [y, target, bytes] = [tl.zeros([3, 256]), tl.tensor([7, 0, 200]), tl.tensor([4, 0, 4])];
    /// layer.init(tl.signature([y, target, bytes]));
    /// layer([y, target, bytes]); // → Tensor float32[] 2
    /// ```
    pub struct BitsPerByteOptions for "BitsPerByte" () {
        /// Target of tokens that do not count, however many bytes they stand for; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}

pub(super) fn perplexity(items: ItemOptions) -> LayerRef {
    let (arity, declared) = (items.arity(), items.clone());
    let signature = move |s: &[TensorSpec]| {
        declared.check(s)?;
        Ok(number(declared.mean_dtype(loss_dtype(s[0].dtype), s)))
    };
    pure_layer("Perplexity", arity.n_in, arity.n_out, signature, move |xs| {
        let (labels, weights) = items.read(xs)?;
        let losses = item_losses(&xs[0], &labels, 0.0, 0.0)?;
        Ok(vec![mean_by(&losses, weights.as_ref())?.exp()?])
    })
}

pub(super) fn bits_per_byte(ignore_label: Option<i64>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        weights_shape(&s[2].shape, Items::with_targets(s)?.shape)?;
        Ok(number(loss_dtype(s[0].dtype)))
    };
    pure_layer("BitsPerByte", 3, 1, signature, move |xs| {
        let items = Items::of(xs[0].shape())?;
        let bytes = weights_of(&xs[2], items.shape)?.cast(loss_dtype(xs[0].dtype()))?;
        check_bytes(&bytes.detach())?;
        let left_out = LeftOut { weights: Some(&bytes), way_out: BY_BYTES, ..label_left_out(ignore_label) };
        let labels = Labels::read(&xs[1], items, left_out)?;
        let bytes = labels.counted(&bytes)?;
        let nothing = bytes.detach().gt_scalar(0.0)?.logical_not()?;
        let nats = item_losses(&xs[0], &labels, 0.0, 0.0)?.mask_fill(&nothing, 0.0)?.sum(Axes::All, false)?;
        Ok(vec![nats.div(&bytes.sum(Axes::All, false)?)?.mul_scalar(std::f64::consts::LOG2_E)?])
    })
}

const BY_BYTES: &str = "; a token of 0 bytes is left out";

fn check_bytes(bytes: &Tensor) -> Result<()> {
    match bytes.to_f64_vec()?.into_iter().find(|n| !(n.is_finite() && *n >= 0.0)) {
        None => Ok(()),
        Some(n) => {
            let why =
                format!("the bytes of a target must be a number of at least 0, got {n}; give 0 to leave a target out");
            Err(Error::new(ErrorKind::InvalidArgument, why))
        }
    }
}
