//! Softmax attention in tiles.
mod accelerated;
mod general;
mod operands;
mod penalized;
mod problem;

pub(super) use accelerated::{dropped, four, given_back, turned};
pub(super) use operands::{place_like, placed, Held, Kept};
pub use penalized::{penalized_attention, PenalizedAttentionOptions};
pub use problem::AttentionOptions;
use problem::Shape;

use crate::{
    autodiff::record,
    kernels::attention::{backward, forward, Dropout, KeyView, MaskView, Penalties, Problem, Scalar, Segments},
    ops::segments,
    random::{bernoulli_threshold, BitStream},
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use candle_core::{Layout, Storage};

/// Softmax attention: `softmax(where(mask, scale · q kᵀ, mask_value)) · v`, strengths dropped out if asked for.
///
/// `q […, Lq, D]`, `k […, Lk, D]`, `v […, Lk, Dv]` with leading axes that broadcast `-> […, Lq, Dv]`. Computed in tiles, forward and
/// backward (online softmax as in Dao et al. 2022, arXiv:2205.14135): no `Lq × Lk` matrix is made, and all that is kept for
/// backward are the operands, the result and two numbers a row. Views such as `[B, L, H, D]` seen as
/// `[B, H, L, D]` are read in place, and the result and the gradients then have that same layout. Halves are computed in float32.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not fit, `DTypeMismatch` for operands that are not floats, a mask that is not bool or segments
/// that are not integers, `InvalidArgument` for a dropout rate outside \[0, 1).
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, options: &AttentionOptions) -> Result<Tensor> {
    let dtype = q.dtype().promote(k.dtype()).promote(v.dtype());
    if !dtype.is_float() {
        return Err(Error::dtype(format!(
            "attention takes floats, got {}, {} and {}",
            q.dtype(),
            k.dtype(),
            v.dtype()
        )));
    }
    let shape = check(q, k, v, options)?;
    let options = &options.with_segments()?;
    let inputs = [q.cast(dtype)?, k.cast(dtype)?, v.cast(dtype)?];
    let path = q.path("attention");
    if !path.by_kernel() {
        let work = if dtype == DType::F64 { dtype } else { DType::F32 };
        let wide = [inputs[0].cast(work)?, inputs[1].cast(work)?, inputs[2].cast(work)?];
        let fused = accelerated::tiled(&wide, &shape, options, &path)?;
        return match fused {
            Some(value) => value.cast(dtype),
            None => general::composed(&wide, &shape, options)?.cast(dtype),
        };
    }
    match dtype {
        DType::F32 => tiled::<f32>(&inputs, shape, options, None),
        DType::F64 => tiled::<f64>(&inputs, shape, options, None),
        _ => {
            let up = [inputs[0].cast(DType::F32)?, inputs[1].cast(DType::F32)?, inputs[2].cast(DType::F32)?];
            tiled::<f32>(&up, shape, options, None)?.cast(dtype)
        }
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, options: &AttentionOptions) -> Result<Shape> {
    let fail = |why: String| {
        Err(Error::shape(format!("attention of q {:?}, k {:?}, v {:?}: {why}", q.shape(), k.shape(), v.shape())))
    };
    if [q, k, v].iter().any(|t| t.rank() < 2) {
        return fail("each needs at least two axes".into());
    }
    let last = |t: &Tensor| (t.shape()[t.rank() - 2], t.shape()[t.rank() - 1]);
    let ((queries, depth), (keys, key_depth), (values, value_depth)) = (last(q), last(k), last(v));
    if depth != key_depth {
        return fail(format!("queries have depth {depth}, keys {key_depth}"));
    }
    if keys != values {
        return fail(format!("there are {keys} keys and {values} values"));
    }
    let lead = |t: &Tensor| t.shape()[..t.rank() - 2].to_vec();
    let batch = super::matmul::broadcast(&lead(q), &lead(k)).and_then(|b| super::matmul::broadcast(&b, &lead(v)));
    let Some(batch) = batch else { return fail("leading axes do not broadcast".into()) };
    let shape = Shape { batch, queries, keys, depth, value_depth };
    if let Some(mask) = &options.mask {
        if mask.dtype() != DType::Bool {
            return Err(Error::dtype(format!("an attention mask is bool, got {}", mask.dtype())));
        }
        let full = shape.with([queries, keys]);
        if super::matmul::broadcast(mask.shape(), &full).as_deref() != Some(&full) {
            return fail(format!("a mask of shape {:?} does not broadcast to {full:?}", mask.shape()));
        }
    }
    if let Some([of_queries, of_keys]) = &options.segments {
        segments::check("attention", of_queries, &shape.batch, queries)?;
        segments::check("attention", of_keys, &shape.batch, keys)?;
    }
    if let Some((rate, _)) = options.dropout {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::argument(format!("attention dropout must be at least 0 and below 1, got {rate}")));
        }
    }
    Ok(shape)
}

/// What is taken from products: from a position's own, and from those of each key (`[…, Lk]`, of the operands' type).
#[derive(Clone)]
struct Taken {
    own: f64,
    keys: Option<Tensor>,
    sums_to_one: bool,
}

/// Operands and options as the kernels take them.
struct Bound {
    q: Held,
    k: Held,
    v: Held,
    mask: Option<Raw>,
    segments: Option<[Raw; 2]>,
    taken: Option<(f64, Option<Raw>, bool)>,
    shape: Shape,
    options: AttentionOptions,
}

