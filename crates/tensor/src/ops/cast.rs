//! Changes of dtype and device.
use super::args::wider;
use crate::{
    autodiff::record,
    device_path::{moved_to, on_host},
    for_any, for_whole,
    host_trips::Hosted,
    kernels::map::map,
    tensor::Raw,
    DType, Device, Element, Error, Result, Tensor,
};
use half::{bf16, f16};
use smallvec::smallvec;

/// Conversion as Rust's `as`, but to halves rounded once: floats to whole numbers truncate and saturate, NaN gives 0.
trait As<U> {
    fn to(self) -> U;
}
macro_rules! conversions {
    ($($t:ident)*) => { conversions!(@ [$($t)*] [$($t)*]); };
    (@ [$($t:ident)*] $all:tt) => { $(conversions!(@@ $t $all);)* };
    (@@ $t:ident [$($u:ident)*]) => {
        $(
            impl As<$u> for $t {
                #[inline(always)]
                fn to(self) -> $u { self as $u }
            }
        )*
        impl As<$t> for f16 {
            #[inline(always)]
            fn to(self) -> $t { self.to_f32() as $t }
        }
        impl As<$t> for bf16 {
            #[inline(always)]
            fn to(self) -> $t { self.to_f32() as $t }
        }
    };
}
conversions!(f32 f64 i32 i64 u32 u8);
macro_rules! to_halves {
    ($($h:ident: $($t:ident by |$v:ident| $nearest:expr),*;)*) => {$($(
        impl As<$h> for $t {
            #[inline(always)]
            fn to(self) -> $h {
                let $v = self;
                $nearest
            }
        }
    )*)*};
}
to_halves! {
    f16: f32 by |v| f16::from_f32(v), f64 by |v| f16::nearest(v), i32 by |v| f16::nearest(v.into()), u32 by |v| f16::nearest(v.into()),
        u8 by |v| f16::from_f32(v.into()), i64 by |v| f16::of_whole(v.into()), bf16 by |v| f16::from_f32(v.into()), f16 by |v| v;
    bf16: f32 by |v| bf16::from_f32(v), f64 by |v| bf16::nearest(v), i32 by |v| bf16::nearest(v.into()), u32 by |v| bf16::nearest(v.into()),
        u8 by |v| bf16::from_f32(v.into()), i64 by |v| bf16::of_whole(v.into()), f16 by |v| bf16::from_f32(v.into()), bf16 by |v| v;
}

fn convert<T: Element + As<U>, U: Element>(raw: &Raw) -> Result<Vec<U>> {
    map(raw, |v: T| v.to())
}

impl Tensor {
    /// Converts the elements to another dtype.
    ///
    /// Dtypes: to floats, each element is rounded once, to the nearest, and midway to the even one. From floats to
    /// integers, fractions are cut off, numbers out of range become the least or the largest one, and NaN becomes 0.
    /// From integers to narrower ones, the lowest bits are kept, as in NumPy. To bool, what is not zero becomes true.
    ///
    /// Gradient: `dx = dy`, cast back; only between floats.
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
        let path = self.path("cast");
        let out = if path.by_kernel() {
            for_any!(from, T => for_any!(dtype, U => {
                Tensor::from_raw(Raw::from_vec(convert::<T, U>(self.raw())?, self.shape(), self.device())?, dtype)
            }))
        } else if from.is_float() && !dtype.is_float() || narrows_twice(from, dtype) {
            // Saturation is not the same on every device, and some round by way of float32.
            on_host(Hosted::Cast, &[self], |t| t[0].cast(dtype))?
        } else {
            Tensor::from_raw(self.raw().to_dtype(dtype.storage())?, dtype)
        };
        Ok(record(out, &[self], move |ct, _| Ok(smallvec![Some(ct.cast(from)?)])))
    }
    /// [`Tensor::cast`] that refuses to change what integers cannot hold: for numbers that are given with a dtype. Fractions are cut off.
    ///
    /// # Errors
    /// `InvalidArgument` naming the first number that does not fit.
    pub fn cast_within(&self, dtype: DType) -> Result<Tensor> {
        let from = self.dtype();
        let (Some((least, most)), false) = (dtype.whole_range(), from == dtype || from == DType::Bool) else {
            return self.cast(dtype);
        };
        let whole = |v: f64| v.is_finite().then_some(v as i128);
        let unfit = |v: Option<i128>| !v.is_some_and(|v| (least..=most).contains(&v));
        let bad = match from {
            DType::I32 | DType::I64 | DType::U32 | DType::U8 => for_whole!(from, "cast", T => {
                let values = self.detach().values::<T>()?;
                values.iter().find(|&&v| unfit(Some(v.into()))).map(ToString::to_string)
            }),
            _ => {
                let values = self.detach().to_f64_vec()?;
                values.into_iter().find(|&v| unfit(whole(v))).map(|v| v.to_string())
            }
        };
        match bad {
            None => self.cast(dtype),
            Some(v) => Err(Error::argument(format!(
                "{v} does not fit {dtype}, which holds whole numbers from {least} to {most}; give dtype {}",
                wider(dtype, true)
            ))),
        }
    }
    /// Moves the values to another device; a tensor that is already there is not copied.
    ///
    /// Gradient: `dx = dy`, moved back.
    ///
    /// # Errors
    /// - `Device`: the device is missing, or this build does not know it.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device().same_device(device) {
            return Ok(self.clone());
        }
        let home = self.device().clone();
        Ok(record(moved_to(self, device)?, &[self], move |ct, _| Ok(smallvec![Some(ct.to_device(&home)?)])))
    }
    /// Gives the same values as a constant: no gradient flows through.
    ///
    /// Storage is shared.
    ///
    /// Gradient: none.
    pub fn stop_gradient(&self) -> Tensor {
        self.detach()
    }
}

/// Whether a conversion to a half by way of float32 would round twice.
fn narrows_twice(from: DType, to: DType) -> bool {
    matches!(to, DType::F16 | DType::BF16) && matches!(from, DType::F64 | DType::I32 | DType::I64 | DType::U32)
}
