//! Chunked attention backward: strengths are computed again, gradients gathered in the ring until no query of the walk sees their
//! keys any more.
use super::{
    ask,
    block::{dots, sums, Block},
    ring::scale_rows,
    Keys, Problem, Ring, ROWS,
};
use crate::{
    kernels::{
        attention::{dot, Gradients, Place, Saved, Scalar},
        gemm::{small, Mat, Out, Side},
        real::{self, simd},
    },
    memory, threads, Result,
};

/// Log-sum-exps up to this size tell a row's sum to all of float32's digits but the last few. Beside larger ones, such as those of
/// products that 10⁵ was taken from, the logarithm would be lost to rounding, so they are kept in two parts.
const EXACT: f64 = 128.0;

/// Numbers of a position over all rounds.
#[derive(Clone, Copy, Default)]
struct Whole<T> {
    /// log Σ exp of its products.
    log: T,
    /// Σ_j strength × its cotangent, the product of its result and its cotangent.
    pull: T,
}

/// Gradients of attention with respect to queries, keys and values; none for keys that are the queries. If `joint`, those of
/// values are among those of queries, where `places` says.
pub(crate) fn backward<T: Scalar>(
    p: &Problem<'_, T>,
    saved: &Saved<'_, T>,
    places: &[Place; 3],
    joint: bool,
) -> Result<Gradients<T>> {
    let items = p.items();
    let key_depth = if p.k.is_some() { p.depth } else { 0 };
    let depths = if joint { [p.depth + p.value_depth, key_depth, 0] } else { [p.depth, key_depth, p.value_depth] };
    // Where every chunk is of one round, the first round writes what others add to.
    let of = |depth: usize| {
        let shape = [items, p.length, depth];
        if p.whole_chunks() {
            memory::room::<T>(&shape)
        } else {
            memory::zeros(&shape)
        }
    };
    let mut grads = Gradients { q: of(depths[0])?, k: of(depths[1])?, v: of(depths[2])? };
    let mut whole = memory::full(items * p.length, Whole::default())?;
    threads::for_chunks_of(&mut whole, p.length.clamp(1, 1 << 10), items * p.length * p.value_depth, |start, part| {
        for (i, x) in part.iter_mut().enumerate() {
            let (item, at) = ((start + i) / p.length, (start + i) % p.length);
            let (out, ct) = (p.view(&saved.out, item), p.view(&saved.ct, item));
            let inner = dot(&out.data[at * out.row..][..p.value_depth], &ct.data[at * ct.row..][..p.value_depth]);
            *x = Whole { log: saved.top[start + i] + saved.total[start + i].ln(), pull: inner };
        }
    })?;
    let schedule = p.schedule();
    let walks = schedule.walks();
    let work = (items * p.length).saturating_mul(p.window() * p.chunk);
    let shared = Shared {
        q: Out::new(&mut grads.q),
        k: Out::new(&mut grads.k),
        v: Out::new(if joint { &mut grads.q } else { &mut grads.v }),
        places,
        whole: &whole,
        saved,
    };
    // Keys outside of a walk's chunks may be in other walks' too; their gradients wait until the round is over.
    let mut outside: Vec<Vec<Keys<T>>>;
    for round in 0..schedule.rounds {
        outside = memory::collect((0..items * walks).map(|_| Vec::new()))?;
        let slots = Out::new(&mut outside);
        let fresh = p.whole_chunks() && round == 0;
        threads::for_each_index(items * walks, work, |task| {
            let (item, walk) = (task / walks, task % walks);
            // SAFETY: one slot for each task, and the vector outlives the loop.
            let slot = unsafe { slots.part(task, 1) };
            slot[0] = walk_over(p, &shared, item, schedule.range(round, walk), fresh)?;
            Ok(())
        })?;
        threads::for_each_index(items, work, |item| {
            // SAFETY: one task for each matrix.
            unsafe {
                for keys in slots.part(item * walks, walks).iter_mut().flatten() {
                    shared.add(p, item, keys, false);
                }
            }
        })?;
    }
    let [q, k, v] = depths.map(|d| items * p.length * d);
    // SAFETY: either they have that many elements, or the first round, which covers all positions, wrote them.
    unsafe {
        grads.q.set_len(q);
        grads.k.set_len(k);
        grads.v.set_len(v);
    }
    Ok(grads)
}

