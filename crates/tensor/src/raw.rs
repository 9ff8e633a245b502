//! What a tensor is stored as.

/// candle's tensor: storage, layout and device. Never tracked by candle's own autodiff.
pub(crate) type Raw = candle_core::Tensor;