impl Bound {
    fn new([q, k, v]: &[Tensor; 3], shape: &Shape, options: &AttentionOptions, taken: Option<&Taken>) -> Result<Self> {
        let mask = match &options.mask {
            None => None,
            Some(m) => Some(m.raw().broadcast_as(shape.with([shape.queries, shape.keys]))?),
        };
        let each = |t: &Tensor, n: usize| {
            let full: Vec<usize> = shape.batch.iter().copied().chain([n]).collect();
            t.raw().broadcast_as(full)
        };
        let segments = match &options.segments {
            None => None,
            Some([q, k]) => Some([each(q, shape.queries)?, each(k, shape.keys)?]),
        };
        let taken = match taken {
            None => None,
            Some(t) => Some((t.own, t.keys.as_ref().map(|t| each(t, shape.keys)).transpose()?, t.sums_to_one)),
        };
        let options = AttentionOptions { mask: None, segments: None, ..options.clone() };
        let (q, k, v, shape) = (Held::new(q)?, Held::new(k)?, Held::new(v)?, shape.clone());
        Ok(Self { q, k, v, mask, segments, taken, shape, options })
    }
    fn with<T: Element + Scalar, R>(&self, f: impl FnOnce(&Problem<'_, T>) -> Result<R>) -> Result<R> {
        let (s, rank) = (&self.shape, self.shape.batch.len());
        let locked = self.mask.as_ref().map(|m| m.storage_and_layout());
        let mask = match &locked {
            None => None,
            Some((storage, layout)) => {
                let Storage::Cpu(cpu) = &**storage else {
                    return Err(Error::internal("a CPU kernel was given a mask of another device"));
                };
                let data = cpu.as_slice::<u8>()?.get(layout.start_offset()..).unwrap_or_default();
                let strides = layout.stride();
                Some(MaskView { data, batch: strides[..rank].into(), row: strides[rank], col: strides[rank + 1] })
            }
        };
        let locked_keys = self.taken.as_ref().and_then(|t| t.1.as_ref()).map(|m| m.storage_and_layout());
        let keys = locked_keys.as_ref().map(|(storage, layout)| key_view::<T>(storage, layout, rank)).transpose()?;
        let locked_ids = self.segments.as_ref().map(|ids| ids.each_ref().map(|ids| ids.storage_and_layout()));
        let segments = match &locked_ids {
            None => None,
            Some([q, k]) => Some(Segments { queries: key_view(&q.0, q.1, rank)?, keys: key_view(&k.0, k.1, rank)? }),
        };
        let penalties = self.taken.as_ref().map(|t| Penalties { own: T::of(t.0), keys, sums_to_one: t.2 });
        let shared = penalties.is_some();
        let matrices = if shared { 1 } else { s.batch.iter().product() };
        let dropout = self.options.dropout.filter(|d| d.0 > 0.0).map(|(rate, key)| Dropout {
            stream: BitStream::new(key, matrices * s.queries * s.keys),
            threshold: bernoulli_threshold(1.0 - rate),
            scale: T::of(1.0 / (1.0 - rate)),
            shared,
        });
        self.q.with(|q| {
            self.k.with(|k| {
                self.v.with(|v| {
                    f(&Problem {
                        batch: s.batch.clone(),
                        q: self.q.stack(q, rank),
                        k: self.k.stack(k, rank),
                        v: self.v.stack(v, rank),
                        queries: s.queries,
                        keys: s.keys,
                        depth: s.depth,
                        value_depth: s.value_depth,
                        scale: T::of(self.options.scale),
                        causal: self.options.causal,
                        mask,
                        mask_value: T::of(self.options.mask_value),
                        penalties,
                        segments,
                        dropout,
                    })
                })
            })
        })
    }
}

/// A number for each key, as it lies; axes before the last are leading ones.
pub(in crate::ops) fn key_view<'a, T: Element>(
    storage: &'a Storage,
    layout: &Layout,
    rank: usize,
) -> Result<KeyView<'a, T>> {
    let Storage::Cpu(cpu) = storage else {
        return Err(Error::internal("a CPU kernel was given numbers of another device"));
    };
    let data = cpu.as_slice::<T>()?.get(layout.start_offset()..).unwrap_or_default();
    Ok(KeyView { data, batch: layout.stride()[..rank].into(), col: layout.stride()[rank] })
}

/// The CPU kernel.
fn tiled<T: Element + Scalar>(
    inputs: &[Tensor; 3],
    shape: Shape,
    options: &AttentionOptions,
    taken: Option<Taken>,
) -> Result<Tensor> {
    let bound = Bound::new(inputs, &shape, options, taken.as_ref())?;
    let full = shape.with([shape.queries, shape.value_depth]);
    let (place, swapped) = place_like(&inputs[0], &full);
    let done = bound.with::<T, _>(|p| forward(p, &place))?;
    let value = placed(done.out, &full, swapped)?;
    if inputs.iter().all(|t| !t.is_tracked()) {
        return Ok(value);
    }
    let kept = Kept::new(value.clone(), done.top, done.total)?;
    let (saved, options) = (inputs.clone().map(|t| t.detach()), options.clone());
    Ok(record(value, &[&inputs[0], &inputs[1], &inputs[2]], move |ct, need| {
        let full = [[shape.queries, shape.depth], [shape.keys, shape.depth], [shape.keys, shape.value_depth]]
            .map(|l| shape.with(l));
        let bound = Bound::new(&saved, &shape, &options, taken.as_ref())?;
        kept.gradients::<T>(ct, need, saved.each_ref(), full, |saved, places| {
            bound.with::<T, _>(|p| backward(p, saved, places))
        })
    }))
}
