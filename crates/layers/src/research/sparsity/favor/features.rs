//! Positive random features: the product of two has the exponential of their vectors' product as its mean.
use crate::{initializers::householder, Result};
use tallow_tensor::{
    memory,
    random::{self, Key},
    DType, Tensor,
};

/// Directions to project on, and how.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// `[features, d]`: rows of each block of `d` are orthogonal.
    directions: Tensor,
    normalize: bool,
    epsilon: f64,
}

impl Features {
    /// Features of vectors of `d` numbers, which Trax draws by a fixed key.
    pub(super) fn new(features: usize, d: usize, by_norm: bool, normalize: bool, epsilon: f64) -> Result<Self> {
        let first = Key::new(0);
        let (mut key, mut rows) = (first, memory::room(&[features.div_ceil(d), d, d])?);
        while rows.len() < features * d {
            let (next, drawn) = key.split_pair();
            key = next;
            // Columns of Q are the rows of its transpose.
            rows.extend(householder(&random::normal(drawn, &[d, d], DType::F32)?.to_vec::<f32>()?, d, d)?.0);
        }
        let drawn = random::normal(first, &[features, d], DType::F32)?.to_vec::<f32>()?;
        let length = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let lengths = drawn.chunks_exact(d).map(|row| if by_norm { length(row) } else { (d as f64).sqrt() });
        let mut scaled = memory::room(&[features, d])?;
        let rows = rows.chunks_exact(d).zip(lengths);
        rows.for_each(|(row, l)| scaled.extend(row.iter().map(|x| (x * l) as f32)));
        Ok(Self { directions: Tensor::from_vec(scaled, &[features, d])?, normalize, epsilon })
    }
    /// Size of the vectors.
    pub(super) fn width(&self) -> usize {
        self.directions.shape()[1]
    }
    /// `[n, l, d]` to `[n, l, features]`. The greatest exponent is subtracted, which the attention's quotient cancels: that of each query, or of
    /// all keys of a row.
    pub(super) fn of(&self, x: &Tensor, is_query: bool) -> Result<Tensor> {
        let [features, d] = [self.directions.shape()[0], self.width()];
        let scale = if self.normalize { (d as f64).powf(-0.25) } else { 1.0 };
        let x = x.mul_scalar(scale)?;
        let products = x.matmul(&self.directions.transpose(None)?)?;
        let half_square = x.square()?.sum(-1, true)?.mul_scalar(0.5)?;
        let greatest = if is_query { products.max(-1, true)? } else { products.max(&[-1, -2][..], true)? };
        let exponents = products.sub(&half_square)?.sub(&greatest)?;
        Ok(exponents.exp()?.add_scalar(self.epsilon)?.mul_scalar((features as f64).powf(-0.5))?)
    }
}
