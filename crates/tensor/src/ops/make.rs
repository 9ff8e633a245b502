//! Tensors made from a shape.
use super::args::Scalar;
use crate::{
    device_path::to_device_raw, element_count, for_any, memory, tensor::Raw, DType, Device, Element, Error, Result,
    Tensor,
};

impl Tensor {
    /// Zeros of `shape`.
    ///
    /// # Errors
    /// `ShapeMismatch` when the shape has too many elements.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        element_count(shape)?;
        if device.is_cpu() {
            return for_any!(dtype, T => made(memory::zeros::<T>(shape)?, shape, dtype, device));
        }
        memory::admit_tensor(shape, dtype)?;
        let raw = Raw::zeros(shape, dtype.storage(), device)?; // admitted
        Ok(Tensor::from_raw(raw, dtype))
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
    /// As [`Tensor::zeros`]; `InvalidArgument` for a value that an integer `dtype` cannot hold.
    pub fn full(shape: &[usize], value: impl Into<Scalar>, dtype: DType, device: &Device) -> Result<Tensor> {
        element_count(shape)?;
        let value = value.into();
        for_any!(dtype, T => made(memory::full(shape, value.checked::<T>("full", dtype)?)?, shape, dtype, device))
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
        for_any!(dtype, T => made(memory::collect((0..n).map(|i| T::nearest(i as f64)))?, &[n], dtype, device))
    }
    /// Numbers from `start` to before `stop`, `step` apart. Without a dtype whole ones are int32, others float32.
    ///
    /// Whole numbers are exact; others are computed in float64 and then rounded.
    ///
    /// # Errors
    /// `InvalidArgument` when it never ends, or for a number that an integer `dtype` cannot hold.
    pub fn arange(
        start: impl Into<Scalar>,
        stop: impl Into<Scalar>,
        step: impl Into<Scalar>,
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<Tensor> {
        let (start, stop, step) = (start.into(), stop.into(), step.into());
        let endless = || Error::argument(format!("arange({start}, {stop}, {step}) never ends"));
        let whole = start.whole().zip(stop.whole()).zip(step.whole());
        let n = match whole {
            Some(((from, to), by)) => {
                let span = to.checked_sub(from);
                // Rounded up, towards what is not reached.
                let steps = span.and_then(|span| {
                    let more = span.checked_rem(by)? != 0 && (span < 0) == (by < 0);
                    Some(span.checked_div(by)?.max(-1) + i128::from(more))
                });
                steps.map(|n| n as f64)
            }
            None => Some(((stop.to_f64() - start.to_f64()) / step.to_f64()).ceil()).filter(|n| n.is_finite()),
        };
        let n = n.filter(|n| *n <= 1e15).ok_or_else(endless)?.max(0.0) as usize;
        element_count(&[n])?;
        let dtype = dtype.unwrap_or(if whole.is_some() { DType::I32 } else { DType::F32 });
        for_any!(dtype, T => {
            let value = |i: usize| {
                let v = match whole {
                    Some(((from, _), by)) => Scalar::Int(from + i as i128 * by),
                    None => Scalar::Float(start.to_f64() + i as f64 * step.to_f64()),
                };
                v.checked::<T>("arange", dtype)
            };
            // What does not fit is refused before there is memory for all.
            n.checked_sub(1).map(value).transpose()?;
            let mut values: Vec<T> = memory::room(&[n])?;
            for i in 0..n {
                values.push(value(i)?);
            }
            made(values, &[n], dtype, device)
        })
    }
    /// An `n` by `m` bool matrix, true where `column <= row + k`.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn tril_mask(n: usize, m: usize, k: isize, device: &Device) -> Result<Tensor> {
        element_count(&[n, m])?;
        let mut values: Vec<u8> = memory::zeros(&[n, m])?;
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
        element_count(&[n, m])?;
        for_any!(dtype, T => {
            let mut values: Vec<T> = memory::zeros(&[n, m])?;
            values.iter_mut().step_by(m + 1).take(n.min(m)).for_each(|v| *v = T::of_whole(1));
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
            return made(memory::collect(values.iter().map(|&v| (v != 0.0) as u8))?, shape, dtype, device);
        }
        for_any!(dtype, T => {
            made(memory::collect(values.iter().map(|&v| T::nearest(v)))?, shape, dtype, device)
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
