//! LSH self-attention with projections.
use super::{
    functions::apply_broadcasted_dropout,
    heads::{check_parallel, join, output, project, sizes, Heads},
    lsh::{Lsh, Vectors},
    memory::{self, Window},
    positions::{self, Positions},
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{
    framework::leaf::Repeatable, leaf, options, options::OptionType, Abilities, Arity, Call, Dim, LayerRef, Leaf,
    Local, Mode, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, Tensor};

/// An option that Trax takes and does not read.
#[derive(Debug, Clone)]
pub struct Unused;

impl OptionType for Unused {
    const TS: &'static str = "boolean | 'unused'";
    const EXPECTED: &'static str = "true, false or 'unused'";
    fn parse(v: &crate::HostValue) -> Option<Self> {
        (v.boolean().is_some() || v.text() == Some("unused")).then_some(Self)
    }
    fn show(&self) -> String {
        "'unused'".into()
    }
}

options! {
    /// Lets each position attend to those that are most like it, found by hashing, in time and memory that grow linearly with the
    /// length.
    ///
    /// Queries are keys: a position is compared with the positions whose queries point in much the same direction. In each of `nHashes`
    /// rounds, `hashVecs` puts each query in a bucket; the positions are sorted by bucket and cut into chunks of `chunkLen`, and each
    /// sees its own chunk and its neighbours, around the ends. So like positions meet wherever they stand. More rounds find more of
    /// them.
    ///
    /// Any length will do, also one that is not a multiple of `chunkLen`; a sequence that fits one chunk sees itself as a whole.
    ///
    /// With `useSegments` several sequences can stand one behind the other in one row, each with an id of its own: no position sees
    /// another sequence. The positions of a sequence are sorted by themselves, so that another one changes nothing of it.
    ///
    /// Formula: for each head `softmax(d) · (x · w_v) · w_o`, summed over heads, with the products `d` of the queries `x · w_q` and the
    /// same divided by their root mean square, all divided by `√dQk`. From `d` 1e9 is taken at later positions (`causal`) and at masked
    /// ones, and 1e5 at the position itself. Rounds are weighed by the exponentials of their log-sum-exps.
    /// Shapes: `[batch, length, dModel]`, with `masked` also `bool[batch, length]` → `[batch, length, dModel]`. The mask is true at
    /// valid positions. With `useSegments` also segment ids `int32[batch, length]`, the last input, which are an output too.
    /// Weights: `[w_q, w_v, w_o]`, with `w_q: [nHeads, dModel, dQk]`, `w_v: [nHeads, dModel, dV]` and `w_o: [nHeads, dV, dModel]`; with
    /// `bias` also `b_q` and `b_v`.
    /// State: `[buckets, keys]` of each head of each example, `int32[batch · nHeads, nHashes · length]` and
    /// `uint32[batch · nHeads, 2]`. In mode `'predict'` it is `[end, inputs, [buckets, ends, keys]]`.
    /// Modes: drops in `'train'` only; one draw of strengths serves all heads, examples, rounds and chunks. Each call hashes by new
    /// keys, except in `'predict'`, which goes on with a sequence: a new position sees those of its bucket, and the latest others.
    /// Gradient: the backward pass computes attention again. It keeps inputs, projections, buckets, the result, and two numbers for
    /// each position and head: nothing that grows with `nHashes · length · dQk`.
    /// Errors:
    /// - `InvalidOption`: the mode is `'predict'` without `causal`.
    /// - `InvalidArgument`: a piece in the middle of a sequence is too long.
    /// - `ShapeMismatch`: the shapes do not fit the weights, or each other.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `SelfAttention`, which sees all positions; `PureLSHSelfAttention`, without projections.
    /// Example:
    /// ```ts
    /// const layer = tl.LSHSelfAttention({ nHeads: 2, dQk: 8, dV: 8, chunkLen: 16, nHashes: 2, nBuckets: 8, causal: true });
    /// layer.init({ shape: [1, 64, 32], dtype: 'float32' });
    /// layer(tl.ones([1, 64, 32])).shape; // → [ 1, 64, 32 ]
    /// ```
    pub struct LSHSelfAttentionOptions for "LSHSelfAttention" () with (attention: EfficientAttentionOptions, lsh: LSHOptions) {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(2),
        /// Not read: queries are always the keys.
        share_qk "shareQk": Unused = Unused,
        /// Whether queries and values get a bias.
        bias "bias": bool = false,
    }
}

#[derive(Debug, Clone)]
struct LSHSelfAttention {
    o: LSHSelfAttentionOptions,
    heads: Heads,
}

/// See [`LSHSelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn lsh_self_attention(o: LSHSelfAttentionOptions) -> Result<LayerRef> {
    check_parallel("LSHSelfAttention", o.n_heads.0, o.lsh.n_parallel_heads)?;
    let layer = LSHSelfAttention::new(o);
    layer.window()?;
    Ok(leaf(layer))
}

