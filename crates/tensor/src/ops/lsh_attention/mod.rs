//! Attention within chunks: of neighbours in the sequence, or of what hashes alike (LSH attention).
mod accelerated;
mod general;
mod problem;

use crate::{
    autodiff::record,
    kernels::{
        attention::{MaskView, Place, Scalar},
        lsh::{backward, forward, hash, Dropout, Hash, Problem},
    },
    ops::{
        attention::{key_view, place_like, placed, Held, Kept},
        segments,
    },
    random::{bernoulli_threshold, BitStream},
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use candle_core::Storage;
pub use problem::ChunkedAttentionOptions;
use problem::{order, Inputs, Shape};
use smallvec::{smallvec, SmallVec};

/// Softmax attention in which the queries of a chunk see the keys of that chunk and of its neighbours.
///
/// `q […, L, D]`, `k […, L, D]`, `v […, L, Dv] -> […, L, Dv]`. Products are those with k/√D; without `k`, with
/// `q / √(mean(q²) + 10⁻⁶) / √D`. With `buckets` (Kitaev et al. 2020, arXiv:2001.04451) the rounds' results o_r with
/// log-sum-exps l_r give Σ_r o_r · exp(l_r − log Σ exp l). The weights of every row sum to 1, also where a query sees nothing but
/// itself, or masked keys only; of these float32 weighs all alike, as 10⁹ swallows their products.
///
/// Kept for backward are the operands, the buckets, the result and two numbers a position: `B · L · (2·D_v + D·(1 or 2) + 2)`
/// floats and `4 · B · rounds · L` bytes for B matrices, never anything of size `rounds · L · D` or `L²`. A task needs
/// `O(64 · window · chunk_len + window · chunk_len · (D + D_v))` floats.
/// Views such as heads are read in place, as by [`attention`](super::attention()). Halves are computed in float32.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not fit, `DTypeMismatch` for operands that are not floats, a mask that is not bool, segments that
/// are not integers or buckets that are not int32, `InvalidArgument` for a chunk of no positions or a dropout rate outside \[0, 1).
pub fn chunked_attention(
    q: &Tensor,
    k: Option<&Tensor>,
    v: &Tensor,
    options: &ChunkedAttentionOptions,
) -> Result<Tensor> {
    let dtype = q.dtype().promote(k.map_or(q.dtype(), Tensor::dtype)).promote(v.dtype());
    if !dtype.is_float() {
        return Err(Error::dtype(format!("chunked_attention takes floats, got {} and {}", q.dtype(), v.dtype())));
    }
    let shape = check(q, k, v, options)?;
    if shape.items() * shape.length == 0 {
        return nothing(&[Some(q), k, Some(v)], &shape, dtype);
    }
    let options = &options.for_rounds(&shape)?;
    let work = if dtype == DType::F64 { dtype } else { DType::F32 };
    let inputs = Inputs { q: q.cast(work)?, k: k.map(|k| k.cast(work)).transpose()?, v: v.cast(work)? };
    let path = q.path("chunked_attention");
    if !path.by_kernel() {
        return match accelerated::fused(&inputs, &shape, options, &path)? {
            Some(value) => value.cast(dtype),
            None => general::composed(&inputs, &shape, options)?.cast(dtype),
        };
    }
    match work {
        DType::F64 => fused::<f64>(inputs, None, shape, options),
        _ => fused::<f32>(inputs, None, shape, options)?.cast(dtype),
    }
}

/// [`chunked_attention`] of queries that are the keys, and of values, side by side: `qv […, L, D + D_v] -> […, L, D_v]`.
///
/// What one product made is read where it lies, and has one gradient.
///
/// # Errors
/// Those of [`chunked_attention`]; `ShapeMismatch` when the last axis is shorter than `depth`.
pub fn chunked_attention_joint(qv: &Tensor, depth: usize, options: &ChunkedAttentionOptions) -> Result<Tensor> {
    let value_depth = qv.shape().last().and_then(|n| n.checked_sub(depth));
    let Some(value_depth) = value_depth else {
        let shape = qv.shape();
        return Err(Error::shape(format!("chunked_attention of {shape:?}: no room for queries of size {depth}")));
    };
    let apart = |x: &Tensor| Ok::<_, Error>((x.narrow(-1, 0, depth)?, x.narrow(-1, depth, value_depth)?));
    let dtype = qv.dtype();
    let path = qv.path("chunked_attention_joint");
    if !path.by_kernel() || !dtype.is_float() || qv.rank() < 2 {
        let (q, v) = apart(qv)?;
        return chunked_attention(&q, None, &v, options);
    }
    let joint = qv.cast(if dtype == DType::F64 { dtype } else { DType::F32 })?;
    let (q, v) = apart(&joint.detach())?;
    let shape = check(&q, None, &v, options)?;
    if shape.items() * shape.length == 0 {
        return nothing(&[Some(qv)], &shape, dtype);
    }
    let options = &options.for_rounds(&shape)?;
    let inputs = Inputs { q, k: None, v };
    match dtype {
        DType::F64 => fused::<f64>(inputs, Some(joint), shape, options),
        _ => fused::<f32>(inputs, Some(joint), shape, options)?.cast(dtype),
    }
}

/// Attention of no sequences, or of sequences of no positions. Operands that broadcast may have elements, and then a gradient of zeros.
fn nothing(operands: &[Option<&Tensor>], shape: &Shape, dtype: DType) -> Result<Tensor> {
    let operands: Vec<&Tensor> = operands.iter().flatten().copied().collect();
    let value = Tensor::zeros(&shape.with(&[shape.length, shape.value_depth]), dtype, operands[0].device())?;
    let like: Vec<_> = operands.iter().map(|t| (t.shape().to_vec(), t.dtype(), t.device().clone())).collect();
    Ok(record(value, &operands, move |_, _| like.iter().map(|(s, d, at)| Tensor::zeros(s, *d, at).map(Some)).collect()))
}

fn check(q: &Tensor, k: Option<&Tensor>, v: &Tensor, o: &ChunkedAttentionOptions) -> Result<Shape> {
    let fail = |why: String| {
        let k = k.map_or(String::new(), |k| format!(", k {:?}", k.shape()));
        Err(Error::shape(format!("chunked_attention of q {:?}{k}, v {:?}: {why}", q.shape(), v.shape())))
    };
    if [Some(q), k, Some(v)].iter().flatten().any(|t| t.rank() < 2) {
        return fail("each needs at least two axes".into());
    }
    let last = |t: &Tensor| (t.shape()[t.rank() - 2], t.shape()[t.rank() - 1]);
    let ((length, depth), (values, value_depth)) = (last(q), last(v));
    if values != length || k.is_some_and(|k| last(k) != (length, depth)) {
        return fail("there must be as many keys and values as queries, and keys of the size of queries".into());
    }
    let lead = |t: &Tensor| t.shape()[..t.rank() - 2].to_vec();
    let mut batch = super::matmul::broadcast(&lead(q), &lead(v));
    if let (Some(k), Some(b)) = (k, &batch) {
        batch = super::matmul::broadcast(b, &lead(k));
    }
    let Some(batch) = batch else { return fail("leading axes do not broadcast".into()) };
    let mut shape = Shape { batch, length, depth, value_depth, rounds: 1 };
    let fits = |t: &Tensor, last: usize| {
        let full = shape.with(&[last]);
        t.rank() > 0
            && t.shape()[t.rank() - 1] == last
            && super::matmul::broadcast(t.shape(), &full).as_deref() == Some(&full)
    };
    if let Some(mask) = &o.mask {
        if mask.dtype() != DType::Bool {
            return Err(Error::dtype(format!("an attention mask is bool, got {}", mask.dtype())));
        }
        if !fits(mask, length) {
            return fail(format!("a mask of shape {:?} has no bool for each position", mask.shape()));
        }
    }
    if let Some(ids) = &o.segments {
        segments::check("chunked_attention", ids, &shape.batch, length)?;
    }
    if let Some(buckets) = &o.buckets {
        if buckets.dtype() != DType::I32 {
            return Err(Error::dtype(format!("buckets are int32, got {}", buckets.dtype())));
        }
        let n = buckets.shape().last().copied().unwrap_or(0);
        if !fits(buckets, n) || (length > 0 && (n == 0 || n % length != 0)) {
            return fail(format!("buckets of shape {:?} are not some for each position and round", buckets.shape()));
        }
        shape.rounds = n.checked_div(length).unwrap_or(1);
    }
    if o.chunk_len == 0 {
        return Err(Error::argument("chunked_attention: a chunk has at least one position"));
    }
    if let Some((rate, _)) = o.dropout {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::argument(format!("attention dropout must be at least 0 and below 1, got {rate}")));
        }
    }
    Ok(shape)
}

