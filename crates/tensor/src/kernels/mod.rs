//! CPU kernels on slices and candle storages. No autodiff here.
pub(crate) mod activation;
pub(crate) mod adam;
pub(crate) mod concat;
pub(crate) mod copy;
pub(crate) mod cross_entropy;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod gemm;
pub(crate) mod layer_norm;
pub(crate) mod real;
pub(crate) mod remap;
pub(crate) mod softmax;
