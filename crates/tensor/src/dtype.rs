//! Element types and how they combine.
use crate::{
    rounding::{odd_f32, odd_f32_of},
    Error, Result,
};
use half::{bf16, f16};
use std::fmt;

/// Element type of a tensor. Booleans are stored as bytes 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DType {
    /// 32-bit float; what tensors are of by default.
    #[default]
    F32,
    /// 64-bit float.
    F64,
    /// IEEE half.
    F16,
    /// Brain float.
    BF16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 32-bit unsigned integer.
    U32,
    /// 8-bit unsigned integer.
    U8,
    /// Boolean, one byte.
    Bool,
}

impl DType {
    /// All element types.
    pub const ALL: [DType; 9] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U32, DType::U8, DType::Bool];
    /// The NumPy name: `float32`, `bool`, …
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U32 => "uint32",
            DType::U8 => "uint8",
            DType::Bool => "bool",
        }
    }
    /// The type of that NumPy name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|d| d.name()).collect();
            Error::dtype(format!("unknown dtype \"{name}\", expected one of {}", names.join(", ")))
        })
    }
    /// Whether values are floating point.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }
    /// The least and the largest whole number of an integer type; `None` for floats and bool.
    pub fn whole_range(self) -> Option<(i128, i128)> {
        match self {
            DType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            DType::I64 => Some((i64::MIN.into(), i64::MAX.into())),
            DType::U32 => Some((0, u32::MAX.into())),
            DType::U8 => Some((0, u8::MAX.into())),
            _ => None,
        }
    }
    /// The type that sums and products of this type have, as in JAX: bool int32, uint8 uint32, others their own.
    pub fn of_sums(self) -> DType {
        match self {
            DType::Bool => DType::I32,
            DType::U8 => DType::U32,
            other => other,
        }
    }
    /// How candle stores it.
    pub fn storage(self) -> candle_core::DType {
        use candle_core::DType as C;
        match self {
            DType::F32 => C::F32,
            DType::F64 => C::F64,
            DType::F16 => C::F16,
            DType::BF16 => C::BF16,
            DType::I32 => C::I32,
            DType::I64 => C::I64,
            DType::U32 => C::U32,
            DType::U8 | DType::Bool => C::U8,
        }
    }
    /// The type two operands meet at, as JAX promotes (64-bit types enabled).
    pub fn promote(self, other: DType) -> DType {
        use DType::*;
        if self == other {
            return self;
        }
        match (self, other) {
            (Bool, x) | (x, Bool) => x,
            (F64, _) | (_, F64) => F64,
            (F32, _) | (_, F32) => F32,
            (F16, BF16) | (BF16, F16) => F32,
            (F16, _) | (_, F16) => F16,
            (BF16, _) | (_, BF16) => BF16,
            (I64, _) | (_, I64) => I64,
            (I32, U32) | (U32, I32) => I64,
            (I32, U8) | (U8, I32) => I32,
            (U32, U8) | (U8, U32) => U32,
            _ => unreachable!("all pairs of distinct types are covered"),
        }
    }
    /// The type of `x / y`, `mean`, `exp`, … on this type: floats stay, others become float32 (as JAX with x64 off).
    pub fn to_float(self) -> DType {
        if self.is_float() {
            self
        } else {
            DType::F32
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that can be a tensor element on the CPU.
pub trait Element: candle_core::WithDType + Default + bytemuck::Zeroable {
    /// Its tensor dtype.
    const DT: DType;
    /// The type sums are taken in: itself, but f32 for halves.
    type Acc: Accumulator;
    /// To the accumulating type.
    fn up(self) -> Self::Acc;
    /// From the accumulating type, rounded.
    fn down(a: Self::Acc) -> Self;
    /// The nearest float, rounded once, halves to even; of integers the whole part, at most the largest and at least the least, 0 for NaN.
    fn nearest(v: f64) -> Self;
    /// The nearest float, rounded once; of integers the lowest bits.
    fn of_whole(v: i128) -> Self;
}

/// An integer element, with a type that sums and products of such are exact in.
pub(crate) trait Whole: Element {
    /// Wide enough for the sum of all elements a machine can hold, and for the product of two.
    type Wide: Wide;
    /// In the wide type.
    fn wide(self) -> Self::Wide;
    /// `v`, if it fits.
    fn fit(v: i128) -> Option<Self>;
}

/// What sums and products of integers are taken in.
pub(crate) trait Wide: Copy + Send + Sync + Default + 'static {
    /// The factor that changes nothing.
    const ONE: Self;
    /// As the widest integer there is.
    fn exact(self) -> i128;
    /// The sum.
    fn plus(self, o: Self) -> Self;
    /// The product, or a number beyond every element type where it does not fit. A factor of 0 gives 0 in any order.
    fn times(self, o: Self) -> Self;
}
macro_rules! wide {
    ($($t:ident),*) => {$(
        impl Wide for $t {
            const ONE: Self = 1;
            #[inline(always)]
            fn exact(self) -> i128 { self as i128 }
            #[inline(always)]
            fn plus(self, o: Self) -> Self { self.wrapping_add(o) }
            #[inline(always)]
            fn times(self, o: Self) -> Self { self.saturating_mul(o) }
        }
    )*};
}
wide!(i64, i128);
macro_rules! whole {
    ($($t:ident in $w:ident),*) => {$(
        impl Whole for $t {
            type Wide = $w;
            #[inline(always)]
            fn wide(self) -> $w { self.into() }
            #[inline(always)]
            fn fit(v: i128) -> Option<Self> { v.try_into().ok() }
        }
    )*};
}
whole!(i32 in i64, u32 in i64, u8 in i64, i64 in i128);

/// A type that sums can be taken in.
pub trait Accumulator:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + bytemuck::Zeroable
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + 'static
{
}
impl<T> Accumulator for T where
    T: Copy
        + Send
        + Sync
        + PartialOrd
        + Default
        + bytemuck::Zeroable
        + std::ops::Add<Output = Self>
        + std::ops::Sub<Output = Self>
        + std::ops::Mul<Output = Self>
        + std::ops::Div<Output = Self>
        + std::ops::AddAssign
        + std::ops::MulAssign
        + 'static
{
}

macro_rules! element {
    ($($t:ty => $d:ident),*) => {$(
        impl Element for $t {
            const DT: DType = DType::$d;
            type Acc = $t;
            #[inline(always)]
            fn up(self) -> $t { self }
            #[inline(always)]
            fn down(a: $t) -> $t { a }
            #[inline(always)]
            fn nearest(v: f64) -> $t { v as $t }
            #[inline(always)]
            fn of_whole(v: i128) -> $t { v as $t }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, u32 => U32, u8 => U8);
macro_rules! half_element {
    ($($t:ty => $d:ident),*) => {$(
        impl Element for $t {
            const DT: DType = DType::$d;
            type Acc = f32;
            #[inline(always)]
            fn up(self) -> f32 { self.to_f32() }
            #[inline(always)]
            fn down(a: f32) -> $t { <$t>::from_f32(a) }
            #[inline(always)]
            fn nearest(v: f64) -> $t { <$t>::from_f32(odd_f32(v)) }
            #[inline(always)]
            fn of_whole(v: i128) -> $t { <$t>::from_f32(odd_f32_of(v)) }
        }
    )*};
}
half_element!(f16 => F16, bf16 => BF16);

/// Runs `$body` with `$T` bound to the Rust type of a float dtype; others give a `DTypeMismatch` error naming `$op`.
#[macro_export]
macro_rules! for_float {
    ($dtype:expr, $op:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::DType::F16 => {
                type $T = $crate::half::f16;
                $body
            }
            $crate::DType::BF16 => {
                type $T = $crate::half::bf16;
                $body
            }
            other => return Err($crate::Error::dtype(format!("{} takes floats, got {other}", $op))),
        }
    };
}

/// Runs `$body` with `$T` bound to `f32` or `f64`, what floats are computed in; others give a `DTypeMismatch` error naming `$op`.
#[macro_export]
#[doc(hidden)]
macro_rules! for_wide {
    ($dtype:expr, $op:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            other => return Err($crate::Error::dtype(format!("{} computes in float32 or float64, got {other}", $op))),
        }
    };
}

/// Runs `$body` with `$T` bound to the Rust type that stores a dtype (bool as u8).
#[macro_export]
macro_rules! for_any {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::DType::F16 => {
                type $T = $crate::half::f16;
                $body
            }
            $crate::DType::BF16 => {
                type $T = $crate::half::bf16;
                $body
            }
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::U8 | $crate::DType::Bool => {
                type $T = u8;
                $body
            }
        }
    };
}

/// Runs `$body` with `$T` bound to the Rust type of an integer dtype (bool as u8); floats give a `DTypeMismatch` error naming `$op`.
#[macro_export]
#[doc(hidden)]
macro_rules! for_whole {
    ($dtype:expr, $op:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::U8 | $crate::DType::Bool => {
                type $T = u8;
                $body
            }
            other => return Err($crate::Error::dtype(format!("{} takes integers, got {other}", $op))),
        }
    };
}
