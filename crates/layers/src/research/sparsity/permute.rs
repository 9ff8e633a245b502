//! Features in another order, so that neighbouring parts of a vector mix.
use super::python_shuffle::shuffled;
use crate::{
    framework::leaf::Reverse, leaf, options, Abilities, Call, Error, LayerRef, Leaf, Output, Result, ReverseCall,
    TensorSpec,
};
use tallow_tensor::{memory, Tensor};

options! {
    /// Puts the features of the last axis in another order: it writes them into a matrix by rows and reads it by columns.
    ///
    /// Of `2ⁿ` features the matrix has `2ᵏ` columns, where `k` is the largest whole number up to `n / 2` that does not divide `n`, and
    /// 1 if there is none. So many such layers in a row give different orders.
    ///
    /// Shapes: `[..., d]` → `[..., d]`; `d` is a power of 2. Any dtype is kept.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the size of the last axis is not a power of 2.
    /// Source: Trax.
    /// See: `ReversibleRandomPermute`.
    /// Example:
    /// ```ts
    /// const layer = tl.ReversibleReshapePermute();
    /// layer.init({ shape: [8], dtype: 'int32' });
    /// layer([0, 1, 2, 3, 4, 5, 6, 7]); // → Tensor int32[8] [0,2,4,6,1,3,5,7]
    /// ```
    pub struct ReversibleReshapePermuteOptions for "ReversibleReshapePermute" () {}
}

options! {
    /// Puts the features of the last axis in an order that looks random but depends on their number only.
    ///
    /// The order is that of Python's `random.Random(42).shuffle`.
    ///
    /// Shapes: `[..., d]` → `[..., d]`. Any dtype is kept.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes.
    /// Source: Trax.
    /// See: `ReversibleReshapePermute`.
    /// Example:
    /// ```ts
    /// const layer = tl.ReversibleRandomPermute();
    /// layer.init({ shape: [6], dtype: 'int32' });
    /// layer([0, 1, 2, 3, 4, 5]); // → Tensor int32[6] [3,1,2,4,0,5]
    /// ```
    pub struct ReversibleRandomPermuteOptions for "ReversibleRandomPermute" () {}
}

/// Trax's seed.
const SEED: u32 = 42;

/// How features are ordered.
#[derive(Debug, Clone, Copy)]
enum Permute {
    Reshape,
    Random,
}

/// See [`ReversibleReshapePermuteOptions`].
pub fn reversible_reshape_permute() -> LayerRef {
    leaf(Permute::Reshape)
}

/// See [`ReversibleRandomPermuteOptions`].
pub fn reversible_random_permute() -> LayerRef {
    leaf(Permute::Random)
}

/// Columns of the matrix that `size` features are read as.
fn columns(size: usize) -> Result<usize> {
    if !size.is_power_of_two() {
        return Err(Error::shape(format!("the size of the last axis must be a power of 2, got {size}")));
    }
    let n = size.ilog2();
    let k = (1..=n / 2).rev().find(|&i| !n.is_multiple_of(i)).unwrap_or(1.min(n));
    Ok(1 << k)
}

impl Permute {
    fn size(x: &TensorSpec) -> Result<usize> {
        x.shape.last().copied().ok_or_else(|| Error::shape("the input is 0-d, but features need a last axis"))
    }
    fn permuted(self, x: &Tensor, back: bool) -> Result<Tensor> {
        let size = Self::size(&TensorSpec::of(x))?;
        match self {
            Permute::Reshape => {
                let (columns, leading) = (columns(size)?, &x.shape()[..x.rank() - 1]);
                let [a, b] = if back { [columns, size / columns] } else { [size / columns, columns] };
                Ok(x.reshape(&[leading, &[a, b]].concat())?.swap_axes(-1, -2)?.reshape(x.shape())?)
            }
            Permute::Random => {
                let mut order = shuffled(i32::try_from(size).map_err(|_| Error::shape("too many features"))?, SEED)?;
                if back {
                    let mut places = memory::zeros::<i32>(size)?;
                    order.iter().enumerate().for_each(|(place, &from)| places[from as usize] = place as i32);
                    order = places;
                }
                Ok(x.take(&Tensor::from_vec(order, &[size])?, -1)?)
            }
        }
    }
}

impl Leaf for Permute {
    fn name(&self) -> String {
        format!("Reversible{self:?}Permute")
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let size = Self::size(&inputs[0])?;
        if matches!(self, Permute::Reshape) {
            columns(size)?;
        }
        Ok(inputs.to_vec())
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(self.permuted(&call.xs[0], false)?.into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { reversal: Some(self), ..Abilities::default() }
    }
}

impl Reverse for Permute {
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        Ok(vec![self.permuted(&call.ys[0], true)?])
    }
}
