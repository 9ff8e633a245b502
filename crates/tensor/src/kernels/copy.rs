//! Copies into row-major order.
use crate::{tensor::Raw, Result};

/// `raw` in row-major order: itself where it already is.
pub(crate) fn contiguous(raw: &Raw) -> Result<Raw> {
    Ok(raw.contiguous()?)
}
