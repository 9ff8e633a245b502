//! Weights cut into shards, one for each of several devices, and put together again.
use crate::{entry, options, options::Entry, Dim, Error, HostValue, Result, TensorNest};
use tallow_tensor::Tensor;

options! {
    /// Cuts tensors into shards: each becomes a stack of its parts, whose first axis counts the shards.
    ///
    /// Tensors with fewer than three axes are cut along the first axis, all others along the last.
    ///
    /// Shapes: `[n, ...]` → `[nShards, n / nShards, ...]`, or `[a, b, n]` → `[nShards, a, b, n / nShards]`.
    /// Errors:
    /// - `ShapeMismatch`: a tensor has no axes, or `nShards` does not divide the axis.
    ///
    /// Source: Trax.
    /// See: `unshard`.
    /// Example:
    /// ```ts
    /// tl.shard(tl.tensor([1, 2, 3, 4]), { nShards: 2 }); // → Tensor int32[2,2] [[1,2],[3,4]]
    /// ```
    pub struct ShardOptions for "shard" ("tensors") {
        /// A tensor or nested lists of tensors.
        tensors "tensors": TensorNest,
        /// Number of shards.
        n_shards "nShards": Dim = Dim(1),
    }
}

options! {
    /// Puts tensors together again from the stacks that `shard` made of them.
    ///
    /// Shapes: `[nShards, n / nShards, ...]` → `[n, ...]`, or `[nShards, a, b, n / nShards]` → `[a, b, n]`.
    /// Errors:
    /// - `ShapeMismatch`: the first axis does not have the size `nShards`, or there is no axis to join.
    ///
    /// Source: Trax.
    /// See: `shard`.
    /// Example:
    /// ```ts
    /// tl.unshard(tl.tensor([[1, 2], [3, 4]]), { nShards: 2 }); // → Tensor int32[4] [1,2,3,4]
    /// ```
    pub struct UnshardOptions for "unshard" ("tensors") {
        /// A tensor or nested lists of tensors.
        tensors "tensors": TensorNest,
        /// Number of shards.
        n_shards "nShards": Dim = Dim(1),
    }
}

/// The functions of this file.
pub static FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("base", ShardOptions, |o: ShardOptions| {
        Ok::<_, Error>(HostValue::tree(&o.tensors.0.try_map(&mut |t| shard(t, o.n_shards.0))?))
    }),
    entry!("base", UnshardOptions, |o: UnshardOptions| {
        Ok::<_, Error>(HostValue::tree(&o.tensors.0.try_map(&mut |t| unshard(t, o.n_shards.0))?))
    }),
];

fn axis(rank: usize) -> Result<usize> {
    match rank {
        0 => Err(Error::shape("a tensor without axes cannot be cut into shards")),
        1 | 2 => Ok(0),
        _ => Ok(rank - 1),
    }
}

/// The parts of `x` as a stack.
///
/// # Errors
/// `ShapeMismatch` for a tensor without axes, or when `n` does not divide the axis.
pub fn shard(x: &Tensor, n: usize) -> Result<Tensor> {
    let at = axis(x.rank())?;
    if !x.shape()[at].is_multiple_of(n) {
        return Err(Error::shape(format!("shape {:?} cannot be cut into {n} shards along axis {at}", x.shape())));
    }
    Ok(Tensor::stack(&x.split(n, at as isize)?, 0)?)
}

/// The tensor whose parts `x` is a stack of.
///
/// # Errors
/// `ShapeMismatch` when there are not `n` parts, or they have no axes.
pub fn unshard(x: &Tensor, n: usize) -> Result<Tensor> {
    if x.shape().first() != Some(&n) {
        return Err(Error::shape(format!("shape {:?} is no stack of {n} shards", x.shape())));
    }
    let at = axis(x.rank() - 1)?;
    let parts = (0..n).map(|i| x.index(0, i as isize)).collect::<tallow_tensor::Result<Vec<_>>>()?;
    Ok(Tensor::concat(&parts, at as isize)?)
}