/// Outputs of all tasks, and what they read.
struct Shared<'a, T> {
    q: Out<T>,
    k: Out<T>,
    v: Out<T>,
    places: &'a [Place; 3],
    whole: &'a [Whole<T>],
    saved: &'a Saved<'a, T>,
}

impl<T: Scalar> Shared<'_, T> {
    /// Gradient rows of a position, those of keys only if they are not the queries.
    ///
    /// # Safety
    /// Nobody else uses them meanwhile.
    #[allow(clippy::mut_from_ref)]
    unsafe fn rows(&self, p: &Problem<'_, T>, bases: [usize; 3], at: u32) -> (&mut [T], Option<&mut [T]>, &mut [T]) {
        let row = |which: usize| bases[which] + at as usize * self.places[which].row;
        // SAFETY: as the caller vouches; `places` send different rows to different elements.
        unsafe {
            let k = p.k.is_some().then(|| self.k.part(row(1), p.depth));
            (self.q.part(row(0), p.depth), k, self.v.part(row(2), p.value_depth))
        }
    }
    fn bases(&self, p: &Problem<'_, T>, item: usize) -> [usize; 3] {
        [0, 1, 2].map(|i| self.places[i].offset(&p.batch, item, 0))
    }
    /// Adds the gradients of a chunk at its positions, or writes them if they are the first. Keys made of queries pass theirs
    /// on to these.
    ///
    /// # Safety
    /// Nobody else uses these positions meanwhile.
    unsafe fn add(&self, p: &Problem<'_, T>, item: usize, keys: &mut Keys<T>, first: bool) {
        let ([row, v_row, _], bases, n) = (p.strides(), self.bases(p, item), keys.positions.len());
        if p.k.is_some() {
            scale_rows(&mut keys.dk, row, &keys.scale[..n]);
        } else {
            add_through_length(&mut keys.dq, &keys.dk, &keys.k, row, &keys.scale[..n]);
        }
        let put = |to: &mut [T], from: &[T]| {
            if first {
                to.copy_from_slice(&from[..to.len()]);
            } else {
                add(to, from);
            }
        };
        for (i, &at) in keys.positions.iter().enumerate() {
            // SAFETY: as the caller vouches.
            let (dq, dk, dv) = unsafe { self.rows(p, bases, at) };
            put(dq, &keys.dq[i * row..]);
            if let Some(dk) = dk {
                put(dk, &keys.dk[i * row..]);
            }
            put(dv, &keys.dv[i * v_row..]);
        }
    }
}

