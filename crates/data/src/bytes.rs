//! Text as its bytes in UTF-8.
use crate::{DecodeOptions, EncodeOptions, Encoder, Stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tallow_layers::{options, Count, Error, ErrorKind, Result};

options! {
    /// The bytes of text.
    pub struct ByteOptions for "byteEncoder" () {
        /// Ids before those of the bytes: for padding, ends of texts and the like.
        reserved "reserved": Count = Count(0),
    }
}

/// The most ids that may be reserved.
const MOST_RESERVED: usize = 1 << 20;

/// An id for each byte of UTF-8, behind some that stand for no byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ByteEncoder {
    encoder: String,
    reserved: usize,
}

impl ByteEncoder {
    /// What its JSON calls it.
    pub const KIND: &'static str = "bytes";

    /// Ids of bytes.
    ///
    /// # Errors
    /// `InvalidOption` for more reserved ids than there may be.
    pub fn new(o: &ByteOptions) -> Result<Self> {
        Self { encoder: Self::KIND.to_owned(), reserved: o.reserved.0 }.checked()
    }
    /// The encoder, if its numbers make sense.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.reserved > MOST_RESERVED {
            let what = format!("byteEncoder: `reserved` must be at most {MOST_RESERVED}, got {}", self.reserved);
            return Err(Error::option(what));
        }
        Ok(self)
    }
    fn byte(&self, id: u32) -> Option<u8> {
        u8::try_from((id as usize).checked_sub(self.reserved)?).ok()
    }
}

impl Encoder for ByteEncoder {
    fn encode(&self, text: &str, _: &EncodeOptions) -> Result<Vec<i32>> {
        Ok(text.bytes().map(|b| b as i32 + self.reserved as i32).collect())
    }
    fn decode(&self, ids: &[u32], _: &DecodeOptions) -> Result<String> {
        let bytes: Vec<u8> = ids.iter().filter_map(|&id| self.byte(id)).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
    fn vocab_size(&self) -> usize {
        self.reserved + 256
    }
    fn id_of(&self, token: &str) -> Option<u32> {
        match token.as_bytes() {
            [byte] => Some(u32::from(*byte) + self.reserved as u32),
            _ => None,
        }
    }
    fn token_of(&self, id: u32) -> Option<String> {
        self.byte(id).filter(u8::is_ascii).map(|b| char::from(b).to_string())
    }
    fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
    fn stream(self: Arc<Self>, _: DecodeOptions) -> Box<dyn Stream> {
        Box::new(ByteStream { encoder: self, waiting: Vec::new() })
    }
}

/// Bytes that are no whole character yet.
struct ByteStream {
    encoder: Arc<ByteEncoder>,
    waiting: Vec<u8>,
}

impl Stream for ByteStream {
    fn push(&mut self, id: u32) -> Result<String> {
        self.waiting.extend(self.encoder.byte(id));
        let mut whole = 0;
        loop {
            match std::str::from_utf8(&self.waiting[whole..]) {
                Ok(rest) => {
                    whole += rest.len();
                    break;
                }
                Err(e) => {
                    whole += e.valid_up_to();
                    // What may still become a character waits; anything else never will.
                    let Some(wrong) = e.error_len() else { break };
                    whole += wrong;
                }
            }
        }
        let text = String::from_utf8_lossy(&self.waiting[..whole]).into_owned();
        self.waiting.drain(..whole);
        Ok(text)
    }
    fn end(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned())
    }
}
