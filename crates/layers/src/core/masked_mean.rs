//! The mean of those positions that count.
use crate::{framework::pure::pure_layer, options, Error, LayerRef, Result, TensorSpec};
use tallow_tensor::DType;

options! {
    /// Computes the mean over the positions that a mask does not leave out: the vector of a sequence with padding.
    ///
    /// Positions whose mask is 0 or `false` do not count, whatever stands there, also NaN; they get gradients of 0. Where no position counts,
    /// the mean is 0. A mask of other numbers weighs the positions.
    ///
    /// Formula: `Σ mask · x / Σ mask` along the last axis of the mask; 0 where the mask is 0 throughout.
    /// Shapes: `[..., length, depth]`, mask `[..., length]` → `[..., depth]`. There may be any axes behind that of the positions, also none.
    /// Integers become float32.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the mask is a 0-d tensor, or does not have the sizes of the first axes of the input.
    ///
    /// Source: Reimers and Gurevych 2019, arXiv:1908.10084.
    /// See: `Mean`, `PaddingMask`.
    /// Example:
    /// ```ts
    /// const layer = tl.MaskedMean();
    /// const [x, mask] = [tl.tensor([[[1, 2], [3, 6], [9, 9]]]), tl.tensor([[true, true, false]])];
    /// layer.init(tl.signature([x, mask]));
    /// layer([x, mask]); // → Tensor float32[1,2] [[2,4]]
    /// ```
    pub struct MaskedMeanOptions for "MaskedMean" () {}
}

pub(super) fn masked_mean() -> LayerRef {
    pure_layer(
        "MaskedMean",
        2,
        1,
        |s| Ok(vec![signature(s)?]),
        |xs| {
            let declared = signature(&[TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])])?;
            let (rank, axis) = (xs[0].rank(), xs[1].rank() as isize - 1);
            let x = xs[0].cast(declared.dtype)?;
            let mask = xs[1].cast(declared.dtype)?;
            let behind = mask.reshape(&[mask.shape(), &vec![1; rank - mask.rank()]].concat())?;
            let out = behind.detach().eq_scalar(0.0)?;
            let sum = x.mask_fill(&out, 0.0)?.mul(&behind)?.sum(axis, false)?;
            let total = behind.sum(axis, false)?;
            // Where nothing counts the sum is 0, and stays so.
            let nothing = out.all(axis, false)?;
            Ok(vec![sum.div(&total.mask_fill(&nothing, 1.0)?)?])
        },
    )
}

fn signature(s: &[TensorSpec]) -> Result<TensorSpec> {
    let [x, mask] = [&s[0], &s[1]];
    let axes = mask.rank();
    if axes == 0 || x.rank() < axes || x.shape[..axes] != mask.shape {
        let wants =
            "one number for each position: the sizes of the first axes of the input, up to that of the positions";
        return Err(Error::shape(format!("the mask must have {wants}; got input {x} and mask {mask}")));
    }
    let weights = if mask.dtype == DType::Bool { x.dtype } else { mask.dtype };
    let shape = [&x.shape[..axes - 1], &x.shape[axes..]].concat();
    Ok(TensorSpec::new(shape, x.dtype.promote(weights).to_float()))
}
