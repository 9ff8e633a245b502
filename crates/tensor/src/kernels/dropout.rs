//! Elements kept or zeroed by the words of a random draw, which are made on the fly.
use super::{
    fill::{build, filled, Unfilled},
    real::{simd, Float, Real},
};
use crate::{
    memory,
    random::{BitStream, Key},
    threads::{for_tasks, GRAIN},
    Result,
};

/// Words made at a time: two buffers of this size stay in the nearest cache.
const BUFFER: usize = 1024;

/// What multiplies a kept element: 1 / keep, in the rounding of `T`.
fn scale<T: Float>(keep: f64) -> T::Wide {
    let keep = T::down(T::Wide::of(keep)).up();
    T::down(T::Wide::of(1.0) / keep).up()
}

/// `x / keep` where element i of the draw is kept (`word >> 9` below `threshold`), else `x · 0`.
pub(crate) fn with_draw<T: Float>(x: &[T], key: Key, threshold: u32, keep: f64) -> Result<Vec<T>> {
    let (stream, factor) = (BitStream::new(key, x.len()), scale::<T>(keep));
    let Some(half) = stream.half() else {
        let part = |start: usize, part: &mut Unfilled<T>| {
            let mut words = [0u32; BUFFER];
            for (i, part) in part.chunks_mut(BUFFER).enumerate() {
                let (start, words) = (start + i * BUFFER, &mut words[..part.len()]);
                stream.fill(start, words);
                select::<T>(words, threshold, factor, &x[start..start + part.len()], part);
            }
        };
        // SAFETY: `select` writes an element for each word, and there is a word for each element.
        return unsafe { build(x.len(), GRAIN, part) };
    };
    // SAFETY: `in_pairs` covers both halves of the buffer, and `select` writes an element for each word.
    unsafe { filled(x.len(), |out| in_pairs(x, &stream, half, threshold, factor, out)) }
}

/// Words i and half + i come from one block, so a task holds the same stretch of both halves.
fn in_pairs<T: Float>(
    x: &[T],
    stream: &BitStream,
    half: usize,
    threshold: u32,
    factor: T::Wide,
    out: &mut Unfilled<T>,
) -> Result<()> {
    let (low, high) = out.split_at_mut(half.min(x.len()));
    let mut highs = high.chunks_mut(GRAIN);
    let tasks = memory::collect(low.chunks_mut(GRAIN).enumerate().map(|(i, low)| (i * GRAIN, low, highs.next())))?;
    for_tasks(tasks, x.len(), |(start, low, high)| {
        let high = high.unwrap_or_default();
        let (mut a, mut b) = ([0u32; BUFFER], [0u32; BUFFER]);
        for (i, low) in low.chunks_mut(BUFFER).enumerate() {
            let (at, n) = (start + i * BUFFER, low.len());
            stream.fill_pair(at, &mut a[..n], &mut b[..n]);
            select::<T>(&a[..n], threshold, factor, &x[at..at + n], low);
            // The second half may be one element shorter than the first.
            let len = high.len();
            let high = &mut high[(i * BUFFER).min(len)..(i * BUFFER + n).min(len)];
            let m = high.len();
            select::<T>(&b[..m], threshold, factor, &x[x.len().min(half + at)..][..m], high);
        }
    })
}

simd! {
fn select<T: Float>(words: &[u32], threshold: u32, factor: T::Wide, x: &[T], out: &mut Unfilled<T>) {
    let zero = T::Wide::default();
    for ((o, &v), &w) in out.iter_mut().zip(x).zip(words) {
        o.write(T::down(v.up() * if w >> 9 < threshold { factor } else { zero }));
    }
}
}

/// `x / keep` where the byte of `mask` is 1, else `x · 0`.
pub(crate) fn with_mask<T: Float>(x: &[T], mask: &[u8], keep: f64) -> Result<Vec<T>> {
    let factor = scale::<T>(keep);
    let part = |start: usize, part: &mut Unfilled<T>| {
        let range = start..start + part.len();
        mask_part::<T>(&mask[range.clone()], factor, &x[range], part);
    };
    // SAFETY: `x` and `mask` have an element for each of the part's, and `mask_part` writes one for each.
    unsafe { build(x.len(), GRAIN, part) }
}

simd! {
fn mask_part<T: Float>(mask: &[u8], factor: T::Wide, x: &[T], out: &mut Unfilled<T>) {
    let zero = T::Wide::default();
    for ((o, &v), &keep) in out.iter_mut().zip(x).zip(mask) {
        o.write(T::down(v.up() * if keep != 0 { factor } else { zero }));
    }
}
}
