//! What can be multiplied, and by which code.
use super::{blocked, micro, pack::PackedB};
use crate::Result;
use std::convert::Infallible;

/// Elements that can be multiplied as matrices. Halves go through f32 (`ops/matmul.rs`).
pub(crate) trait Multiply: Copy + Send + Sync + Default + bytemuck::Zeroable + 'static {
    /// The factor that changes nothing.
    const ONE: Self;
    /// What multiplies: the kernels of this processor, or whose code instead.
    fn code() -> &'static str {
        "the gemm crate"
    }
    /// A right operand in the order in which kernels read it.
    type Packed: Send + Sync;
    /// Packs a right operand that several tiles of rows will use; `None` where they should read it as it is.
    ///
    /// # Errors
    /// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
    ///
    /// # Safety
    /// All elements that the sizes and strides reach are in bounds.
    unsafe fn pack(_b: Pointer<*const Self>, _size: [usize; 2]) -> Result<Option<Self::Packed>> {
        Ok(None)
    }
    /// `out = factor · a · b` on one thread, added to what `start` says; whether all results fit, which floats always do.
    ///
    /// # Safety
    /// All elements that the sizes and strides reach lie in the allocations that the pointers come from; `out` overlaps
    /// neither operand, and its elements are initialised where `start` keeps them.
    unsafe fn tile(
        size: [usize; 3],
        out: Pointer<*mut Self>,
        a: Pointer<*const Self>,
        b: Right<'_, Self>,
        factor: Self,
        start: Start<Self>,
    ) -> bool;
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<T> {
    /// Nothing.
    Zero,
    /// What the output holds.
    Keep,
    /// The same row everywhere.
    Row(*const T),
}

impl<T: Copy> Start<T> {
    /// Writes the row, if it is one, to every row of the output; whether the product is then to be added.
    ///
    /// # Safety
    /// The row and the output are in bounds.
    unsafe fn write(self, [m, n, _]: [usize; 3], out: Pointer<*mut T>) -> bool {
        if let Self::Row(row) = self {
            for i in 0..m as isize {
                // SAFETY: the caller's promise.
                unsafe { std::ptr::copy_nonoverlapping(row, out.at.offset(i * out.rows), n) };
            }
        }
        !matches!(self, Self::Zero)
    }
}

/// The right operand of a tile.
pub(crate) enum Right<'a, T: Multiply> {
    /// Where it lies.
    Strided(Pointer<*const T>),
    /// Packed, with the tile's first column.
    Packed(&'a T::Packed, usize),
}

/// A matrix in memory: where it starts and how far its rows and columns lie apart.
#[derive(Clone, Copy)]
pub(crate) struct Pointer<P> {
    pub(super) at: P,
    pub(super) rows: isize,
    pub(super) cols: isize,
}

impl<P> Pointer<P> {
    pub(super) fn new(at: P, rows: usize, cols: usize) -> Self {
        Self { at, rows: rows as isize, cols: cols as isize }
    }
}

impl<T> Pointer<*const T> {
    /// The part from this row and column on.
    ///
    /// # Safety
    /// They are in bounds.
    #[inline(always)]
    pub(super) unsafe fn moved(self, row: usize, col: usize) -> Self {
        // SAFETY: the caller's promise.
        Self { at: unsafe { self.at.offset(row as isize * self.rows + col as isize * self.cols) }, ..self }
    }
}

/// Through the `gemm` crate: for float64, and where there are no kernels of our own.
macro_rules! by_crate {
    ($t:ty, [$m:expr, $n:expr, $k:expr], $out:expr, $a:expr, $b:expr, $factor:expr, $start:expr) => {{
        let add = $start.write([$m, $n, $k], $out);
        gemm::gemm(
            $m,
            $n,
            $k,
            $out.at,
            $out.cols,
            $out.rows,
            add,
            $a.at,
            $a.cols,
            $a.rows,
            $b.at,
            $b.cols,
            $b.rows,
            1.0,
            $factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }};
}

impl Multiply for f32 {
    const ONE: Self = 1.0;
    fn code() -> &'static str {
        match micro::kernels().map(|k| k.lanes) {
            Some(16) => "AVX-512",
            Some(_) => "AVX2",
            None => "the gemm crate",
        }
    }
    type Packed = PackedB;
    unsafe fn pack(b: Pointer<*const f32>, size: [usize; 2]) -> Result<Option<PackedB>> {
        // SAFETY: the caller's promise.
        micro::kernels().map(|kernels| unsafe { PackedB::new(kernels, b, size) }).transpose()
    }
    unsafe fn tile(
        [m, n, k]: [usize; 3],
        out: Pointer<*mut f32>,
        a: Pointer<*const f32>,
        b: Right<'_, f32>,
        factor: f32,
        start: Start<f32>,
    ) -> bool {
        // SAFETY: the caller's promise is what both ask for.
        unsafe {
            match (micro::kernels(), b) {
                (Some(kernels), b) => blocked::tile(kernels, [m, n, k], out, a, b, factor, start),
                (None, Right::Strided(b)) => by_crate!(f32, [m, n, k], out, a, b, factor, start),
                (None, Right::Packed(..)) => unreachable!("nothing is packed without kernels"),
            }
        }
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
        unsafe { by_crate!(f64, [m, n, k], out, a, b, factor, start) }
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
