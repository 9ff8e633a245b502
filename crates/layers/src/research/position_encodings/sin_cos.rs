//! Sines and cosines without weights, from a random start in training.
use super::positions::{at_position, next_position, positioned};
use crate::{
    core::mask_shape, leaf, options, Call, Count, Dim, LayerRef, Leaf, Local, Mode, Output, Rate, Result, TensorSpec,
    Traits, Wholes,
};
use tallow_tensor::{
    memory, ops,
    random::{randint, Key},
    DType, Device, Tensor,
};

options! {
    /// Adds sines and cosines of the position, at wavelengths that grow geometrically.
    ///
    /// Formula: `y[b, t, i] = x[b, t, i] + sin(p · 10000^(-2i/d))` in the first half of the features, and cosines of the same angles in
    /// the second, with `p = start + t`. An odd `d` leaves the last cosine out.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`, float32 or wider.
    /// Weights: none.
    /// State: none; in mode `'predict'` the index of the next position.
    /// Modes: in `'train'` the start is 0 once in `startFromZeroOneIn` calls and else random below `addOffset`, the same for the whole
    /// batch, and positions are dropped. In `'predict'` it goes on at the stored index. All others start at 0.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes.
    /// - `InvalidArgument`: the positions do not have one of `dropoutBroadcastDims`.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `PositionalEncoding`, which is trainable.
    /// Example:
    /// ```ts
    /// const layer = tl.SinCosPositionalEncoding({ mode: 'eval' });
    /// layer.init({ shape: [1, 2, 4], dtype: 'float32' });
    /// layer(tl.zeros([1, 2, 4])); // → Tensor float32[1,2,4] [[[0,0,1,1],[0.841471,0.00999983,0.540302,0.99995]]]
    /// ```
    pub struct SinCosPositionalEncodingOptions for "SinCosPositionalEncoding" () {
        /// Random starts lie below this position.
        add_offset "addOffset": Count = Count(2048),
        /// Probability of adding no position.
        dropout "dropout": Rate = Rate(0.0),
        /// Axes of `[1, length, d]` that share one dropout draw.
        dropout_broadcast_dims "dropoutBroadcastDims": Wholes = Wholes(vec![-2]),
        /// Training starts at position 0 once in this many times.
        start_from_zero_one_in "startFromZeroOneIn": Dim = Dim(2),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct SinCos(SinCosPositionalEncodingOptions);

/// See [`SinCosPositionalEncodingOptions`].
///
/// # Errors
/// None.
pub(super) fn build(o: SinCosPositionalEncodingOptions) -> Result<LayerRef> {
    Ok(leaf(SinCos(o)))
}

/// `[1, length, d]` in float32. Angles are rounded as in Trax, which matters at late positions.
fn table(start: usize, length: usize, d: usize, device: &Device) -> Result<Tensor> {
    let positions: Vec<f32> = memory::collect((start..start + length).map(|p| p as f32))?;
    let slope = -(10000f32.ln() / d as f32);
    let rates: Vec<f32> = memory::collect((0..d).step_by(2).map(|i| f64::from(i as f32 * slope).exp() as f32))?;
    let half = rates.len();
    let angles = Tensor::from_vec(positions, &[length, 1])?.mul(&Tensor::from_vec(rates, &[1, half])?)?;
    let angles = angles.to_device(device)?;
    Ok(Tensor::concat(&[angles.sin()?, angles.cos()?], 1)?.narrow(1, 0, d)?.expand_dims(0)?)
}

impl SinCos {
    fn start(&self, key: Key) -> Result<usize> {
        if self.0.mode != Mode::Train {
            return Ok(0);
        }
        let (offset, chance) = key.split_pair();
        let draw = |key, below: usize| randint(key, &[], 0, below as i64, DType::I32)?.item();
        let start = draw(offset, self.0.add_offset.0)?;
        Ok(if draw(chance, self.0.start_from_zero_one_in.0)? == 0.0 { 0 } else { start as usize })
    }
}

impl Leaf for SinCos {
    fn name(&self) -> String {
        "SinCosPositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        positioned(&inputs[0])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        Ok(match self.0.mode {
            Mode::Predict => Local::state(at_position(0)),
            _ => Local::EMPTY,
        })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        let (length, d) = (x.shape()[1], x.shape()[2]);
        if self.0.mode == Mode::Predict {
            let start = next_position(call.s)?;
            let y = x.add(&table(start, length, d, x.device())?)?;
            return Ok(Output { ys: vec![y], state: Some(at_position(start + length)) });
        }
        let mut positions = table(self.start(call.key)?, length, d, x.device())?;
        if self.0.mode == Mode::Train && self.0.dropout.0 > 0.0 {
            // As in Trax, the key of the mask is the one that the start's keys were split from.
            let mask = mask_shape("dropoutBroadcastDims", positions.shape(), &self.0.dropout_broadcast_dims.0)?;
            positions = ops::dropout(&positions, self.0.dropout.0, call.key, &mask)?;
        }
        Ok(x.add(&positions)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, keeps_float32: true, ..Traits::LEAF }
    }
}
