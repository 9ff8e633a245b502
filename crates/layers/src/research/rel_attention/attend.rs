//! Attention whose strengths rest on what queries and keys hold, and on how far they are apart.
use super::funnel::Funnel;
use crate::{
    attention::{head_size, merge, split},
    leaf, options, Arity, Call, Dim, Error, ErrorKind, HostValue, KeyArg, LayerRef, Leaf, Mode, Output, Rate, Result,
    TensorArg, TensorSpec, Traits, Tree,
};
use tallow_tensor::{ops, random::Key, DType, Tensor};

/// What a masked position's strength is replaced by before the softmax, as in Trax.
const MASKED: f64 = -1e9;

options! {
    /// Attends with several heads to contents and to distances, without projections of its own.
    ///
    /// One length, that of queries or keys, is a multiple of the other: one of the shorter stands for several of the longer. Memory
    /// holds a few matrices of queries × keys for each head.
    ///
    /// Formula: `softmax(((q + context) · kᵀ + shift((q + location) · pᵀ)) / √dHead) · v` for each head, where `p` are the encoded
    /// distances and `shift` finds the product with the distance of each pair.
    /// Shapes: location bias and context bias `[1, nHeads, 1, dHead]`, distances `[distances, d]`, queries `[batch, q, d]`, keys
    /// `[batch, k, d]`, values `[batch, k, depth]`, mask `[batch, 1, x, k]` → `[batch, q, depth]` and the mask. There are `k` distances
    /// if `q = k`, else one less than twice the longer length. The mask is not zero where attention is allowed.
    /// Weights: none.
    /// State: none; in mode `'viz'` the attention strengths `[batch, nHeads, q, k]` of the last call.
    /// Modes: drops attention strengths in `'train'` only; `'viz'` keeps the strengths as state. In `'predict'` it sees the positions of
    /// one call only, as in Trax, so a `Decoder` refuses it.
    /// Errors:
    /// - `ShapeMismatch`: neither length is a multiple of the other, or `nHeads` does not divide the features.
    /// Source: Trax; Dai et al. 2019, arXiv:1901.02860; Dai et al. 2020, arXiv:2006.03236.
    /// See: `RelativeAttentionLMLayer`, with projections.
    /// Example:
    /// ```ts
    /// const layer = tl.RelativeAttention(false, { nHeads: 2 });
    /// const [bias, x] = [tl.zeros([1, 2, 1, 2]), tl.ones([1, 3, 4])];
    /// const inputs = [bias, bias, tl.ones([3, 4]), x, x, x, tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature(inputs));
    /// layer(inputs).map((y) => y.shape); // → [ [ 1, 3, 4 ], [ 1, 1, 1, 3 ] ]
    /// ```
    pub struct RelativeAttentionOptions for "RelativeAttention" ("separateCls") {
        /// Whether the first query and the first key, those of a class token, have no distance to any other.
        separate_cls "separateCls": bool,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Attends to contents and to distances for heads that are split already: the function that the layer `RelativeAttention` computes.
    ///
    /// Shapes: queries `[batch, nHeads, q, d]`, keys `[batch, nHeads, k, d]`, values `[batch, nHeads, k, depth]`, positions
    /// `[distances, nHeads, d]`, biases `[1, nHeads, 1, d]`, a mask that broadcasts to `[batch, nHeads, q, k]` → the pair of
    /// `[batch, nHeads, q, depth]` and attention strengths `[batch, nHeads, q, k]`.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// - `InvalidOption`: it drops in mode `'train'`, and there is no key.
    /// Source: Trax; Dai et al. 2019, arXiv:1901.02860.
    /// See: `RelativeAttention`.
    /// Example:
    /// ```ts
    /// const [x, bias] = [tl.ones([1, 1, 2, 1]), tl.zeros([1, 1, 1, 1])];
    /// const positions = tl.ones([2, 1, 1]);
    /// tl.relAttention.DotProductAttention(x, x, x, positions, bias, bias, null, false, 0, 'eval', null);
    /// // → [Tensor float32[1,1,2,1] [[[[1],[1]]]], Tensor float32[1,1,2,2] [[[[0.731059,0.268941],[0.5,0.5]]]]]
    /// ```
    pub struct RelativeDotProductOptions for "DotProductAttention"
        ("queries", "keys", "values", "posEmb", "contextBias", "locationBias", "mask", "separateCls", "dropout", "mode", "rng") {
        /// Queries of each head.
        queries "queries": TensorArg,
        /// Keys of each head.
        keys "keys": TensorArg,
        /// Values of each head.
        values "values": TensorArg,
        /// Projected encodings of the distances.
        pos_emb "posEmb": TensorArg,
        /// What is added to queries where they meet keys.
        context_bias "contextBias": TensorArg,
        /// What is added to queries where they meet distances.
        location_bias "locationBias": TensorArg,
        /// Nonzero where attention is allowed; null: everywhere.
        mask "mask": Option<TensorArg>,
        /// Whether the first query and the first key have no distance to any other.
        separate_cls "separateCls": bool,
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate,
        /// Strengths are dropped only in `'train'`.
        mode "mode": Mode,
        /// Random key of dropout; null where nothing is dropped.
        rng "rng": Option<KeyArg>,
    }
}

/// Arguments of [`attend`].
struct Heads<'a> {
    q: &'a Tensor,
    k: &'a Tensor,
    v: &'a Tensor,
    positions: &'a Tensor,
    context_bias: &'a Tensor,
    location_bias: &'a Tensor,
    mask: Option<&'a Tensor>,
    separate_cls: bool,
    dropout: Option<(f64, Key)>,
}

