//! Encoders from what was written.
use crate::{ByteEncoder, CharacterEncoder, Encoder, TokenizerFile};
use std::sync::Arc;
use tallow_layers::{Error, ErrorKind, Result};

/// An encoder from what [`Encoder::to_json`] gave, or from a `tokenizer.json`.
///
/// # Errors
/// `InvalidArgument` where the JSON is of no encoder, with the reason.
pub fn load(json: &[u8]) -> Result<Arc<dyn Encoder>> {
    let wrong = |why: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidArgument, format!("not an encoder: {why}"));
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|e| wrong(&e))?;
    match value.get("encoder").and_then(serde_json::Value::as_str) {
        Some(ByteEncoder::KIND) => {
            Ok(Arc::new(serde_json::from_value::<ByteEncoder>(value).map_err(|e| wrong(&e))?.checked()?))
        }
        Some(CharacterEncoder::KIND) => {
            let saved = serde_json::from_value(value).map_err(|e| wrong(&e))?;
            Ok(Arc::new(CharacterEncoder::from_saved(saved)?))
        }
        Some(other) => Err(wrong(&format!("its kind is {other:?}"))),
        None => Ok(Arc::new(TokenizerFile::read(json).map_err(|e| wrong(&e))?)),
    }
}
