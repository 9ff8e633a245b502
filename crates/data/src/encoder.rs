//! What every encoder of text can do.
use std::sync::Arc;
use tallow_layers::{options, Error, ErrorKind, Result};

options! {
    /// How text becomes ids.
    pub struct EncodeOptions for "Encoder.encode" () {
        /// Whether a tokenizer adds the tokens that its file puts around a text.
        add_special_tokens "addSpecialTokens": bool = true,
    }
}

options! {
    /// How ids become text.
    pub struct DecodeOptions for "Encoder.decode" () {
        /// Whether special tokens are left out of the text.
        skip_special_tokens "skipSpecialTokens": bool = true,
    }
}

/// Text as ids, and back.
pub trait Encoder: Send + Sync {
    /// The ids of a text.
    ///
    /// # Errors
    /// `InvalidArgument` where the text has what the encoder does not know.
    fn encode(&self, text: &str, o: &EncodeOptions) -> Result<Vec<i32>>;
    /// The text of ids that are all below [`Encoder::vocab_size`].
    ///
    /// # Errors
    /// Those of a tokenizer's file.
    fn decode(&self, ids: &[u32], o: &DecodeOptions) -> Result<String>;
    /// How many ids there are.
    fn vocab_size(&self) -> usize;
    /// The id of a token.
    fn id_of(&self, token: &str) -> Option<u32>;
    /// The token of an id.
    fn token_of(&self, id: u32) -> Option<String>;
    /// The whole encoder as JSON, which [`crate::load`] reads.
    ///
    /// # Errors
    /// `Internal`.
    fn to_json(&self) -> Result<String>;
    /// Decodes ids as they come.
    fn stream(self: Arc<Self>, o: DecodeOptions) -> Box<dyn Stream>;
}

/// Text from ids that come one by one.
pub trait Stream: Send {
    /// What is whole with one more id: the start of a character waits for its end.
    ///
    /// # Errors
    /// Those of [`Encoder::decode`].
    fn push(&mut self, id: u32) -> Result<String>;
    /// What is left at the end; a character that is not whole is U+FFFD.
    ///
    /// # Errors
    /// Those of [`Encoder::decode`].
    fn end(&mut self) -> Result<String>;
}

/// Ids as they come from outside, each of which the encoder must have.
///
/// # Errors
/// `IndexOutOfRange` naming the first one that it has not.
pub fn checked_ids(encoder: &dyn Encoder, ids: &[f64]) -> Result<Vec<u32>> {
    let size = encoder.vocab_size();
    let known = |&id: &f64| (id.fract() == 0.0 && id >= 0.0 && id < size as f64).then_some(id as u32);
    let wrong = |id: &f64| {
        let what = format!("decode: ids are whole numbers from 0 to {}, got {id}", size.saturating_sub(1));
        Error::new(ErrorKind::IndexOutOfRange, what)
    };
    ids.iter().map(|id| known(id).ok_or_else(|| wrong(id))).collect()
}
