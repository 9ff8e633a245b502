//! Every operation over tensors without elements: shapes with a 0 on each axis, seen through views that start anywhere. Each gives a
//! value or an error that says what is wrong; none panics, and none calls itself a defect.
use std::panic::{catch_unwind, AssertUnwindSafe};
use tallow_tensor::{
    backward, force_general_path,
    ops::{
        attention, batch_norm, bias_activation, causal_depthwise_conv, chunked_attention, conv, cross_entropy, dense,
        dropout, embedding, global_norm, gru, hash_buckets, layer_norm, linear_cross_entropy, linear_recurrence, lstm,
        penalized_attention, pool, rms_norm, sru, Activation, AttentionOptions, ChunkedAttentionOptions, GruWeights,
        LinearCrossEntropyOptions, Padding, PenalizedAttentionOptions, Pooling, Windows,
    },
    random::Key,
    Axes, DType, Device, ErrorKind, Result, Tensor,
};

/// An operation by name, with whatever else it needs made from its one operand.
pub type Op = fn(&Tensor) -> Result<Vec<Tensor>>;

fn one(t: Result<Tensor>) -> Result<Vec<Tensor>> {
    t.map(|t| vec![t])
}

fn all(ts: impl IntoIterator<Item = Result<Tensor>>) -> Result<Vec<Tensor>> {
    ts.into_iter().collect()
}

/// Zeros of a shape, in the dtype of `x`.
fn zeros(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    Tensor::zeros(shape, x.dtype(), x.device())
}

fn last(x: &Tensor) -> usize {
    x.shape()[x.rank() - 1]
}

/// `x` with its last two axes exchanged.
fn turned(x: &Tensor) -> Result<Tensor> {
    x.swap_axes(-2, -1)
}

fn no_ids(x: &Tensor) -> Result<Tensor> {
    x.stop_gradient().cast(DType::I32)
}

