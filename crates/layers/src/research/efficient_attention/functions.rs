//! The functions of this module as they are called by name.
use super::{
    attend::{attend, length_normalized, look_adjacent, mask_self_attention, Attend, SelfMask},
    hashing::{hash_vecs, Buckets},
};
use crate::{
    entry, options, options::Entry, options::OptionType, Axis, Count, Dim, Error, Factory, HostValue, KeyArg,
    LayerKind, NotNegative, Rate, Result, TensorArg,
};
use tallow_tensor::{custom_vjp, ops::dropout, random::Key, DType, Tensor};

options! {
    /// Divides each vector along the last axis by its root mean square.
    ///
    /// Formula: `x / √(mean(x²) + epsilon)`.
    /// Shapes: `[..., d]` → `[..., d]`; integers become float32.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.lengthNormalized(tl.tensor([[3.5, 0], [0.5, 0.5]])); // → Tensor float32[2,2] [[1.41421,0],[0.999998,0.999998]]
    /// ```
    pub struct LengthNormalizedOptions for "lengthNormalized" ("x") {
        /// Vectors.
        x "x": TensorArg,
        /// Added to the mean square, so that zeros stay zeros; with 0 they become NaN.
        epsilon "epsilon": NotNegative = NotNegative(1e-6),
    }
}
options! {
    /// Hashes vectors into buckets by their angle, several times.
    ///
    /// Each round draws random directions. The bucket is the number of the direction, or opposite direction, that the vector points
    /// along most. Several numbers of buckets make a bucket of several such digits, of which the first is the lowest.
    ///
    /// Shapes: `[n, depth]` → the pair of `int32[nHashes, n]` and the number of buckets.
    /// Gradient: none.
    /// Errors:
    /// - `InvalidOption`: a number of buckets is odd, or they are more than int32 counts.
    /// - `ShapeMismatch`: the input does not have two axes.
    /// Source: Trax; Andoni et al. 2015, arXiv:1509.02897; Kitaev et al. 2020, arXiv:2001.04451.
    /// Example:
    /// ```ts
    /// const [buckets, nBuckets] = tl.hashVecs(tl.eye(4), 8, 1, tl.random.key(0));
    /// buckets.shape; // → [ 1, 4 ]
    /// nBuckets; // → 8
    /// ```
    pub struct HashVecsOptions for "hashVecs" ("vecs", "nBucketsIn", "nHashes", "rng") {
        /// Vectors, `[n, depth]`.
        vecs "vecs": TensorArg,
        /// Number of buckets, or numbers whose product it is; even.
        n_buckets_in "nBucketsIn": Buckets,
        /// Rounds of hashing.
        n_hashes "nHashes": Dim,
        /// Random key of the directions.
        rng "rng": KeyArg,
    }
}
options! {
    /// Puts beside each chunk those before and after it, around the ends.
    ///
    /// Shapes: `[nChunks, chunkLen, ...]` → `[nChunks, (nChunksBefore + 1 + nChunksAfter) · chunkLen, ...]`.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.lookAdjacent(tl.tensor([[1], [2], [3]]), 1, 0); // → Tensor int32[3,2] [[3,1],[1,2],[2,3]]
    /// ```
    pub struct LookAdjacentOptions for "lookAdjacent" ("x", "nChunksBefore", "nChunksAfter") {
        /// Chunks.
        x "x": TensorArg,
        /// How many chunks before.
        before "nChunksBefore": Count,
        /// How many chunks after.
        after "nChunksAfter": Count,
    }
}
options! {
    /// Masks the products of attention by what is known of queries and keys: usually their positions, negative for masked keys.
    ///
    /// Formula: from `dots` it takes 1e9 where `qInfo < kvInfo` if `causal`, 1e5 where they are equal if `excludeSelf`, and 1e9 where
    /// `kvInfo < 0` if `masked`.
    /// Shapes: `[...]`, with which the others broadcast → `[...]`.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.maskSelfAttention(tl.zeros([2, 2]), tl.tensor([[0], [1]]), tl.tensor([[0, 1]]), { excludeSelf: false });
    /// // → Tensor float32[2,2] [[0,-1000000000],[0,0]]
    /// ```
    pub struct MaskSelfAttentionOptions for "maskSelfAttention" ("dots", "qInfo", "kvInfo") {
        /// Products of queries and keys.
        dots "dots": TensorArg,
        /// Of each query.
        q_info "qInfo": TensorArg,
        /// Of each key.
        kv_info "kvInfo": TensorArg,
        /// Whether to mask later positions.
        causal "causal": bool = true,
        /// Whether to mask a position itself, where there is anything else to attend to.
        exclude_self "excludeSelf": bool = true,
        /// Whether negative information means a masked key.
        masked "masked": bool = false,
    }
}
options! {
    /// Computes dot-product attention of one head, in chunks and with a mask where they are given.
    ///
    /// It makes the matrix of products; the layers of this module do not. Without `k` the queries, divided by their root mean square,
    /// are the keys. With chunks a query sees its own chunk of keys and its neighbours, around the ends.
    ///
    /// Formula: `softmax(d) · v`, with `d = mask(q · kᵀ / √dQk)`.
    /// Shapes: `q: [qLen, dQk]`, `k: [kvLen, dQk]`, `v: [kvLen, dV]` → the pair of `[qLen, dV]` and the log-sum-exps `[qLen]`.
    /// Errors:
    /// - `ShapeMismatch`: a length is not a multiple of that of its chunks.
    /// - `InvalidOption`: values are missing, or a key where it drops.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// Example:
    /// ```ts
    /// const q = tl.tensor([[0.5, 1], [1, 0.5]]);
    /// tl.attend(q, { k: q, v: q });
    /// // → [Tensor float32[2,2] [[0.72796,0.77204],[0.77204,0.72796]], Tensor float32[2] [1.49254,1.49254]]
    /// ```
    pub struct AttendOptions for "attend" ("q") {
        /// Queries.
        q "q": TensorArg,
        /// Keys.
        k "k": Option<TensorArg> = None,
        /// Values; needed.
        v "v": Option<TensorArg> = None,
        /// Queries per chunk.
        q_chunk_len "qChunkLen": Option<Dim> = None,
        /// Keys per chunk.
        kv_chunk_len "kvChunkLen": Option<Dim> = None,
        /// Chunks seen before a query's own.
        n_chunks_before "nChunksBefore": Count = Count(0),
        /// Chunks seen after a query's own.
        n_chunks_after "nChunksAfter": Count = Count(0),
        /// Maps products, `qInfo` and `kvInfo` (as a column and a row) to masked products, as `maskSelfAttention` does.
        mask_fn "maskFn": Option<Mask> = None,
        /// Of each query, for `maskFn`, which gets it increased by 1; by default its position.
        q_info "qInfo": Option<TensorArg> = None,
        /// Of each key, for `maskFn`, which gets it increased by 1; by default its position.
        kv_info "kvInfo": Option<TensorArg> = None,
        /// Probability of dropping an attention strength; one draw serves all chunks.
        dropout "dropout": Rate = Rate(0.0),
        /// Random key of dropout.
        rng "rng": Option<KeyArg> = None,
    }
}
options! {
    /// Drops features of vectors, the same ones in all of them.
    ///
    /// Formula: `x · keep / (1 - dropoutRate)`, with one draw of `keep` for the last axis.
    /// Shapes: `[..., d]` → `[..., d]`.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes.
    /// - `InvalidOption`: there is no key, and `dropoutRate` is not 0.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.applyBroadcastedDropout(tl.ones([2, 4]), 0.5, tl.random.key(0)); // → Tensor float32[2,4] [[0,2,0,2],[0,2,0,2]]
    /// ```
    pub struct ApplyBroadcastedDropoutOptions for "applyBroadcastedDropout" ("vecs", "dropoutRate", "rng") {
        /// Vectors.
        vecs "vecs": TensorArg,
        /// Probability of dropping a feature.
        dropout_rate "dropoutRate": Rate,
        /// Random key; may be null at rate 0.
        rng "rng": Option<KeyArg> = None,
    }
}
options! {
    /// Puts the places along an axis in another order; the gradient comes back by the inverse order that is given.
    ///
    /// Formula: `y[i] = val[permutation[i]]`.
    /// Shapes: `[...]` → `[...]`, the same.
    /// Errors:
    /// - `IndexOutOfRange`: an index is out of range.
    /// - `DTypeMismatch`: the permutation is not of integers.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.permuteViaGather(tl.tensor([5, 6, 7]), tl.tensor([2, 0, 1]), tl.tensor([1, 2, 0])); // → Tensor int32[3] [7,5,6]
    /// ```
    pub struct PermuteViaGatherOptions for "permuteViaGather" ("val", "permutation", "inversePermutation") {
        /// Values.
        val "val": TensorArg,
        /// Which value goes to each place.
        permutation "permutation": TensorArg,
        /// The permutation that undoes it.
        inverse "inversePermutation": TensorArg,
        /// The axis.
        axis "axis": Axis = Axis(0),
    }
}
options! {
    /// Sorts values by keys along an axis; the gradient is sorted back by the inverse keys that are given.
    ///
    /// Shapes: `[...]` → `[...]`, the same. Keys have the shape of the values.
    /// Errors:
    /// - `ShapeMismatch`: the keys have another shape than the values.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.permuteViaSort(tl.tensor([5, 6, 7]), tl.tensor([2, 0, 1]), tl.tensor([1, 2, 0])); // → Tensor int32[3] [6,7,5]
    /// ```
    pub struct PermuteViaSortOptions for "permuteViaSort" ("val", "keys", "inverseKeys") {
        /// Values.
        val "val": TensorArg,
        /// What to sort by, of the same shape.
        keys "keys": TensorArg,
        /// Keys that sort the result back.
        inverse "inverseKeys": TensorArg,
        /// The axis.
        axis "axis": Axis = Axis(0),
    }
}

