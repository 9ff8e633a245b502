//! Chunked attention backward: strengths are computed again, gradients of keys gathered in the ring until no query of the walk
//! sees them any more.
use super::{log_sum, Block, Keys, Problem, Ring, ROWS};
use crate::{
    kernels::{
        attention::{Place, Scalar, Stack},
        gemm::{multiply, Mat, Out},
        real::{simd, sum2},
    },
    threads,
};

/// Gradients at the full batch shape, each laid out as asked for; none for keys that are the queries.
pub(crate) struct Gradients<T> {
    pub q: Vec<T>,
    pub k: Vec<T>,
    pub v: Vec<T>,
}

/// What forward saved, and the cotangent.
pub(crate) struct Saved<'a, T> {
    pub out: Stack<'a, T>,
    pub top: &'a [T],
    pub total: &'a [T],
    pub ct: Stack<'a, T>,
}

/// Gradients of attention with respect to queries, keys and values.
pub(crate) fn backward<T: Scalar>(p: &Problem<'_, T>, saved: &Saved<'_, T>, places: &[Place; 3]) -> Gradients<T> {
    let items = p.items();
    let of = |depth: usize| vec![T::default(); items * p.length * depth];
    let mut grads = Gradients { q: of(p.depth), k: of(if p.k.is_some() { p.depth } else { 0 }), v: of(p.value_depth) };
    // Σ_j strength × its cotangent over all rounds: the product of a row of the result and its cotangent.
    let mut inner = of(1);
    threads::for_chunks_of(&mut inner, p.length.clamp(1, 1 << 10), items * p.length * p.value_depth, |start, part| {
        for (i, x) in part.iter_mut().enumerate() {
            let (item, at) = ((start + i) / p.length, (start + i) % p.length);
            let (out, ct) = (p.view(&saved.out, item), p.view(&saved.ct, item));
            *x = dot(&out.data[at * out.row..][..p.value_depth], &ct.data[at * ct.row..][..p.value_depth]);
        }
    });
    let schedule = p.schedule();
    let walks = schedule.walks();
    let work = (items * p.length).saturating_mul(p.window() * p.chunk);
    let shared = Shared {
        q: Out::new(&mut grads.q),
        k: Out::new(&mut grads.k),
        v: Out::new(&mut grads.v),
        places,
        inner: &inner,
        saved,
    };
    // Keys outside of a walk's chunks may be in other walks' too; their gradients wait until the round is over.
    let mut outside: Vec<Vec<Keys<T>>> = Vec::new();
    for round in 0..schedule.rounds {
        outside.clear();
        outside.resize_with(items * walks, Vec::new);
        let slots = Out::new(&mut outside);
        threads::for_each_index(items * walks, work, |task| {
            let (item, walk) = (task / walks, task % walks);
            // SAFETY: one slot for each task, and the vector outlives the loop.
            let slot = unsafe { slots.part(task, 1) };
            slot[0] = walk_over(p, &shared, item, schedule.range(round, walk), walks == 1);
        });
        threads::for_each_index(items, work, |item| {
            for keys in outside[item * walks..(item + 1) * walks].iter().flatten() {
                // SAFETY: one task for each matrix.
                unsafe { shared.add_keys(p, item, keys) };
            }
        });
    }
    grads
}

/// Outputs of all tasks, and what they read.
struct Shared<'a, T> {
    q: Out<T>,
    k: Out<T>,
    v: Out<T>,
    places: &'a [Place; 3],
    inner: &'a [T],
    saved: &'a Saved<'a, T>,
}

