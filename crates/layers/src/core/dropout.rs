//! Dropout.
use crate::{leaf, options, Call, LayerRef, Leaf, Local, Mode, Output, Rate, Result, TensorSpec, Tree, Wholes};
use tallow_tensor::{ops, random::Key, resolve_axis, DType, Tensor};

options! {
    /// Sets a random part of the input to zero while the model trains, and scales the rest up to make up for it.
    ///
    /// Formula: `y = x · m / (1 - rate)`. Each value of the mask `m` is 1 with probability `1 - rate`, else 0.
    /// Shapes: `[...]` → `[...]`, the same. While the layer drops, integers become float32.
    /// Weights: none.
    /// State: the rate, a float32 number. A state `{ Dropout: r }` in its place sets the rate of a call to `r`.
    /// Modes: drops in `'train'`. In all others it passes the input on.
    /// Errors:
    /// - `InvalidArgument`: the input does not have one of `sharedAxes`.
    ///
    /// Source: Trax; Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting.
    /// Example:
    /// ```ts
    /// const layer = tl.Dropout({ rate: 0.5 });
    /// layer.init({ shape: [4], dtype: 'float32' });
    /// layer([1, 1, 1, 1], { rng: tl.random.key(2) }); // → Tensor float32[4] [0,2,0,2]
    /// layer.withMode('eval')([1, 1, 1, 1]); // → Tensor int32[4] [1,1,1,1]
    /// ```
    pub struct DropoutOptions for "Dropout" () {
        /// Probability with which a value is dropped.
        rate "rate": Rate = Rate(0.0),
        /// Axes along which the mask is the same, which costs randomness and saves memory; negative ones count from the end.
        shared_axes "sharedAxes": Option<Wholes> = None,
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode = Mode::Train,
    }
}

/// Dropout as a leaf.
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f64,
    shared_axes: Vec<isize>,
    mode: Mode,
}

/// Dropout of single values.
pub fn dropout(rate: f64, mode: Mode) -> LayerRef {
    dropout_over(rate, Vec::new(), mode)
}

/// Dropout with the same mask along some axes.
pub fn dropout_over(rate: f64, shared_axes: Vec<isize>, mode: Mode) -> LayerRef {
    leaf(Dropout { rate, shared_axes, mode })
}

/// The shape of a dropout mask that is the same along some axes of `shape`.
///
/// # Errors
/// `InvalidArgument`, which begins with `what`, for an axis there is not.
pub(crate) fn mask_shape(what: &str, shape: &[usize], shared_axes: &[isize]) -> Result<Vec<usize>> {
    let mut mask = shape.to_vec();
    for &axis in shared_axes {
        mask[resolve_axis(what, axis, shape.len())?] = 1;
    }
    Ok(mask)
}

impl Dropout {
    fn rate(&self, state: &Tree<Tensor>) -> Result<f64> {
        if self.mode != Mode::Train {
            return Ok(0.0);
        }
        if let Tree::Dict(entries) = state {
            if let Some((_, Tree::Leaf(t))) = entries.iter().find(|(k, _)| *k == self.name()) {
                return Ok(t.item()?);
            }
        }
        Ok(self.rate)
    }
}

impl Leaf for Dropout {
    fn name(&self) -> String {
        "Dropout".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let active = self.mode == Mode::Train && self.rate > 0.0;
        if active {
            mask_shape("Dropout", &inputs[0].shape, &self.shared_axes)?;
        }
        let dtype = if active { inputs[0].dtype.to_float() } else { inputs[0].dtype };
        Ok(vec![TensorSpec::new(inputs[0].shape.clone(), dtype)])
    }
    fn init(&self, _inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(Local::state(Tree::Leaf(Tensor::scalar(self.rate as f32))))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let rate = self.rate(call.s)?;
        if rate == 0.0 {
            return Ok(x.clone().into());
        }
        let mask = mask_shape("Dropout", x.shape(), &self.shared_axes)?;
        let x = if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32)? };
        Ok(ops::dropout(&x, rate, call.key, &mask)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
}
