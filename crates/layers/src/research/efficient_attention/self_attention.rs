//! Self-attention whose memory does not grow with the square of the length.
use super::{
    attend::{attend_from, length_normalized, SelfMask},
    functions::apply_broadcasted_dropout,
    heads::{check_parallel, join, output, project, sizes, HeadWeights, Heads},
    memory::{self, Window},
    positions::{self, Positions},
    shared::EfficientAttentionOptions,
};
use crate::{
    attention::same_segment, leaf, options, Arity, Call, Count, Dim, LayerRef, Leaf, Local, Mode, Output, Result,
    TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    ops::{chunked_attention, penalized_attention, ChunkedAttentionOptions, PenalizedAttentionOptions},
    random::Key,
    DType, Tensor,
};

options! {
    /// Lets each position of a sequence attend to the others, without ever making a matrix of length × length.
    ///
    /// With `useSegments` several sequences can stand one behind the other in one row, each with an id of its own: no position sees
    /// another sequence. Chunks are those of the row.
    ///
    /// Formula: for each head `softmax(d) · (x · w_v) · w_o`, with the products `d` of `x · w_q` and `x · w_k`, divided by `√dQk`; the
    /// heads are summed. From `d` 1e9 is taken at later positions (`causal`) and at masked ones, and 1e5 at the position itself
    /// (`shareQk`). With `shareQk` the queries, divided by their root mean square, are the keys. With `chunkLen` a position sees its
    /// own chunk and its neighbours, around the ends; the last chunk may be shorter.
    /// Shapes: `[batch, length, dModel]`, with `masked` also `bool[batch, length]` → `[batch, length, dModel]`. The mask is true at
    /// valid positions. With `useSegments` also segment ids `int32[batch, length]`, the last input, which are an output too.
    /// Weights: `[w_q, w_k, w_v, w_o]`, with `w_q` and `w_k: [nHeads, dModel, dQk]`, `w_v: [nHeads, dModel, dV]` and
    /// `w_o: [nHeads, dV, dModel]`; without `w_k` if `shareQk`; with `bias` also `b_q`, `b_k` and `b_v`.
    /// State: none; in mode `'predict'` `[end, inputs, []]`, with the last `predictMemLen` positions of the inputs.
    /// Modes: drops in `'train'` only; one draw of strengths serves all heads, examples and chunks. `'predict'` goes on with a
    /// sequence, by pieces of at most `predictDropLen` positions after the first call.
    /// Errors:
    /// - `InvalidOption`: the mode is `'predict'`, and `causal` or a size that it needs is missing.
    /// - `InvalidArgument`: a piece in the middle of a sequence is too long.
    /// - `ShapeMismatch`: the shapes do not fit the weights, or each other.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; the tiles are those of Dao et al. 2022, arXiv:2205.14135.
    /// See: `LSHSelfAttention`, for longer sequences; `CausalAttention`.
    /// Example:
    /// ```ts
    /// const layer = tl.SelfAttention({ nHeads: 2, dQk: 4, dV: 4, causal: true });
    /// layer.init({ shape: [1, 6, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 6, 8])).shape; // → [ 1, 6, 8 ]
    /// ```
    pub struct SelfAttentionOptions for "SelfAttention" () with (attention: EfficientAttentionOptions) {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(2),
        /// Whether queries are the keys too.
        share_qk "shareQk": bool = false,
        /// Positions per chunk; null: all see all.
        chunk_len "chunkLen": Option<Dim> = None,
        /// Chunks seen before a position's own.
        n_chunks_before "nChunksBefore": Count = Count(0),
        /// Chunks seen after a position's own.
        n_chunks_after "nChunksAfter": Count = Count(0),
        /// Whether queries, keys and values get a bias.
        bias "bias": bool = false,
        /// Positions that predict mode remembers; by default what chunks can see.
        predict_mem_len "predictMemLen": Option<Dim> = None,
        /// Positions forgotten when the memory is full; by default a chunk.
        predict_drop_len "predictDropLen": Option<Dim> = None,
        /// How many heads Trax computes at a time to save memory; all are computed at once here, as none needs memory that outlives it.
        n_parallel_heads "nParallelHeads": Option<Dim> = None,
        /// Changes nothing: there is no compilation that a loop could shorten.
        use_python_loop "usePythonLoop": bool = false,
        /// Whether automatic differentiation is reported in place of a backward of its own; the numbers are the same.
        use_reference_code "useReferenceCode": bool = false,
    }
}