/// Every operation.
pub const OPS: &[(&str, Op)] = &[
    ("neg", |x| one(x.neg())),
    ("abs", |x| one(x.abs())),
    ("sign", |x| one(x.sign())),
    ("exp", |x| one(x.exp())),
    ("log", |x| one(x.log())),
    ("sqrt", |x| one(x.sqrt())),
    ("square", |x| one(x.square())),
    ("recip", |x| one(x.recip())),
    ("sin", |x| one(x.sin())),
    ("tanh", |x| one(x.tanh())),
    ("relu", |x| one(x.relu())),
    ("floor", |x| one(x.floor())),
    ("softplus", |x| one(x.softplus())),
    ("gelu", |x| one(x.gelu(true))),
    ("clip", |x| one(x.clip(0, 5))),
    ("isnan", |x| one(x.isnan())),
    ("isfinite", |x| one(x.isfinite())),
    ("logical_not", |x| one(x.logical_not())),
    ("contiguous", |x| one(x.contiguous())),
    ("casts", |x| all(DType::ALL.map(|d| x.cast(d)))),
    ("casts of given values", |x| all(DType::ALL.map(|d| x.cast_within(d)))),
    ("numbers", |x| {
        all([x.add_scalar(2), x.rsub_scalar(2), x.mul_scalar(0.5), x.div_scalar(3), x.pow_scalar(2), x.rem_scalar(3)])
    }),
    ("numbers beyond", |x| {
        all([x.minimum_scalar(1i64 << 40), x.maximum_scalar(-(1i64 << 40)), x.add_scalar(1i64 << 62)])
    }),
    ("comparisons", |x| all([x.eq_scalar(1), x.lt_scalar(0.5), x.ge(x), x.ne(&turned(&turned(x)?)?)])),
    ("arithmetic", |x| all([x.add(x), x.sub(x), x.mul(x), x.div(x), x.maximum(x), x.minimum(x), x.rem(x), x.pow(x)])),
    ("broadcast arithmetic", |x| {
        all([x.add(&zeros(x, &[1, 1])?), zeros(x, &[1, last(x)])?.mul(x), x.sub(&zeros(x, &[])?)])
    }),
    ("arithmetic of dtypes", |x| all(DType::ALL.map(|d| x.add(&x.cast(d)?)))),
    ("logic", |x| all([x.logical_and(x), x.logical_or(x), x.logical_xor(x)])),
    ("where", |x| all([Tensor::where_(&x.eq_scalar(0)?, x, &x.zeros_like()?), x.mask_fill(&x.eq_scalar(0)?, 1)])),
    ("sum", |x| reductions(x, |x, a, k| x.sum(a, k))),
    ("mean", |x| reductions(x, |x, a, k| x.mean(a, k))),
    ("max", |x| reductions(x, |x, a, k| x.max(a, k))),
    ("min", |x| reductions(x, |x, a, k| x.min(a, k))),
    ("prod", |x| reductions(x, |x, a, k| x.prod(a, k))),
    ("var", |x| reductions(x, |x, a, k| x.var(a, k))),
    ("logsumexp", |x| reductions(x, |x, a, k| x.logsumexp(a, k))),
    ("any", |x| reductions(x, |x, a, k| x.any(a, k))),
    ("all", |x| reductions(x, |x, a, k| x.all(a, k))),
    ("argmax", |x| each_axis(x, |x, a| x.argmax(Some(a), false))),
    ("argmin", |x| one(x.argmin(None, true))),
    ("cumsum", |x| each_axis(x, |x, a| x.cumsum(a))),
    ("sum_to", |x| one(x.sum_to(&[1, last(x)]))),
    ("softmax", |x| each_axis(x, |x, a| x.softmax(a))),
    ("log_softmax", |x| each_axis(x, |x, a| x.log_softmax(a))),
    ("sort", |x| each_axis(x, |x, a| x.sort(a, false))),
    ("argsort", |x| each_axis(x, |x, a| x.argsort(a, true))),
    ("top_k", |x| x.top_k(last(x)).map(|(v, i)| vec![v, i])),
    ("reshape", |x| all([x.reshape(&[0]), x.reshape(&[0, 5]), x.reshape_infer(&[-1])])),
    ("transpose", |x| all([x.transpose(None), x.transpose(None)?.contiguous(), x.move_axis(0, -1)])),
    ("expand and squeeze", |x| all([x.expand_dims(0), x.expand_dims(-1)?.squeeze(-1)])),
    ("broadcast_to", |x| one(x.broadcast_to(&[&[2], x.shape()].concat()))),
    ("split", |x| each_part(x, |x, a| x.split(1, a))),
    ("split in two", |x| each_part(x, |x, a| x.split(2, a))),
    ("split_at", |x| each_part(x, |x, a| x.split_at(&[0, 0], a))),
    ("unstack", |x| each_part(x, Tensor::unstack)),
    ("index", |x| one(x.index(0, 0))),
    ("slice", |x| one(x.slice(&[isize::MAX, 0], &[isize::MIN, 9], &[-1, 2]))),
    ("flip", |x| one(x.flip(Axes::All))),
    ("roll", |x| each_axis(x, |x, a| x.roll(1, a))),
    ("pad", |x| all([x.pad(&vec![(1, 2); x.rank()], 0), x.pad(&vec![(0, 0); x.rank()], 0)])),
    ("concat", |x| each_axis(x, |x, a| Tensor::concat(&[x.clone(), x.clone()], a))),
    ("stack", |x| one(Tensor::stack(&[x.clone(), x.clone()], 1))),
    ("tile", |x| all([x.tile(&[2, 3]), x.repeat(2, 0), x.tile(&[0])])),
    ("take", |x| each_axis(x, |x, a| x.take(&Tensor::zeros(&[0, 2], DType::I32, &Device::Cpu)?, a))),
    ("take of something", |x| each_axis(x, |x, a| x.take(&Tensor::zeros(&[2], DType::I64, &Device::Cpu)?, a))),
    ("gather", |x| each_axis(x, |x, a| x.gather(&no_ids(x)?, a))),
    ("scatter", |x| each_axis(x, |x, a| x.scatter(&no_ids(x)?, x, a))),
    ("scatter_add", |x| each_axis(x, |x, a| x.scatter_add(&no_ids(x)?, x, a))),
    ("one_hot", |x| all([no_ids(x)?.one_hot(3, x.dtype()), no_ids(x)?.one_hot(0, x.dtype())])),
    ("matmul", |x| all([x.matmul(&turned(x)?), turned(x)?.matmul(x), x.matmul(&zeros(x, &[last(x), 2])?)])),
    ("matmul by vectors", |x| all([x.matmul(&zeros(x, &[last(x)])?), zeros(x, &[x.shape()[x.rank() - 2]])?.matmul(x)])),
    ("matmul of a broadcast operand", |x| one(x.matmul(&zeros(x, &[1, 1, 2])?.broadcast_to(&[3, last(x), 2])?))),
    ("einsum", |x| {
        all([
            Tensor::einsum("...ij,...kj->...ik", &[x, x]),
            Tensor::einsum("...ij->...", &[x]),
            Tensor::einsum("...i,...i->...i", &[x, x]),
        ])
    }),
    ("dense", |x| {
        all([
            dense(x, &zeros(x, &[last(x), 3])?, None),
            dense(x, &zeros(x, &[last(x), 3])?, Some(&zeros(x, &[3])?)),
            dense(x, &zeros(x, &[last(x), 0])?, None),
        ])
    }),
    ("bias_activation", |x| one(bias_activation(x, Some(&zeros(x, &[last(x)])?), Activation::Tanh))),
    ("layer_norm", |x| one(layer_norm(x, Some(&zeros(x, &[last(x)])?), Some(&zeros(x, &[last(x)])?), 1e-6))),
    ("rms_norm", |x| one(rms_norm(x, None, 1e-6))),
    ("batch_norm", |x| batch_norm(x, None, None, 1e-3).map(|b| vec![b.y, b.mean, b.var])),
    ("dropout", |x| all([dropout(x, 0.5, KEY, x.shape()), dropout(x, 0.5, KEY, &[1, last(x)])])),
    ("embedding", |x| one(embedding(&Tensor::zeros(&[4, 3], DType::F32, &Device::Cpu)?.variable(), &no_ids(x)?))),
    ("embedding of no vocabulary", |x| one(embedding(&zeros(x, &[0, 3])?, &no_ids(x)?))),
    ("cross_entropy", |x| one(cross_entropy(x, &no_ids(x)?.sum(-1, false)?, 0.1))),
    ("linear_cross_entropy", |x| {
        let (targets, scale) = (no_ids(x)?.sum(-1, false)?, x.sum(-1, false)?);
        let o = LinearCrossEntropyOptions { label_smoothing: 0.1, cutoff: 0.0 };
        all([
            linear_cross_entropy(x, &zeros(x, &[last(x), 3])?, None, &targets, &scale, o),
            linear_cross_entropy(x, &zeros(x, &[last(x), 3])?, Some(&zeros(x, &[3])?), &targets, &scale, o),
            linear_cross_entropy(x, &zeros(x, &[3, last(x)])?.transpose(None)?, None, &targets, &scale, o),
        ])
    }),
    ("global_norm", |x| global_norm(std::slice::from_ref(x)).map(|n| vec![Tensor::scalar(n)])),
    ("conv", |x| {
        all([
            conv(x, &zeros(x, &[2, last(x), 3])?, None, &same()),
            conv(x, &zeros(x, &[2, last(x), 0])?, None, &same()),
            conv(x, &zeros(x, &[1, last(x), 3])?, Some(&zeros(x, &[3])?), &Windows::default()),
        ])
    }),
    ("causal_depthwise_conv", |x| one(causal_depthwise_conv(x, &zeros(x, &[3, last(x)])?))),
    ("pool", |x| all([Pooling::Max, Pooling::Sum, Pooling::Average].map(|kind| pool(x, &[2], &same(), kind)))),
    ("pool of whole windows", |x| one(pool(x, &[1], &Windows::default(), Pooling::Max))),
    ("attention", |x| {
        all([false, true].map(|causal| attention(x, x, x, &AttentionOptions { causal, ..AttentionOptions::default() })))
    }),
    ("attention with a mask", |x| {
        one(attention(
            x,
            x,
            x,
            &AttentionOptions {
                mask: Some(x.eq_scalar(0)?.sum(-1, true)?.gt_scalar(0)?),
                dropout: Some((0.5, KEY)),
                ..AttentionOptions::default()
            },
        ))
    }),
    ("attention to nothing", |x| {
        one(attention(
            &zeros(x, &[2, 3, 4])?,
            &zeros(x, &[2, 0, 4])?,
            &zeros(x, &[2, 0, 5])?,
            &AttentionOptions::default(),
        ))
    }),
    ("penalized_attention", |x| one(penalized_attention(x, x, x, &PenalizedAttentionOptions::default()))),
    ("chunked_attention", |x| all([None, Some(x)].map(|k| chunked_attention(x, k, x, &chunks())))),
    ("hash_buckets", |x| one(hash_buckets(x, &zeros(x, &[last(x), 2, 1])?, &[2]))),
    ("lstm", |x| both(lstm(x, &zeros(x, &[x.shape()[0], 4])?, &zeros(x, &[last(x) + 2, 8])?, &zeros(x, &[8])?))),
    ("lstm without units", |x| {
        both(lstm(x, &zeros(x, &[x.shape()[0], 0])?, &zeros(x, &[last(x), 0])?, &zeros(x, &[0])?))
    }),
    ("gru", |x| {
        let n = last(x) + 2;
        let w = [zeros(x, &[n, 4])?, zeros(x, &[4])?, zeros(x, &[n, 2])?, zeros(x, &[2])?];
        let w = GruWeights { gates: &w[0], gates_bias: &w[1], candidate: &w[2], candidate_bias: &w[3] };
        both(gru(x, &zeros(x, &[x.shape()[0], 2])?, w))
    }),
    ("sru", |x| both(sru(&Tensor::concat(&[x.clone(), x.clone(), x.clone()], -1)?, x, &x.sum(1, false)?))),
    ("linear_recurrence", |x| both(linear_recurrence(x, x, &x.sum(1, false)?))),
];

