//! Tensors laid side by side.
use crate::{
    threads::{self, GRAIN},
    Result,
};

/// One of the tensors: its values, and how many of them make one row of the result.
pub(crate) struct Part<'a, T> {
    /// Row-major values.
    pub(crate) values: &'a [T],
    /// Its share of a row.
    pub(crate) width: usize,
}

/// Fills `out`, whose rows are the rows of `parts` one after the other.
pub(crate) fn concat<T: Copy + Send + Sync>(parts: &[Part<'_, T>], out: &mut [T]) -> Result<()> {
    let row: usize = parts.iter().map(|p| p.width).sum();
    if row == 0 {
        return Ok(());
    }
    if out.len() / row < 64 && row >= GRAIN {
        // Few long rows: cut within each part.
        for (i, out) in out.chunks_mut(row).enumerate() {
            let mut rest = out;
            for part in parts {
                let (now, later) = rest.split_at_mut(part.width);
                rest = later;
                let values = &part.values[i * part.width..];
                threads::for_chunks(now, GRAIN, |start, out| out.copy_from_slice(&values[start..][..out.len()]))?;
            }
        }
        return Ok(());
    }
    threads::for_chunks(out, row * (GRAIN / row).max(1), |start, out| {
        for (i, out) in out.chunks_mut(row).enumerate() {
            let i = start / row + i;
            let mut rest = out;
            for part in parts {
                let (now, later) = rest.split_at_mut(part.width);
                rest = later;
                now.copy_from_slice(&part.values[i * part.width..][..part.width]);
            }
        }
    })
}
