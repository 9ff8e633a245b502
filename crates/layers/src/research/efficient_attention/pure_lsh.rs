//! LSH self-attention without projections.
use super::{
    hashing::Buckets,
    heads::check_parallel,
    lsh::{seen_rows, Lsh, Vectors},
    lsh_self_attention::Unused,
    memory::{self, Window},
};
use crate::{
    leaf, options, Arity, Call, Count, Dim, Error, LayerRef, Leaf, Local, Mode, Output, Rate, Result, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, DType, Tensor};

options! {
    /// Self-attention in which a position sees those that hash alike, for vectors already split into heads: `(qk, v) -> o`.
    ///
    /// As `LSHSelfAttention` without its projections: `qk` are queries and, divided by their root mean square, keys.
    /// Shapes: `(batch·nHeads, length, d_qk), (batch·nHeads, length, d_v)`, with `masked` also `(batch, length)`, true for valid positions
    /// `-> (batch·nHeads, length, d_v)`. No weights.
    /// State: `(buckets, keys)` of each head, `(batch·nHeads, nHashes·length)` int32 and `(batch·nHeads, 2)` uint32; in mode `'predict'`
    /// `(end, (inputs), (buckets, ends, keys))`. Each call hashes by new keys, except in `'predict'`.
    /// Kept for backward: inputs, buckets, the result and two numbers a position and head.
    /// Mode: dropout of attention strengths only in `'train'`; `'predict'` continues a sequence as `LSHSelfAttention` does.
    /// Errors: `InvalidOption` for mode `'predict'` without `causal`; `ShapeMismatch` when the leading axis is no multiple of `nHeads`.
    /// Source: Kitaev et al. 2020, arXiv:2001.04451.
    pub struct PureLSHSelfAttentionOptions for "PureLSHSelfAttention" () {
        /// Number of heads that share the leading axis with the batch.
        n_heads "nHeads": Dim = Dim(2),
        /// Size of a query; not read, the input decides.
        d_qk "dQk": Dim = Dim(64),
        /// Size of a value; not read, the input decides.
        d_v "dV": Dim = Dim(64),
        /// Not read: queries are always the keys.
        share_qk "shareQk": Unused = Unused,
        /// Whether positions see earlier ones only.
        causal "causal": bool = false,
        /// Whether there is a third input that tells valid positions from padding.
        masked "masked": bool = false,
        /// Positions per chunk.
        chunk_len "chunkLen": Dim = Dim(128),
        /// Chunks seen before a position's own.
        n_chunks_before "nChunksBefore": Count = Count(1),
        /// Chunks seen after a position's own.
        n_chunks_after "nChunksAfter": Count = Count(0),
        /// Rounds of hashing.
        n_hashes "nHashes": Dim = Dim(1),
        /// Number of buckets, or numbers whose product it is; even. By default two for each chunk.
        n_buckets "nBuckets": Option<Buckets> = None,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Positions that predict mode remembers; null: what chunks can see.
        predict_mem_len "predictMemLen": Option<Dim> = Some(Dim(2048)),
        /// Positions forgotten when the memory is full; null: a chunk.
        predict_drop_len "predictDropLen": Option<Dim> = Some(Dim(256)),
        /// Probability of dropping an attention strength; one draw serves all heads, examples, rounds and chunks.
        attention_dropout "attentionDropout": Rate = Rate(0.0),
        /// Not read, as in Trax: the output belongs to a projection that follows.
        output_dropout "outputDropout": Rate = Rate(0.0),
        /// Length that the buckets in the state have room for, whatever the input's.
        max_length_for_buckets "maxLengthForBuckets": Option<Dim> = None,
        /// Not read: there are no projections.
        bias "bias": bool = false,
        /// How many heads Trax computes at a time to save memory; all are computed at once here, as none needs memory that outlives it.
        n_parallel_heads "nParallelHeads": Option<Dim> = Some(Dim(1)),
        /// Changes nothing: there is no compilation that a loop could shorten.
        use_python_loop "usePythonLoop": bool = false,
        /// Changes nothing: the numbers would be the same.
        use_reference_code "useReferenceCode": bool = false,
    }
}

#[derive(Debug, Clone)]
struct PureLSHSelfAttention {
    o: PureLSHSelfAttentionOptions,
    lsh: Lsh,
    /// What predict mode remembers; an error where the mode was asked for and the options do not allow it.
    window: Result<Option<Window>>,
}

/// See [`PureLSHSelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn pure_lsh_self_attention(o: PureLSHSelfAttentionOptions) -> Result<LayerRef> {
    check_parallel("PureLSHSelfAttention", o.n_heads.0, o.n_parallel_heads)?;
    let layer = PureLSHSelfAttention::new(o);
    layer.window.clone()?;
    Ok(leaf(layer))
}

