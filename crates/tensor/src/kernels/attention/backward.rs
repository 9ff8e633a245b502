//! Attention backward: tiles recomputed from the saved maximum and sum of each row.
use super::{dot, scale_by, Gradients, Kind, Place, Problem, Saved, Scalar, COLS, ROWS};
use crate::{
    kernels::{
        gemm::{multiply, multiply_ready, Mat, Out, Ready},
        real::simd,
    },
    memory, threads, Result,
};

/// Groups of key tiles that are worked on at the same time, each with its own sum for the queries' gradient: enough of them
/// for several threads when there are few matrices. Fixed by the shape, as the order of additions depends on it.
fn groups(items: usize, key_tiles: usize) -> usize {
    16usize.div_ceil(items.max(1)).clamp(1, key_tiles.max(1)).min(8)
}

/// Gradients of attention with respect to queries, keys and values.
pub(crate) fn backward<T: Scalar>(
    p: &Problem<'_, T>,
    saved: &Saved<'_, T>,
    places: &[Place; 3],
) -> Result<Gradients<T>> {
    let items = p.items();
    let (key_tiles, row_size) = (p.keys.div_ceil(COLS), p.queries * p.depth);
    let groups = groups(items, key_tiles);
    let mut grads = Gradients {
        q: memory::zeros(items * row_size)?,
        k: memory::zeros(items * p.keys * p.depth)?,
        v: memory::zeros(items * p.keys * p.value_depth)?,
    };
    if grads.q.is_empty() && grads.k.is_empty() && grads.v.is_empty() {
        return Ok(grads);
    }
    // Σ_j strength × its cotangent, which is the product of a row of the result and its cotangent.
    let mut inner: Vec<T> = memory::zeros(items * p.queries)?;
    threads::for_chunks(&mut inner, p.queries.clamp(1, 1 << 10), |start, part| {
        for (i, x) in part.iter_mut().enumerate() {
            let (item, row) = ((start + i) / p.queries, (start + i) % p.queries);
            *x = dot(
                saved.out.row(&p.batch, item, row, p.value_depth),
                saved.ct.row(&p.batch, item, row, p.value_depth),
            );
        }
    })?;
    let share = memory::collect(saved.top.iter().zip(saved.total).map(|(&top, &total)| p.share(top, total)))?;
    let pull = |(&x, &total): (&T, &T)| if p.sees_nothing(total) { T::default() } else { x / total };
    let pull = memory::collect(inner.iter().zip(saved.total).map(pull))?;
    drop(inner);
    let mut partial: Vec<T> = memory::zeros(if groups > 1 { items * groups * row_size } else { 0 })?;
    let out = (Out::new(&mut grads.q), Out::new(&mut grads.k), Out::new(&mut grads.v), Out::new(&mut partial));
    let work = (items * p.queries * p.keys).saturating_mul(p.depth + p.value_depth);
    threads::for_each_index(items * groups, work, |task| {
        let (item, group) = (task / groups, task % groups);
        let mut scratch = Scratch::new(p)?;
        let mut own: Vec<T>;
        let dq = if groups > 1 {
            // SAFETY: each task has its own part, and the vector outlives the loop.
            unsafe { out.3.part(task * row_size, row_size) }
        } else {
            own = memory::zeros(row_size)?;
            &mut own[..]
        };
        for col in (group..key_tiles).step_by(groups).map(|t| t * COLS) {
            let cols = COLS.min(p.keys - col);
            column(p, saved, [&share, &pull], item, col, dq, &mut scratch)?;
            for i in 0..cols {
                // SAFETY: each task has its own key rows, which `places` send to different elements.
                unsafe {
                    let to = out.1.part(places[1].offset(&p.batch, item, col + i), p.depth);
                    to.copy_from_slice(&scratch.dk[i * p.depth..(i + 1) * p.depth]);
                    let to = out.2.part(places[2].offset(&p.batch, item, col + i), p.value_depth);
                    to.copy_from_slice(&scratch.dv[i * p.value_depth..(i + 1) * p.value_depth]);
                }
            }
        }
        if groups == 1 {
            for i in 0..p.queries {
                // SAFETY: each task has its own query rows, which `places` send to different elements.
                let to = unsafe { out.0.part(places[0].offset(&p.batch, item, i), p.depth) };
                to.copy_from_slice(&dq[i * p.depth..(i + 1) * p.depth]);
            }
        }
        Ok(())
    })?;
    if groups > 1 {
        let blocks = p.queries.div_ceil(ROWS);
        threads::for_each_index(items * blocks, items * row_size * groups, |index| {
            let (item, row) = (index / blocks, index % blocks * ROWS);
            for i in row..p.queries.min(row + ROWS) {
                // SAFETY: each call has its own query rows.
                let to = unsafe { out.0.part(places[0].offset(&p.batch, item, i), p.depth) };
                for g in 0..groups {
                    let from = &partial[(item * groups + g) * row_size + i * p.depth..];
                    to.iter_mut().zip(from).for_each(|(t, &f)| *t += f);
                }
            }
        })?;
    }
    Ok(grads)
}