/// Gradients of one walk; returns those of keys that may be others' too. The first round's write, all others add.
fn walk_over<T: Scalar>(
    p: &Problem<'_, T>,
    shared: &Shared<'_, T>,
    item: usize,
    chunks: std::ops::Range<usize>,
    first: bool,
) -> Result<Vec<Keys<T>>> {
    let mut outside = Vec::new();
    let mut ring = Ring::new(p, item, chunks.start, true)?;
    let mut scratch = Scratch::new(p)?;
    let retire = |ring: &mut Ring<T>, place: usize, outside: &mut Vec<Keys<T>>| {
        let keys = ring.at_mut(place);
        keys.complete(p);
        if keys.asked || !p.whole_chunks() {
            // SAFETY: positions of a walk's own chunks are its own in this round, and the only walk has all.
            unsafe { shared.add(p, item, keys, first) };
        } else {
            outside.push(std::mem::replace(keys, Keys::new(p, true)?));
        }
        Ok::<_, crate::Error>(())
    };
    for chunk in chunks.clone() {
        threads::check()?;
        if chunk > chunks.start {
            retire(&mut ring, 0, &mut outside)?;
            ring.advance(p, item, chunk)?;
        }
        if p.order.is_some() {
            p.view(&shared.saved.ct, item).ask(&ring.at(p.before).positions, p.value_depth);
            let bases = shared.bases(p, item);
            for &at in &ring.at(0).positions {
                // SAFETY: nothing is read or written, only asked for.
                let (dq, _, dv) = unsafe { shared.rows(p, bases, at) };
                ask(dq);
                ask(dv);
            }
        }
        let size = p.size(chunk);
        for row in (0..size).step_by(ROWS) {
            scratch.block(p, shared, item, &mut ring, row, ROWS.min(size - row));
        }
        ring.at_mut(p.before).asked = true;
    }
    (0..p.window()).try_for_each(|place| retire(&mut ring, place, &mut outside))?;
    Ok(outside)
}

/// Memory of one walk.
struct Scratch<T> {
    block: Block<T>,
    ct: Vec<T>,
    cotangents: Vec<T>,
    whole: Vec<T>,
    /// For each row what exponentials are multiplied by to be the attention, and the inner product of attention and cotangents.
    share: Vec<T>,
    pull: Vec<T>,
}

impl<T: Scalar> Scratch<T> {
    fn new(p: &Problem<'_, T>) -> Result<Self> {
        let (rows, cols, [_, v_row, _]) = (ROWS.min(p.chunk), p.cols(), p.strides());
        let of = memory::zeros::<T>;
        Ok(Self {
            block: Block::new(p)?,
            ct: of(rows * v_row)?,
            cotangents: of(rows * cols)?,
            whole: of(rows)?,
            share: of(rows)?,
            pull: of(rows)?,
        })
    }
    /// A block of queries against the window: adds to the ring's gradients.
    fn block(
        &mut self,
        p: &Problem<'_, T>,
        shared: &Shared<'_, T>,
        item: usize,
        ring: &mut Ring<T>,
        row: usize,
        rows: usize,
    ) {
        let (cols, [q_row, v_row, wide]) = (p.cols(), p.strides());
        let positions = &ring.at(p.before).positions[row..row + rows];
        p.view(&shared.saved.ct, item).gather(positions, p.value_depth, &mut self.ct, v_row);
        // How a row is computed may not hang on rows of other segments.
        let mut exact = p.dropout.is_none() && p.segments.is_none();
        for (i, &at) in positions.iter().enumerate() {
            let whole = shared.whole[item * p.length + at as usize];
            (self.whole[i], self.pull[i]) = (whole.log, whole.pull);
            exact &= whole.log.abs() < T::of(EXACT);
        }
        self.block.look(p, ring, row, rows);
        self.block.draw(p, row, rows);
        let mut dq = std::mem::take(&mut ring.at_mut(p.before).dq);
        for step in 0..self.block.sight.steps() {
            self.block.products(p, ring, row, step);
            let ct = (&self.ct[..], p.value_depth);
            dots(&mut self.cotangents, p, &self.block.sight, step, ct, |place| &ring.at(place).turned_v);
            if exact {
                self.block.gradients(p, ring, step, &mut self.cotangents, &self.whole, &self.pull);
            } else {
                self.in_parts(p, shared, item, ring, row, step);
            }
            let out = &mut dq[row * q_row..];
            sums(out, p, &self.block.sight, step, &self.cotangents, q_row, |place| &ring.at(place).k);
        }
        ring.at_mut(p.before).dq = dq;
        for place in 0..p.window() {
            let keys = ring.at_mut(place);
            let (mut dk, mut dv) = (std::mem::take(&mut keys.dk), std::mem::take(&mut keys.dv));
            let mut seen = std::mem::take(&mut keys.seen);
            let q = &ring.at(p.before).q[row * q_row..];
            for (keys, first) in self.block.sight.by_keys(place, ring.at(place).len()) {
                let from = first * cols + place * wide + keys.start;
                let turned = |x| Mat::new(x, [keys.len(), rows - first], [1, cols]);
                let (strengths, cotangents) = (turned(&self.block.strengths[from..]), turned(&self.cotangents[from..]));
                let add = std::mem::replace(&mut seen[keys.start / p.keys()], true);
                let ct = Side::Rows(&self.ct[first * v_row..], v_row);
                small(&mut dv[keys.start * v_row..], v_row, strengths, ct, v_row, add);
                let q = Side::Rows(&q[first * q_row..], q_row);
                small(&mut dk[keys.start * q_row..], q_row, cotangents, q, q_row, add);
            }
            let keys = ring.at_mut(place);
            (keys.dk, keys.dv, keys.seen) = (dk, dv, seen);
        }
    }
    /// Products of a step become the attention, cotangents of it those of the products, without the logarithm of a sum. Also with
    /// dropout.
    fn in_parts(
        &mut self,
        p: &Problem<'_, T>,
        shared: &Shared<'_, T>,
        item: usize,
        ring: &Ring<T>,
        row: usize,
        step: usize,
    ) {
        self.block.exponentials(p, ring, step);
        let (cols, rows) = (p.cols(), self.block.sight.rows(step));
        for i in rows.clone() {
            let at = item * p.length + ring.at(p.before).positions[row + i] as usize;
            self.share[i] = (self.block.top[i] - shared.saved.top[at]).power() / shared.saved.total[at];
        }
        let part = rows.start * cols..rows.end * cols;
        let (g, e) = (&mut self.cotangents[part.clone()], &mut self.block.strengths[part.clone()]);
        let (share, pull) = (&self.share[rows.clone()], &self.pull[rows]);
        if p.dropout.is_some() {
            dropped(g, e, &self.block.factors[part], cols, share, pull);
        } else {
            kept(g, e, cols, share, pull);
        }
    }
}