impl PureLSHSelfAttention {
    fn new(o: PureLSHSelfAttentionOptions) -> Self {
        let chunks = (Some(o.chunk_len), o.n_chunks_before.0);
        let sizes = (o.predict_mem_len, o.predict_drop_len);
        let window = memory::of_options("PureLSHSelfAttention", o.mode, o.causal, chunks, sizes);
        let lsh = Lsh {
            causal: o.causal,
            chunk_len: o.chunk_len.0,
            n_chunks_before: o.n_chunks_before.0,
            n_chunks_after: o.n_chunks_after.0,
            n_hashes: o.n_hashes.0,
            n_buckets: o.n_buckets.clone(),
            max_length: o.max_length_for_buckets.map(|d| d.0),
            attention_dropout: o.attention_dropout.0,
            mode: o.mode,
        };
        Self { o, lsh, window }
    }
    fn predict(&self, call: &Call, window: &Window) -> Result<(Tensor, Tree<Tensor>)> {
        let (seen, own) = window.take(call.xs, call.s)?;
        let mask = seen.inputs.get(2).map(|m| m.cast(DType::Bool)).transpose()?;
        let (qk, v) = (&seen.inputs[0], &seen.inputs[1]);
        let (out, own) = if seen.new != 1 {
            self.lsh.first(qk, v, mask.as_ref(), own, (window, seen.new))?
        } else {
            let (rows, d_qk, d_v) = (qk.shape()[0], qk.shape()[2], v.shape()[2]);
            let q = qk.narrow(1, seen.start, 1)?.reshape(&[rows, d_qk])?;
            let valid = mask.map(|m| seen_rows(&m, rows)).transpose()?;
            let look = |row: usize, places: &Tensor| -> Result<(Tensor, Tensor)> {
                let of = |x: &Tensor| x.index(0, row as isize)?.take(places, 0);
                Ok((of(qk)?, of(v)?))
            };
            let (out, own) = self.lsh.step(&q, seen.start, (own, window), valid.as_deref(), &look)?;
            (out.reshape(&[rows, 1, d_v])?, own)
        };
        Ok((out, Window::state(&seen, own)))
    }
    /// A call; where `left` is the state that the same call left before, by its buckets.
    fn run(&self, call: Call, left: Option<&Tree<Tensor>>) -> Result<Output> {
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let (y, state) = match self.window.clone()? {
            Some(window) => {
                if let Some(out) = memory::one_by_one(&call, |call| self.forward(call))? {
                    return Ok(out);
                }
                self.predict(&call, &window)?
            }
            None => {
                let mask = call.xs.get(2).map(|m| m.cast(DType::Bool)).transpose()?;
                let (attend_key, _) = call.key.split_pair();
                let vectors = Vectors::Apart(&call.xs[0], &call.xs[1]);
                match left {
                    Some(left) => self.lsh.again(vectors, mask.as_ref(), left, attend_key)?,
                    None => self.lsh.whole(vectors, mask.as_ref(), call.s, attend_key)?,
                }
            }
        };
        Ok(Output { ys: vec![y.cast(dtype)?], state: Some(state) })
    }
}

impl Leaf for PureLSHSelfAttention {
    fn name(&self) -> String {
        "PureLSHSelfAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(if self.o.masked { 3 } else { 2 }, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (qk, v, heads) = (&inputs[0], &inputs[1], self.o.n_heads.0);
        if qk.rank() != 3 || v.rank() != 3 || qk.shape[..2] != v.shape[..2] {
            return Err(Error::shape(format!("expected (batch·heads, length, features) twice, got {qk} and {v}")));
        }
        let rows = qk.shape[0];
        if !rows.is_multiple_of(heads) {
            return Err(Error::shape(format!("the leading axis of {qk} is no multiple of nHeads {heads}")));
        }
        if let Some(mask) = inputs.get(2) {
            super::heads::check_mask(mask, rows / heads, qk.shape[1])?;
        }
        Ok(vec![TensorSpec::new(v.shape.clone(), super::heads::output(v))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let window = self.window.clone()?;
        let own = self.lsh.init(inputs[0].shape[0], inputs[0].shape[1], window.as_ref(), key)?;
        Ok(Local::state(match &window {
            None => own,
            Some(window) => window.init(inputs, own)?,
        }))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.run(call, None)
    }
    fn repeat(&self, call: Call, left: &Tree<Tensor>) -> Result<Output> {
        self.run(call, Some(left))
    }
    fn fused_backward(&self) -> bool {
        true
    }
    fn with_mode(&self, mode: Mode) -> Self {
        Self::new(PureLSHSelfAttentionOptions { mode, ..self.o.clone() })
    }
}
