//! The chunks of keys in reach of a chunk of queries, gathered.
use super::problem::{Problem, EPSILON, MASKED_KEY, NO_KEY};
use crate::{
    kernels::{
        attention::{start, Scalar},
        gemm::Turned,
        real::{dot, simd},
    },
    memory, Result,
};

/// A chunk of queries, keys and values, gathered; rows lie as [`Problem::strides`] says, filled up with 0.
pub(super) struct Keys<T> {
    pub chunk: usize,
    pub positions: Vec<u32>,
    /// Position of each key, or [`MASKED_KEY`].
    info: Vec<i32>,
    /// Segment of each position; none where there are no segments.
    pub segments: Vec<i32>,
    pub q: Vec<T>,
    /// Keys divided by √depth.
    pub k: Vec<T>,
    pub v: Vec<T>,
    pub turned_k: Turned<T>,
    /// For backward only, as what follows.
    pub turned_v: Turned<T>,
    /// What a query was multiplied by to become this key.
    pub scale: Vec<T>,
    /// Gradients of `q`, `k` and `v` so far.
    pub dq: Vec<T>,
    pub dk: Vec<T>,
    pub dv: Vec<T>,
    /// Whether `dq` is all there is for these queries in their round; else it may hold anything.
    pub asked: bool,
    /// Which parts of `dk` and `dv`, [`Sight::by_keys`](super::block::Sight::by_keys), some query saw; the others may hold anything.
    pub seen: Vec<bool>,
}

impl<T: Scalar> Keys<T> {
    pub(super) fn new(p: &Problem<'_, T>, gradients: bool) -> Result<Self> {
        let of = memory::zeros::<T>;
        let part = |n| of(if gradients { n } else { 0 });
        let [nk, nv, _] = p.strides().map(|stride| p.chunk * stride);
        Ok(Self {
            chunk: 0,
            positions: memory::room(p.chunk)?,
            info: memory::room(p.chunk)?,
            segments: memory::room(if p.segments.is_some() { p.chunk } else { 0 })?,
            q: of(nk)?,
            k: of(nk)?,
            v: of(nv)?,
            turned_k: Turned::default(),
            turned_v: Turned::default(),
            scale: of(p.chunk)?,
            dq: part(nk)?,
            dk: part(nk)?,
            dv: part(nv)?,
            asked: false,
            seen: memory::full(if gradients { p.chunk.div_ceil(p.keys()) } else { 0 }, false)?,
        })
    }
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }
    /// Writes zeros where gradients may hold anything.
    pub(super) fn complete(&mut self, p: &Problem<'_, T>) {
        let [row, v_row, _] = p.strides();
        if !self.asked {
            self.dq.fill(T::default());
        }
        for (part, _) in self.seen.iter().enumerate().filter(|seen| !seen.1) {
            let keys = part * p.keys()..((part + 1) * p.keys()).min(p.chunk);
            self.dk[keys.start * row..keys.end * row].fill(T::default());
            self.dv[keys.start * v_row..keys.end * v_row].fill(T::default());
        }
    }
    fn load(&mut self, p: &Problem<'_, T>, item: usize, chunk: usize) -> Result<()> {
        self.chunk = chunk;
        p.positions(item, chunk, &mut self.positions);
        let [row, v_row, _] = p.strides();
        let root = T::ONE / T::of(p.depth as f64).sqrt();
        p.view(&p.q, item).gather(&self.positions, p.depth, &mut self.q, row);
        p.view(&p.v, item).gather(&self.positions, p.value_depth, &mut self.v, v_row);
        let scales = &mut self.scale[..self.positions.len()];
        match &p.k {
            Some(k) => {
                p.view(k, item).gather(&self.positions, p.depth, &mut self.k, row);
                scales.fill(root);
                scale_rows(&mut self.k, row, scales);
            }
            None => unit_keys(&self.q, &mut self.k, row, p.depth, root, scales),
        }
        self.turned_k.load(&self.k, [self.positions.len(), p.depth], row)?;
        self.info.clear();
        match &p.mask {
            None => self.info.extend(self.positions.iter().map(|&at| at as i32)),
            Some(mask) => {
                let data = &mask.data[start(&p.batch, &mask.batch, item)..];
                let seen = |at: u32| if data[at as usize * mask.col] != 0 { at as i32 } else { MASKED_KEY };
                self.info.extend(self.positions.iter().map(|&at| seen(at)));
            }
        }
        if let Some(segments) = &p.segments {
            let data = &segments.data[start(&p.batch, &segments.batch, item)..];
            self.segments.clear();
            self.segments.extend(self.positions.iter().map(|&at| data[at as usize]));
        }
        if !self.seen.is_empty() {
            self.turned_v.load(&self.v, [self.positions.len(), p.value_depth], v_row)?;
            self.seen.fill(false);
            self.asked = false;
        }
        Ok(())
    }
}