impl Heads<'_> {
    /// Lengths of queries and keys, when all shapes fit.
    fn funnel(&self) -> Result<Funnel> {
        let shapes = || {
            let all = [self.q, self.k, self.v, self.positions, self.context_bias, self.location_bias];
            all.map(|t| format!("{:?}", t.shape())).join(", ")
        };
        let (&[b, n, queries, d], &[kb, kn, keys, kd], &[vb, vn, values, _], &[rows, pn, pd]) =
            (self.q.shape(), self.k.shape(), self.v.shape(), self.positions.shape())
        else {
            return Err(Error::shape(format!(
                "relative attention takes queries, keys and values (batch, heads, length, depth) and positions (distances, heads, depth), got {}",
                shapes()
            )));
        };
        if [kb, kn, kd, vb, vn, values, pn, pd] != [b, n, d, b, n, keys, n, d] {
            return Err(Error::shape(format!(
                "relative attention: queries, keys, values and positions {} do not fit; all need the same heads, and depths alike but for values",
                shapes()
            )));
        }
        let funnel = Funnel::between(keys, queries)?;
        if rows != funnel.rows() {
            return Err(Error::shape(format!(
                "relative attention of {queries} queries to {keys} keys needs {} positions, got {rows}",
                funnel.rows()
            )));
        }
        fits("the context bias", self.context_bias.shape(), self.q.shape())?;
        fits("the location bias", self.location_bias.shape(), self.q.shape())?;
        if let Some(mask) = self.mask {
            fits("the mask", mask.shape(), &[b, n, queries, keys])?;
        }
        Ok(funnel)
    }
}

fn fits(what: &str, got: &[usize], shape: &[usize]) -> Result<()> {
    let skipped = got.len().saturating_sub(shape.len());
    let pairs = got.iter().rev().zip(shape.iter().rev());
    if skipped > 0 || pairs.clone().any(|(&a, &b)| a != b && a != 1) {
        return Err(Error::shape(format!("relative attention: {what} {got:?} does not broadcast to {shape:?}")));
    }
    Ok(())
}

/// Activations and attention strengths.
fn attend(a: &Heads) -> Result<(Tensor, Tensor)> {
    let funnel = a.funnel()?;
    let content = a.q.add(a.context_bias)?.matmul(&a.k.swap_axes(-1, -2)?)?;
    let by_distance = a.q.add(a.location_bias)?.matmul(&a.positions.transpose(Some(&[1, 2, 0]))?)?;
    let mut located = funnel.shift(&by_distance)?;
    if a.separate_cls {
        located = located.mask_fill(&first_row_and_column(&located)?, 0.0)?;
    }
    let depth = a.q.shape()[3].max(1) as f64;
    let mut dots = content.add(&located)?.div_scalar(depth.sqrt())?;
    if let Some(mask) = a.mask {
        dots = dots.mask_fill(&mask.cast(DType::Bool)?.logical_not()?, MASKED)?;
    }
    let mut strengths = dots.softmax(-1)?;
    if let Some((rate, key)) = a.dropout {
        strengths = ops::dropout(&strengths, rate, key, strengths.shape())?;
    }
    let out = strengths.matmul(a.v)?;
    // Trax gives float32 whatever came in; float64 stays.
    let single = |t: Tensor| if t.dtype() == DType::F64 { Ok(t) } else { t.cast(DType::F32) };
    Ok((single(out)?, single(strengths)?))
}

