//! Densities of normal distributions.
use crate::{options, Dim, Error, Result, TensorArg};
use std::f64::consts::TAU;
use tallow_tensor::{custom_vjp, memory, DType, Tensor};

options! {
    /// Computes the logarithm of the density of a multivariate normal distribution.
    ///
    /// It is computed in float64 and given in the type of the inputs. A singular `sigma` gives infinities or NaN.
    ///
    /// Formula: `-½ · (n · log 2π + log |det sigma| + (x - mu)ᵀ · sigma⁻¹ · (x - mu))`.
    /// Shapes: points `[..., n]`, means `[..., n]`, covariances `[..., n, n]` → `[...]`. Leading axes broadcast.
    /// Errors:
    /// - `ShapeMismatch`: `mu` or `sigma` has another size than the points, or `sigma` is not square.
    ///
    /// Source: Trax.
    /// See: `logGaussianDiagPdf`.
    /// Example:
    /// ```ts
    /// const sigma = tl.tensor([[1, 0], [0, 1]], [2, 2], { dtype: 'float32' });
    /// tl.logGaussianPdf(tl.zeros([2]), tl.zeros([2]), sigma); // → Tensor float32[] -1.83788
    /// ```
    pub struct LogGaussianPdfOptions for "logGaussianPdf" ("x", "mu", "sigma") {
        /// Points.
        x "x": TensorArg,
        /// Means.
        mu "mu": TensorArg,
        /// Covariance matrices.
        sigma "sigma": TensorArg,
    }
}
options! {
    /// Computes the logarithm of the density of a normal distribution with independent components.
    ///
    /// Formula: `-½ · (n · log 2π + Σ log s + Σ (x - mu)² / s)`, with the variances `s = diagSigma`. Trax divides `mu` alone by `s`.
    /// Shapes: points `[..., n]`, means `[..., n]`, variances `[..., n]` → `[...]`. Leading axes broadcast.
    /// Errors:
    /// - `ShapeMismatch`: the last axes differ.
    ///
    /// Source: Trax.
    /// See: `logGaussianPdf`.
    /// Example:
    /// ```ts
    /// tl.logGaussianDiagPdf(tl.zeros([2]), tl.zeros([2]), tl.ones([2])); // → Tensor float32[] -1.83788
    /// ```
    pub struct LogGaussianDiagPdfOptions for "logGaussianDiagPdf" ("x", "mu", "diagSigma") {
        /// Points.
        x "x": TensorArg,
        /// Means.
        mu "mu": TensorArg,
        /// Variances: the diagonal of the covariance matrix.
        diag_sigma "diagSigma": TensorArg,
    }
}
options! {
    /// Computes the logarithm of the density of targets under predicted mixtures of normal distributions.
    ///
    /// Training makes it large. In Trax this function always fails; the sign here is that of its formula.
    ///
    /// Formula: `log Σₖ pₖ · N(target; muₖ, sₖ)`. `p` is the softmax of the first `ngauss` predictions, the next `ngauss · n` are the
    /// means, and
    /// the squares of the rest, plus 1e-6, are the variances.
    /// Shapes: predictions `[batch, ngauss · (1 + 2n)]`, targets `[batch, n]` → `[batch]`.
    /// Errors:
    /// - `ShapeMismatch`: predictions or targets have other shapes.
    ///
    /// Source: Trax.
    /// See: `logGaussianDiagPdf`.
    /// Example:
    /// ```ts
    /// tl.multigaussianLoss(tl.ones([4, 5]), tl.zeros([4, 2])).shape; // → [4]
    /// ```
    pub struct MultigaussianLossOptions for "multigaussianLoss" ("preds", "targets") {
        /// Predictions: weights, means and roots of variances of the mixture.
        preds "preds": TensorArg,
        /// Points.
        targets "targets": TensorArg,
        /// Number of distributions mixed.
        ngauss "ngauss": Dim = Dim(1),
    }
}

fn features(op: &str, t: &Tensor) -> Result<usize> {
    t.shape()
        .last()
        .copied()
        .ok_or_else(|| Error::shape(format!("{op} needs points with at least one axis, got a 0-d tensor")))
}