/// A mask function: `maskSelfAttention` with some options, or one of the host's.
#[derive(Debug, Clone)]
pub enum Mask {
    /// [`mask_self_attention`].
    Own(SelfMask),
    /// A host function of products, information on queries and information on keys.
    Host(crate::HostFnRef),
}

impl OptionType for Mask {
    const TS: &'static str = "TensorFunction";
    const EXPECTED: &'static str = "a function of products, qInfo and kvInfo";
    fn parse(v: &HostValue) -> Option<Self> {
        match Factory::parse(v)? {
            Factory::Host(f) => Some(Self::Host(f)),
            Factory::Kind(LayerKind { kind, options, .. }) if kind == "maskSelfAttention" => {
                let options = HostValue::Record(options);
                let flag = |name: &str, default| match options.get(name) {
                    None | Some(HostValue::Null) => Some(default),
                    Some(v) => v.boolean(),
                };
                Some(Self::Own(SelfMask {
                    causal: flag("causal", true)?,
                    exclude_self: flag("excludeSelf", true)?,
                    masked: flag("masked", false)?,
                }))
            }
            Factory::Kind(..) => None,
        }
    }
    fn show(&self) -> String {
        "function".into()
    }
}

impl Mask {
    fn apply(&self, dots: &Tensor, q: &Tensor, k: &Tensor) -> Result<Tensor> {
        match self {
            Self::Own(how) => mask_self_attention(dots, q, k, *how),
            Self::Host(f) => {
                let args = [dots, q, k].map(|t| HostValue::Tensor(t.clone()));
                match f.call(&args)? {
                    HostValue::Tensor(t) if t.shape() == dots.shape() => Ok(t),
                    HostValue::Tensor(t) => Err(Error::shape(format!(
                        "attend: maskFn got products of shape {:?} and returned {:?}",
                        dots.shape(),
                        t.shape()
                    ))),
                    other => Err(Error::dtype(format!("attend: maskFn must return a tensor, got {}", other.what()))),
                }
            }
        }
    }
}

