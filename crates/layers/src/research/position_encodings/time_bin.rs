//! Features of positions in bins of time.
use super::positions::{bin_features, moved_on, next_positions, positioned};
use crate::{leaf, options, Call, Dim, LayerRef, Leaf, Local, Mode, Output, Result, TensorSpec, Traits, Tree};
use tallow_tensor::{memory, random::Key, DType, Tensor};

options! {
    /// Replaces the last three features by what attention within bins of time can tell positions by.
    ///
    /// Formula: with position `t = bin · timeBinLength + place`, the features are `1 / (1 + bin)`, `place / timeBinLength` and
    /// `bin mod 2`.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`, float32 or wider. With less than three features, the last `d` of the three
    /// are all there is.
    /// Weights: none.
    /// State: none; in mode `'predict'` the index of the next position of each sequence, `int32[batch]`.
    /// Modes: in `'predict'` it goes on at the stored index. All others start at 0.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or has another batch size in predict mode.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.TimeBinPositionalEncoding(2);
    /// layer.init({ shape: [1, 3, 3], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 3])); // → Tensor float32[1,3,3] [[[1,0,0],[1,0.5,0],[0.5,0,1]]]
    /// ```
    pub struct TimeBinPositionalEncodingOptions for "TimeBinPositionalEncoding" ("timeBinLength") {
        /// Positions in a bin: the `binLength` of the first layer's attention.
        time_bin_length "timeBinLength": Dim,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct TimeBin(TimeBinPositionalEncodingOptions);

/// See [`TimeBinPositionalEncodingOptions`].
///
/// # Errors
/// None.
pub(super) fn build(o: TimeBinPositionalEncodingOptions) -> Result<LayerRef> {
    Ok(leaf(TimeBin(o)))
}

impl TimeBin {
    /// Features of `length` positions from each of `starts`, the last `d` of them if there are fewer.
    fn features(&self, starts: &[i64], length: usize, d: usize) -> Result<Tensor> {
        let bin = self.0.time_bin_length.0 as i64;
        let drop = 3usize.saturating_sub(d);
        let at = |start: &i64| {
            let start = *start;
            (0..length as i64).flat_map(move |t| bin_features(start + t, bin).into_iter().skip(drop))
        };
        let shape = [starts.len(), length, 3 - drop];
        let mut values: Vec<f32> = memory::room(&shape)?;
        values.extend(starts.iter().flat_map(at));
        Ok(Tensor::from_vec(values, &shape)?)
    }
}

impl Leaf for TimeBin {
    fn name(&self) -> String {
        "TimeBinPositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        positioned(&inputs[0])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        Ok(match self.0.mode {
            Mode::Predict => Local::state(Tree::Leaf(TensorSpec::new([inputs[0].shape[0]], DType::I32).zeros()?)),
            _ => Local::EMPTY,
        })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let out = positioned(&TensorSpec::of(x))?;
        let (batch, length, d) = (x.shape()[0], x.shape()[1], x.shape()[2]);
        let (features, state) = match self.0.mode {
            Mode::Predict => {
                let starts = next_positions(call.s.one()?, batch)?;
                (self.features(&starts, length, d)?, Some(Tree::Leaf(moved_on(&starts, length)?)))
            }
            _ => {
                let shared = self.features(&[0], length, d)?;
                (shared.broadcast_to(&[batch, length, shared.shape()[2]])?, None)
            }
        };
        let features = features.to_device(x.device())?.cast(out[0].dtype)?;
        let kept = x.narrow(-1, 0, d - features.shape()[2])?.cast(out[0].dtype)?;
        Ok(Output { ys: vec![Tensor::concat(&[kept, features], -1)?], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, keeps_float32: true, ..Traits::LEAF }
    }
}
