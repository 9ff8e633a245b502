//! Which code multiplies what.
use super::{
    blocked,
    element::{Multiply, Pointer, Right, Start},
    kind::{kernels, Kind},
    pack::PackedB,
};
use crate::Result;
use std::convert::Infallible;

impl Multiply for f32 {
    const ONE: Self = 1.0;
    fn code() -> &'static str {
        Kind::here().name()
    }
    fn any_cut() -> bool {
        true
    }
    type Packed = PackedB;
    unsafe fn pack(b: Pointer<*const f32>, size: [usize; 2]) -> Result<Option<PackedB>> {
        // SAFETY: the caller's promise.
        Ok(Some(unsafe { PackedB::new(kernels(), b, size) }?))
    }
    unsafe fn tile(
        size: [usize; 3],
        out: Pointer<*mut f32>,
        a: Pointer<*const f32>,
        b: Right<'_, f32>,
        factor: f32,
        start: Start<f32>,
    ) -> bool {
        // SAFETY: the caller's promise is what is asked for.
        unsafe { blocked::tile(kernels(), size, out, a, b, factor, start) };
        true
    }
}

impl Multiply for f64 {
    const ONE: Self = 1.0;
    type Packed = Infallible;
    unsafe fn tile(
        [m, n, k]: [usize; 3],
        out: Pointer<*mut f64>,
        a: Pointer<*const f64>,
        b: Right<'_, f64>,
        factor: f64,
        start: Start<f64>,
    ) -> bool {
        let b = match b {
            Right::Strided(b) => b,
            Right::Packed(never, _) => match *never {},
        };
        // SAFETY: the caller's promise is what gemm asks for.
        unsafe {
            let add = start.write([m, n, k], out);
            gemm::gemm(
                m,
                n,
                k,
                out.at,
                out.cols,
                out.rows,
                add,
                a.at,
                a.cols,
                a.rows,
                b.at,
                b.cols,
                b.rows,
                1.0,
                factor,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
        true
    }
}

/// Integers, each sum in a type that it fits.
macro_rules! integer {
    ($($t:ident by $sum:ident),*) => {$(
        impl Multiply for $t {
            const ONE: Self = 1;
            fn code() -> &'static str {
                "loops over whole numbers"
            }
            type Packed = Infallible;
            unsafe fn tile(
                [m, n, k]: [usize; 3],
                out: Pointer<*mut $t>,
                a: Pointer<*const $t>,
                b: Right<'_, $t>,
                factor: $t,
                start: Start<$t>,
            ) -> bool {
                let b = match b {
                    Right::Strided(b) => b,
                    Right::Packed(never, _) => match *never {},
                };
                let mut fits = true;
                // SAFETY: the indices stay within the sizes, for which the caller vouches.
                unsafe {
                    let add = start.write([m, n, k], out);
                    for i in 0..m as isize {
                        for j in 0..n as isize {
                            let o = out.at.offset(i * out.rows + j * out.cols);
                            let mut sum: $sum = 0;
                            for l in 0..k as isize {
                                let x = <$sum>::from(*a.at.offset(i * a.rows + l * a.cols));
                                sum = sum.saturating_add(x * <$sum>::from(*b.at.offset(l * b.rows + j * b.cols)));
                            }
                            let sum = sum * <$sum>::from(factor) + if add { <$sum>::from(*o) } else { 0 };
                            let fitting = <$t>::try_from(sum);
                            fits &= fitting.is_ok();
                            o.write(fitting.unwrap_or_default());
                        }
                    }
                }
                fits
            }
        }
    )*};
}
integer!(i32 by i128, i64 by i128, u32 by i128, u8 by i64);