const KEY: Key = Key([1, 2]);

fn same() -> Windows {
    Windows { padding: Padding::Same, ..Windows::default() }
}

fn chunks() -> ChunkedAttentionOptions {
    ChunkedAttentionOptions { chunk_len: 2, ..ChunkedAttentionOptions::default() }
}

fn both(pair: Result<(Tensor, Tensor)>) -> Result<Vec<Tensor>> {
    pair.map(|(a, b)| vec![a, b])
}

/// Over all axes, over none, and over each; the results that there are. Some have no extreme.
fn reductions(x: &Tensor, f: impl Fn(&Tensor, Axes, bool) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let each = (0..x.rank() as isize).map(Axes::from);
    let axes: Vec<Axes> = each.chain([Axes::All, Axes::from(&[][..])]).collect();
    kept(axes.into_iter().flat_map(|a| [f(x, a.clone(), true), f(x, a, false)]))
}

fn each_axis(x: &Tensor, f: impl Fn(&Tensor, isize) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    kept((0..x.rank() as isize).map(|a| f(x, a)))
}

fn each_part(x: &Tensor, f: impl Fn(&Tensor, isize) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    let parts: Vec<Result<Vec<Tensor>>> = (0..x.rank() as isize).map(|a| f(x, a)).collect();
    kept(parts.into_iter().flat_map(|r| match r {
        Ok(parts) => parts.into_iter().map(Ok).collect(),
        Err(e) => vec![Err(e)],
    }))
}

