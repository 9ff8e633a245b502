//! The random function that `InfinitePositionalEncoding` draws its noise with.
use crate::{options, Count, Error, KeyArg, Result, TensorArg};
use tallow_tensor::{
    memory,
    random::{threefry_2x32, Key},
    DType, Tensor,
};

options! {
    /// Applies the random function threefry2x32 under a key to each pair of words.
    ///
    /// Shapes: `uint32[..., 2]` → `uint32[..., 2]`.
    /// Errors:
    /// - `ShapeMismatch`: the last axis does not have two words.
    /// - `DTypeMismatch`: the words are not uint32.
    /// Source: Trax; Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3.
    /// Example:
    /// ```ts
    /// tl.threefry2x32Prf(tl.random.key(0), tl.tensor([0, 1], [2], { dtype: 'uint32' }));
    /// // → Tensor uint32[2] [928981903,3453687069]
    /// ```
    pub struct ThreefryPrfOptions for "threefry2x32Prf" ("key", "x") {
        /// Key of the function.
        key "key": KeyArg,
        /// Pairs of words.
        x "x": TensorArg,
    }
}

options! {
    /// Makes the keys with the numbers from `lo` to before `hi` of the stream that a key stands for.
    ///
    /// Formula: key `i` is `threefry2x32Prf(key, [i, 0])`.
    /// Shapes: a key → `uint32[hi - lo, 2]`.
    /// Errors:
    /// - `InvalidOption`: `hi` needs more than 32 bits.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.threefry2x32Prange(tl.random.key(0)); // → Tensor uint32[2,2] [[1797259609,2579123966],[1351547692,3235790642]]
    /// ```
    pub struct ThreefryPrangeOptions for "threefry2x32Prange" ("key") {
        /// Key of the stream.
        key "key": KeyArg,
        /// Number of the first key.
        lo "lo": Count = Count(0),
        /// Number after the last key.
        hi "hi": Count = Count(2),
    }
}

/// Each pair of words of `x` through the random function of `key`.
///
/// # Errors
/// `ShapeMismatch` or `DTypeMismatch` for anything but pairs of uint32 words.
pub fn threefry_2x32_prf(key: Key, x: &Tensor) -> Result<Tensor> {
    if x.dtype() != DType::U32 {
        return Err(Error::dtype(format!("threefry2x32Prf: `x` must be uint32, got {}", x.dtype())));
    }
    if x.shape().last() != Some(&2) {
        return Err(Error::shape(format!("threefry2x32Prf: the last axis of `x` must be 2, got {:?}", x.shape())));
    }
    let words = x.to_vec::<u32>()?;
    let out = memory::collect(words.chunks_exact(2).map(|w| threefry_2x32(key, [w[0], w[1]])))?;
    Ok(Tensor::from_vec(out.into_flattened(), x.shape())?.to_device(x.device())?)
}

/// Keys `lo..hi` of the stream of `key`.
///
/// # Errors
/// `InvalidOption` when `hi` needs more than 32 bits.
pub fn threefry_2x32_prange(key: Key, lo: usize, hi: usize) -> Result<Tensor> {
    let Ok(hi) = u32::try_from(hi) else {
        return Err(Error::option(format!("threefry2x32Prange: `hi` must be below 4294967296, got {hi}")));
    };
    let lo = u32::try_from(lo).unwrap_or(hi).min(hi);
    let out: Vec<[u32; 2]> = memory::collect((lo as usize..hi as usize).map(|i| threefry_2x32(key, [i as u32, 0])))?;
    Ok(Tensor::from_vec(out.into_flattened(), &[(hi - lo) as usize, 2])?)
}
