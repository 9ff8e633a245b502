//! Tokenizers as `tokenizer.json` describes them.
use crate::{DecodeOptions, EncodeOptions, Encoder, Stream};
use std::{
    fmt::Display,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
};
use tallow_layers::{Error, ErrorKind, Result};
use tokenizers::{step_decode_stream, utils::parallelism::set_parallelism, PaddingStrategy, Tokenizer};

/// The most tokens that a file may pad a text to. Room for more could end the process, as the library does not ask whether there is any.
const MOST_PADDED: usize = 1 << 20;

/// A tokenizer of the `tokenizers` library.
pub struct TokenizerFile(Tokenizer);

fn failed(what: &str, why: &dyn Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{what}: the tokenizer says: {why}"))
}

/// What the library answers. Parts of a file that contradict one another make it panic, which is an error of the file.
fn answered<T, E: Display>(what: &str, ask: impl FnOnce() -> std::result::Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(answer) => answer.map_err(|e| failed(what, &e)),
        Err(_) => Err(failed(what, &"parts of its file contradict one another")),
    }
}

impl TokenizerFile {
    /// One that is there. It uses the thread that asks, and no others.
    pub fn new(tokenizer: Tokenizer) -> Self {
        set_parallelism(false);
        Self(tokenizer)
    }
    /// That of a `tokenizer.json`.
    ///
    /// # Errors
    /// `InvalidArgument` with what is wrong with it.
    pub fn read(json: &[u8]) -> Result<Self> {
        let tokenizer = answered("tokenizer.json", || Tokenizer::from_bytes(json))?;
        let padded = tokenizer.get_padding().map_or(0, |padding| {
            let fixed = if let PaddingStrategy::Fixed(length) = padding.strategy { length } else { 0 };
            fixed.max(padding.pad_to_multiple_of.unwrap_or(0))
        });
        if padded > MOST_PADDED {
            let what = format!(
                "tokenizer.json: it pads texts to {padded} tokens, and {MOST_PADDED} are the most: change `padding`"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        Ok(Self::new(tokenizer))
    }
}

impl Encoder for TokenizerFile {
    fn encode(&self, text: &str, o: &EncodeOptions) -> Result<Vec<i32>> {
        let encoding = answered("encode", || self.0.encode_fast(text, o.add_special_tokens))?;
        Ok(encoding.get_ids().iter().map(|&id| id as i32).collect())
    }
    fn decode(&self, ids: &[u32], o: &DecodeOptions) -> Result<String> {
        answered("decode", || self.0.decode(ids, o.skip_special_tokens))
    }
    fn vocab_size(&self) -> usize {
        self.0.get_vocab_size(true)
    }
    fn id_of(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }
    fn token_of(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }
    fn to_json(&self) -> Result<String> {
        self.0.to_string(false).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
    fn stream(self: Arc<Self>, o: DecodeOptions) -> Box<dyn Stream> {
        Box::new(TokenStream { tokenizer: self, o, ids: Vec::new(), prefix: String::new(), prefix_index: 0 })
    }
}

/// The last tokens, as the text of one may depend on those before it.
struct TokenStream {
    tokenizer: Arc<TokenizerFile>,
    o: DecodeOptions,
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

impl Stream for TokenStream {
    fn push(&mut self, id: u32) -> Result<String> {
        let skip = self.o.skip_special_tokens;
        let (ids, prefix, at) = (&mut self.ids, &mut self.prefix, &mut self.prefix_index);
        let text = answered("decode", || step_decode_stream(&self.tokenizer.0, vec![id], skip, ids, prefix, at))?;
        Ok(text.unwrap_or_default())
    }
    fn end(&mut self) -> Result<String> {
        let ids = std::mem::take(&mut self.ids);
        let prefix = std::mem::take(&mut self.prefix);
        self.prefix_index = 0;
        let text = self.tokenizer.decode(&ids, &self.o)?;
        Ok(text.strip_prefix(&prefix).unwrap_or_default().to_owned())
    }
}