/// The values among `results`; the first error that is no user's, or the first of all when there is no value.
fn kept(results: impl IntoIterator<Item = Result<Tensor>>) -> Result<Vec<Tensor>> {
    let mut out = Vec::new();
    let mut refused = None;
    for r in results {
        match r {
            Ok(t) => out.push(t),
            Err(e) if e.kind() == ErrorKind::Internal => return Err(e),
            Err(e) => refused = refused.or(Some(e)),
        }
    }
    match refused {
        Some(e) if out.is_empty() => Err(e),
        _ => Ok(out),
    }
}

/// Tensors of an empty shape: plain, and views of storages with and without elements.
fn views(shape: &[usize], dtype: DType) -> Result<Vec<(&'static str, Tensor)>> {
    let make = |s: &[usize]| Tensor::zeros(s, dtype, &Device::Cpu);
    let wider = |axis: usize, by: usize| {
        let mut s = shape.to_vec();
        s[axis] = s[axis] * 2 + by;
        s
    };
    let rank = shape.len();
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let mut out = vec![
        ("plain", make(shape)?),
        ("second half of the last axis", make(&wider(rank - 1, 0))?.split(2, -1)?.remove(1)),
        ("second half of the first axis", make(&wider(0, 0))?.split(2, 0)?.remove(1)),
        ("transposed", make(&reversed)?.transpose(None)?),
        ("the end of the last axis", make(&wider(rank - 1, 1))?.narrow(-1, shape[rank - 1] + 1, shape[rank - 1])?),
        ("the end of the first axis", make(&wider(0, 3))?.narrow(0, shape[0] + 3, shape[0])?),
        ("broadcast", make(&shape[1..])?.broadcast_to(shape)?),
        ("a number broadcast", make(&[])?.broadcast_to(shape)?),
    ];
    let steps: Vec<isize> = vec![-2; rank];
    let (starts, ends) = (vec![isize::MAX; rank], vec![isize::MIN; rank]);
    out.push(("every second from the end", make(shape)?.slice(&starts, &ends, &steps)?));
    Ok(out)
}

