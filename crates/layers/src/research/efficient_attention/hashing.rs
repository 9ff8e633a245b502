//! Locality-sensitive hashing of vectors.
use crate::{options::OptionType, Dim, Error, HostValue, Result};
use tallow_tensor::{ops::hash_buckets, random, random::Key, DType, Tensor};

/// How many buckets there are: one even number, or several whose product it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets(pub Vec<usize>);

impl OptionType for Buckets {
    const TS: &'static str = "number | readonly number[]";
    const EXPECTED: &'static str = "an even whole number of at least 2, or a list of such";
    fn parse(v: &HostValue) -> Option<Self> {
        let one = |v: &HostValue| Dim::parse(v).map(|d| d.0).filter(|n| n % 2 == 0);
        let all = match v {
            HostValue::List(a) => a.iter().map(one).collect::<Option<Vec<_>>>()?,
            v => vec![one(v)?],
        };
        (!all.is_empty()).then_some(Self(all))
    }
    fn show(&self) -> String {
        match &self.0[..] {
            [n] => n.to_string(),
            all => format!("{all:?}"),
        }
    }
}

impl Buckets {
    /// As many buckets as Trax takes for a sequence cut into chunks: two a chunk, in two factors when there are more than 128.
    pub fn for_length(length: usize, chunk_len: usize) -> Self {
        let n = 2 * (length / chunk_len).max(1);
        if n <= 128 {
            return Self(vec![n]);
        }
        let first = 1usize << (n as f64).sqrt().log2().ceil() as u32;
        Self(vec![first, 2 * (n / (2 * first))])
    }
    /// Buckets in all.
    ///
    /// # Errors
    /// `InvalidOption` when int32 cannot count them.
    pub fn count(&self) -> Result<usize> {
        let n = self.0.iter().try_fold(1usize, |n, &f| n.checked_mul(f)).filter(|&n| n < i32::MAX as usize);
        n.ok_or_else(|| Error::option(format!("nBuckets: {:?} are more buckets than int32 can count", self.0)))
    }
    /// Random directions per round of hashing.
    fn directions(&self) -> usize {
        self.0.iter().map(|f| f / 2).sum()
    }
}

/// Random directions `[depth, n_hashes, directions]` that vectors are hashed by.
fn rotations(depth: usize, buckets: &Buckets, n_hashes: usize, key: Key) -> Result<Tensor> {
    Ok(random::normal(key, &[depth, n_hashes, buckets.directions()], DType::F32)?)
}

/// Buckets `[n_hashes, n]` (int32) of the vectors `[n, depth]`, and how many buckets there are.
///
/// # Errors
/// `ShapeMismatch` for what is no matrix, `DTypeMismatch` unless floating point, `InvalidOption` for too many buckets.
pub fn hash_vecs(vecs: &Tensor, buckets: &Buckets, n_hashes: usize, key: Key) -> Result<(Tensor, usize)> {
    let &[_, depth] = vecs.shape() else {
        return Err(Error::shape(format!("hashVecs takes vectors as [n, depth], got {:?}", vecs.shape())));
    };
    let rotations = rotations(depth, buckets, n_hashes, key)?.to_device(vecs.device())?;
    Ok((hash_buckets(vecs, &rotations, &buckets.0)?, buckets.count()?))
}

/// Buckets of the vectors of many heads, `[rows, n_hashes · length]` (int32) of `vecs […, length, depth]` with one key for each of
/// the `rows` matrices. Masked positions (`seen` false, one for each row and position) get a bucket of their own, and the buckets of a round follow those of the round before.
///
/// # Errors
/// `InvalidOption` for too many buckets, `DTypeMismatch` unless floating point.
pub fn hash_rounds(
    vecs: &Tensor,
    buckets: &Buckets,
    n_hashes: usize,
    keys: &[Key],
    seen: Option<&[u8]>,
) -> Result<Tensor> {
    let (length, depth) = (vecs.shape()[vecs.rank() - 2], vecs.shape()[vecs.rank() - 1]);
    let (rows, count) = (keys.len(), buckets.count()? + usize::from(seen.is_some()));
    if count.checked_mul(n_hashes).is_none_or(|n| n > i32::MAX as usize) {
        return Err(Error::option(format!("{n_hashes} rounds of {count} buckets are more than int32 can count")));
    }
    let mut all = keys.iter().map(|&key| rotations(depth, buckets, n_hashes, key)).collect::<Result<Vec<_>>>()?;
    if all.is_empty() {
        all.push(rotations(depth, buckets, n_hashes, Key::new(0))?);
    }
    let mut shape = vecs.shape()[..vecs.rank() - 2].to_vec();
    shape.extend([depth, n_hashes, buckets.directions()]);
    let rotations = Tensor::stack(&all, 0)?.narrow(0, 0, rows)?.reshape(&shape)?.to_device(vecs.device())?;
    let mut found = hash_buckets(vecs, &rotations, &buckets.0)?.to_vec::<i32>()?;
    for (i, bucket) in found.iter_mut().enumerate() {
        let (row, round, at) = (i / (n_hashes * length), i / length % n_hashes, i % length);
        if seen.is_some_and(|s| s[row * length + at] == 0) {
            *bucket = count as i32 - 1;
        }
        *bucket += (round * count) as i32;
    }
    Ok(Tensor::from_vec(found, &[rows, n_hashes * length])?)
}
