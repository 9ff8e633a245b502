//! What can be multiplied.
use crate::Result;

/// Elements that can be multiplied as matrices. Halves go through f32 (`ops/matmul.rs`).
pub(crate) trait Multiply: Copy + Send + Sync + Default + bytemuck::Zeroable + 'static {
    /// The factor that changes nothing.
    const ONE: Self;
    /// What multiplies: the kernels of this processor, or whose code instead.
    fn code() -> &'static str {
        "the gemm crate"
    }
    /// Whether an element of a product has the same bits in a tile of any size.
    fn any_cut() -> bool {
        false
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
    pub(super) unsafe fn write(self, [m, n, _]: [usize; 3], out: Pointer<*mut T>) -> bool {
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