/// Memory of one task.
struct Scratch<T> {
    strengths: Vec<T>,
    cotangents: Vec<T>,
    factors: Vec<T>,
    allowed: Vec<u8>,
    words: Vec<u32>,
    dk: Vec<T>,
    dv: Vec<T>,
}

impl<T: Scalar> Scratch<T> {
    fn new(p: &Problem<'_, T>) -> Result<Self> {
        let cols = COLS.min(p.keys);
        Ok(Self {
            strengths: memory::zeros(ROWS * cols)?,
            cotangents: memory::zeros(ROWS * cols)?,
            factors: memory::zeros(if p.dropout.is_some() { ROWS * cols } else { 0 })?,
            allowed: memory::zeros(if p.causal || p.mask.is_some() { ROWS * cols } else { 0 })?,
            words: memory::zeros(cols)?,
            dk: memory::zeros(cols * p.depth)?,
            dv: memory::zeros(cols * p.value_depth)?,
        })
    }
}

/// All query blocks against one block of keys: its gradients in `dk` and `dv` of the scratch, theirs added to `dq`.
fn column<T: Scalar>(
    p: &Problem<'_, T>,
    saved: &Saved<'_, T>,
    [share, pull]: [&[T]; 2],
    item: usize,
    col: usize,
    dq: &mut [T],
    s: &mut Scratch<T>,
) -> Result<()> {
    s.dk.fill(T::default());
    s.dv.fill(T::default());
    let cols = COLS.min(p.keys - col);
    let keys = Ready::new(p.keys(item, col))?;
    let values = Ready::new(p.v.rows(&p.batch, item, col, [cols, p.value_depth]).t())?;
    let key_rows = Ready::new(p.keys(item, col).t())?;
    for row in (0..p.queries).step_by(ROWS) {
        let t = p.tile(item, row, col);
        let here = item * p.queries + row..item * p.queries + row + t.rows;
        let kind = p.kind(t, &mut s.allowed);
        if kind == Kind::Apart || kind == Kind::None && !p.masked_count(&saved.top[here.clone()]) {
            continue;
        }
        let n = t.rows * t.cols;
        let (strengths, cotangents) = (&mut s.strengths[..n], &mut s.cotangents[..n]);
        p.dots(t, kind, &keys, &s.allowed, strengths);
        let ct = saved.ct.rows(&p.batch, item, row, [t.rows, p.value_depth]);
        // What was replaced passes no gradient on; what something was taken from does.
        let passes = kind != Kind::None || p.penalties.is_some();
        if passes {
            multiply_ready(cotangents, t.cols, ct, &values, T::ONE, false);
        }
        exponentials(strengths, t.cols, &saved.top[here.clone()]);
        if let Some(dropout) = &p.dropout {
            p.keep_factors(dropout, t, &mut s.words, &mut s.factors);
            scale_by(cotangents, &s.factors[..n]);
        }
        // The cotangents become those of the products before the strengths are dropped.
        if passes {
            softmax_gradient(cotangents, strengths, t.cols, &share[here.clone()], &pull[here]);
            if kind == Kind::Some && p.penalties.is_none() {
                super::choose(cotangents, &s.allowed[..n], T::default());
            }
        } else {
            shares(strengths, t.cols, &share[here]);
        }
        if p.dropout.is_some() {
            scale_by(strengths, &s.factors[..n]);
        }
        multiply(&mut s.dv, p.value_depth, Mat::dense(strengths, t.rows, t.cols).t(), ct, T::ONE, true);
        if passes {
            let g = Mat::dense(cotangents, t.rows, t.cols);
            let q = p.q.rows(&p.batch, item, row, [t.rows, p.depth]);
            multiply(&mut s.dk, p.depth, g.t(), q, p.scale, true);
            multiply_ready(&mut dq[row * p.depth..], p.depth, g, &key_rows, p.scale, true);
        }
    }
    Ok(())
}

simd! {
/// exp(product − maximum).
fn exponentials<T: Scalar>(x: &mut [T], cols: usize, top: &[T]) {
    for (row, &top) in x.chunks_exact_mut(cols).zip(top) {
        for x in row {
            *x = (*x - top).power();
        }
    }
}
}

simd! {
/// Exponentials become attention.
fn shares<T: Scalar>(x: &mut [T], cols: usize, share: &[T]) {
    for (row, &share) in x.chunks_exact_mut(cols).zip(share) {
        row.iter_mut().for_each(|x| *x *= share);
    }
}
}

simd! {
/// Cotangents of the attention become those of the products, exponentials the attention. `pull` is the inner product of
/// attention and its cotangents along the row, divided by the sum of the exponentials.
fn softmax_gradient<T: Scalar>(g: &mut [T], e: &mut [T], cols: usize, share: &[T], pull: &[T]) {
    for (((g, e), &share), &pull) in g.chunks_exact_mut(cols).zip(e.chunks_exact_mut(cols)).zip(share).zip(pull) {
        for (g, e) in g.iter_mut().zip(e) {
            *g = *e * (share * *g - pull);
            *e *= share;
        }
    }
}
}
