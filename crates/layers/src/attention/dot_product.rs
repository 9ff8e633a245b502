//! Scaled dot-product attention: `softmax(Q·Kᵀ / √d)·V`, masked, causal, or step by step.
//! Source: Vaswani et al., Attention Is All You Need, arXiv:1706.03762.
use super::heads;
use crate::{
    assert_shape::check_inputs, leaf, options, Arity, Call, Dim, Error, ErrorKind, LayerRef, Leaf, Local, Mode, Output,
    Rate, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    ops::{attention, AttentionOptions},
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
    /// `[..., length, keys]` → `[..., length, depth]`. The mask is not zero where attention is allowed.
    /// Weights: none.
    /// State: none; in mode `'viz'` the attention strengths `[..., length, keys]` of the last call.
    /// Modes: drops attention strengths in `'train'` only; `'viz'` keeps the strengths as state.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other, or the mask does not broadcast.
    /// - `DTypeMismatch`: queries, keys and values are all integers or bool.
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
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Attends so that no position sees a later one, with vectors that are already split into heads.
    ///
    /// Formula: `y[t] = softmax(Q[t] · K[0..t]ᵀ / √d) · V[0..t]`.
    /// Shapes: queries and keys `[batch, length, d]`, values `[batch, length, depth]` → `[batch, length, depth]`. Heads are part of the
    /// batch.
    /// Weights: none.
    /// State: none. In mode `'predict'` it is `[keys, values, index]`, with `keys: [batch, maxInferenceLength, d]` and
    /// `values: [batch, maxInferenceLength, depth]`; each call appends its keys and values. In mode `'viz'` it is the attention
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
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

enum Mask<'a> {
    Causal,
    Given(&'a Tensor),
}

struct Strengths {
    dropout: Rate,
    mode: Mode,
    key: Key,
}

impl Strengths {
    /// Activations, and in viz mode the attention strengths.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Result<(Tensor, Option<Tree<Tensor>>)> {
        let d = q.shape().last().copied().unwrap_or(1).max(1);
        let scale = 1.0 / (d as f64).sqrt();
        let viz = if self.mode == Mode::Viz { Some(Tree::Leaf(strengths(q, k, scale, &mask)?)) } else { None };
        let dropout = (self.mode == Mode::Train && self.dropout.0 > 0.0).then_some((self.dropout.0, self.key));
        let (causal, mask) = match mask {
            Mask::Causal => (true, None),
            Mask::Given(m) => (false, Some(m.cast(DType::Bool)?)),
        };
        let y = attention(q, k, v, &AttentionOptions { scale, causal, mask, mask_value: MASKED, dropout })?;
        // Trax gives float32 whatever came in; float64 stays.
        let y = if y.dtype() == DType::F64 { y } else { y.cast(DType::F32)? };
        Ok((y, viz))
    }
}

/// The whole matrix of attention strengths, for looking at.
fn strengths(q: &Tensor, k: &Tensor, scale: f64, mask: &Mask) -> Result<Tensor> {
    let dots = q.detach().matmul(&k.detach().swap_axes(-1, -2)?)?.mul_scalar(scale)?;
    let mask = match mask {
        Mask::Causal => Tensor::tril_mask(q.shape()[q.rank() - 2], k.shape()[k.rank() - 2], 0, q.device())?,
        Mask::Given(m) => m.cast(DType::Bool)?,
    };
    let masked = Tensor::full(&[], MASKED, dots.dtype(), dots.device())?;
    Ok(Tensor::where_(&mask, &dots, &masked)?.softmax(-1)?.cast(DType::F32)?)
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
        let (y, state) = how.attend(&split(q)?, &split(k)?, &split(v)?, Mask::Given(mask))?;
        Ok(Output { ys: vec![heads::merge(&y)?, mask.clone()], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
}

#[derive(Debug, Clone)]
struct DotProductAttention(DotProductAttentionOptions);

impl Leaf for DotProductAttention {
    fn name(&self) -> String {
        "DotProductAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(4, 1)
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
        Ok(vec![TensorSpec::new(shape, output_dtype(&inputs[0]))])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [q, k, v, mask] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs")) };
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let how = Strengths { dropout: self.0.dropout, mode: self.0.mode, key: call.key };
        let (y, state) = how.attend(q, k, v, Mask::Given(mask))?;
        Ok(Output { ys: vec![y], state })
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
    /// Appends keys and values to the state; returns the state and what the new queries may see.
    fn append(&self, xs: &[Tensor], s: &Tree<Tensor>) -> Result<(Tree<Tensor>, Tensor, Tensor, Tensor)> {
        let [keys, values, index] = s.many::<3>()?;
        let (start, length) = (index.item()? as usize, xs[1].shape()[1]);
        let room = keys.shape()[1];
        self.check_room(start + length)?;
        let (mut keys, mut values) = (keys.clone(), values.clone());
        let (batch, held) = (xs[1].shape()[0], keys.shape()[0]);
        if batch != held {
            if start > 0 {
                return Err(Error::other_batch(batch, held));
            }
            // Nothing is remembered yet, so that any number of sequences can begin.
            let room_for =
                |x: &Tensor, old: &Tensor| Tensor::zeros(&[batch, room, x.shape()[2]], old.dtype(), old.device());
            (keys, values) = (room_for(&xs[1], &keys)?, room_for(&xs[2], &values)?);
        }
        let put = |buffer: &Tensor, new: &Tensor| -> Result<(Tensor, Tensor)> {
            let seen = Tensor::concat(&[buffer.narrow(1, 0, start)?, new.cast(buffer.dtype())?], 1)?;
            let rest = buffer.narrow(1, start + length, room - start - length)?;
            Ok((Tensor::concat(&[seen.clone(), rest], 1)?, seen))
        };
        let ((keys, k), (values, v)) = (put(&keys, &xs[1])?, put(&values, &xs[2])?);
        let index = Tensor::scalar((start + length) as i32);
        let mask = Tensor::tril_mask(length, start + length, start as isize, &Device::Cpu)?;
        Ok((Tree::tuple([keys.detach(), values.detach(), index]), k, v, mask))
    }
}

impl Leaf for DotProductCausalAttention {
    fn name(&self) -> String {
        "DotProductCausalAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(3, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check_inputs("bld,bld,blv->blv", inputs)?;
        check_floats(inputs)?;
        if self.traits().goes_on {
            self.check_room(inputs[1].shape[1])?;
        }
        Ok(vec![TensorSpec::new(inputs[2].shape.clone(), output_dtype(&inputs[0]))])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        if self.0.mode != Mode::Predict {
            return Ok(Local::EMPTY);
        }
        let buffer = |x: &TensorSpec| x.with_shape([x.shape[0], self.0.max_inference_length.0, x.shape[2]]).zeros();
        Ok(Local::state(Tree::tuple([buffer(&inputs[1])?, buffer(&inputs[2])?, Tensor::scalar(0i32)])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let how = Strengths { dropout: self.0.dropout, mode: self.0.mode, key: call.key };
        let [q, k, v] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        if self.0.mode == Mode::Predict {
            let (state, k, v, mask) = self.append(call.xs, call.s)?;
            let (y, _) = how.attend(q, &k, &v, Mask::Given(&mask))?;
            return Ok(Output { ys: vec![y], state: Some(state) });
        }
        let (y, state) = how.attend(q, k, v, Mask::Causal)?;
        Ok(Output { ys: vec![y], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, ..Traits::LEAF }
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