simd! {
/// Makes keys of queries, by a factor each: `root` / √(mean square + ε).
fn unit_keys<T: Scalar>(q: &[T], k: &mut [T], row: usize, depth: usize, root: T, scales: &mut [T]) {
    for ((q, k), scale) in q.chunks_exact(row.max(1)).zip(k.chunks_exact_mut(row.max(1))).zip(scales) {
        let mean = dot(q, q) / T::of(depth as f64);
        *scale = root / (mean + T::of(EPSILON)).sqrt();
        for (k, &q) in k.iter_mut().zip(q) {
            *k = q * *scale;
        }
    }
}
}

simd! {
/// Multiplies rows by a number each.
pub(super) fn scale_rows<T: Scalar>(x: &mut [T], row: usize, scales: &[T]) {
    for (x, &scale) in x.chunks_exact_mut(row.max(1)).zip(scales) {
        x.iter_mut().for_each(|x| *x *= scale);
    }
}
}

/// The chunks of keys that a chunk of queries sees, in a ring.
pub(super) struct Ring<T> {
    keys: Vec<Keys<T>>,
    /// Where the first of the window lies.
    first: usize,
    /// `info` of the window's keys, each chunk filled up with [`NO_KEY`].
    pub info: Vec<i32>,
    /// Segments of the window's keys, if there are any; at places that are no keys they may be anything.
    pub segments: Vec<i32>,
    /// Whether there are such places.
    pub holes: bool,
}

impl<T: Scalar> Ring<T> {
    /// The window of a chunk.
    pub(super) fn new(p: &Problem<'_, T>, item: usize, chunk: usize, gradients: bool) -> Result<Self> {
        let mut keys = (0..p.window()).map(|_| Keys::new(p, gradients)).collect::<Result<Vec<Keys<T>>>>()?;
        for (i, keys) in keys.iter_mut().enumerate() {
            keys.load(p, item, p.neighbour(chunk, i as isize - p.before as isize))?;
        }
        let segments = memory::zeros(if p.segments.is_some() { p.cols() } else { 0 })?;
        let mut ring = Self { keys, first: 0, info: memory::full(p.cols(), NO_KEY)?, segments, holes: false };
        ring.describe(p);
        Ok(ring)
    }
    /// The chunk at a place of the window.
    pub(super) fn at(&self, place: usize) -> &Keys<T> {
        &self.keys[(self.first + place) % self.keys.len()]
    }
    pub(super) fn at_mut(&mut self, place: usize) -> &mut Keys<T> {
        let n = self.keys.len();
        &mut self.keys[(self.first + place) % n]
    }
    /// Moves the window to the next chunk, `chunk`, over the place of its first chunk.
    pub(super) fn advance(&mut self, p: &Problem<'_, T>, item: usize, chunk: usize) -> Result<()> {
        let next = p.neighbour(chunk, p.after as isize);
        self.at_mut(0).load(p, item, next)?;
        p.ask(item, p.neighbour(next, 1));
        self.first = (self.first + 1) % self.keys.len();
        self.describe(p);
        Ok(())
    }
    fn describe(&mut self, p: &Problem<'_, T>) {
        let (n, [.., wide]) = (self.keys.len(), p.strides());
        self.holes = false;
        for place in 0..n {
            let keys = &self.keys[(self.first + place) % n];
            let info = &mut self.info[place * wide..(place + 1) * wide];
            info[..keys.len()].copy_from_slice(&keys.info);
            info[keys.len()..].fill(NO_KEY);
            self.holes |= keys.len() < wide;
            if p.segments.is_some() {
                self.segments[place * wide..][..keys.len()].copy_from_slice(&keys.segments);
            }
        }
    }
}
