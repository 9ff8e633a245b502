//! Masks and shifts that attention models put around their attention.
use super::segments::{check_segments_of, mask_of_segments, mask_of_segments_signature};
use crate::{
    assert_shape::assert_function, leaf, options, Arity, Call, Dim, Error, LayerRef, Leaf, Mode, Output, Result,
    TensorSpec, Traits, Whole,
};
use tallow_tensor::{DType, Tensor};

options! {
    /// Shifts a sequence to the right, so that a position is predicted from those before it: zeros come in at the start, and the end
    /// falls off.
    ///
    /// With `useSegments` several sequences can stand one behind the other, and each is shifted by itself: zeros stand at the start of every
    /// segment.
    ///
    /// Shapes: `[batch, length, ...]` → `[batch, length, ...]`, the same. With `useSegments` also segment ids `int32[batch, length]`, which
    /// are an output too.
    /// Weights: none.
    /// State: none.
    /// Modes: shifts in all but `'predict'`, where it passes the input on, since that already is the position before.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.ShiftRight();
    /// layer.init({ shape: [1, 4], dtype: 'int32' });
    /// layer([[5, 6, 7, 8]]); // → Tensor int32[1,4] [[0,5,6,7]]
    /// ```
    pub struct ShiftRightOptions for "ShiftRight" () {
        /// How many positions to shift by.
        n_positions "nPositions": Dim = Dim(1),
        /// Whether a further input tells the segment of each position, which is shifted by itself.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Marks the positions of a batch of id sequences that are not padding.
    ///
    /// Formula: `mask[b, 0, 0, i] = ids[b, i] != pad`.
    /// Shapes: `int32[batch, length]` → `bool[batch, 1, 1, length]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have two axes.
    /// Source: Trax.
    /// See: `Attention`, `EncoderDecoderMask`.
    /// Example:
    /// ```ts
    /// const layer = tl.PaddingMask();
    /// layer.init({ shape: [1, 4], dtype: 'int32' });
    /// layer([[7, 8, 9, 0]]); // → Tensor bool[1,1,1,4] [[[[true,true,true,false]]]]
    /// ```
    pub struct PaddingMaskOptions for "PaddingMask" () {
        /// The id that stands for padding.
        pad "pad": Whole = Whole(0),
    }
}

options! {
    /// Makes the mask of attention within the segments of packed sequences: each position may see those of its own segment.
    ///
    /// A row of packed sequences has an id for each position, the same within a sequence. Attentions with the option `useSegments` need no
    /// mask.
    ///
    /// Formula: `mask[b, 0, i, j] = ids[b, i] == ids[b, j]`; if `causal`, it is false where `j > i`.
    /// Shapes: `int32[batch, length]` → `bool[batch, 1, length, length]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have two axes.
    /// - `DTypeMismatch`: the ids are floats or booleans.
    /// Source: Raffel et al. 2019, arXiv:1910.10683.
    /// See: `Attention`, `AttentionQKV`, `PaddingMask`, `CausalAttention`.
    /// Example:
    /// ```ts
    /// const layer = tl.SegmentMask();
    /// layer.init({ shape: [1, 3], dtype: 'int32' });
    /// layer([[7, 7, 8]]); // → Tensor bool[1,1,3,3] [[[[true,true,false],[true,true,false],[false,false,true]]]]
    /// ```
    pub struct SegmentMaskOptions for "SegmentMask" () {
        /// Whether positions see earlier ones only.
        causal "causal": bool = false,
    }
}

options! {
    /// Makes the mask of encoder-decoder attention: each position of the decoder may see each position of the encoder that is not
    /// padding.
    ///
    /// Shapes: decoder activations `[batch, decoderLength, dModel]`, padding mask `[batch, 1, 1, encoderLength]` →
    /// `float32[batch, 1, decoderLength, encoderLength]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the decoder input does not have three axes, or the mask has another shape.
    /// Source: Trax.
    /// See: `PaddingMask`, `AttentionQKV`.
    /// Example:
    /// ```ts
    /// const layer = tl.EncoderDecoderMask();
    /// const [x, mask] = [tl.ones([1, 2, 4]), tl.tensor([[[[true, true, false]]]])];
    /// layer.init(tl.signature([x, mask]));
    /// layer([x, mask]); // → Tensor float32[1,1,2,3] [[[[1,1,0],[1,1,0]]]]
    /// ```
    pub struct EncoderDecoderMaskOptions for "EncoderDecoderMask" () {}
}

#[derive(Debug, Clone)]
struct ShiftRight(ShiftRightOptions);

impl Leaf for ShiftRight {
    fn name(&self) -> String {
        format!("ShiftRight({})", self.0.n_positions.0)
    }
    fn arity(&self) -> Arity {
        let n = 1 + usize::from(self.0.use_segments);
        Arity::new(n, n)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        if inputs[0].rank() < 2 {
            return Err(Error::shape(format!(
                "expected at least 2 axes (batch, length), got shape {:?}",
                inputs[0].shape
            )));
        }
        if let Some(segments) = inputs.get(1) {
            check_segments_of(segments, [inputs[0].shape[0], inputs[0].shape[1]])?;
        }
        Ok(inputs.to_vec())
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        if self.0.mode == Mode::Predict {
            return Ok(call.xs.to_vec().into());
        }
        let length = x.shape()[1];
        let n = self.0.n_positions.0.min(length);
        let shifted = |x: &Tensor| -> Result<Tensor> {
            let mut shape = x.shape().to_vec();
            shape[1] = n;
            let zeros = Tensor::zeros(&shape, x.dtype(), x.device())?;
            Ok(Tensor::concat(&[zeros, x.narrow(1, 0, length - n)?], 1)?)
        };
        let Some(segments) = call.xs.get(1) else { return Ok(shifted(x)?.into()) };
        let mut shape = segments.shape().to_vec();
        shape.resize(x.rank(), 1);
        let same = shifted(segments)?.eq(segments)?.reshape(&shape)?;
        let zero = Tensor::zeros(&[], x.dtype(), x.device())?;
        Ok(vec![Tensor::where_(&same, &shifted(x)?, &zero)?, segments.clone()].into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, ..Traits::LEAF }
    }
}

#[derive(Debug, Clone)]
struct PaddingMask(PaddingMaskOptions);

impl Leaf for PaddingMask {
    fn name(&self) -> String {
        format!("PaddingMask({})", self.0.pad.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let &[b, l] = &inputs[0].shape[..] else {
            return Err(Error::shape(format!("expected shape (batch, length), got {:?}", inputs[0].shape)));
        };
        Ok(vec![TensorSpec::new([b, 1, 1, l], DType::Bool)])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let spec = self.signature(&[TensorSpec::of(&call.xs[0])])?;
        Ok(call.xs[0].ne_scalar(self.0.pad.0)?.reshape(&spec[0].shape)?.into())
    }
}

#[derive(Debug, Clone)]
struct SegmentMask(SegmentMaskOptions);

impl Leaf for SegmentMask {
    fn name(&self) -> String {
        "SegmentMask".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![mask_of_segments_signature(&inputs[0])?])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(mask_of_segments(&call.xs[0], self.0.causal)?.into())
    }
}

#[derive(Debug, Clone)]
struct EncoderDecoderMask;

impl Leaf for EncoderDecoderMask {
    fn name(&self) -> String {
        "EncoderDecoderMask".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(2, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (x, mask) = (&inputs[0], &inputs[1]);
        let (&[_, decoder, _], Some(&encoder), Some(&b)) = (&x.shape[..], mask.shape.last(), mask.shape.first()) else {
            return Err(Error::shape(format!(
                "expected a decoder input (batch, length, d_model) and a mask (batch, 1, 1, length), got {x} and {mask}"
            )));
        };
        if mask.shape.iter().product::<usize>() != b * encoder {
            return Err(Error::shape(format!("expected a mask (batch, 1, 1, length), got {mask}")));
        }
        Ok(vec![TensorSpec::new([b, 1, decoder, encoder], DType::F32)])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let out = self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let &[b, _, _, encoder] = &out[0].shape[..] else { return Err(Error::shape("no mask")) };
        let mask = call.xs[1].reshape(&[b, 1, 1, encoder])?.cast(DType::F32)?;
        Ok(mask.broadcast_to(&out[0].shape)?.into())
    }
}

/// See [`ShiftRightOptions`].
///
/// # Errors
/// None.
pub fn shift_right(o: ShiftRightOptions) -> Result<LayerRef> {
    let spec = if o.use_segments { "...,bl->...,bl" } else { "...d->...d" };
    assert_function(spec, leaf(ShiftRight(o)))
}

/// See [`PaddingMaskOptions`].
///
/// # Errors
/// None.
pub fn padding_mask(o: PaddingMaskOptions) -> Result<LayerRef> {
    assert_function("bs->b11l", leaf(PaddingMask(o)))
}

/// See [`SegmentMaskOptions`].
///
/// # Errors
/// None.
pub fn segment_mask(o: SegmentMaskOptions) -> Result<LayerRef> {
    Ok(leaf(SegmentMask(o)))
}

/// See [`EncoderDecoderMaskOptions`].
///
/// # Errors
/// None.
pub fn encoder_decoder_mask(_: EncoderDecoderMaskOptions) -> Result<LayerRef> {
    Ok(leaf(EncoderDecoderMask))
}