/// Operands and options as the kernels take them.
struct Bound {
    q: Held,
    k: Option<Held>,
    v: Held,
    mask: Option<Raw>,
    segments: Option<Raw>,
    order: Option<Vec<u32>>,
    shape: Shape,
    options: ChunkedAttentionOptions,
}

impl Bound {
    fn new(inputs: &Inputs, shape: &Shape, options: &ChunkedAttentionOptions) -> Result<Self> {
        let each = |t: &Tensor| t.raw().broadcast_as(shape.with(&[shape.length]));
        let mask = options.mask.as_ref().map(each).transpose()?;
        let segments = options.segments.as_ref().map(each).transpose()?;
        Ok(Self {
            q: Held::new(&inputs.q)?,
            k: inputs.k.as_ref().map(Held::new).transpose()?,
            v: Held::new(&inputs.v)?,
            mask,
            segments,
            order: order(shape, options)?,
            shape: shape.clone(),
            options: options.clone(),
        })
    }
    fn with<T: Element + Scalar, R>(&self, f: impl FnOnce(&Problem<'_, T>) -> Result<R>) -> Result<R> {
        match &self.k {
            None => self.bind(None, f),
            Some(k) => k.with(|values| self.bind(Some((k, values)), f)),
        }
    }
    fn bind<T: Element + Scalar, R>(
        &self,
        k: Option<(&Held, &[T])>,
        f: impl FnOnce(&Problem<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let (s, o, rank) = (&self.shape, &self.options, self.shape.batch.len());
        let locked = self.mask.as_ref().map(|m| m.storage_and_layout());
        let mask = match &locked {
            None => None,
            Some((storage, layout)) => {
                let Storage::Cpu(cpu) = &**storage else {
                    return Err(Error::internal("a CPU kernel was given a mask of another device"));
                };
                let data = cpu.as_slice::<u8>()?.get(layout.start_offset()..).unwrap_or_default();
                let strides = layout.stride();
                Some(MaskView { data, batch: strides[..rank].into(), row: 0, col: strides[rank] })
            }
        };
        let locked_ids = self.segments.as_ref().map(|ids| ids.storage_and_layout());
        let segments = locked_ids.as_ref().map(|(storage, layout)| key_view(storage, layout, rank)).transpose()?;
        let window = (o.n_chunks_before + 1 + o.n_chunks_after) * o.chunk_len;
        let dropout = o.dropout.filter(|d| d.0 > 0.0).map(|(rate, key)| Dropout {
            stream: BitStream::new(key, o.chunk_len * window),
            threshold: bernoulli_threshold(1.0 - rate),
            scale: T::of(1.0 / T::of(1.0 - rate).wide()),
        });
        self.q.with(|q| {
            self.v.with(|v| {
                f(&Problem {
                    batch: s.batch.clone(),
                    q: self.q.stack(q, rank),
                    k: k.map(|(held, values)| held.stack(values, rank)),
                    v: self.v.stack(v, rank),
                    length: s.length,
                    depth: s.depth,
                    value_depth: s.value_depth,
                    order: self.order.as_deref(),
                    rounds: s.rounds,
                    chunk: o.chunk_len,
                    before: o.n_chunks_before,
                    after: o.n_chunks_after,
                    causal: o.causal,
                    exclude_self: o.exclude_self,
                    mask,
                    segments,
                    dropout,
                })
            })
        })
    }
}

/// The CPU kernel; `joint` holds queries and values side by side, if they are parts of it.
fn fused<T: Element + Scalar>(
    inputs: Inputs,
    joint: Option<Tensor>,
    shape: Shape,
    options: &ChunkedAttentionOptions,
) -> Result<Tensor> {
    // A chunk longer than all rounds is one chunk of all.
    let bound = Bound::new(&inputs, &shape, options)?;
    let full = shape.with(&[shape.length, shape.value_depth]);
    let (place, swapped) = place_like(&inputs.q, &full);
    let done = bound.with::<T, _>(|p| forward(p, &place))?;
    drop(bound);
    let value = placed(done.out, &full, swapped)?;
    let saved = inputs.detach();
    let absent = saved.v.clone();
    let apart = [&inputs.q, inputs.k.as_ref().unwrap_or(&absent), &inputs.v];
    let tracked = joint.as_ref().map_or(apart, |joint| [joint, &absent, &absent]);
    if tracked.iter().all(|t| !t.is_tracked()) {
        return Ok(value);
    }
    let kept = Kept::new(value.clone(), done.top, done.total)?;
    let options = options.clone();
    let joint_saved = joint.as_ref().map(Tensor::detach);
    Ok(record(value, &tracked, move |ct, need| {
        let operands = [&saved.q, saved.k.as_ref().unwrap_or(&saved.q), &saved.v];
        let full = [shape.depth, shape.depth, shape.value_depth].map(|d| shape.with(&[shape.length, d]));
        let bound = Bound::new(&saved, &shape, &options)?;
        if let Some(joint) = &joint_saved {
            let (place, swapped) = place_like(joint, joint.shape());
            let values = Place { first: shape.depth, ..place.clone() };
            let places = [place.clone(), place, values];
            let found = kept.with::<T, _>(ct, shape.batch.len(), |saved| {
                bound.with::<T, _>(|p| backward(p, saved, &places, true))
            })?;
            return Ok(smallvec![Some(placed(found.q, joint.shape(), swapped)?), None, None]);
        }
        kept.gradients::<T>(ct, need, operands, full, |saved, places| {
            bound.with::<T, _>(|p| backward(p, saved, places, false))
        })
    }))
}

/// Buckets of vectors by angle (Andoni et al. 2015, arXiv:1509.02897), int32 `[…, hashes, L]`.
///
/// `vectors […, L, D]` are multiplied with `rotations […, D, hashes, Σ factors / 2]`; for each factor `f`, half as many products
/// and their opposites have a largest one, whose place is a digit of the bucket, the first factor's the lowest digit. NaN is
/// largest, so vectors of NaN have a bucket too. No gradient flows.
///
/// # Errors
/// `ShapeMismatch` when shapes do not fit, `DTypeMismatch` for what is not floating point, `InvalidArgument` for no factors,
/// an odd one, or more buckets than int32 counts.
pub fn hash_buckets(vectors: &Tensor, rotations: &Tensor, factors: &[usize]) -> Result<Tensor> {
    let dtype = vectors.dtype().promote(rotations.dtype());
    if !dtype.is_float() {
        return Err(Error::dtype(format!(
            "hash_buckets takes floats, got {} and {}",
            vectors.dtype(),
            rotations.dtype()
        )));
    }
    if factors.is_empty() || factors.iter().any(|f| f % 2 != 0 || *f == 0) {
        return Err(Error::argument(format!("numbers of buckets are even and at least 2, got {factors:?}")));
    }
    let buckets = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f)).filter(|&n| n <= i32::MAX as usize);
    if buckets.is_none() {
        return Err(Error::argument(format!("{factors:?} are more buckets than int32 can count")));
    }
    let directions: usize = factors.iter().map(|f| f / 2).sum();
    let (r, s) = (vectors.rank(), rotations.rank());
    let fits = r >= 2
        && s == r + 1
        && rotations.shape()[..s - 3] == vectors.shape()[..r - 2]
        && rotations.shape()[s - 3] == vectors.shape()[r - 1]
        && rotations.shape()[s - 1] == directions;
    if !fits {
        return Err(Error::shape(format!(
            "hash_buckets: rotations of shape {:?} do not fit vectors of shape {:?} and {directions} directions",
            rotations.shape(),
            vectors.shape()
        )));
    }
    let hashes = rotations.shape()[s - 2];
    let mut shape = vectors.shape()[..r - 2].to_vec();
    shape.extend([hashes, vectors.shape()[r - 2]]);
    let work = if dtype == DType::F64 { dtype } else { DType::F32 };
    let (v, rotations) = (vectors.detach().cast(work)?, rotations.detach().cast(work)?);
    let path = vectors.path("hash_buckets");
    if !path.by_kernel() {
        return general::buckets(&v, &rotations, factors);
    }
    let held = Held::new(&v)?;
    let batch: SmallVec<[usize; 4]> = v.shape()[..r - 2].into();
    macro_rules! run {
        ($t:ty) => {{
            let rotations = rotations.values::<$t>()?;
            held.with::<$t, _>(|values| {
                hash(&Hash {
                    vectors: held.stack(values, batch.len()),
                    batch: batch.clone(),
                    length: v.shape()[r - 2],
                    depth: v.shape()[r - 1],
                    rotations: &rotations,
                    hashes,
                    factors,
                })
            })?
        }};
    }
    let values = if work == DType::F64 { run!(f64) } else { run!(f32) };
    Tensor::from_vec(values, &shape)
}
