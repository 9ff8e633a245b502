//! Angular hashing: which of random directions, and of their opposites, a vector points along.
use crate::{
    kernels::{
        attention::{start, Scalar, Stack},
        gemm::{multiply, Mat},
        real::simd,
    },
    threads,
};
use smallvec::SmallVec;

/// Vectors per task.
const ROWS: usize = 64;

/// What is hashed, and how.
pub(crate) struct Hash<'a, T> {
    /// Sizes of the leading axes.
    pub batch: SmallVec<[usize; 4]>,
    pub vectors: Stack<'a, T>,
    pub length: usize,
    pub depth: usize,
    /// For each matrix `depth × hashes × directions`.
    pub rotations: &'a [T],
    pub hashes: usize,
    /// Numbers of buckets, half of them directions, that together make a bucket.
    pub factors: &'a [usize],
}

/// Buckets of all vectors, `items × hashes × length`.
pub(crate) fn hash<T: Scalar>(p: &Hash<'_, T>) -> Vec<i32> {
    let directions: usize = p.factors.iter().map(|f| f / 2).sum();
    let (items, cols) = (p.batch.iter().product::<usize>(), p.hashes * directions);
    let mut buckets = vec![0i32; items * p.hashes * p.length];
    if buckets.is_empty() {
        return buckets;
    }
    let out = crate::kernels::gemm::Out::new(&mut buckets);
    let blocks = p.length.div_ceil(ROWS);
    let work = (items * p.length).saturating_mul(p.depth * cols);
    threads::for_each_index(items * blocks, work, |task| {
        let (item, row) = (task / blocks, task % blocks * ROWS);
        let rows = ROWS.min(p.length - row);
        let data = &p.vectors.data[start(&p.batch, &p.vectors.batch, item) + row * p.vectors.row..];
        let vectors = Mat::new(data, [rows, p.depth], [p.vectors.row, 1]);
        let mut rotated = vec![T::default(); rows * cols];
        let rotations = Mat::dense(&p.rotations[item * p.depth * cols..], p.depth, cols);
        multiply(&mut rotated, cols, vectors, rotations, T::ONE, false);
        for hash in 0..p.hashes {
            // SAFETY: each task writes its own positions of each round, and the vector outlives the loop.
            let to = unsafe { out.part((item * p.hashes + hash) * p.length + row, rows) };
            buckets_of(&rotated[hash * directions..], cols, p.factors, to);
        }
    });
    buckets
}

simd! {
/// The buckets of vectors, from their products with all directions, which lie `stride` apart.
fn buckets_of<T: Scalar>(products: &[T], stride: usize, factors: &[usize], out: &mut [i32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (mut bucket, mut unit, mut at) = (0usize, 1usize, i * stride);
        for &factor in factors {
            bucket += unit * farthest(&products[at..at + factor / 2]);
            unit *= factor;
            at += factor / 2;
        }
        *out = bucket as i32;
    }
}
}

/// The place of the largest of `x` and then `-x`, the first of equal ones; the first NaN if there is one.
#[inline(always)]
fn farthest<T: Scalar>(x: &[T]) -> usize {
    let (mut high, mut low) = (T::LOWEST, T::LOWEST);
    let mut strange = false;
    for &v in x {
        high = if v > high { v } else { high };
        low = if -v > low { -v } else { low };
        strange |= v.partial_cmp(&v).is_none();
    }
    if strange {
        return x.iter().position(|v| v.partial_cmp(v).is_none()).unwrap_or(0);
    }
    if high >= low {
        x.iter().position(|&v| v == high).unwrap_or(0)
    } else {
        x.len() + x.iter().position(|&v| -v == low).unwrap_or(0)
    }
}