/// Drops features, the same in all vectors along the last axis.
///
/// # Errors
/// `InvalidOption` without a key, `DTypeMismatch` unless floating point.
pub fn apply_broadcasted_dropout(vecs: &Tensor, rate: f64, key: Option<Key>) -> Result<Tensor> {
    if rate == 0.0 {
        return Ok(vecs.clone());
    }
    let key = key.ok_or_else(|| Error::option("applyBroadcastedDropout: `rng` is required for a rate above 0"))?;
    let last = vecs.shape().last().copied();
    let last = last.ok_or_else(|| Error::shape("applyBroadcastedDropout takes vectors, got a 0-d tensor"))?;
    Ok(dropout(vecs, rate, key, &[last])?)
}

/// `val` in the order `permute` gives it, with the gradient in the order `restore` gives that.
fn permuted(
    val: &Tensor,
    permute: impl FnOnce(&Tensor) -> tallow_tensor::Result<Tensor>,
    restore: impl Fn(&Tensor) -> tallow_tensor::Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let back =
        move |(): &(), cts: &[Option<Tensor>], _: &[bool]| Ok(vec![cts[0].as_ref().map(&restore).transpose()?]);
    let mut out = custom_vjp(std::slice::from_ref(val), |xs| Ok((vec![permute(&xs[0])?], ())), back)?;
    Ok(out.remove(0))
}

fn as_int32(t: &Tensor) -> Result<Tensor> {
    if t.dtype().is_float() || t.dtype() == DType::Bool {
        return Err(Error::dtype(format!("a permutation holds integers, got {}", t.dtype())));
    }
    Ok(t.detach())
}