/// The number of dimensions, the same in points and what goes with them: a single number beside vectors would count once where it
/// stands for all.
fn same_features<const N: usize>(op: &str, all: [&Tensor; N]) -> Result<usize> {
    let n = features(op, all[0])?;
    for t in all {
        if t.shape().last() != Some(&n) {
            let (points, other) = (all[0].shape(), t.shape());
            return Err(Error::shape(format!(
                "{op} of points {points:?} needs {n} numbers along each last axis, got {other:?}"
            )));
        }
    }
    Ok(n)
}

/// `log N(x | mu, sigma)` for covariance matrices `sigma`.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not fit.
pub fn log_gaussian_pdf(x: &Tensor, mu: &Tensor, sigma: &Tensor) -> Result<Tensor> {
    let n = same_features("logGaussianPdf", [x, mu])?;
    let d = x.sub(mu)?;
    let ([.., rows, cols], Some(&last)) = (sigma.shape(), d.shape().last()) else {
        return Err(Error::shape(format!("logGaussianPdf needs matrices as sigma, got shape {:?}", sigma.shape())));
    };
    if *rows != n || *cols != n || last != n {
        return Err(Error::shape(format!(
            "logGaussianPdf of points {:?} needs sigma of shape [..., {n}, {n}], got {:?}",
            d.shape(),
            sigma.shape()
        )));
    }
    let dtype = d.dtype().promote(sigma.dtype()).to_float();
    let shared = sigma.rank() == 2;
    // One decomposition where all points share sigma; else one for each point.
    let (d, sigma) = if shared {
        (d, sigma.clone())
    } else {
        let matrices = &sigma.shape()[..sigma.rank() - 2];
        let marker = Tensor::zeros(matrices, DType::F32, sigma.device())?;
        let lead =
            Tensor::zeros(&d.shape()[..d.rank() - 1], DType::F32, sigma.device())?.add(&marker)?.shape().to_vec();
        (d.broadcast_to(&[&lead[..], &[n]].concat())?, sigma.broadcast_to(&[&lead[..], &[n, n]].concat())?)
    };
    let y = quadratic(&d.cast(dtype)?, &sigma.cast(dtype)?)?;
    Ok(y.add_scalar(n as f64 * TAU.ln())?.mul_scalar(-0.5)?)
}

