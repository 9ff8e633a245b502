//! The operations, one file per family. Each is a method of [`crate::Tensor`] and records its gradient rule.
mod binary;
mod cast;
mod make;
mod matmul;
pub use matmul::dense;