/// `val` with `permutation` applied along `axis`; the gradient takes the way back by `inverse`.
///
/// # Errors
/// `IndexOutOfRange` for what is no place of the axis.
pub fn permute_via_gather(val: &Tensor, permutation: &Tensor, inverse: &Tensor, axis: isize) -> Result<Tensor> {
    let (forth, back) = (as_int32(permutation)?, as_int32(inverse)?);
    permuted(val, |x| x.take(&forth, axis), move |g| g.take(&back, axis))
}

/// `val` sorted by `keys` along `axis`; the gradient is sorted back by `inverse`.
///
/// # Errors
/// `ShapeMismatch` when keys have another shape than the values.
pub fn permute_via_sort(val: &Tensor, keys: &Tensor, inverse: &Tensor, axis: isize) -> Result<Tensor> {
    if keys.shape() != val.shape() || inverse.shape() != val.shape() {
        return Err(Error::shape(format!(
            "permuteViaSort: keys of shapes {:?} and {:?} for values of shape {:?}",
            keys.shape(),
            inverse.shape(),
            val.shape()
        )));
    }
    let (keys, inverse) = (keys.detach(), inverse.detach());
    permuted(
        val,
        |x| x.gather(&keys.argsort(axis, false)?, axis),
        move |g| g.gather(&inverse.argsort(axis, false)?, axis),
    )
}

fn attend_by_name(o: AttendOptions) -> Result<HostValue> {
    let v = o.v.ok_or_else(|| Error::option("attend: `v` is required and must be a tensor"))?;
    let rate = o.dropout.0;
    if rate > 0.0 && o.rng.is_none() {
        return Err(Error::option("attend: `rng` is required for dropout and must be a random key"));
    }
    let dropout = o.rng.filter(|_| rate > 0.0).map(|key| (rate, key.0));
    let arguments = Attend {
        q: &o.q.0,
        k: o.k.as_ref().map(|t| &t.0),
        v: &v.0,
        q_chunk_len: o.q_chunk_len.map(|d| d.0),
        kv_chunk_len: o.kv_chunk_len.map(|d| d.0),
        n_chunks_before: o.n_chunks_before.0,
        n_chunks_after: o.n_chunks_after.0,
        q_info: o.q_info.as_ref().map(|t| &t.0),
        kv_info: o.kv_info.as_ref().map(|t| &t.0),
        dropout,
    };
    let apply = |dots: &Tensor, q: &Tensor, k: &Tensor| match &o.mask_fn {
        Some(mask) => mask.apply(dots, q, k),
        None => Ok(dots.clone()),
    };
    let (out, logs) = attend(&arguments, o.mask_fn.is_some().then_some(&apply))?;
    Ok(HostValue::List(vec![HostValue::Tensor(out), HostValue::Tensor(logs)]))
}

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("research.efficient_attention", LengthNormalizedOptions, |o: LengthNormalizedOptions| {
        length_normalized(&o.x.0, o.epsilon.0).map(HostValue::Tensor)
    }),
    entry!("research.efficient_attention", HashVecsOptions, |o: HashVecsOptions| {
        let (buckets, count) = hash_vecs(&o.vecs.0, &o.n_buckets_in, o.n_hashes.0, o.rng.0)?;
        Ok(HostValue::List(vec![HostValue::Tensor(buckets), HostValue::Number(count as f64)]))
    }),
    entry!("research.efficient_attention", LookAdjacentOptions, |o: LookAdjacentOptions| {
        look_adjacent(&o.x.0, o.before.0, o.after.0).map(HostValue::Tensor)
    }),
    entry!("research.efficient_attention", MaskSelfAttentionOptions, |o: MaskSelfAttentionOptions| {
        let how = SelfMask { causal: o.causal, exclude_self: o.exclude_self, masked: o.masked };
        mask_self_attention(&o.dots.0, &o.q_info.0, &o.kv_info.0, how).map(HostValue::Tensor)
    }),
    entry!("research.efficient_attention", AttendOptions, attend_by_name),
    entry!("research.efficient_attention", ApplyBroadcastedDropoutOptions, |o: ApplyBroadcastedDropoutOptions| {
        apply_broadcasted_dropout(&o.vecs.0, o.dropout_rate.0, o.rng.map(|k| k.0)).map(HostValue::Tensor)
    }),
    entry!("research.efficient_attention", PermuteViaGatherOptions, |o: PermuteViaGatherOptions| {
        permute_via_gather(&o.val.0, &o.permutation.0, &o.inverse.0, o.axis.0).map(HostValue::Tensor)
    }),
    entry!("research.efficient_attention", PermuteViaSortOptions, |o: PermuteViaSortOptions| {
        permute_via_sort(&o.val.0, &o.keys.0, &o.inverse.0, o.axis.0).map(HostValue::Tensor)
    }),
];