/// `log |det S| + dᵀ S⁻¹ d` for each of the points `d [..., n]` and matrices `S [n, n]` or `[..., n, n]`.
fn quadratic(d: &Tensor, sigma: &Tensor) -> Result<Tensor> {
    struct Saved {
        d: Vec<f64>,
        inverses: Vec<f64>,
        like: [Tensor; 2],
    }
    let n = features("logGaussianPdf", d)?;
    let out = custom_vjp(
        &[d.clone(), sigma.clone()],
        |inputs| {
            let (points, matrices) = (inputs[0].to_f64_vec()?, inputs[1].to_f64_vec()?);
            let solved = matrices.chunks_exact((n * n).max(1)).map(|m| inverse(m, n));
            let solved = solved.collect::<tallow_tensor::Result<Vec<(Vec<f64>, f64)>>>()?;
            let values: Vec<f64> = (0..points.len() / n.max(1))
                .map(|i| {
                    let (inv, log_det) = &solved[if solved.len() == 1 { 0 } else { i }];
                    let p = &points[i * n..(i + 1) * n];
                    log_det + p.iter().zip(inv.chunks_exact(n)).map(|(a, row)| a * dot(row, p)).sum::<f64>()
                })
                .collect();
            let (x, s) = (&inputs[0], &inputs[1]);
            let y = Tensor::from_f64(&values, &x.shape()[..x.rank() - 1], x.dtype(), x.device())?;
            let inverses = solved.into_iter().flat_map(|(inv, _)| inv).collect();
            Ok((vec![y], Saved { d: points, inverses, like: [x.clone(), s.clone()] }))
        },
        move |saved, cts, _need| {
            let Some(ct) = &cts[0] else { return Ok(vec![None, None]) };
            let ct = ct.to_f64_vec()?;
            let mut dd: Vec<f64> = memory::zeros(saved.d.len())?;
            let mut ds: Vec<f64> = memory::zeros(saved.inverses.len())?;
            let one = saved.inverses.len() == n * n;
            for (i, g) in ct.iter().enumerate() {
                let k = if one { 0 } else { i };
                let inv = &saved.inverses[k * n * n..(k + 1) * n * n];
                let p = &saved.d[i * n..(i + 1) * n];
                let right: Vec<f64> = memory::collect(inv.chunks_exact(n).map(|row| dot(row, p)))?;
                let left: Vec<f64> = memory::collect((0..n).map(|c| (0..n).map(|r| inv[r * n + c] * p[r]).sum()))?;
                for r in 0..n {
                    dd[i * n + r] = g * (left[r] + right[r]);
                    for c in 0..n {
                        // d log|det S| = S⁻ᵀ; d (pᵀ S⁻¹ p) = -(S⁻ᵀ p)(S⁻¹ p)ᵀ.
                        ds[k * n * n + r * n + c] += g * (inv[c * n + r] - left[r] * right[c]);
                    }
                }
            }
            let [x, s] = &saved.like;
            let make = |v: &[f64], t: &Tensor| Tensor::from_f64(v, t.shape(), t.dtype(), t.device());
            Ok(vec![Some(make(&dd, x)?), Some(make(&ds, s)?)])
        },
    )?;
    Ok(out[0].clone())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Inverse and logarithm of the absolute determinant of a matrix, by Gauss-Jordan elimination with row exchanges.
fn inverse(m: &[f64], n: usize) -> tallow_tensor::Result<(Vec<f64>, f64)> {
    let mut a = memory::copy(m)?;
    let mut inv: Vec<f64> = memory::collect((0..n * n).map(|i| f64::from(u8::from(i / n == i % n))))?;
    let mut log_det = 0.0;
    for c in 0..n {
        let pivot = (c..n).fold(c, |best, r| if a[r * n + c].abs() > a[best * n + c].abs() { r } else { best });
        if pivot != c {
            for k in 0..n {
                a.swap(c * n + k, pivot * n + k);
                inv.swap(c * n + k, pivot * n + k);
            }
        }
        let p = a[c * n + c];
        log_det += p.abs().ln();
        for k in 0..n {
            a[c * n + k] /= p;
            inv[c * n + k] /= p;
        }
        for r in (0..n).filter(|&r| r != c) {
            let f = a[r * n + c];
            for k in 0..n {
                a[r * n + k] -= f * a[c * n + k];
                inv[r * n + k] -= f * inv[c * n + k];
            }
        }
    }
    Ok((inv, log_det))
}

/// `log N(x | mu, diag(s))` for variances `s`.
///
/// # Errors
/// `ShapeMismatch` when the shapes do not broadcast.
pub fn log_gaussian_diag_pdf(x: &Tensor, mu: &Tensor, s: &Tensor) -> Result<Tensor> {
    let n = same_features("logGaussianDiagPdf", [x, mu, s])?;
    let spread = s.log()?.sum(-1, false)?;
    let distance = x.sub(mu)?.square()?.div(s)?.sum(-1, false)?;
    Ok(distance.add(&spread)?.add_scalar(n as f64 * TAU.ln())?.mul_scalar(-0.5)?)
}

/// The logarithm of the density of targets under mixtures of normal distributions; see [`MultigaussianLossOptions`].
///
/// # Errors
/// `ShapeMismatch` when the shapes do not fit.
pub fn multigaussian_loss(preds: &Tensor, targets: &Tensor, ngauss: usize) -> Result<Tensor> {
    let n = features("multigaussianLoss", targets)?;
    let width = ngauss * (1 + 2 * n);
    if preds.rank() != 2 || preds.shape()[1] != width {
        return Err(Error::shape(format!(
            "multigaussianLoss of {ngauss} distributions over {n} dimensions needs preds of shape [batch, {width}], got {:?}",
            preds.shape()
        )));
    }
    let batch = preds.shape()[0];
    if targets.shape() != [batch, n] {
        let (preds, targets) = (preds.shape(), targets.shape());
        return Err(Error::shape(format!(
            "multigaussianLoss of preds {preds:?} needs targets of shape [{batch}, {n}], one for each, got {targets:?}"
        )));
    }
    let parts = preds.split_at(&[ngauss, ngauss * (n + 1)], 1)?;
    let weights = parts[0].log_softmax(-1)?;
    let mu = parts[1].reshape(&[batch, ngauss, n])?;
    let s = parts[2].square()?.add_scalar(1e-6)?.reshape(&[batch, ngauss, n])?;
    let targets = targets.expand_dims(1)?;
    Ok(weights.add(&log_gaussian_diag_pdf(&targets, &mu, &s)?)?.logsumexp(-1, false)?)
}
