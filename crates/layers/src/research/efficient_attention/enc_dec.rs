//! Attention of a decoder to an encoder.
use super::{
    functions::apply_broadcasted_dropout,
    heads::{check_mask, check_parallel, join, output, project, sizes, Heads},
};
use crate::{
    attention::check_segments_of, leaf, options, Arity, Call, Dim, LayerRef, Leaf, Local, Mode, Output, Rate, Result,
    TensorSpec, Traits,
};
use tallow_tensor::{
    ops::{penalized_attention, PenalizedAttentionOptions},
    random::Key,
    DType,
};

options! {
    /// Attends from vectors to other vectors, such as a decoder's to an encoder's, without ever making the matrix of all pairs.
    ///
    /// With `masked`, 1e9 is taken from the products with valid positions of `y` and 2e9 from those with padding, as in Trax. In
    /// float32 the products vanish beside that, so valid positions weigh alike. For a mask that leaves the products as they are, use
    /// `AttentionQKV`.
    ///
    /// With `useSegments` several pairs of sequences can stand one behind the other: a position of `x` sees the positions of `y` with the
    /// same id. Where there are none it gets the projection of a zero vector.
    ///
    /// Formula: for each head `softmax(d) · (y · w_v) · w_o`, with the products `d` of `x · w_q` and `y · w_k`, divided by `√dQk`; the
    /// heads are summed.
    /// Shapes: `x: [batch, length, dModel]`, `y: [batch, keys, dKv]`, with `masked` also `bool[batch, keys]` →
    /// `[batch, length, dModel]`. The mask is true at valid positions. With `useSegments` also the segment ids of both,
    /// `int32[batch, length]` and `int32[batch, keys]`, the last inputs, which are outputs too.
    /// Weights: `[w_q, w_k, w_v, w_o]`, with `w_q: [nHeads, dModel, dQk]`, `w_k: [nHeads, dKv, dQk]`, `w_v: [nHeads, dKv, dV]` and
    /// `w_o: [nHeads, dV, dModel]`.
    /// State: none.
    /// Modes: drops in `'train'` only.
    /// Gradient: the backward pass computes attention again. It keeps inputs, projections, the result, and two numbers for each query
    /// and head.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit the weights, or each other.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; the tiles are those of Dao et al. 2022, arXiv:2205.14135.
    /// See: `AttentionQKV`.
    /// Example:
    /// ```ts
    /// const layer = tl.EncDecAttention({ nHeads: 2, dQk: 4, dV: 4, masked: false });
    /// const [x, y] = [tl.ones([1, 3, 8]), tl.ones([1, 5, 8])];
    /// layer.init(tl.signature([x, y]));
    /// layer([x, y]).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct EncDecAttentionOptions for "EncDecAttention" () {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(2),
        /// Size of a query and a key.
        d_qk "dQk": Dim = Dim(64),
        /// Size of a value.
        d_v "dV": Dim = Dim(64),
        /// Whether there is a third input that tells valid positions from padding.
        masked "masked": bool = true,
        /// Whether two further inputs, the last, tell the segments of the positions of both, outside of which nothing is seen.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Probability of dropping an attention strength; one draw serves all heads and examples.
        attention_dropout "attentionDropout": Rate = Rate(0.0),
        /// Probability of dropping a feature of the output, the same at all positions.
        output_dropout "outputDropout": Rate = Rate(0.0),
        /// How many heads Trax computes at a time to save memory; all are computed at once here, as none needs memory that outlives it.
        n_parallel_heads "nParallelHeads": Option<Dim> = None,
        /// Changes nothing: there is no compilation that a loop could shorten.
        use_python_loop "usePythonLoop": bool = false,
        /// Whether automatic differentiation is reported in place of a backward of its own; the numbers are the same.
        use_reference_code "useReferenceCode": bool = false,
    }
}

#[derive(Debug, Clone)]
struct EncDecAttention(EncDecAttentionOptions);

/// See [`EncDecAttentionOptions`].
///
/// # Errors
/// `InvalidOption` when `nParallelHeads` does not fit `nHeads`.
pub(super) fn enc_dec_attention(o: EncDecAttentionOptions) -> Result<LayerRef> {
    check_parallel("EncDecAttention", o.n_heads.0, o.n_parallel_heads)?;
    Ok(leaf(EncDecAttention(o)))
}

impl EncDecAttention {
    fn heads(&self) -> Heads {
        let o = &self.0;
        Heads { n_heads: o.n_heads.0, d_qk: o.d_qk.0, d_v: o.d_v.0, share_qk: false, bias: false }
    }
}

impl Leaf for EncDecAttention {
    fn name(&self) -> String {
        "EncDecAttention".into()
    }
    fn arity(&self) -> Arity {
        let segments = if self.0.use_segments { 2 } else { 0 };
        Arity::new(2 + usize::from(self.0.masked) + segments, 1 + segments)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let ([batch, queries, _], [other, length, _]) = (sizes(&inputs[0])?, sizes(&inputs[1])?);
        if batch != other {
            return Err(crate::Error::shape(format!("batches differ: {} and {}", inputs[0], inputs[1])));
        }
        if let Some(mask) = inputs.get(2).filter(|_| self.0.masked) {
            check_mask(mask, batch, length)?;
        }
        let mut outputs = vec![TensorSpec::new(inputs[0].shape.clone(), output(&inputs[0]))];
        if let [.., of_x, of_y] = &inputs[2..] {
            check_segments_of(of_x, [batch, queries])?;
            check_segments_of(of_y, [batch, length])?;
            outputs.extend([of_x.clone(), of_y.clone()]);
        }
        Ok(outputs)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let (d_model, d_kv) = (sizes(&inputs[0])?[2], sizes(&inputs[1])?[2]);
        Ok(Local::weights(self.heads().init(d_model, d_kv, key)?))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let (o, heads) = (&self.0, self.heads());
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let w = heads.read(call.w)?;
        let (attend_key, output_key) = call.key.split_pair();
        let rate = |rate: Rate| if o.mode == Mode::Train { rate.0 } else { 0.0 };
        let segments = match &call.xs[2..] {
            // One row for all heads of an example.
            [.., of_x, of_y] => Some([of_x.expand_dims(1)?, of_y.expand_dims(1)?]),
            _ => None,
        };
        let key_penalties = match call.xs.get(2).filter(|_| o.masked) {
            None => None,
            Some(mask) => {
                let padding = mask.cast(DType::Bool)?.logical_not()?.cast(DType::F32)?;
                Some(padding.add_scalar(1.0)?.mul_scalar(1e9)?.expand_dims(1)?)
            }
        };
        let options = PenalizedAttentionOptions {
            scale: (o.d_qk.0 as f64).powf(-0.5),
            key_penalties,
            segments,
            dropout: Some((rate(o.attention_dropout), attend_key)).filter(|d| d.0 > 0.0),
            ..PenalizedAttentionOptions::default()
        };
        let (x, y) = (&call.xs[0], &call.xs[1]);
        let q = project(x, w.q, None)?;
        let k = project(y, w.k.unwrap_or(w.q), None)?;
        let attended = penalized_attention(&q, &k, &project(y, w.v, None)?, &options)?;
        let out = join(&attended, w.o)?;
        let out = apply_broadcasted_dropout(&out, rate(o.output_dropout), Some(output_key))?;
        let passed = if o.use_segments { &call.xs[call.xs.len() - 2..] } else { &[] };
        Ok([&[out.cast(dtype)?], passed].concat().into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { own_backward: !self.0.use_reference_code, ..Traits::LEAF }
    }
}
