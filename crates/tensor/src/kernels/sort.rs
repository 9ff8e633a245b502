//! Stable sorting by keys whose unsigned order is the order of the values.
use crate::Element;
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

/// The places of `keys` in ascending order of the keys, equal ones in their order.
pub(crate) fn argsort<K: Key>(keys: &[K]) -> Vec<u32> {
    if keys.len() < RADIX_FROM {
        let mut pairs: Vec<(K, u32)> = keys.iter().copied().zip(0..).collect();
        pairs.sort_unstable();
        return pairs.into_iter().map(|(_, at)| at).collect();
    }
    let digits = K::BITS.div_ceil(DIGIT) as usize;
    let mut counts = vec![0u32; digits << DIGIT];
    for &key in keys {
        for (d, counts) in counts.chunks_exact_mut(1 << DIGIT).enumerate() {
            counts[key.digit(d as u32 * DIGIT)] += 1;
        }
    }
    let mut pairs: Vec<(K, u32)> = keys.iter().copied().zip(0..).collect();
    let mut sorted = vec![(K::default(), 0); keys.len()];
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
        for &pair in &pairs {
            let slot = &mut counts[pair.0.digit(shift)];
            sorted[*slot as usize] = pair;
            *slot += 1;
        }
        std::mem::swap(&mut pairs, &mut sorted);
    }
    pairs.into_iter().map(|(_, at)| at).collect()
}

/// The places of the `k` largest of `values`, the largest first, equal ones in their order.
pub(crate) fn top<T: Ordered>(values: &[T], k: usize) -> Vec<u32> {
    if k * 8 > values.len() {
        let keys: Vec<T::Key> = values.iter().map(|v| v.falling()).collect();
        let mut places = argsort(&keys);
        places.truncate(k);
        return places;
    }
    let mut pairs: Vec<(T::Key, u32)> = values.iter().map(|v| v.falling()).zip(0..).collect();
    if k == 0 {
        return Vec::new();
    }
    pairs.select_nth_unstable(k - 1);
    pairs.truncate(k);
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, at)| at).collect()
}
