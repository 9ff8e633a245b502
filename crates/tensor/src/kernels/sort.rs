//! Stable sorting by keys whose unsigned order is the order of the values.
use crate::{memory, threads, Element, Result};
use half::{bf16, f16};

/// Rows shorter than this are sorted by comparison, longer ones digit by digit.
const RADIX_FROM: usize = 1024;
/// Bits per digit of the radix sort.
const DIGIT: u32 = 11;

/// An unsigned type that keys are sorted in.
pub(crate) trait Key: Copy + Ord + Send + Sync + Default {
    /// Its width.
    const BITS: u32;
    /// `DIGIT` bits from `shift` on.
    fn digit(self, shift: u32) -> usize;
}

macro_rules! key {
    ($($t:ty),*) => {$(
        impl Key for $t {
            const BITS: u32 = <$t>::BITS;
            #[inline(always)]
            fn digit(self, shift: u32) -> usize {
                (self >> shift) as usize & ((1 << DIGIT) - 1)
            }
        }
    )*};
}
key!(u16, u32, u64);

/// An element type with a total order: -∞ … -0 = 0 … ∞, then every NaN.
pub(crate) trait Ordered: Element {
    /// The type of its keys.
    type Key: Key;
    /// A number that grows with the value.
    fn key(self) -> Self::Key;
    /// A number that grows as the value falls.
    fn falling(self) -> Self::Key;
}

macro_rules! ordered_float {
    ($($t:ty, $u:ty, $sign:expr);*) => {$(
        impl Ordered for $t {
            type Key = $u;
            #[inline(always)]
            fn key(self) -> $u {
                if self.is_nan() {
                    return <$u>::MAX;
                }
                let bits = self.to_bits();
                // Zeros of both signs are one value.
                let bits = if bits == $sign { 0 } else { bits };
                if bits & $sign == 0 { bits | $sign } else { !bits }
            }
            #[inline(always)]
            fn falling(self) -> $u {
                !self.key()
            }
        }
    )*};
}
ordered_float!(f32, u32, 1 << 31; f64, u64, 1 << 63; f16, u16, 1 << 15; bf16, u16, 1 << 15);

macro_rules! ordered_int {
    ($($t:ty, $u:ty, $offset:expr);*) => {$(
        impl Ordered for $t {
            type Key = $u;
            #[inline(always)]
            fn key(self) -> $u {
                (self as $u) ^ $offset
            }
            #[inline(always)]
            fn falling(self) -> $u {
                !self.key()
            }
        }
    )*};
}
ordered_int!(i32, u32, 1 << 31; i64, u64, 1 << 63; u32, u32, 0; u8, u16, 0);

/// Elements after which a long row looks whether the work is cancelled.
const BLOCK: usize = 1 << 20;

/// The places of `keys` in ascending order of the keys, equal ones in their order.
///
/// # Errors
/// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
pub(crate) fn argsort<K: Key>(keys: &[K]) -> Result<Vec<u32>> {
    if keys.len() < RADIX_FROM {
        let mut pairs = numbered(keys.iter().copied())?;
        pairs.sort_unstable();
        return places(pairs);
    }
    let digits = K::BITS.div_ceil(DIGIT) as usize;
    let mut counts: Vec<u32> = memory::zeros(digits << DIGIT)?;
    for keys in keys.chunks(BLOCK) {
        threads::check()?;
        for &key in keys {
            for (d, counts) in counts.chunks_exact_mut(1 << DIGIT).enumerate() {
                counts[key.digit(d as u32 * DIGIT)] += 1;
            }
        }
    }
    let mut pairs = numbered(keys.iter().copied())?;
    let mut sorted = memory::full(keys.len(), (K::default(), 0))?;
    for (d, counts) in counts.chunks_exact_mut(1 << DIGIT).enumerate() {
        let shift = d as u32 * DIGIT;
        if counts[keys[0].digit(shift)] as usize == keys.len() {
            // All keys agree in this digit.
            continue;
        }
        let mut next = 0;
        for count in counts.iter_mut() {
            next += std::mem::replace(count, next);
        }
        for pairs in pairs.chunks(BLOCK) {
            threads::check()?;
            for &pair in pairs {
                let slot = &mut counts[pair.0.digit(shift)];
                sorted[*slot as usize] = pair;
                *slot += 1;
            }
        }
        std::mem::swap(&mut pairs, &mut sorted);
    }
    places(pairs)
}

/// Keys, each with its place.
fn numbered<K>(keys: impl ExactSizeIterator<Item = K>) -> Result<Vec<(K, u32)>> {
    let mut pairs = memory::room(keys.len())?;
    pairs.extend(keys.zip(0..));
    Ok(pairs)
}

fn places<K>(pairs: Vec<(K, u32)>) -> Result<Vec<u32>> {
    memory::collect(pairs.into_iter().map(|(_, at)| at))
}

/// The places of the `k` largest of `values`, the largest first, equal ones in their order.
///
/// # Errors
/// As [`argsort`].
pub(crate) fn top<T: Ordered>(values: &[T], k: usize) -> Result<Vec<u32>> {
    if k * 8 > values.len() {
        let keys = memory::collect(values.iter().map(|v| v.falling()))?;
        let mut places = argsort(&keys)?;
        places.truncate(k);
        return Ok(places);
    }
    let mut pairs = numbered(values.iter().map(|v| v.falling()))?;
    if k == 0 {
        return Ok(Vec::new());
    }
    pairs.select_nth_unstable(k - 1);
    pairs.truncate(k);
    pairs.sort_unstable();
    places(pairs)
}