impl LSHSelfAttention {
    fn new(o: LSHSelfAttentionOptions) -> Self {
        let (d_qk, d_v) = (o.attention.d_qk.0, o.attention.d_v.0);
        let heads = Heads { n_heads: o.n_heads.0, d_qk, d_v, share_qk: true, bias: o.bias };
        Self { o, heads }
    }
    fn lsh(&self) -> Lsh<'_> {
        Lsh::new(&self.o.attention, &self.o.lsh)
    }
    /// What predict mode remembers; an error where the options do not allow it.
    fn window(&self) -> Result<Option<Window>> {
        self.lsh().window("LSHSelfAttention")
    }
    fn predict(&self, call: &Call, window: &Window) -> Result<(Tensor, Tree<Tensor>)> {
        let w = self.heads.read(call.w)?;
        let (seen, own) = window.take(call.xs, call.s)?;
        let told = Positions::read(&self.o.attention, &seen.inputs(1)?)?;
        let (window_of_x, batch) = (&seen.window[0], call.xs[0].shape()[0]);
        // Of no examples there is no row to take a step in.
        let (attended, own) = if seen.new != 1 || batch == 0 {
            let x = &seen.inputs(0)?[0];
            let (q, v) = (project(x, w.q, w.q_bias)?, project(x, w.v, w.v_bias)?);
            self.lsh().first(&q, &v, &told, own, (window, seen.new))?
        } else {
            let (rows, d_qk, d_v) = (batch * self.heads.n_heads, self.heads.d_qk, self.heads.d_v);
            let q = project(&call.xs[0].cast(window_of_x.spec().dtype)?, w.q, w.q_bias)?.reshape(&[rows, d_qk])?;
            let look = |row: usize, places: &[i32]| -> Result<(Tensor, Tensor)> {
                let (example, head) = (row / self.heads.n_heads, row % self.heads.n_heads);
                let x = window_of_x.take(example, places)?;
                let of = |w: &Tensor, b: Option<&Tensor>, d: usize| -> Result<Tensor> {
                    let b = b.map(|b| b.narrow(0, head, 1)).transpose()?;
                    Ok(project(&x, &w.narrow(0, head, 1)?, b.as_ref())?.reshape(&[places.len(), d])?)
                };
                Ok((of(w.q, w.q_bias, d_qk)?, of(w.v, w.v_bias, d_v)?))
            };
            let (out, own) = self.lsh().step(&q, seen.start, (own, window), &told, &look)?;
            (out.reshape(&[batch, self.heads.n_heads, 1, d_v])?, own)
        };
        Ok((join(&attended, w.o)?, window.state(&seen, own)?))
    }
    /// A call, without the segments among its outputs; where `left` is the state that the same call left before, by its buckets.
    fn run(&self, call: Call, left: Option<&Tree<Tensor>>) -> Result<Output> {
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let window = self.window()?;
        let refitted = memory::refitted(&call, window.as_ref(), |specs| self.init(specs, call.key))?;
        let call = Call { s: refitted.as_ref().unwrap_or(call.s), ..call };
        let (attend_key, output_key) = call.key.split_pair();
        let (y, state) = match window {
            Some(window) => {
                if let Some(out) = memory::one_by_one(&call, |call| self.run(call, None))? {
                    return Ok(out);
                }
                self.predict(&call, &window)?
            }
            None => {
                let w = self.heads.read(call.w)?;
                let x = &call.xs[0];
                let told = Positions::read(&self.o.attention, &call.xs[1..])?;
                // One product for queries and values: the input is read once, and so is the gradient it gets.
                let joint = Tensor::concat(&[w.q.clone(), w.v.clone()], -1)?;
                let bias = match (w.q_bias, w.v_bias) {
                    (Some(q), Some(v)) => Some(Tensor::concat(&[q.clone(), v.clone()], -1)?),
                    _ => None,
                };
                let qv = project(x, &joint, bias.as_ref())?;
                let vectors = Vectors::Joint(&qv, self.heads.d_qk);
                let (o, state) = match left {
                    Some(left) => self.lsh().again(vectors, &told, left, attend_key)?,
                    None => self.lsh().whole(vectors, &told, call.s, attend_key)?,
                };
                (join(&o, w.o)?, state)
            }
        };
        let own = &self.o.attention;
        let rate = if own.mode == Mode::Train { own.output_dropout.0 } else { 0.0 };
        let y = apply_broadcasted_dropout(&y, rate, Some(output_key))?;
        Ok(Output { ys: vec![y.cast(dtype)?], state: Some(state) })
    }
}

impl Leaf for LSHSelfAttention {
    fn name(&self) -> String {
        "LSHSelfAttention".into()
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
        let [batch, length, d_model] = sizes(&inputs[0])?;
        let window = self.window()?;
        let own = self.lsh().init(batch * self.heads.n_heads, length, window.as_ref(), key)?;
        let state = match &window {
            None => own,
            Some(window) => window.init(inputs, own)?,
        };
        Ok(Local { weights: self.heads.init(d_model, d_model, key)?, state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let xs = call.xs;
        Ok(positions::with_segments(&self.o.attention, self.run(call, None)?, xs))
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.attention.mode)
    }
    fn traits(&self) -> Traits {
        Traits {
            goes_on: self.o.attention.mode == Mode::Predict,
            own_backward: !self.o.lsh.use_reference_code,
            ..Traits::LEAF
        }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { repeat: Some(self), ..Abilities::default() }
    }
}

impl Repeatable for LSHSelfAttention {
    fn repeat(&self, call: Call, left: &Tree<Tensor>) -> Result<Output> {
        let xs = call.xs;
        Ok(positions::with_segments(&self.o.attention, self.run(call, Some(left))?, xs))
    }
}