#[derive(Debug, Clone)]
struct SelfAttention {
    o: SelfAttentionOptions,
    heads: Heads,
}

/// See [`SelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn self_attention(o: SelfAttentionOptions) -> Result<LayerRef> {
    check_parallel("SelfAttention", o.n_heads.0, o.n_parallel_heads)?;
    if o.chunk_len.is_none() && (o.n_chunks_before.0 > 0 || o.n_chunks_after.0 > 0) {
        return Err(crate::Error::option("SelfAttention: `nChunksBefore` and `nChunksAfter` need `chunkLen`"));
    }
    let layer = SelfAttention::new(o);
    layer.window()?;
    Ok(leaf(layer))
}

impl SelfAttention {
    fn new(o: SelfAttentionOptions) -> Self {
        let a = &o.attention;
        let heads = Heads { n_heads: o.n_heads.0, d_qk: a.d_qk.0, d_v: a.d_v.0, share_qk: o.share_qk, bias: o.bias };
        Self { o, heads }
    }
    /// What predict mode remembers; an error where the options do not allow it.
    fn window(&self) -> Result<Option<Window>> {
        let o = &self.o;
        let chunks = (o.chunk_len, o.n_chunks_before.0);
        let sizes = (o.predict_mem_len, o.predict_drop_len);
        memory::of_options("SelfAttention", o.attention.mode, o.attention.causal, chunks, sizes)
    }
    fn project(&self, x: &Tensor, w: &HeadWeights<'_>) -> Result<(Tensor, Option<Tensor>, Tensor)> {
        let k = w.k.map(|k| project(x, k, w.k_bias)).transpose()?;
        Ok((project(x, w.q, w.q_bias)?, k, project(x, w.v, w.v_bias)?))
    }
    /// Attention of whole sequences.
    fn whole(&self, x: &Tensor, positions: &Positions, w: &HeadWeights<'_>, key: Key) -> Result<Tensor> {
        let (o, own) = (&self.o, &self.o.attention);
        let (q, k, v) = self.project(x, w)?;
        let rate = if own.mode == Mode::Train { own.attention_dropout.0 } else { 0.0 };
        let dropout = (rate > 0.0).then_some((rate, key));
        // A first piece in predict mode that fits one chunk is not chunked, as in Trax.
        let chunk_len = o.chunk_len.filter(|c| own.mode != Mode::Predict || x.shape()[1] > c.0);
        let Some(Dim(chunk_len)) = chunk_len else {
            let k = match k {
                Some(k) => k,
                None => length_normalized(&q, 1e-6)?,
            };
            // One row for all heads of an example.
            let segments = positions.segments.as_ref().map(|ids| ids.expand_dims(1)).transpose()?;
            let key_penalties = match &positions.mask {
                None => None,
                Some(m) => Some(m.logical_not()?.cast(DType::F32)?.mul_scalar(1e9)?.expand_dims(1)?),
            };
            let options = PenalizedAttentionOptions {
                scale: (own.d_qk.0 as f64).powf(-0.5),
                causal: own.causal,
                exclude_self: o.share_qk,
                key_penalties,
                segments: segments.map(|ids| [ids.clone(), ids]),
                dropout,
                sums_to_one: true,
            };
            return Ok(penalized_attention(&q, &k, &v, &options)?);
        };
        let options = ChunkedAttentionOptions {
            chunk_len,
            n_chunks_before: o.n_chunks_before.0,
            n_chunks_after: o.n_chunks_after.0,
            causal: own.causal,
            exclude_self: o.share_qk,
            mask: positions.mask.as_ref().map(|m| m.expand_dims(1)).transpose()?,
            segments: positions.segments.as_ref().map(|ids| ids.expand_dims(1)).transpose()?,
            buckets: None,
            dropout,
        };
        Ok(chunked_attention(&q, k.as_ref(), &v, &options)?)
    }
    /// Attention of new positions to those remembered.
    fn continued(&self, seen: &memory::Seen, w: &HeadWeights<'_>) -> Result<Tensor> {
        let inputs = seen.inputs(0)?;
        let (filled, x) = (seen.start + seen.new, &inputs[0]);
        let k = match w.k {
            Some(k) => project(x, k, w.k_bias)?,
            None => length_normalized(&project(x, w.q, w.q_bias)?, 1e-6)?,
        };
        let q = project(&x.narrow(1, seen.start, seen.new)?, w.q, w.q_bias)?;
        let v = project(x, w.v, w.v_bias)?;
        let all = Tensor::iota(filled, DType::I32, x.device())?.add_scalar(1)?;
        let positions = all.narrow(0, seen.start, seen.new)?;
        let told = Positions::read(&self.o.attention, &inputs[1..])?;
        let info = match &told.mask {
            None => all,
            Some(mask) => Tensor::where_(&mask.expand_dims(1)?, &all, &all.neg()?)?,
        };
        let apart = match &told.segments {
            None => None,
            Some(ids) => Some(same_segment(&ids.narrow(1, seen.start, seen.new)?, ids)?.logical_not()?),
        };
        let how = SelfMask { causal: true, exclude_self: self.o.share_qk, masked: self.o.attention.masked };
        attend_from([&q, &k, &v], (&positions, &info), apart.as_ref(), how)
    }
}

