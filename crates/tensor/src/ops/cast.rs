//! Changes of dtype and device.
use crate::{
    autodiff::record,
    device_path::{moved_to, on_host},
    for_any,
    kernels::map::map,
    tensor::Raw,
    DType, Device, Element, Result, Tensor,
};
use smallvec::smallvec;

/// Conversion as Rust's `as`: floats to whole numbers truncate and saturate, NaN gives 0.
trait As<U> {
    fn to(self) -> U;
}
macro_rules! conversions {
    ($($t:ident)*) => { conversions!(@ [$($t)*] [$($t)*]); };
    (@ [$($t:ident)*] $all:tt) => { $(conversions!(@@ $t $all);)* };
    (@@ $t:ident [$($u:ident)*]) => {$(
        impl As<$u> for $t {
            #[inline(always)]
            fn to(self) -> $u { self as $u }
        }
    )*};
}
conversions!(f32 f64 i32 i64 u32 u8);

fn convert<T: Element, U: Element>(raw: &Raw) -> Result<Vec<U>>
where
    T::Acc: As<U::Acc>,
{
    map(raw, |v: T| U::down(v.up().to()))
}

impl Tensor {
    /// The same values as `dtype`: floats to whole numbers truncate toward zero and saturate (NaN gives 0), to bool is "not zero".
    /// Differentiable between floats.
    ///
    /// # Errors
    /// Those of the device.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        let from = self.dtype();
        if from == dtype {
            return Ok(self.clone());
        }
        if dtype == DType::Bool {
            return self.ne_scalar(0);
        }
        if from == DType::Bool && dtype == DType::U8 {
            return Ok(self.with_dtype_tag(dtype));
        }
        let out = if self.use_kernels() {
            for_any!(from, T => for_any!(dtype, U => {
                Tensor::from_raw(Raw::from_vec(convert::<T, U>(self.raw())?, self.shape(), self.device())?, dtype)
            }))
        } else if from.is_float() && !dtype.is_float() {
            // Saturation is not the same on every device.
            on_host(&[self], |t| t[0].cast(dtype))?
        } else {
            Tensor::from_raw(self.raw().to_dtype(dtype.storage())?, dtype)
        };
        Ok(record(out, &[self], move |ct, _| Ok(smallvec![Some(ct.cast(from)?)])))
    }
    /// The same values on `device`; differentiable.
    ///
    /// # Errors
    /// Those of the devices.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device().same_device(device) {
            return Ok(self.clone());
        }
        let home = self.device().clone();
        Ok(record(moved_to(self, device)?, &[self], move |ct, _| Ok(smallvec![Some(ct.to_device(&home)?)])))
    }
    /// The same values, a constant to autodiff. Shares storage.
    pub fn stop_gradient(&self) -> Tensor {
        self.detach()
    }
}
