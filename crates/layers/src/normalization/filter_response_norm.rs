//! Filter response normalization.
use crate::{leaf, options, Call, Error, LayerRef, Leaf, Local, Mode, Output, Positive, Result, TensorSpec, Tree};
use tallow_tensor::{random::Key, Axes, DType, Device, Tensor};

options! {
    /// Normalizes each channel of each item by the mean square of its activations over all positions.
    ///
    /// `ThresholdedLinearUnit` is meant to follow it.
    ///
    /// Formula: `y = gamma · x / √(mean(x²) + e) + beta`. The mean is over all axes but the first and the last; `e = initEpsilon`, plus the
    /// absolute
    /// value of a learned number if `learnEpsilon` is set.
    /// Shapes: `[batch, ..., channels]` → `[batch, ..., channels]`.
    /// Weights: `[gamma, beta, []]`, the first two of shape `[channels]`. They start as ones and zeros. With `learnEpsilon` it is
    /// `[gamma, beta, [epsilon]]`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has fewer than two axes, or its last axis has another size than at `init`.
    ///
    /// Source: Trax; Singh & Krishnan 2019, arXiv:1911.09737.
    /// See: `ThresholdedLinearUnit`.
    /// Example:
    /// ```ts
    /// const layer = tl.FilterResponseNorm();
    /// layer.init({ shape: [1, 2, 1], dtype: 'float32' });
    /// layer([[[3], [4]]]); // → Tensor float32[1,2,1] [[[0.848528],[1.13137]]]
    /// ```
    pub struct FilterResponseNormOptions for "FilterResponseNorm" () {
        /// Has no effect. It is there because Trax has it.
        mode "mode": Option<Mode> = None,
        /// Whether to learn an addition to epsilon.
        learn_epsilon "learnEpsilon": bool = false,
        /// Fixed part of what is added to the mean square.
        init_epsilon "initEpsilon": Positive = Positive(1e-6),
        /// What the learned part starts at.
        init_learnt_epsilon "initLearntEpsilon": Positive = Positive(1e-4),
    }
}

#[derive(Debug, Clone)]
struct FilterResponseNorm(FilterResponseNormOptions);

/// The layer of these options.
pub fn filter_response_norm(o: FilterResponseNormOptions) -> LayerRef {
    leaf(FilterResponseNorm(o))
}

fn channels(s: &TensorSpec) -> Result<usize> {
    match s.shape[..] {
        [_, .., n] => Ok(n),
        _ => Err(Error::shape(format!("the input needs an axis of items and one of channels, got {s}"))),
    }
}

impl Leaf for FilterResponseNorm {
    fn name(&self) -> String {
        "FilterResponseNorm".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        channels(&inputs[0])?;
        Ok(vec![TensorSpec::new(inputs[0].shape.clone(), inputs[0].dtype.promote(DType::F32))])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        let n = channels(&inputs[0])?;
        let cpu = &Device::Cpu;
        let learnt = if self.0.learn_epsilon {
            Tree::tuple([Tensor::scalar(self.0.init_learnt_epsilon.0 as f32)])
        } else {
            Tree::EMPTY
        };
        let gamma = Tree::Leaf(Tensor::ones(&[n], DType::F32, cpu)?);
        let beta = Tree::Leaf(Tensor::zeros(&[n], DType::F32, cpu)?);
        Ok(Local::weights(Tree::Tuple(vec![gamma, beta, learnt])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = call.xs[0].cast(call.xs[0].dtype().promote(DType::F32))?;
        let n = channels(&TensorSpec::of(&x))?;
        let wrong = || call.w.wrong("a tuple (gamma, beta, epsilon)");
        let Tree::Tuple(w) = call.w else { return Err(wrong()) };
        let [gamma, beta, epsilon] = &w[..] else { return Err(wrong()) };
        let (gamma, beta) = (gamma.one()?, beta.one()?);
        if gamma.shape() != [n] {
            let made = gamma.shape().first().copied().unwrap_or(0);
            return Err(Error::made_for("last axis is", n, made));
        }
        let positions: Vec<isize> = (1..x.rank() as isize - 1).collect();
        let square = x.square()?;
        // Without positions the mean is of one value: the square itself.
        let mean = if positions.is_empty() { square } else { square.mean(Axes::from(&positions[..]), true)? };
        let mut under = mean.add_scalar(self.0.init_epsilon.0)?;
        if self.0.learn_epsilon {
            let [learnt] = epsilon.many()?;
            under = under.add(&learnt.abs()?)?;
        }
        Ok(x.div(&under.sqrt()?)?.mul(gamma)?.add(beta)?.into())
    }
}
