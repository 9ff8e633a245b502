//! Tensors made from a shape.
use super::args::Scalar;
pub(crate) use crate::device_path::made;
use crate::{element_count, for_any, memory, tensor::Raw, DType, Device, Element, Error, Result, Tensor};

impl Tensor {
    /// Makes a tensor of zeros.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has too many elements.
    /// - `OutOfMemory`: memory cannot hold the tensor.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        element_count(shape)?;
        if device.is_cpu() {
            return for_any!(dtype, T => made(memory::zeros::<T>(shape)?, shape, dtype, device));
        }
        memory::admit_tensor(shape, dtype)?;
        let raw = Raw::zeros(shape, dtype.storage(), device)?; // admitted
        Ok(Tensor::from_raw(raw, dtype))
    }
    /// Makes a tensor of ones.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has too many elements.
    /// - `OutOfMemory`: memory cannot hold the tensor.
    pub fn ones(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        Self::full(shape, 1i64, dtype, device)
    }
    /// Makes a tensor that has the same value everywhere; as bool it is whether the value is not zero.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has too many elements.
    /// - `OutOfMemory`: memory cannot hold the tensor.
    /// - `InvalidArgument`: an integer dtype does not hold the value.
    pub fn full(shape: &[usize], value: impl Into<Scalar>, dtype: DType, device: &Device) -> Result<Tensor> {
        element_count(shape)?;
        let value = value.into();
        for_any!(dtype, T => made(memory::full(shape, value.checked::<T>("full", dtype)?)?, shape, dtype, device))
    }
    /// Makes a tensor of zeros with the shape, dtype and device of this one.
    ///
    /// # Errors
    /// - `OutOfMemory`: memory cannot hold the tensor.
    pub fn zeros_like(&self) -> Result<Tensor> {
        Self::zeros(self.shape(), self.dtype(), self.device())
    }
    /// Makes a tensor of ones with the shape, dtype and device of this one.
    ///
    /// # Errors
    /// - `OutOfMemory`: memory cannot hold the tensor.
    pub fn ones_like(&self) -> Result<Tensor> {
        Self::ones(self.shape(), self.dtype(), self.device())
    }
    /// 0, 1, … n-1.
    ///
    /// # Errors
    /// - `InvalidArgument`: `dtype` cannot hold `n - 1` (whole numbers) or is bool.
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
    /// Makes the numbers from `start` to before `stop`, `step` apart.
    ///
    /// Formula: `y[i] = start + i · step`, for all `i` from 0 on that stay before `stop`.
    ///
    /// Dtypes: without one, int32 if all three numbers are whole, else float32. Whole numbers are exact; others are
    /// computed in float64, then rounded.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range never ends, or an integer dtype does not hold a number of it.
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
    /// [`Tensor::arange`] as it is called in NumPy: a number alone is where the range stops, which then begins at 0; the step is 1 unless
    /// it is given. Without a dtype it has that of [`Scalar::natural`].
    ///
    /// # Errors
    /// Those of [`Tensor::arange`].
    pub fn arange_of(
        start: Scalar,
        stop: Option<Scalar>,
        step: Option<Scalar>,
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<Tensor> {
        let natural = [Some(start), stop, step].into_iter().flatten().collect::<Vec<_>>(); // few
        let dtype = dtype.unwrap_or_else(|| Scalar::natural(&natural));
        let (start, stop) = stop.map_or((Scalar::Int(0), start), |stop| (start, stop));
        Self::arange(start, stop, step.unwrap_or(Scalar::Int(1)), Some(dtype), device)
    }
    /// Makes a mask that is true on and below a diagonal: the lower triangle.
    ///
    /// Formula: `y[i, j] = j <= i + k`
    ///
    /// Shapes: `bool[n, m]`.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has too many elements.
    /// - `OutOfMemory`: memory cannot hold the tensor.
    pub fn tril_mask(n: usize, m: usize, k: isize, device: &Device) -> Result<Tensor> {
        element_count(&[n, m])?;
        let mut values: Vec<u8> = memory::zeros(&[n, m])?;
        for (i, row) in values.chunks_mut(m.max(1)).enumerate() {
            let ones = (i as isize).saturating_add(k).saturating_add(1).clamp(0, m as isize);
            row[..ones as usize].fill(1);
        }
        made(values, &[n, m], DType::Bool, device)
    }
    /// Makes a matrix with ones on its diagonal and zeros elsewhere.
    ///
    /// Formula: `y[i, j] = 1` if `i = j`, else `0`
    ///
    /// Shapes: `[n, m]`.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shape has too many elements.
    /// - `OutOfMemory`: memory cannot hold the tensor.
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
    /// - `ShapeMismatch`: they do not fill `shape`.
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
