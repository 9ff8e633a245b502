//! The operations, one file per family. Each is a method of [`crate::Tensor`] and records its gradient rule.
pub(crate) mod args;
mod binary;
mod cast;
mod join;
mod make;
mod matmul;
mod shape;
mod slice;

pub use args::{Axes, Scalar};
pub use matmul::dense;
