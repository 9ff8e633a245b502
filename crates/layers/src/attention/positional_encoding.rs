//! Trainable positions that start as sines and cosines.
use super::segments::{check_segments, places_in_segments};
use crate::{
    core::mask_shape, framework::rows, initializers::glorot_uniform, initializers::Initializer, leaf, options,
    Abilities, Arity, Call, Count, Dim, Error, ErrorKind, LayerRef, Leaf, Local, Mode, Num, Output, Rate, Result,
    TensorSpec, Together, Traits, Tree, Wholes,
};
use tallow_tensor::{
    memory, ops,
    random::{self, Key},
    DType, Tensor,
};

options! {
    /// Adds a trainable vector to each position, which at first holds sines and cosines of growing wavelengths.
    ///
    /// With `useSegments` several sequences can stand one behind the other, and positions begin again with every segment.
    ///
    /// Formula: `y[b, t] = x[b, t] + w[t]`. At first `w[t, 2i] = sin(t / 10000^(2i/d))` and `w[t, 2i + 1] = cos(t / 10000^(2i/d))`.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`. With `useSegments` also segment ids `int32[batch, length]`, which are an output
    /// too.
    /// Weights: `w: [maxLen, d]`; with `dFeature` it is `[w, projection]`, with `w: [maxLen, dFeature]` and
    /// `projection: [dFeature, d]`.
    /// State: none; in mode `'predict'` the index of the next position, with `useSegments` that and the last id of each sequence.
    /// Modes: drops positions and starts at random ones in `'train'` only. In `'predict'` it goes on at the stored index.
    /// Errors:
    /// - `ShapeMismatch`: the sequence is longer than `maxLen`.
    /// - `InvalidArgument`: predict mode runs past `maxLen`.
    /// - `InvalidArgument`: a segment is longer than `maxLen`.
    /// - `DTypeMismatch`: segments are floats or booleans.
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
        /// Whether a further input tells the segment of each position, with which positions begin again.
        use_segments "useSegments": bool = false,
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
            let what = format!("positions up to {} are needed, but maxLen is {room}", start + length);
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        Ok(table.narrow(1, start, length)?)
    }
    fn dropped(&self, positions: Tensor, key: Key) -> Result<Tensor> {
        if self.o.mode != Mode::Train || self.o.dropout.0 == 0.0 {
            return Ok(positions);
        }
        let mask = mask_shape("dropoutBroadcastDims", positions.shape(), &self.o.dropout_broadcast_dims.0)?;
        Ok(ops::dropout(&positions, self.o.dropout.0, key, &mask)?)
    }
    /// Positions that begin again with every segment.
    fn in_segments(&self, call: &Call, x: &Tensor, segments: &Tensor, table: &Tensor) -> Result<Output> {
        let &[batch, length] = segments.shape() else { return Err(Error::shape("segments have two axes")) };
        let predict = self.o.mode == Mode::Predict;
        let before = if predict { Some(before_of(call.s, batch)?) } else { None };
        let mut places = places_in_segments(segments, before.as_deref())?;
        let most = places.iter().max().map_or(0, |&m| m as usize + 1);
        let room = table.shape()[1];
        if most > room {
            let what = format!("a segment of {most} positions does not fit `maxLen` {room}");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let state = if predict && length > 0 { Some(after(segments, &places)?) } else { None };
        let start = self.random_start(call.key, most, room)? as i32;
        places.iter_mut().for_each(|p| *p += start);
        let places = Tensor::from_vec(places, &[batch, length])?.to_device(x.device())?;
        let width = table.shape()[2];
        let positions = self.dropped(ops::embedding(&table.reshape(&[room, width])?, &places)?, call.key)?;
        Ok(Output { ys: vec![x.add(&positions)?, segments.clone()], state })
    }
    /// Adds the next positions of sequences whose states these are.
    fn go_on(&self, x: &Tensor, w: &Tree<Tensor>, states: &[Tree<Tensor>]) -> Result<(Tensor, Vec<Tree<Tensor>>)> {
        let (length, n) = (x.shape()[1], states.len());
        let (table, projection) = match self.projection {
            Some(_) => {
                let [positions, projection] = w.many::<2>()?;
                (positions.clone(), Some(projection))
            }
            None => (w.one()?.clone(), None),
        };
        // Trax's checkpoints have a leading axis of 1.
        let table = if table.rank() == 2 { table.expand_dims(0)? } else { table };
        let mut starts: Vec<usize> = memory::room(n)?;
        for state in states {
            starts.push(state.one()?.item()? as usize);
        }
        let mut positions: Vec<Tensor> = memory::room(n)?;
        for &start in &starts {
            positions.push(Self::slice(&table, start, length)?);
        }
        let mut positions =
            rows::joined(if starts.iter().all(|s| *s == starts[0]) { &positions[..1] } else { &positions })?;
        if let Some(projection) = projection {
            positions = positions.matmul(projection)?;
        }
        let each = rows::per_stream(x, n)?;
        let y = if positions.shape()[0] == 1 || each == 1 {
            x.add(&positions)?
        } else {
            let apart = x.reshape(&[n, each, length, x.shape()[2]])?.add(&positions.expand_dims(1)?)?;
            apart.reshape(x.shape())?
        };
        let after = |start: &usize| Tree::Leaf(Tensor::scalar((start + length) as i32));
        Ok((y, starts.iter().map(after).collect()))
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
    fn arity(&self) -> Arity {
        let n = 1 + usize::from(self.o.use_segments);
        Arity::new(n, n)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let x = &inputs[0];
        width(x)?;
        if let Some(segments) = inputs.get(1) {
            check_segments(segments, x.shape[1])?;
            if segments.shape[0] != x.shape[0] {
                return Err(Error::shape(format!("segments {segments} are not those of {x}")));
            }
        } else if x.shape[1] > self.o.max_len.0 {
            let what = format!("the sequence has {} positions, but maxLen is {}", x.shape[1], self.o.max_len.0);
            // Where calls go on, it is a matter of all of them, as for attention.
            let kind = if self.o.mode == Mode::Predict { ErrorKind::InvalidArgument } else { ErrorKind::ShapeMismatch };
            return Err(Error::new(kind, what));
        }
        if self.o.mode == Mode::Train && self.o.dropout.0 > 0.0 {
            let positions = [1, x.shape[1], x.shape[2]];
            mask_shape("dropoutBroadcastDims", &positions, &self.o.dropout_broadcast_dims.0)?;
        }
        let weights = if self.o.use_bfloat16 && self.projection.is_none() { DType::BF16 } else { DType::F32 };
        let y = TensorSpec::new(x.shape.clone(), x.dtype.promote(weights));
        Ok([vec![y], inputs[1..].to_vec()].concat())
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        // Weights depend on `maxLen` alone: a longer sequence is refused by the call.
        if self.o.use_segments {
            self.signature(inputs)?;
        }
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
        let state = match self.o.mode {
            Mode::Predict if self.o.use_segments => nothing_before()?,
            Mode::Predict => Tree::Leaf(Tensor::scalar(0i32)),
            _ => Tree::EMPTY,
        };
        Ok(Local { weights, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        if self.o.mode == Mode::Predict && !self.o.use_segments {
            let (y, state) = self.go_on(x, call.w, std::slice::from_ref(call.s))?;
            return Ok(Output { ys: vec![y], state: state.into_iter().next() });
        }
        let table = self.table(call.w)?;
        let length = x.shape()[1];
        if let Some(segments) = call.xs.get(1) {
            return self.in_segments(&call, x, segments, &table);
        }
        let start = self.random_start(call.key, length, table.shape()[1])?;
        let positions = self.dropped(Self::slice(&table, start, length)?, call.key)?;
        Ok(x.add(&positions)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.mode)
    }
    fn traits(&self) -> Traits {
        let goes_on = self.o.mode == Mode::Predict;
        Traits { goes_on, positions: goes_on.then_some(self.o.max_len.0), keeps_float32: true, ..Traits::LEAF }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { together: if self.o.use_segments { None } else { Some(self) }, ..Abilities::default() }
    }
}

impl Together for PositionalEncoding {
    fn together(&self, call: Call, states: &[Tree<Tensor>]) -> Result<(Vec<Tensor>, Vec<Tree<Tensor>>)> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let (y, states) = self.go_on(&call.xs[0], call.w, states)?;
        Ok((vec![y], states))
    }
}

/// The state of a layer with segments that has seen no position: no sequences.
fn nothing_before() -> Result<Tree<Tensor>> {
    let none = Tensor::from_vec(Vec::<i32>::new(), &[0])?;
    Ok(Tree::tuple([none.clone(), none]))
}

/// For each sequence the last segment's id and how many positions of it were seen.
fn before_of(state: &Tree<Tensor>, batch: usize) -> Result<Vec<(f64, i32)>> {
    let [next, last] = state.many::<2>()?;
    let held = next.size();
    if held > 0 && held != batch {
        return Err(Error::other_batch(batch, held));
    }
    let counts = next.to_f64_vec()?.into_iter().map(|n| n as i32);
    Ok(last.to_f64_vec()?.into_iter().zip(counts).collect())
}

/// The state behind these positions.
fn after(segments: &Tensor, places: &[i32]) -> Result<Tree<Tensor>> {
    let length = segments.shape()[1];
    let next: Vec<i32> = memory::collect(places.chunks_exact(length).map(|row| row[length - 1] + 1))?;
    let batch = [next.len()];
    let last = segments.narrow(1, length - 1, 1)?.reshape(&batch)?.contiguous()?.detach();
    Ok(Tree::tuple([Tensor::from_vec(next, &batch)?, last]))
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