impl Leaf for SelfAttention {
    fn name(&self) -> String {
        "SelfAttention".into()
    }
    fn arity(&self) -> Arity {
        let own = &self.o.attention;
        Arity::new(1 + positions::count(own), 1 + usize::from(own.use_segments))
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.window()?;
        let [batch, length, _] = sizes(&inputs[0])?;
        positions::check(&self.o.attention, &inputs[1..], [batch, length])?;
        let y = TensorSpec::new(inputs[0].shape.clone(), output(&inputs[0]));
        Ok(positions::outputs(&self.o.attention, y, inputs))
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let d_model = sizes(&inputs[0])?[2];
        let weights = self.heads.init(d_model, d_model, key)?;
        let state = match self.window()? {
            None => Tree::EMPTY,
            Some(window) => window.init(inputs, Tree::EMPTY)?,
        };
        Ok(Local { weights, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let w = self.heads.read(call.w)?;
        let window = self.window()?;
        let refitted = memory::refitted(&call, window.as_ref(), |specs| self.init(specs, call.key))?;
        let call = Call { s: refitted.as_ref().unwrap_or(call.s), ..call };
        let (attend_key, output_key) = call.key.split_pair();
        let told = Positions::read(&self.o.attention, &call.xs[1..])?;
        let (o, state) = match window {
            None => (self.whole(&call.xs[0], &told, &w, attend_key)?, None),
            Some(window) => {
                let (seen, own) = window.take(call.xs, call.s)?;
                let o = if seen.whole.is_some() {
                    self.whole(&call.xs[0], &told, &w, attend_key)?
                } else {
                    self.continued(&seen, &w)?
                };
                (o, Some(window.state(&seen, own.clone())?))
            }
        };
        let y = join(&o, w.o)?;
        let own = &self.o.attention;
        let rate = if own.mode == Mode::Train { own.output_dropout.0 } else { 0.0 };
        let y = apply_broadcasted_dropout(&y, rate, Some(output_key))?;
        Ok(positions::with_segments(own, Output { ys: vec![y.cast(dtype)?], state }, call.xs))
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.attention.mode)
    }
    fn traits(&self) -> Traits {
        Traits {
            goes_on: self.o.attention.mode == Mode::Predict,
            own_backward: !self.o.use_reference_code,
            ..Traits::LEAF
        }
    }
}
