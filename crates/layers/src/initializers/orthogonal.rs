//! The orthogonal initializer, with a Householder QR of its own.
use super::{Initialize, Initializer};
use crate::{options, Num, Result};
use std::sync::Arc;
use tallow_tensor::{
    memory,
    random::{self, Key},
    DType, Tensor,
};

options! {
    /// Makes a random matrix whose columns are orthonormal, or whose rows are where there are fewer of them.
    ///
    /// All axes but the last count as one. One axis alone is a single row.
    ///
    /// Formula: `stddev · Q` of the QR decomposition of a normal matrix, with signs that make the diagonal of `R` positive. So `Q` is
    /// uniform over
    /// orthogonal matrices.
    /// Errors: none.
    /// Source: Trax; Saxe et al. 2013, arXiv:1312.6120; Mezzadri 2006, How to generate random matrices from the classical compact groups.
    /// See: `RandomNormalInitializer`.
    /// Example:
    /// ```ts
    /// const w = tl.OrthogonalInitializer()([2, 2], tl.random.key(0));
    /// w.matmul(w.transpose()).round(); // → Tensor float32[2,2] [[1,0],[0,1]]
    /// ```
    pub struct OrthogonalOptions for "OrthogonalInitializer" () {
        /// Factor on the orthonormal matrix.
        stddev "stddev": Num = Num(1.0),
    }
}

#[derive(Debug)]
struct Orthogonal(f64);

impl Initialize for Orthogonal {
    fn make(&self, shape: &[usize], key: Key) -> Result<Tensor> {
        let cols = shape.last().copied().unwrap_or(1);
        let rows: usize = shape.iter().rev().skip(1).product();
        let (tall, wide) = (rows.max(cols), rows.min(cols));
        let a = random::normal(key, &[tall, wide], DType::F32)?;
        let q = orthonormal(&a.to_vec::<f32>()?, tall, wide)?;
        // Columns of Q one after another are the rows of its transpose.
        let values =
            if rows < cols { q } else { memory::collect((0..tall * wide).map(|at| q[at % wide * tall + at / wide]))? };
        let scale = self.0 as f32;
        Ok(Tensor::from_vec(memory::collect(values.into_iter().map(|v| scale * v as f32))?, shape)?)
    }
    fn show(&self) -> String {
        if self.0 == 1.0 {
            "tl.OrthogonalInitializer()".into()
        } else {
            format!("tl.OrthogonalInitializer({{stddev: {}}})", self.0)
        }
    }
}

/// A random matrix with orthonormal columns or rows, times `stddev`.
pub fn orthogonal(stddev: f64) -> Initializer {
    Initializer(Arc::new(Orthogonal(stddev)))
}

/// Columns of Q, one after another, of the QR decomposition of a row-major `rows × cols` matrix (`rows >= cols`) in which the
/// diagonal of R is positive. Columns where that diagonal is 0 are 0, as Trax multiplies by its sign.
fn orthonormal(a: &[f32], rows: usize, cols: usize) -> Result<Vec<f64>> {
    let (mut q, signs) = householder(a, rows, cols)?;
    q.chunks_exact_mut(rows.max(1)).zip(signs).for_each(|(column, sign)| column.iter_mut().for_each(|x| *x *= sign));
    Ok(q)
}

/// Columns of Q, one after another, of the QR decomposition of a row-major `rows × cols` matrix (`rows >= cols`), and the signs of the
/// diagonal of R: those that LAPACK gives.
pub(crate) fn householder(a: &[f32], rows: usize, cols: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut columns: Vec<Vec<f64>> = memory::room(cols)?;
    for j in 0..cols {
        columns.push(memory::collect((0..rows).map(|i| f64::from(a[i * cols + j])))?);
    }
    // Reflectors v with H = I - 2 v vᵀ.
    let mut reflectors: Vec<Vec<f64>> = memory::room(cols)?;
    let mut signs = memory::room(cols)?;
    for j in 0..cols {
        let (done, rest) = columns.split_at_mut(j + 1);
        let x = &done[j][j..];
        let norm = dot(x, x).sqrt();
        // Reflecting onto the far side avoids cancellation; a single number is left as it is.
        let alpha = if x.len() == 1 {
            x[0]
        } else if x[0] > 0.0 {
            -norm
        } else {
            norm
        };
        let mut v = memory::copy(x)?;
        v[0] -= alpha;
        let length = dot(&v, &v).sqrt();
        if length > 0.0 {
            v.iter_mut().for_each(|x| *x /= length);
        }
        rest.iter_mut().for_each(|c| reflect(&v, &mut c[j..]));
        signs.push(if alpha == 0.0 { 0.0 } else { alpha.signum() });
        reflectors.push(v);
    }
    let mut q: Vec<f64> = memory::zeros(&[rows, cols])?;
    for (j, column) in q.chunks_exact_mut(rows.max(1)).enumerate() {
        column[j] = 1.0;
        // Later reflectors leave this unit vector as it is.
        for k in (0..=j).rev() {
            reflect(&reflectors[k], &mut column[k..]);
        }
    }
    Ok((q, signs))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn reflect(v: &[f64], x: &mut [f64]) {
    let twice = 2.0 * dot(v, x);
    x.iter_mut().zip(v).for_each(|(x, v)| *x -= twice * v);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_orthonormal_and_span_the_matrix() {
        let a = [3.0f32, 1.0, -4.0, 2.0, 0.5, 7.0, 1.0, -2.0, 6.0, 5.0, 3.0, -1.0];
        let (rows, cols) = (4, 3);
        let q = orthonormal(&a, rows, cols).unwrap();
        for i in 0..cols {
            for j in 0..cols {
                let d = dot(&q[i * rows..(i + 1) * rows], &q[j * rows..(j + 1) * rows]);
                assert!((d - f64::from(u8::from(i == j))).abs() < 1e-12);
                // R = QᵀA is upper triangular with a positive diagonal.
                let column: Vec<f64> = (0..rows).map(|r| f64::from(a[r * cols + j])).collect();
                let r = dot(&q[i * rows..(i + 1) * rows], &column);
                assert!(if i > j { r.abs() < 1e-12 } else { i != j || r > 0.0 });
            }
        }
    }

    #[test]
    fn empty_and_zero_matrices() {
        assert!(orthonormal(&[], 3, 0).unwrap().is_empty());
        assert_eq!(orthonormal(&[0.0, 0.0], 2, 1).unwrap(), [0.0, 0.0]);
        assert_eq!(orthogonal(1.0).make(&[0, 3], Key([0, 1])).unwrap().shape(), &[0, 3]);
    }
}
