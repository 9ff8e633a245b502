//! Random keys and draws: JAX's threefry2x32 in its original, non-partitionable layout.
//!
//! Nothing here has hidden state: a draw is a function of its [`Key`], shape and dtype, so the same key gives the same
//! initial weights, dropout masks and hash rotations on every device, on any number of threads, and in Trax.
//! Bits, uniforms, Booleans and integers are bit-equal to `jax.random` (`jax_threefry_partitionable=False`);
//! normals and Gumbels agree to float rounding. Values are made on the CPU.
mod discrete;
mod draws;
mod inverse_erf;
mod key;
mod stream;
mod threefry;

pub use discrete::{categorical, permutation, permute, randint};
pub(crate) use draws::bernoulli_threshold;
pub use draws::{bernoulli, bits, gumbel, normal, truncated_normal, uniform};
pub use key::Key;
pub(crate) use stream::BitStream;
pub use threefry::threefry_2x32;

use crate::{memory, Error, Result, Tensor};

impl Key {
    /// The key of `seed`, as `jax.random.PRNGKey` makes it: only the low 32 bits count.
    pub fn new(seed: i64) -> Self {
        Self([0, seed as u32])
    }
    /// `n` keys that are independent of each other; this key should not be used again. For a few, as a layer has parts; else
    /// [`Key::try_split`].
    pub fn split(self, n: usize) -> Vec<Key> {
        let mut words = vec![0; 2 * n]; // few
        BitStream::new(self, 2 * n).fill(0, &mut words);
        words.chunks_exact(2).map(|w| Key([w[0], w[1]])).collect()
    }
    /// As [`Key::split`], for any number of keys.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn try_split(self, n: usize) -> Result<Vec<Key>> {
        let mut words: Vec<u32> = memory::zeros(&[n, 2])?;
        let stream = BitStream::new(self, words.len());
        let part = |start: usize, part: &mut [u32]| stream.fill(start, part);
        crate::threads::for_chunks(&mut words, crate::threads::GRAIN, part)?;
        memory::collect(words.chunks_exact(2).map(|w| Key([w[0], w[1]])))
    }
    /// Two keys that are independent of each other: `split(2)`.
    pub fn split_pair(self) -> (Key, Key) {
        let ([a, c], [b, d]) = (threefry_2x32(self, [0, 2]), threefry_2x32(self, [1, 3]));
        (Key([a, b]), Key([c, d]))
    }
    /// The key of this key and a number: another key for each `data`.
    pub fn fold_in(self, data: u32) -> Self {
        Self(threefry_2x32(self, [0, data]))
    }
    /// The key held by a uint32 tensor of shape \[2\].
    ///
    /// # Errors
    /// `DTypeMismatch` or `ShapeMismatch` for any other tensor.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        if tensor.dtype() != crate::DType::U32 {
            return Err(Error::dtype(format!("a random key is a uint32 tensor of shape [2], got {tensor:?}")));
        }
        if tensor.shape() != [2] {
            return Err(Error::shape(format!("a random key is a uint32 tensor of shape [2], got {tensor:?}")));
        }
        let words = tensor.values::<u32>()?;
        Ok(Self([words[0], words[1]]))
    }
    /// This key as a uint32 tensor of shape \[2\].
    pub fn to_tensor(self) -> Result<Tensor> {
        Tensor::from_vec(self.0.to_vec(), &[2])
    }
}
