//! Text as its characters.
use crate::{DecodeOptions, EncodeOptions, Encoder, Stream};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use tallow_layers::{options, Count, Error, ErrorKind, Result};

options! {
    /// The characters of a text.
    pub struct CharacterOptions for "characterEncoder" () {
        /// Ids before those of the characters: for padding, ends of texts and the like.
        reserved "reserved": Count = Count(0),
    }
}

/// The most ids that may be reserved.
const MOST_RESERVED: usize = 1 << 20;

/// An encoder of characters as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    encoder: String,
    reserved: usize,
    alphabet: String,
}

/// An id for each character of an alphabet, behind some that stand for none.
pub struct CharacterEncoder {
    reserved: usize,
    alphabet: Vec<char>,
    ids: HashMap<char, u32>,
}

impl CharacterEncoder {
    /// What its JSON calls it.
    pub const KIND: &'static str = "characters";

    /// The characters of a text, in the order of their code points.
    ///
    /// # Errors
    /// `InvalidOption` for more reserved ids than there may be.
    pub fn of(text: &str, o: &CharacterOptions) -> Result<Self> {
        Self::new(text.chars().collect::<BTreeSet<_>>().into_iter().collect(), o.reserved.0)
    }
    /// The encoder that was saved.
    ///
    /// # Errors
    /// `InvalidOption`, `InvalidArgument` if a character is there twice.
    pub fn from_saved(saved: Saved) -> Result<Self> {
        Self::new(saved.alphabet.chars().collect(), saved.reserved)
    }
    fn new(alphabet: Vec<char>, reserved: usize) -> Result<Self> {
        if reserved > MOST_RESERVED {
            let what = format!("characterEncoder: `reserved` must be at most {MOST_RESERVED}, got {reserved}");
            return Err(Error::option(what));
        }
        let ids: HashMap<_, _> = alphabet.iter().zip(0..).map(|(&c, i)| (c, reserved as u32 + i)).collect();
        if ids.len() < alphabet.len() {
            let what = "characterEncoder: a character stands in the alphabet twice";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        Ok(Self { reserved, alphabet, ids })
    }
    fn character(&self, id: u32) -> Option<char> {
        self.alphabet.get((id as usize).checked_sub(self.reserved)?).copied()
    }
}

impl Encoder for CharacterEncoder {
    fn encode(&self, text: &str, _: &EncodeOptions) -> Result<Vec<i32>> {
        let unknown = |at: usize, c: char| {
            let size = self.alphabet.len();
            let what = format!(
                "encode: the character {c:?} at byte {at} is not among the {size} of the text that the encoder was made of: make it of \
                 all texts, or take a byteEncoder"
            );
            Error::new(ErrorKind::InvalidArgument, what)
        };
        let id = |(at, c)| self.ids.get(&c).map(|&id| id as i32).ok_or_else(|| unknown(at, c));
        text.char_indices().map(id).collect()
    }
    fn decode(&self, ids: &[u32], _: &DecodeOptions) -> Result<String> {
        Ok(ids.iter().filter_map(|&id| self.character(id)).collect())
    }
    fn vocab_size(&self) -> usize {
        self.reserved + self.alphabet.len()
    }
    fn id_of(&self, token: &str) -> Option<u32> {
        let mut characters = token.chars();
        let first = characters.next()?;
        if characters.next().is_some() {
            None
        } else {
            self.ids.get(&first).copied()
        }
    }
    fn token_of(&self, id: u32) -> Option<String> {
        self.character(id).map(String::from)
    }
    fn to_json(&self) -> Result<String> {
        let alphabet = self.alphabet.iter().collect();
        let saved = Saved { encoder: Self::KIND.to_owned(), reserved: self.reserved, alphabet };
        serde_json::to_string(&saved).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
    fn stream(self: Arc<Self>, o: DecodeOptions) -> Box<dyn Stream> {
        Box::new(CharacterStream(self, o))
    }
}

/// Every character is whole.
struct CharacterStream(Arc<CharacterEncoder>, DecodeOptions);

impl Stream for CharacterStream {
    fn push(&mut self, id: u32) -> Result<String> {
        self.0.decode(&[id], &self.1)
    }
    fn end(&mut self) -> Result<String> {
        Ok(String::new())
    }
}
