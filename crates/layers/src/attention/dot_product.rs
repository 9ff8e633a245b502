//! Scaled dot-product attention: `softmax(Q·Kᵀ / √d)·V`, masked, causal, or step by step.
//! Source: Vaswani et al., Attention Is All You Need, arXiv:1706.03762.
use super::{
    heads,
    segments::{check_segments, same_segment},
};
use crate::{
    assert_shape::check_inputs, framework::rows, leaf, options, Abilities, Arity, Call, Dim, Error, ErrorKind,
    LayerRef, Leaf, Local, Mode, Output, Rate, Result, TensorSpec, Together, Traits, Tree,
};
use tallow_tensor::{
    memory,
    ops::{attend, attention, AttentionOptions, Past},
    random::Key,
    DType, Device, Tensor,
};

/// What a masked position's dot product is replaced by, as in Trax.
const MASKED: f64 = -1e9;

options! {
    /// Attends with several heads, without projections of its own: multi-head dot-product attention.
    ///
    /// Each query is compared with all keys; its result is the mean of the values, weighed by how well their keys match. The heads do
    /// so apart, each with its part of the features. A length × length matrix is held in mode `'viz'` only.
    ///
    /// Formula: `y = softmax(where(mask, Q · Kᵀ / √dHead, -1e9)) · V` for each head, with `dHead = d / nHeads`.
    /// Shapes: queries `[batch, length, d]`, keys `[batch, keys, d]`, values `[batch, keys, depth]`, mask `[batch, 1, x, keys]` →
    /// `[batch, length, depth]` and the mask. The mask is not zero where attention is allowed; its `x` is 1 or `length`.
    /// Weights: none.
    /// State: none; in mode `'viz'` the attention strengths `[batch, nHeads, length, keys]` of the last call.
    /// Modes: drops attention strengths in `'train'` only; `'viz'` keeps the strengths as state.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other, or `nHeads` does not divide the features.
    /// - `DTypeMismatch`: queries, keys and values are all integers or bool.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `AttentionQKV`, `DotProductAttention`.
    /// Example:
    /// ```ts
    /// const layer = tl.PureAttention({ nHeads: 2 });
    /// const [x, mask] = [tl.ones([1, 3, 4]), tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature([x, x, x, mask]));
    /// layer([x, x, x, mask]).map((y) => y.shape); // → [ [ 1, 3, 4 ], [ 1, 1, 1, 3 ] ]
    /// ```
    pub struct PureAttentionOptions for "PureAttention" () {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Attends with vectors that are already split into heads: dot-product attention.
    ///
    /// Formula: `y = softmax(where(mask, Q · Kᵀ / √d, -1e9)) · V` over the last two axes.
    /// Shapes: queries `[..., length, d]`, keys `[..., keys, d]`, values `[..., keys, depth]`, and a mask that broadcasts to
    /// `[..., length, keys]` → `[..., length, depth]`. The mask is not zero where attention is allowed. With `useSegments` also segment ids
    /// `int32[sequences, length]`, the same for keys, which are an output too; the heads of a sequence are adjacent along the first axis.
    /// Weights: none.
    /// State: none; in mode `'viz'` the attention strengths `[..., length, keys]` of the last call.
    /// Modes: drops attention strengths in `'train'` only; `'viz'` keeps the strengths as state.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other, or the mask does not broadcast.
    /// - `DTypeMismatch`: queries, keys and values are all integers or bool, or segments are floats or booleans.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `PureAttention`, `DotProductCausalAttention`.
    /// Example:
    /// ```ts
    /// const layer = tl.DotProductAttention();
    /// const q = tl.tensor([[[0.5, 1], [1, 0]]]);
    /// const mask = tl.tensor([[[true, false]]]);
    /// layer.init(tl.signature([q, q, q, mask]));
    /// layer([q, q, q, mask]); // → Tensor float32[1,2,2] [[[0.5,1],[0.5,1]]]
    /// ```
    pub struct DotProductAttentionOptions for "DotProductAttention" () {
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Attends so that no position sees a later one, with vectors that are already split into heads.
    ///
    /// With `useSegments` a position sees those of its own segment only: several sequences can stand one behind the other.
    ///
    /// Formula: `y[t] = softmax(Q[t] · K[0..t]ᵀ / √d) · V[0..t]`.
    /// Shapes: queries and keys `[batch, length, d]`, values `[batch, length, depth]` → `[batch, length, depth]`. Heads are part of the
    /// batch. With `useSegments` also segment ids `int32[sequences, length]`, which are an output too; the heads of a sequence are adjacent.
    /// Weights: none.
    /// State: none. In mode `'predict'` it is `[keys, values, index]`, with `keys: [batch, maxInferenceLength, d]` and
    /// `values: [batch, maxInferenceLength, depth]`; each call appends its keys and values. With `useSegments` it is
    /// `[keys, values, segments, index]`. In mode `'viz'` it is the attention
    /// strengths of the last call.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only, and goes on behind those
    /// that it has seen.
    /// Errors:
    /// - `InvalidArgument`: predict mode runs past `maxInferenceLength`. Trax overwrites the last positions in silence.
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// - `DTypeMismatch`: queries, keys and values are all integers or bool.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `CausalAttention`, which has the projections and the heads.
    /// Example:
    /// ```ts
    /// const layer = tl.DotProductCausalAttention();
    /// const x = tl.tensor([[[1.5, 0], [0, 1]]]);
    /// layer.init(tl.signature([x, x, x]));
    /// layer([x, x, x]); // → Tensor float32[1,2,2] [[[1.5,0],[0.495358,0.669762]]]
    /// ```
    pub struct DotProductCausalAttentionOptions for "DotProductCausalAttention" () {
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Positions that predict mode has room for.
        max_inference_length "maxInferenceLength": Dim = Dim(2048),
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// What queries may see: keys up to their own, keys that a mask allows, those of their own segment, or what all of these allow.
#[derive(Clone, Copy)]
struct Mask<'a> {
    is_causal: bool,
    given: Option<&'a Tensor>,
    /// Ids of queries and keys.
    segments: Option<&'a Tensor>,
}

impl<'a> Mask<'a> {
    fn given(mask: &'a Tensor) -> Self {
        Self { is_causal: false, given: Some(mask), segments: None }
    }
}

struct Strengths {
    dropout: Rate,
    mode: Mode,
    key: Key,
}

impl Strengths {
    /// Activations, and in viz mode the attention strengths.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Result<(Tensor, Option<Tree<Tensor>>)> {
        let scale = scale_of(q);
        let viz = if self.mode == Mode::Viz { Some(Tree::Leaf(strengths(q, k, scale, &mask)?)) } else { None };
        let dropout = (self.mode == Mode::Train && self.dropout.0 > 0.0).then_some((self.dropout.0, self.key));
        let segments = mask.segments.map(|ids| [ids.clone(), ids.clone()]);
        let (causal, mask) = (mask.is_causal, mask.given.map(|m| m.cast(DType::Bool)).transpose()?);
        let y = attention(q, k, v, &AttentionOptions { scale, causal, mask, mask_value: MASKED, segments, dropout })?;
        // Trax gives float32 whatever came in; float64 stays.
        let y = if y.dtype() == DType::F64 { y } else { y.cast(DType::F32)? };
        Ok((y, viz))
    }
}

/// The whole matrix of attention strengths, for looking at.
fn strengths(q: &Tensor, k: &Tensor, scale: f64, mask: &Mask) -> Result<Tensor> {
    let dots = q.detach().matmul(&k.detach().swap_axes(-1, -2)?)?.mul_scalar(scale)?;
    let past = || Tensor::tril_mask(q.shape()[q.rank() - 2], k.shape()[k.rank() - 2], 0, q.device());
    let seen = match (mask.is_causal, mask.given) {
        (true, Some(m)) => past()?.logical_and(&m.cast(DType::Bool)?)?,
        (false, Some(m)) => m.cast(DType::Bool)?,
        (_, None) => past()?,
    };
    let masked = Tensor::full(&[], MASKED, dots.dtype(), dots.device())?;
    let mut dots = Tensor::where_(&seen, &dots, &masked)?;
    if let Some(ids) = mask.segments {
        dots = dots.mask_fill(&ids.expand_dims(-1)?.ne(&ids.expand_dims(-2)?)?, f64::NEG_INFINITY)?;
    }
    Ok(dots.softmax(-1)?.cast(DType::F32)?)
}

/// Refuses queries, keys and values of which none are floats.
fn check_floats(inputs: &[TensorSpec]) -> Result<()> {
    let [q, k, v] = [&inputs[0].dtype, &inputs[1].dtype, &inputs[2].dtype];
    if q.promote(*k).promote(*v).is_float() {
        return Ok(());
    }
    Err(Error::dtype(format!("attention takes floats, got {q}, {k} and {v}; put ToFloat before it")))
}

fn output_dtype(x: &TensorSpec) -> DType {
    if x.dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

#[derive(Debug, Clone)]
struct PureAttention(PureAttentionOptions);

impl Leaf for PureAttention {
    fn name(&self) -> String {
        "PureAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(4, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check_inputs("blq,bkq,bkd,b1xk->bld,b1xk", inputs)?;
        check_floats(inputs)?;
        let (q, v) = (&inputs[0], &inputs[2]);
        heads::head_size(q.shape[2], self.0.n_heads.0)?;
        heads::head_size(v.shape[2], self.0.n_heads.0)?;
        let (mask, strengths) = (&inputs[3].shape, [q.shape[0], self.0.n_heads.0, q.shape[1], inputs[1].shape[1]]);
        if ![1, q.shape[1]].contains(&mask[2]) {
            return Err(Error::shape(format!("a mask of shape {mask:?} does not broadcast to {strengths:?}")));
        }
        let y = TensorSpec::new([q.shape[0], q.shape[1], v.shape[2]], output_dtype(q));
        Ok(vec![y, inputs[3].clone()])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [q, k, v, mask] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs")) };
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let o = &self.0;
        let split = |x: &Tensor| heads::split(x, o.n_heads.0);
        let how = Strengths { dropout: o.dropout, mode: o.mode, key: call.key };
        let (y, state) = how.attend(&split(q)?, &split(k)?, &split(v)?, Mask::given(mask))?;
        Ok(Output { ys: vec![heads::merge(&y)?, mask.clone()], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
}

/// Refuses segments that are not those of queries and as many keys, which are of heads if there are more of them than sequences.
fn check_segments_of_heads(segments: &TensorSpec, queries: &TensorSpec) -> Result<()> {
    check_segments(segments, queries.shape[queries.rank() - 2])?;
    let (sequences, batch) = (segments.shape[0], if queries.rank() < 3 { 1 } else { queries.shape[0] });
    if batch != sequences && (sequences == 0 || batch % sequences != 0) {
        return Err(Error::shape(format!(
            "the segments are of {sequences} sequences, of which {batch} matrices of queries cannot be the heads"
        )));
    }
    Ok(())
}

/// The ids of the positions of each sequence for each of its heads, which are adjacent among the matrices of `queries`.
fn segments_of_heads(segments: &Tensor, queries: &Tensor) -> Result<Tensor> {
    let &[sequences, length] = segments.shape() else { return Err(Error::shape("segments have two axes")) };
    let rank = queries.rank();
    if rank < 3 {
        return Ok(segments.reshape(&[length])?);
    }
    let (batch, mut shape) = (queries.shape()[0], vec![1; rank - 1]);
    (shape[0], shape[rank - 2]) = (batch, length);
    Ok(segments.repeat(batch / sequences.max(1), 0)?.reshape(&shape)?)
}

#[derive(Debug, Clone)]
struct DotProductAttention(DotProductAttentionOptions);

impl Leaf for DotProductAttention {
    fn name(&self) -> String {
        "DotProductAttention".into()
    }
    fn arity(&self) -> Arity {
        let segments = usize::from(self.0.use_segments);
        Arity::new(4 + segments, 1 + segments)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check_inputs("...ld,...kd,...kv->...lv", &inputs[..3])?;
        check_floats(inputs)?;
        let mut shape = inputs[0].shape.clone();
        let last = shape.len() - 1;
        shape[last] = inputs[1].shape[last - 1];
        let strengths = TensorSpec::new(shape.clone(), DType::Bool);
        if strengths.broadcast(&inputs[3])?.shape != shape {
            let mask = &inputs[3].shape;
            return Err(Error::shape(format!("a mask of shape {mask:?} does not broadcast to {shape:?}")));
        }
        shape[last] = inputs[2].shape[last];
        let mut outputs = vec![TensorSpec::new(shape, output_dtype(&inputs[0]))];
        if let Some(segments) = inputs.get(4) {
            let (queries, keys) = (inputs[0].shape[last - 1], inputs[1].shape[last - 1]);
            if queries != keys {
                return Err(Error::shape(format!(
                    "segments are of queries and as many keys, got {queries} and {keys}"
                )));
            }
            check_segments_of_heads(segments, &inputs[0])?;
            outputs.push(segments.clone());
        }
        Ok(outputs)
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [q, k, v, mask, rest @ ..] = call.xs else {
            return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs"));
        };
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let how = Strengths { dropout: self.0.dropout, mode: self.0.mode, key: call.key };
        let segments = rest.first().map(|ids| segments_of_heads(ids, q)).transpose()?;
        let (y, state) = how.attend(q, k, v, Mask { segments: segments.as_ref(), ..Mask::given(mask) })?;
        let mut ys = vec![y];
        ys.extend(rest.iter().cloned());
        Ok(Output { ys, state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
}

#[derive(Debug, Clone)]
struct DotProductCausalAttention(DotProductCausalAttentionOptions);

impl DotProductCausalAttention {
    fn check_room(&self, positions: usize) -> Result<()> {
        let room = self.0.max_inference_length.0;
        if positions <= room {
            return Ok(());
        }
        let text = format!("predict reached position {positions}, but maxInferenceLength is {room}");
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }
    /// What was read, of the state that a call brings: as a call left it, or as Trax has it.
    fn past(&self, s: &Tree<Tensor>, [k, v]: [&Tensor; 2]) -> Result<Past> {
        let past = match s {
            Tree::Past(past) => past.clone(),
            _ => {
                let [keys, values, index] = s.many::<3>()?;
                Past::of(keys, values, places_read(index)?, self.0.max_inference_length.0)?
            }
        };
        let rows = k.shape()[0];
        if past.rows() == rows {
            return Ok(past);
        }
        if !past.is_empty() {
            return Err(Error::other_batch(rows, past.rows()));
        }
        // Nothing is remembered yet, so that any number of sequences can begin.
        let dtypes = past.specs().map(|(_, dtype)| dtype);
        Ok(Past::new([rows, k.shape()[2], v.shape()[2]], dtypes, self.0.max_inference_length.0))
    }
    /// Reads the next positions of sequences whose states these are, and attends to all up to each.
    fn go_on(&self, [q, k, v]: [&Tensor; 3], states: &[Tree<Tensor>]) -> Result<(Tensor, Vec<Tree<Tensor>>)> {
        let mut pasts = memory::room(states.len())?;
        for (i, state) in states.iter().enumerate() {
            let [k, v] = [rows::of_stream(k, i, states.len())?, rows::of_stream(v, i, states.len())?];
            let past = self.past(state, [&k, &v])?;
            self.check_room(past.len() + k.shape()[1])?;
            pasts.push(past.append(&k.detach(), &v.detach())?);
        }
        let y = attend(q, k, v, &pasts, scale_of(q))?;
        // Trax gives float32 whatever came in; float64 stays.
        let y = if y.dtype() == DType::F64 { y } else { y.cast(DType::F32)? };
        Ok((y, pasts.into_iter().map(Tree::Past).collect()))
    }
    /// Appends keys, values and segments to the state; returns the state, what the new queries may see, and which of it.
    fn append_in_segments(&self, xs: &[Tensor], s: &Tree<Tensor>) -> Result<InSegments> {
        let [keys, values, segments, index] = s.many::<4>()?;
        let buffers = [keys, values, segments];
        let (start, length) = (places_read(index)?, xs[1].shape()[1]);
        let room = buffers[0].shape()[1];
        self.check_room(start + length)?;
        let mut state = Vec::with_capacity(buffers.len() + 1);
        let mut seen = Vec::with_capacity(buffers.len());
        for (buffer, new) in buffers.into_iter().zip(&xs[1..]) {
            let (batch, held) = (new.shape()[0], buffer.shape()[0]);
            let mut buffer = buffer.clone();
            if batch != held {
                if start > 0 {
                    return Err(Error::other_batch(batch, held));
                }
                // Nothing is remembered yet, so that any number of sequences can begin.
                buffer = Tensor::zeros(&room_for(new.shape(), room), buffer.dtype(), buffer.device())?;
            }
            let past = Tensor::concat(&[buffer.narrow(1, 0, start)?, new.cast(buffer.dtype())?], 1)?;
            let rest = buffer.narrow(1, start + length, room - start - length)?;
            state.push(Tensor::concat(&[past.clone(), rest], 1)?.detach());
            seen.push(past);
        }
        state.push(Tensor::scalar((start + length) as i32));
        let mask = Tensor::tril_mask(length, start + length, start as isize, &Device::Cpu)?;
        let mask = mask.logical_and(&same_segment(&xs[3], &seen[2])?)?;
        seen.truncate(2);
        Ok(InSegments { state: Tree::tuple(state), keys_and_values: seen, mask })
    }
    /// Attends with the heads of each sequence apart, if there are segments: those of a sequence are the same for all its heads.
    fn attend(&self, how: &Strengths, q: &Tensor, [k, v]: [&Tensor; 2], mask: Mask) -> Result<Output> {
        let sequences = match mask.given {
            Some(mask) if self.0.use_segments => mask.shape()[0],
            _ => return how.attend(q, k, v, mask).map(|(y, state)| Output { ys: vec![y], state }),
        };
        let apart = |x: &Tensor| match *x.shape() {
            [n, length, d] => Ok(x.reshape(&[sequences, n / sequences.max(1), length, d])?),
            _ => Err(Error::shape("attention takes three axes")),
        };
        let (y, strengths) = how.attend(&apart(q)?, &apart(k)?, &apart(v)?, mask)?;
        let (length, keys) = (q.shape()[1], k.shape()[1]);
        let state = strengths.map(|s| s.try_map(&mut |t| t.reshape(&[q.shape()[0], length, keys]))).transpose()?;
        Ok(Output { ys: vec![y.reshape(&[q.shape()[0], length, v.shape()[2]])?], state })
    }
}

/// What a call in predict mode with segments goes on with.
struct InSegments {
    state: Tree<Tensor>,
    keys_and_values: Vec<Tensor>,
    mask: Tensor,
}

/// The factor of products of queries and keys.
fn scale_of(q: &Tensor) -> f64 {
    1.0 / (q.shape().last().copied().unwrap_or(1).max(1) as f64).sqrt()
}

/// How many positions the state says were read.
fn places_read(index: &Tensor) -> Result<usize> {
    let read = index.item()?;
    if read >= 0.0 && read.fract() == 0.0 {
        return Ok(read as usize);
    }
    let what = format!("the state says that {read} positions were read; it must be a whole number from 0");
    Err(Error::new(ErrorKind::InvalidArgument, what))
}

/// A shape with room for so many positions along axis 1.
fn room_for(shape: &[usize], room: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[1] = room;
    shape
}

impl Leaf for DotProductCausalAttention {
    fn name(&self) -> String {
        "DotProductCausalAttention".into()
    }
    fn arity(&self) -> Arity {
        let segments = usize::from(self.0.use_segments);
        Arity::new(3 + segments, 1 + segments)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check_inputs("bld,bld,blv->blv", &inputs[..3])?;
        check_floats(inputs)?;
        if self.traits().goes_on {
            self.check_room(inputs[1].shape[1])?;
        }
        let mut outputs = vec![TensorSpec::new(inputs[2].shape.clone(), output_dtype(&inputs[0]))];
        if let Some(segments) = inputs.get(3) {
            check_segments_of_heads(segments, &inputs[0])?;
            outputs.push(segments.clone());
        }
        Ok(outputs)
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        if self.0.mode != Mode::Predict {
            return Ok(Local::EMPTY);
        }
        let room = self.0.max_inference_length.0;
        if let [q, k, v] = inputs {
            let sizes = [q.shape[0], k.shape[2], v.shape[2]];
            return Ok(Local::state(Tree::Past(Past::new(sizes, [k.dtype, v.dtype], room))));
        }
        let buffer = |x: &TensorSpec| x.with_shape(room_for(&x.shape, room)).zeros();
        let mut state = inputs[1..].iter().map(buffer).collect::<tallow_tensor::Result<Vec<_>>>()?;
        state.push(Tensor::scalar(0i32));
        Ok(Local::state(Tree::tuple(state)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let how = Strengths { dropout: self.0.dropout, mode: self.0.mode, key: call.key };
        let [q, k, v, rest @ ..] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        if self.0.mode == Mode::Predict && rest.is_empty() {
            let (y, state) = self.go_on([q, k, v], std::slice::from_ref(call.s))?;
            return Ok(Output { ys: vec![y], state: state.into_iter().next() });
        }
        let mut out = if self.0.mode == Mode::Predict {
            let past = self.append_in_segments(call.xs, call.s)?;
            let [k, v] = &past.keys_and_values[..] else { return Err(Error::new(ErrorKind::Internal, "no keys")) };
            let out = self.attend(&how, q, [k, v], Mask::given(&past.mask))?;
            Output { state: Some(past.state), ..out }
        } else {
            let segments = rest.first().map(|ids| segments_of_heads(ids, q)).transpose()?;
            let mask = Mask { is_causal: true, given: None, segments: segments.as_ref() };
            let (y, state) = how.attend(q, k, v, mask)?;
            Output { ys: vec![y], state }
        };
        out.ys.extend(rest.iter().cloned());
        Ok(out)
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        let goes_on = self.0.mode == Mode::Predict;
        Traits { goes_on, positions: goes_on.then_some(self.0.max_inference_length.0), ..Traits::LEAF }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { together: if self.0.use_segments { None } else { Some(self) }, ..Abilities::default() }
    }
}

impl Together for DotProductCausalAttention {
    fn together(&self, call: Call, states: &[Tree<Tensor>]) -> Result<(Vec<Tensor>, Vec<Tree<Tensor>>)> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let [q, k, v] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        let (y, states) = self.go_on([q, k, v], states)?;
        Ok((vec![y], states))
    }
}

/// See [`PureAttentionOptions`].
///
/// # Errors
/// None.
pub(super) fn pure_attention(o: PureAttentionOptions) -> Result<LayerRef> {
    Ok(leaf(PureAttention(o)))
}

/// See [`DotProductAttentionOptions`].
///
/// # Errors
/// None.
pub(crate) fn dot_product_attention(o: DotProductAttentionOptions) -> Result<LayerRef> {
    Ok(leaf(DotProductAttention(o)))
}

/// See [`DotProductCausalAttentionOptions`].
///
/// # Errors
/// None.
pub(crate) fn dot_product_causal_attention(o: DotProductCausalAttentionOptions) -> Result<LayerRef> {
    Ok(leaf(DotProductCausalAttention(o)))
}