fn run(op: Op, x: &Tensor) -> std::result::Result<(), String> {
    let outputs = match op(x) {
        Ok(outputs) => outputs,
        Err(e) if e.kind() == ErrorKind::Internal => return Err(format!("called itself a defect: {e}")),
        Err(_) => return Ok(()),
    };
    for y in &outputs {
        let n = y.to_f64_vec().map_err(|e| e.to_string())?.len();
        if n != y.size() {
            return Err(format!("{n} values for {y:?}"));
        }
    }
    if !x.is_tracked() {
        return Ok(());
    }
    let seeds: Vec<(Tensor, Tensor)> = outputs
        .into_iter()
        .filter(|y| y.dtype().is_float())
        .map(|y| (y.clone(), y.detach().ones_like().unwrap()))
        .collect();
    let parts = (0..seeds.len()).map(|i| &seeds[i..i + 1]).chain([&seeds[..]]);
    for seeds in parts {
        match backward(seeds, std::slice::from_ref(x), true) {
            Ok(g) if g[0].shape() == x.shape() && g[0].dtype() == x.dtype() => drop(g[0].to_f64_vec()),
            Ok(g) => return Err(format!("a gradient {:?}", g[0])),
            Err(e) => return Err(format!("no gradient: {e}")),
        }
    }
    Ok(())
}

#[test]
fn every_operation_on_nothing() {
    let shapes: [&[usize]; 9] =
        [&[0, 3], &[3, 0], &[0, 0], &[0, 2, 4], &[2, 0, 4], &[2, 4, 0], &[0, 0, 4], &[0, 1, 1], &[1, 1, 0]];
    let mut wrong = Vec::new();
    for dtype in DType::ALL {
        for shape in shapes {
            for (view, x) in views(shape, dtype).unwrap() {
                for (name, op) in OPS {
                    let x = if dtype.is_float() { x.variable() } else { x.clone() };
                    for general in [false, true] {
                        let go = || if general { force_general_path(|| run(*op, &x)) } else { run(*op, &x) };
                        let out = catch_unwind(AssertUnwindSafe(go)).unwrap_or_else(|_| Err("panicked".into()));
                        if let Err(why) = out {
                            wrong.push(format!("{name} of {dtype}{shape:?} ({view}, general {general}) {why}"));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}