/// True for the first query and for the first key, `(queries, keys)`.
fn first_row_and_column(x: &Tensor) -> Result<Tensor> {
    let first = |n: usize| Tensor::iota(n, DType::I32, x.device())?.eq_scalar(0);
    let rows = first(x.shape()[2])?.expand_dims(1)?;
    Ok(rows.logical_or(&first(x.shape()[3])?)?)
}

/// See [`RelativeDotProductOptions`].
pub(super) fn dot_product_attention(o: RelativeDotProductOptions) -> Result<HostValue> {
    let rate = if o.mode == Mode::Train { o.dropout.0 } else { 0.0 };
    if rate > 0.0 && o.rng.is_none() {
        return Err(Error::option("DotProductAttention: `rng` is required for dropout and must be a random key"));
    }
    let (out, strengths) = attend(&Heads {
        q: &o.queries.0,
        k: &o.keys.0,
        v: &o.values.0,
        positions: &o.pos_emb.0,
        context_bias: &o.context_bias.0,
        location_bias: &o.location_bias.0,
        mask: o.mask.as_ref().map(|m| &m.0),
        separate_cls: o.separate_cls,
        dropout: o.rng.filter(|_| rate > 0.0).map(|key| (rate, key.0)),
    })?;
    Ok(HostValue::List(vec![HostValue::Tensor(out), HostValue::Tensor(strengths)]))
}

#[derive(Debug, Clone)]
struct RelativeAttention(RelativeAttentionOptions);

impl Leaf for RelativeAttention {
    fn name(&self) -> String {
        "RelativeAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(7, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (&[b, queries, d], &[kb, keys, kd], &[vb, values, v]) =
            (&inputs[3].shape[..], &inputs[4].shape[..], &inputs[5].shape[..])
        else {
            return Err(Error::shape(format!(
                "expected queries, keys and values (batch, length, features), got {}, {} and {}",
                inputs[3], inputs[4], inputs[5]
            )));
        };
        if [kb, kd, vb, values] != [b, d, b, keys] {
            return Err(Error::shape(format!(
                "queries {}, keys {} and values {} do not fit; they need the same batch, queries and keys the same features, keys and values the same length",
                inputs[3], inputs[4], inputs[5]
            )));
        }
        head_size(d, self.0.n_heads.0)?;
        head_size(v, self.0.n_heads.0)?;
        let rows = Funnel::between(keys, queries)?.rows();
        if inputs[2].shape != [rows, d] {
            return Err(Error::shape(format!("expected positions of shape [{rows}, {d}], got {}", inputs[2])));
        }
        let n = self.0.n_heads.0;
        fits("the context bias", &inputs[1].shape, &[b, n, queries, d / n])?;
        fits("the location bias", &inputs[0].shape, &[b, n, queries, d / n])?;
        fits("the mask", &inputs[6].shape, &[b, n, queries, keys])?;
        let wide = inputs[..6].iter().any(|x| x.dtype == DType::F64);
        let dtype = if wide { DType::F64 } else { DType::F32 };
        Ok(vec![TensorSpec::new([b, queries, v], dtype), inputs[6].clone()])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let [location_bias, context_bias, positions, q, k, v, mask] = call.xs else {
            return Err(Error::new(ErrorKind::ArityMismatch, "takes 7 inputs"));
        };
        let (o, n) = (&self.0, self.0.n_heads.0);
        let by_head = positions.reshape(&[positions.shape()[0], n, head_size(positions.shape()[1], n)?])?;
        let (out, strengths) = attend(&Heads {
            q: &split(q, n)?,
            k: &split(k, n)?,
            v: &split(v, n)?,
            positions: &by_head,
            context_bias,
            location_bias,
            mask: Some(mask),
            separate_cls: o.separate_cls,
            dropout: (o.mode == Mode::Train && o.dropout.0 > 0.0).then_some((o.dropout.0, call.key)),
        })?;
        let state = (o.mode == Mode::Viz).then(|| Tree::Leaf(strengths.detach()));
        Ok(Output { ys: vec![merge(&out)?, mask.clone()], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { sees_one_call: self.0.mode == Mode::Predict, ..Traits::LEAF }
    }
}

/// See [`RelativeAttentionOptions`].
pub(super) fn relative_attention(o: RelativeAttentionOptions) -> LayerRef {
    leaf(RelativeAttention(o))
}