simd! {
/// Cotangents of the attention become those of the products, exponentials the attention.
fn kept<T: Scalar>(g: &mut [T], e: &mut [T], cols: usize, share: &[T], pull: &[T]) {
    for (((g, e), &share), &pull) in g.chunks_exact_mut(cols).zip(e.chunks_exact_mut(cols)).zip(share).zip(pull) {
        for (g, e) in g.iter_mut().zip(e) {
            *e *= share;
            *g = *e * (*g - pull);
        }
    }
}
}

simd! {
/// [`kept`] with factors of dropout between the attention and what the values are weighed by.
fn dropped<T: Scalar>(g: &mut [T], e: &mut [T], factors: &[T], cols: usize, share: &[T], pull: &[T]) {
    let rows = g.chunks_exact_mut(cols).zip(e.chunks_exact_mut(cols)).zip(factors.chunks_exact(cols));
    for ((((g, e), f), &share), &pull) in rows.zip(share).zip(pull) {
        for ((g, e), &f) in g.iter_mut().zip(e).zip(f) {
            *e *= share;
            *g = *e * (f * *g - pull);
            *e *= f;
        }
    }
}
}

simd! {
fn add<T: Scalar>(to: &mut [T], from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
}

simd! {
/// Adds the gradients of queries that became keys by division by their length: `scale · (dk − k ⟨k, dk⟩)`.
fn add_through_length<T: Scalar>(dq: &mut [T], dk: &[T], k: &[T], row: usize, scales: &[T]) {
    let row = row.max(1);
    for (((dq, dk), k), &scale) in dq.chunks_exact_mut(row).zip(dk.chunks_exact(row)).zip(k.chunks_exact(row)).zip(scales) {
        let along = real::dot(k, dk);
        for ((dq, &dk), &k) in dq.iter_mut().zip(dk).zip(k) {
            *dq += scale * (dk - k * along);
        }
    }
}
}
