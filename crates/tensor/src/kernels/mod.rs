//! CPU kernels on slices and candle storages. No autodiff here.
pub(crate) mod concat;
pub(crate) mod copy;
pub(crate) mod gemm;
pub(crate) mod remap;