impl<T: Scalar> Shared<'_, T> {
    /// Adds the gradients of keys and values at their positions. Keys made of queries pass them on to these.
    ///
    /// # Safety
    /// Nobody else uses these positions meanwhile.
    unsafe fn add_keys(&self, p: &Problem<'_, T>, item: usize, keys: &Keys<T>) {
        let bases = [0, 1, 2].map(|i| self.places[i].offset(&p.batch, item, 0));
        for (i, &at) in keys.positions.iter().enumerate() {
            let row = |which: usize| bases[which] + at as usize * self.places[which].row;
            let dk = &keys.dk[i * p.depth..(i + 1) * p.depth];
            // SAFETY: as the caller vouches; `places` send different rows to different elements.
            unsafe {
                if p.k.is_some() {
                    add_scaled(self.k.part(row(1), p.depth), dk, keys.scale[i]);
                } else {
                    let k = &keys.k[i * p.depth..(i + 1) * p.depth];
                    add_along(self.q.part(row(0), p.depth), dk, k, keys.scale[i]);
                }
                let dv = &keys.dv[i * p.value_depth..(i + 1) * p.value_depth];
                add_scaled(self.v.part(row(2), p.value_depth), dv, T::ONE);
            }
        }
    }
}

/// Gradients of one walk; returns those of keys outside of it, unless it is the only one.
fn walk_over<T: Scalar>(
    p: &Problem<'_, T>,
    shared: &Shared<'_, T>,
    item: usize,
    chunks: std::ops::Range<usize>,
    only: bool,
) -> Vec<Keys<T>> {
    let mut outside = Vec::new();
    let mut ring = Ring::new(p, item, chunks.start, true);
    let mut scratch = Scratch::new(p);
    let mut retire = |ring: &mut Ring<T>, place: usize| {
        let keys = ring.at_mut(place);
        if only || chunks.contains(&keys.chunk) {
            // SAFETY: positions of a walk's own chunks are its own in this round, and the only walk has all.
            unsafe { shared.add_keys(p, item, keys) };
        } else {
            outside.push(std::mem::replace(keys, Keys::new(p, true)));
        }
    };
    for chunk in chunks.clone() {
        if chunk > chunks.start {
            retire(&mut ring, 0);
            ring.advance(p, item, chunk);
        }
        if p.order.is_some() {
            let rows = || ring.at(p.before).positions.iter().copied();
            p.view(&shared.saved.ct, item).ask(rows(), p.value_depth);
        }
        let size = p.size(chunk);
        for row in (0..size).step_by(ROWS) {
            let rows = ROWS.min(size - row);
            let positions: Vec<u32> = ring.at(p.before).positions[row..row + rows].to_vec();
            scratch.block(p, shared, item, &mut ring, &positions, row);
            let base = shared.places[0].offset(&p.batch, item, 0);
            for (i, &at) in positions.iter().enumerate() {
                // SAFETY: as above.
                let to = unsafe { shared.q.part(base + at as usize * shared.places[0].row, p.depth) };
                add_scaled(to, &scratch.dq[i * p.depth..(i + 1) * p.depth], T::ONE);
            }
        }
    }
    (0..p.window()).for_each(|place| retire(&mut ring, place));
    outside
}

/// Memory of one walk.
struct Scratch<T> {
    block: Block<T>,
    q: Vec<T>,
    ct: Vec<T>,
    cotangents: Vec<T>,
    dq: Vec<T>,
    /// For each row what strengths are multiplied by to be the attention, and to be the softmax, times the inner product.
    share: Vec<T>,
    pull: Vec<T>,
}

