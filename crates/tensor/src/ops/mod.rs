//! The operations, one file per family. Each is a method of [`crate::Tensor`] and records its gradient rule.
mod activation;
mod adam;
pub(crate) mod args;
mod binary;
mod cast;
mod dropout;
mod embedding;
pub(crate) mod general;
mod join;
mod loss;
mod make;
mod matmul;
mod norm;
mod shape;
mod slice;
mod softmax;

pub use activation::{bias_activation, Activation};
pub use adam::{adam_update, clip_by_global_norm, clip_factor, global_norm, AdamStep};
pub use args::{Axes, Scalar};
pub use dropout::dropout;
pub use embedding::embedding;
pub use loss::cross_entropy;
pub use matmul::dense;
pub use norm::{layer_norm, rms_norm};
