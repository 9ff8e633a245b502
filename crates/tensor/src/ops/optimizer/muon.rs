//! Muon's step: the nearest matrix with orthogonal rows or columns.
use crate::{Error, Result, Tensor};

/// The matrix `x` with its singular values moved to about 1, by `steps` Newton–Schulz iterations with coefficients
/// `(a, b, c)`: `x ← a x + (b x xᵀ + c (x xᵀ)²) x`, after `x` is divided by its norm.
///
/// Singular values end between about 0.7 and 1.2 with five steps of `(3.4445, −4.7750, 2.0315)` (Jordan et al., 2024).
///
/// # Errors
/// `ShapeMismatch` for what is not a matrix; `DTypeMismatch` for what is not floating point.
pub fn orthogonalize(x: &Tensor, (a, b, c): (f64, f64, f64), eps: f64, steps: usize) -> Result<Tensor> {
    let &[rows, cols] = x.shape() else {
        return Err(Error::shape(format!("orthogonalize takes a matrix, got shape {:?}", x.shape())));
    };
    let norm = super::global_norm(std::slice::from_ref(x))?;
    let x = x.detach().mul_scalar(1.0 / norm.max(eps))?;
    // The smaller product of the two.
    let turned = rows > cols;
    let mut x = if turned { x.transpose(None)? } else { x };
    for _ in 0..steps {
        let square = x.matmul(&x.transpose(None)?)?;
        let factor = square.mul_scalar(b)?.add(&square.matmul(&square)?.mul_scalar(c)?)?;
        x = x.mul_scalar(a)?.add(&factor.matmul(&x)?)?;
    }
    if turned {
        x.transpose(None)
    } else {
        Ok(x)
    }
}