impl<T: Scalar> Scratch<T> {
    fn new(p: &Problem<'_, T>) -> Self {
        let (rows, cols) = (ROWS.min(p.chunk), p.window() * p.chunk);
        let of = |n| vec![T::default(); n];
        Self {
            block: Block::new(p),
            q: of(rows * p.depth),
            ct: of(rows * p.value_depth),
            cotangents: of(rows * cols),
            dq: of(rows * p.depth),
            share: of(rows),
            pull: of(rows),
        }
    }
    /// A block of queries against the window: adds to the ring's gradients, and leaves those of the queries in `dq`.
    fn block(
        &mut self,
        p: &Problem<'_, T>,
        shared: &Shared<'_, T>,
        item: usize,
        ring: &mut Ring<T>,
        positions: &[u32],
        row: usize,
    ) {
        let (rows, cols, saved) = (positions.len(), p.window() * p.chunk, shared.saved);
        self.block.attend(p, ring, row, rows);
        p.view(&saved.ct, item).gather(positions, p.value_depth, &mut self.ct);
        for (i, &at) in positions.iter().enumerate() {
            let at = item * p.length + at as usize;
            let log = log_sum(self.block.top[i], self.block.total[i]);
            let whole = log_sum(saved.top[at], saved.total[at]);
            // Where sums round (everything masked) attention is not the softmax, as in Trax.
            self.share[i] = (self.block.top[i] - log).power() * (log - whole).power();
            let softmax = (log - saved.top[at]).power() / (saved.total[at] * self.block.total[i]);
            self.pull[i] = softmax * shared.inner[at];
        }
        let ct = Mat::dense(&self.ct, rows, p.value_depth);
        for place in 0..p.window() {
            let keys = ring.at(place);
            let v = Mat::dense(&keys.v, keys.len(), p.value_depth);
            multiply(&mut self.cotangents[place * p.chunk..], cols, ct, v.t(), T::ONE, false);
        }
        self.block.draw(p, row, rows);
        let n = rows * cols;
        let (g, e) = (&mut self.cotangents[..n], &mut self.block.strengths[..n]);
        if p.dropout.is_some() {
            dropped(g, e, &self.block.factors[..n], cols, &self.share, &self.pull);
        } else {
            whole(g, e, cols, &self.share, &self.pull);
        }
        let own = &ring.at(p.before).q[row * p.depth..(row + rows) * p.depth];
        self.q[..own.len()].copy_from_slice(own);
        let q = Mat::dense(&self.q, rows, p.depth);
        for place in 0..p.window() {
            let keys = ring.at_mut(place);
            let part = |x| Mat::new(x, [rows, keys.positions.len()], [cols, 1]);
            let strengths = part(&self.block.strengths[place * p.chunk..]);
            let cotangents = part(&self.cotangents[place * p.chunk..]);
            multiply(&mut keys.dv, p.value_depth, strengths.t(), ct, T::ONE, true);
            multiply(&mut keys.dk, p.depth, cotangents.t(), q, T::ONE, true);
            let k = Mat::dense(&keys.k, keys.positions.len(), p.depth);
            multiply(&mut self.dq, p.depth, cotangents, k, T::ONE, place > 0);
        }
    }
}

simd! {
fn dot<T: Scalar>(x: &[T], y: &[T]) -> T {
    sum2(x, y, |x, y| x * y)
}
}

simd! {
/// Cotangents of the attention become those of the products, strengths the attention.
fn whole<T: Scalar>(g: &mut [T], e: &mut [T], cols: usize, share: &[T], pull: &[T]) {
    for (((g, e), &share), &pull) in g.chunks_exact_mut(cols).zip(e.chunks_exact_mut(cols)).zip(share).zip(pull) {
        for (g, e) in g.iter_mut().zip(e) {
            *g = *e * (share * *g - pull);
            *e *= share;
        }
    }
}
}

simd! {
/// [`whole`] with factors of dropout between the attention and what the values are weighed by.
fn dropped<T: Scalar>(g: &mut [T], e: &mut [T], factors: &[T], cols: usize, share: &[T], pull: &[T]) {
    let rows = g.chunks_exact_mut(cols).zip(e.chunks_exact_mut(cols)).zip(factors.chunks_exact(cols));
    for ((((g, e), f), &share), &pull) in rows.zip(share).zip(pull) {
        for ((g, e), &f) in g.iter_mut().zip(e).zip(f) {
            *g = *e * (share * f * *g - pull);
            *e *= share * f;
        }
    }
}
}

simd! {
/// Adds `scale · from`.
fn add_scaled<T: Scalar>(to: &mut [T], from: &[T], scale: T) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from * scale;
    }
}
}

simd! {
/// Adds the gradient of a query that became key `k` by division by its length: `scale · (dk − k ⟨k, dk⟩)`.
fn add_along<T: Scalar>(to: &mut [T], dk: &[T], k: &[T], scale: T) {
    let along = sum2(k, dk, |a, b| a * b);
    for ((to, &dk), &k) in to.iter_mut().zip(dk).zip(k) {
        *to += scale * (dk - k * along);
    }
}
}
