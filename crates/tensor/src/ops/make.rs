//! Tensors made from a shape.
use super::args::Scalar;
use crate::{device_path::to_device_raw, element_count, for_any, tensor::Raw, DType, Device, Error, Result, Tensor};

impl Tensor {
    /// Zeros of `shape`.
    ///
    /// # Errors
    /// `ShapeMismatch` when the shape has too many elements.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        element_count(shape)?;
        Ok(Tensor::from_raw(Raw::zeros(shape, dtype.storage(), device)?, dtype))
    }
    /// Ones of `shape`.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn ones(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        Self::full(shape, 1i64, dtype, device)
    }
    /// `shape` filled with one value (bool: whether it is not zero).
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn full(shape: &[usize], value: impl Into<Scalar>, dtype: DType, device: &Device) -> Result<Tensor> {
        let (n, value) = (element_count(shape)?, value.into());
        let value = if dtype == DType::Bool { Scalar::Int((value.to_f64() != 0.0) as i64) } else { value };
        for_any!(dtype, T => made(vec![value.element::<T>(); n], shape, dtype, device))
    }
    /// Zeros with the shape, dtype and device of this tensor.
    ///
    /// # Errors
    /// Those of the device.
    pub fn zeros_like(&self) -> Result<Tensor> {
        Self::zeros(self.shape(), self.dtype(), self.device())
    }
    /// Ones with the shape, dtype and device of this tensor.
    ///
    /// # Errors
    /// Those of the device.
    pub fn ones_like(&self) -> Result<Tensor> {
        Self::ones(self.shape(), self.dtype(), self.device())
    }
    /// 0, 1, … n-1.
    ///
    /// # Errors
    /// `InvalidArgument` when `dtype` cannot hold `n - 1` (whole numbers) or is bool.
    pub fn iota(n: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        let most = match dtype {
            DType::Bool => 2,
            DType::U8 => 1 << 8,
            DType::I32 => 1 << 31,
            DType::U32 => 1 << 32,
            _ => usize::MAX,
        };
        if n > most {
            return Err(Error::argument(format!("iota: {dtype} cannot count {n} values")));
        }
        element_count(&[n])?;
        for_any!(dtype, T => made((0..n).map(|i| Scalar::Int(i as i64).element::<T>()).collect(), &[n], dtype, device))
    }
    /// An `n` by `m` bool matrix, true where `column <= row + k`.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn tril_mask(n: usize, m: usize, k: isize, device: &Device) -> Result<Tensor> {
        let mut values = vec![0u8; element_count(&[n, m])?];
        for (i, row) in values.chunks_mut(m.max(1)).enumerate() {
            let ones = (i as isize).saturating_add(k).saturating_add(1).clamp(0, m as isize);
            row[..ones as usize].fill(1);
        }
        made(values, &[n, m], DType::Bool, device)
    }
    /// An `n` by `m` matrix with ones on the diagonal.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn eye(n: usize, m: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        let count = element_count(&[n, m])?;
        for_any!(dtype, T => {
            let mut values = vec![T::default(); count];
            values.iter_mut().step_by(m + 1).take(n.min(m)).for_each(|v| *v = Scalar::Int(1).element::<T>());
            made(values, &[n, m], dtype, device)
        })
    }
    /// Values given as float64, rounded to `dtype` (whole numbers truncate and saturate; bool: whether not zero).
    ///
    /// # Errors
    /// `ShapeMismatch` when they do not fill `shape`.
    pub fn from_f64(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        if element_count(shape)? != values.len() {
            return Err(Error::shape(format!("{} values do not fill shape {shape:?}", values.len())));
        }
        if dtype == DType::Bool {
            return made(values.iter().map(|&v| (v != 0.0) as u8).collect(), shape, dtype, device);
        }
        for_any!(dtype, T => {
            made(values.iter().map(|&v| <T as candle_core::WithDType>::from_f64(v)).collect(), shape, dtype, device)
        })
    }
}

/// A tensor of values made on the host, moved to `device`.
pub(crate) fn made<T: crate::Element>(
    values: Vec<T>,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let raw = Raw::from_vec(values, shape, &Device::Cpu)?;
    Ok(Tensor::from_raw(to_device_raw(raw, device)?, dtype))
}
