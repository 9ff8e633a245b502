//! Tables by id, and stable sorting by whole numbers.
use super::launch::{
    Array::{In, Out},
    Kernels,
};
use crate::{tensor::Raw, Result};

/// Keys that a block of a sort has, values of a digit, and bits of one.
const TILE: usize = 1024;
const DIGITS: usize = 16;
const DIGIT_BITS: u32 = 4;

impl Kernels<'_> {
    /// The keys of each row of `n` in ascending order and the places that they had, equal ones in their order. Keys are words (int32 that is not
    /// negative, too) of at most so many bits.
    pub(crate) fn sorted(self, keys: &Raw, n: usize, bits: u32) -> Result<Option<[Raw; 2]>> {
        let rows = keys.elem_count().checked_div(n).unwrap_or(0);
        let counts = DIGITS * n.div_ceil(TILE);
        let mut sorted: Option<[Raw; 2]> = None;
        for pass in 0..bits.div_ceil(DIGIT_BITS).max(1) {
            let shift = pass * DIGIT_BITS;
            let (from, places) = match &sorted {
                None => (keys, None),
                Some([keys, places]) => (keys, Some(places)),
            };
            let values = [rows.into(), n.into(), shift.into()];
            let Some(found) = self.one("sort_count", &values, &[from.into(), Out], &[rows * counts])? else {
                return Ok(None);
            };
            let values = [rows.into(), counts.into()];
            let Some(offsets) = self.one("sort_offsets", &values, &[(&found).into(), Out], &[rows * counts])? else {
                return Ok(None);
            };
            let values = [rows.into(), n.into(), shift.into(), (pass == 0).into()];
            let arrays = [from.into(), In(places), (&offsets).into(), Out, Out];
            let Some(moved) = self.exactly("sort_move", &values, &arrays)? else { return Ok(None) };
            sorted = Some(moved);
        }
        Ok(sorted)
    }
    /// Rows of a table by int32 ids; NaN for an id of no row.
    pub(crate) fn embedding(self, table: &Raw, ids: &Raw, cols: usize) -> Result<Option<Raw>> {
        let (n, rows) = (ids.elem_count(), table.elem_count().checked_div(cols).unwrap_or(0));
        self.one("embedding", &[n.into(), rows.into(), cols.into()], &[table.into(), ids.into(), Out], &[n, cols])
    }
    /// The gradient of a table of so many rows, of int32 ids and the cotangent; ids of no row have no part in it.
    pub(crate) fn embedding_back(self, ids: &Raw, g: &Raw, [rows, cols]: [usize; 2]) -> Result<Option<Raw>> {
        let n = ids.elem_count();
        let Some([sorted, places]) = self.sorted(&ids.flatten_all()?, n, u32::BITS)? else { return Ok(None) };
        let arrays = [(&sorted).into(), (&places).into(), g.into(), Out];
        self.one("embedding_backward", &[n.into(), rows.into(), cols.into()], &arrays, &[rows, cols])
    }
}
