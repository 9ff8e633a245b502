//! Sums and extremes in the order of the kernels for the CPU.
use super::launch::{Array::Out, Kernels};
use crate::{tensor::Raw, Result};

/// Elements of a piece of a long row.
const PIECE: usize = 16 * 1024;

impl Kernels<'_> {
    /// Sums over the middle axis of `[outer, size, inner]`, `tall` rows each: `[outer · ⌈size / tall⌉ · inner]`.
    pub(super) fn added(self, [outer, size, inner]: [usize; 3], tall: usize, x: &Raw) -> Result<Option<Raw>> {
        let tall = tall.max(1);
        let values = [outer.into(), size.into(), inner.into(), tall.into()];
        self.one("sum_columns", &values, &[x.into(), Out], &[outer * size.div_ceil(tall) * inner])
    }
    /// The sum over the middle axis of `[outer, size, inner]`, none of which is 0: `[outer · inner]`.
    pub(crate) fn sum(self, [outer, mut size, inner]: [usize; 3], x: &Raw) -> Result<Option<Raw>> {
        let mut x = x.clone();
        loop {
            let (next, more) = if inner == 1 {
                let piece = if size >= 2 * PIECE { PIECE } else { size };
                let values = [outer.into(), size.into(), piece.into()];
                let parts = size.div_ceil(piece);
                (self.one("sum_rows", &values, &[(&x).into(), Out], &[outer * parts])?, parts)
            } else {
                let tall = (2 * PIECE / inner.clamp(1, 2048)).clamp(8, 512);
                (self.added([outer, size, inner], tall, &x)?, size.div_ceil(tall))
            };
            let Some(next) = next else { return Ok(None) };
            (x, size) = (next, more);
            if size == 1 {
                return Ok(Some(x));
            }
        }
    }
    /// The largest of each row of `cols` elements and where it first is, as int32; a NaN is larger than all.
    pub(crate) fn largest(self, x: &Raw, cols: usize) -> Result<Option<[Raw; 2]>> {
        let rows = x.elem_count().checked_div(cols).unwrap_or(0);
        self.exactly("max_rows", &[rows.into(), cols.into()], &[x.into(), Out, Out])
    }
}
