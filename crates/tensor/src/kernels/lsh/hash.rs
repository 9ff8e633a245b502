//! Angular hashing: which of random directions, and of their opposites, a vector points along.
use crate::{
    kernels::{
        attention::{start, Scalar, Stack},
        gemm::{multiply, Mat, PAD},
        real::simd,
    },
    memory, threads, Result,
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
pub(crate) fn hash<T: Scalar>(p: &Hash<'_, T>) -> Result<Vec<i32>> {
    let directions: usize = p.factors.iter().map(|f| f / 2).sum();
    let (items, cols) = (p.batch.iter().product::<usize>(), p.hashes * directions);
    let mut buckets: Vec<i32> = memory::zeros(items * p.hashes * p.length)?;
    if buckets.is_empty() {
        return Ok(buckets);
    }
    let out = crate::kernels::gemm::Out::new(&mut buckets);
    let blocks = p.length.div_ceil(ROWS);
    let work = (items * p.length).saturating_mul(p.depth * cols);
    threads::for_each_index(items * blocks, work, |task| {
        let (item, row) = (task / blocks, task % blocks * ROWS);
        let rows = ROWS.min(p.length - row);
        let data = &p.vectors.data[start(&p.batch, &p.vectors.batch, item) + row * p.vectors.row..];
        // Turned, so that the products of all vectors with a direction lie side by side.
        let vectors = Mat::new(data, [rows, p.depth], [p.vectors.row, 1]).t();
        let mut products: Vec<T> = memory::zeros(cols * ROWS)?;
        let rotations = Mat::dense(&p.rotations[item * p.depth * cols..], p.depth, cols).t();
        multiply(&mut products, ROWS, rotations, vectors, T::ONE, false);
        for hash in 0..p.hashes {
            // SAFETY: each task writes its own positions of each round, and the vector outlives the loop.
            let to = unsafe { out.part((item * p.hashes + hash) * p.length + row, rows) };
            buckets_of(&products[hash * directions * ROWS..], p.factors, to);
        }
        Ok(())
    })?;
    Ok(buckets)
}

simd! {
/// The buckets of at most [`ROWS`] vectors, from a row of their products for each direction.
fn buckets_of<T: Scalar>(products: &[T], factors: &[usize], out: &mut [i32]) {
    let mut buckets = [0i32; ROWS];
    let (mut unit, mut rows) = (1, products.as_chunks::<ROWS>().0);
    for &factor in factors {
        let (own, others) = rows.split_at(factor / 2);
        for from in (0..out.len()).step_by(PAD) {
            let digits = farthest(own, from);
            for (bucket, digit) in buckets[from..].iter_mut().zip(digits) {
                *bucket += unit * digit;
            }
        }
        (unit, rows) = (unit * factor as i32, others);
    }
    out.copy_from_slice(&buckets[..out.len()]);
}
}

/// For [`PAD`] vectors the place of the largest of `x` and then `-x`, the first of equal ones; the first NaN if there is one.
#[inline(always)]
fn farthest<T: Scalar>(products: &[[T; ROWS]], from: usize) -> [i32; PAD] {
    let (mut most, mut place) = ([T::LOWEST; PAD], [0i32; PAD]);
    let mut sums = [T::default(); PAD];
    for (at, x) in products.iter().enumerate() {
        let x = &x[from..from + PAD];
        for i in 0..PAD {
            place[i] = if x[i] > most[i] { at as i32 } else { place[i] };
        }
        for i in 0..PAD {
            most[i] = if x[i] > most[i] { x[i] } else { most[i] };
        }
        for i in 0..PAD {
            // NaN if there is one, and after an infinity, which is told from it below.
            sums[i] += x[i] * T::default();
        }
    }
    for (at, x) in products.iter().enumerate() {
        let x = &x[from..from + PAD];
        for i in 0..PAD {
            place[i] = if -x[i] > most[i] { (products.len() + at) as i32 } else { place[i] };
        }
        for i in 0..PAD {
            most[i] = if -x[i] > most[i] { -x[i] } else { most[i] };
        }
    }
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    for i in 0..PAD {
        if is_nan(sums[i]) {
            let first = products.iter().position(|x| is_nan(x[from + i]));
            place[i] = first.map_or(place[i], |at| at as i32);
        }
    }
    place
}
