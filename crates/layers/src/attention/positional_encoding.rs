//! Trainable positions that start as sines and cosines.
use crate::{
    core::mask_shape, initializers::glorot_uniform, initializers::Initializer, leaf, options, Call, Count, Dim, Error,
    LayerRef, Leaf, Local, Mode, Num, Output, Rate, Result, TensorSpec, Traits, Tree, Wholes,
};
use tallow_tensor::{
    memory, ops,
    random::{self, Key},
    DType, Tensor,
};

options! {
    /// Adds a trainable vector to each position, which at first holds sines and cosines of growing wavelengths.
    ///
    /// Formula: `y[b, t] = x[b, t] + w[t]`. At first `w[t, 2i] = sin(t / 10000^(2i/d))` and `w[t, 2i + 1] = cos(t / 10000^(2i/d))`.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`.
    /// Weights: `w: [maxLen, d]`; with `dFeature` it is `[w, projection]`, with `w: [maxLen, dFeature]` and
    /// `projection: [dFeature, d]`.
    /// State: none; in mode `'predict'` the index of the next position.
    /// Modes: drops positions and starts at random ones in `'train'` only. In `'predict'` it goes on at the stored index.
    /// Errors:
    /// - `ShapeMismatch`: the sequence is longer than `maxLen`, or predict mode runs past it.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// Example:
    /// ```ts
    /// const layer = tl.PositionalEncoding({ maxLen: 16 });
    /// layer.init({ shape: [1, 2, 4], dtype: 'float32' });
    /// layer(tl.zeros([1, 2, 4])); // → Tensor float32[1,2,4] [[[0,1,0,1],[0.841471,0.540302,0.00999983,0.99995]]]
    /// ```
    pub struct PositionalEncodingOptions for "PositionalEncoding" () {
        /// Longest sequence.
        max_len "maxLen": Dim = Dim(2048),
        /// Probability of adding no position.
        dropout "dropout": Rate = Rate(0.0),
        /// Axes that share one dropout draw.
        dropout_broadcast_dims "dropoutBroadcastDims": Wholes = Wholes(vec![-2]),
        /// Whether weights start as bfloat16.
        use_bfloat16 "useBfloat16": bool = false,
        /// Probability of starting at position 0 in training; 1 always does.
        start_from_zero_prob "startFromZeroProb": Num = Num(1.0),
        /// Random starts lie below this position.
        max_offset_to_add "maxOffsetToAdd": Count = Count(0),
        /// Width of the position vectors, projected to the input's width; null: the input's width, without projection.
        d_feature "dFeature": Option<Dim> = None,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct PositionalEncoding {
    o: PositionalEncodingOptions,
    projection: Option<(usize, Initializer)>,
}

impl PositionalEncoding {
    /// The position vectors as `(1, maxLen, d)`.
    fn table(&self, w: &Tree<Tensor>) -> Result<Tensor> {
        let w = match self.projection {
            Some(_) => {
                let [positions, projection] = w.many::<2>()?;
                positions.matmul(projection)?
            }
            None => w.one()?.clone(),
        };
        Ok(if w.rank() == 2 { w.expand_dims(0)? } else { w })
    }
    fn slice(table: &Tensor, start: usize, length: usize) -> Result<Tensor> {
        let room = table.shape()[1];
        if start + length > room {
            return Err(Error::shape(format!("positions up to {} are needed, but maxLen is {room}", start + length)));
        }
        Ok(table.narrow(1, start, length)?)
    }
    fn random_start(&self, key: Key, length: usize, room: usize) -> Result<usize> {
        let o = &self.o;
        if o.mode != Mode::Train || o.start_from_zero_prob.0 >= 1.0 || o.max_offset_to_add.0 == 0 {
            return Ok(0);
        }
        let keys = key.split(2);
        let start = random::randint(keys[0], &[], 0, o.max_offset_to_add.0 as i64, DType::I32)?.item()? as usize;
        let zero = random::uniform(keys[1], &[], DType::F32, 0.0, 1.0)?.item()?;
        // A start too late for the sequence moves back, as Trax's dynamic slice does.
        Ok(if zero < f64::from(o.start_from_zero_prob.0 as f32) { 0 } else { start.min(room.saturating_sub(length)) })
    }
}

impl Leaf for PositionalEncoding {
    fn name(&self) -> String {
        "PositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let x = &inputs[0];
        width(x)?;
        if x.shape[1] > self.o.max_len.0 {
            return Err(Error::shape(format!(
                "the sequence has {} positions, but maxLen is {}",
                x.shape[1], self.o.max_len.0
            )));
        }
        if self.o.mode == Mode::Train && self.o.dropout.0 > 0.0 {
            let positions = [1, x.shape[1], x.shape[2]];
            mask_shape("dropoutBroadcastDims", &positions, &self.o.dropout_broadcast_dims.0)?;
        }
        let weights = if self.o.use_bfloat16 && self.projection.is_none() { DType::BF16 } else { DType::F32 };
        Ok(vec![TensorSpec::new(x.shape.clone(), x.dtype.promote(weights))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        // Weights depend on `maxLen` alone: a longer sequence is refused by the call.
        let width = width(&inputs[0])?;
        let d = self.projection.as_ref().map_or(width, |p| p.0);
        let mut w = tallow_tensor::Tensor::from_vec(sinusoids(self.o.max_len.0, d)?, &[self.o.max_len.0, d])?;
        if self.o.use_bfloat16 {
            w = w.cast(DType::BF16)?;
        }
        let weights = match &self.projection {
            Some((d, init)) => Tree::tuple([w, init.make(&[*d, width], key)?]),
            None => Tree::Leaf(w),
        };
        let state = if self.o.mode == Mode::Predict { Tree::Leaf(Tensor::scalar(0i32)) } else { Tree::EMPTY };
        Ok(Local { weights, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        let table = self.table(call.w)?;
        let length = x.shape()[1];
        if self.o.mode == Mode::Predict {
            let start = call.s.one()?.item()? as usize;
            let y = x.add(&Self::slice(&table, start, length)?)?;
            return Ok(Output { ys: vec![y], state: Some(Tree::Leaf(Tensor::scalar((start + length) as i32))) });
        }
        let start = self.random_start(call.key, length, table.shape()[1])?;
        let mut positions = Self::slice(&table, start, length)?;
        if self.o.mode == Mode::Train && self.o.dropout.0 > 0.0 {
            let mask = mask_shape("dropoutBroadcastDims", positions.shape(), &self.o.dropout_broadcast_dims.0)?;
            positions = ops::dropout(&positions, self.o.dropout.0, call.key, &mask)?;
        }
        Ok(x.add(&positions)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.o.mode == Mode::Predict, ..Traits::LEAF }
    }
}

fn width(x: &TensorSpec) -> Result<usize> {
    match x.shape[..] {
        [_, _, width] => Ok(width),
        _ => Err(Error::shape(format!("expected shape (batch, length, features), got {x}"))),
    }
}

fn sinusoids(length: usize, d: usize) -> Result<Vec<f32>> {
    let mut out = memory::room(&[length, d])?;
    for t in 0..length {
        for i in 0..d {
            let angle = t as f64 * ((i - i % 2) as f64 * -(10000f64.ln() / d as f64)).exp();
            out.push(if i % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
        }
    }
    Ok(out)
}

/// See [`PositionalEncodingOptions`].
///
/// # Errors
/// None.
pub(super) fn positional_encoding(o: PositionalEncodingOptions) -> Result<LayerRef> {
    let projection = o.d_feature.map(|d| (d.0, glorot_uniform()));
    Ok(leaf(PositionalEncoding { o, projection }))
}
