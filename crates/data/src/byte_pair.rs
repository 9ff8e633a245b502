//! Learning a vocabulary of byte pairs.
use crate::{Names, TokenizerFile};
use tallow_layers::{options, Count, Dim, Error, ErrorKind, Result};
use tokenizers::{
    models::bpe::{BpeTrainer, BPE},
    pre_tokenizers::byte_level::ByteLevel,
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    TokenizerBuilder,
};

options! {
    /// A vocabulary of byte pairs.
    pub struct BytePairOptions for "trainBytePair" () {
        /// How many tokens to learn, the 256 bytes and special tokens among them.
        vocab_size "vocabSize": Dim,
        /// How often a pair must be there to become a token.
        min_frequency "minFrequency": Count = Count(0),
        /// Tokens that no text is split into.
        special_tokens "specialTokens": Names = Names::default(),
    }
}

/// Tokens for the bytes alone.
const BYTES: usize = 256;

/// Learns which pairs of bytes to join, as GPT-2 does: bytes are the first tokens, and no token crosses a space or a change of letters.
///
/// # Errors
/// `InvalidOption` where the vocabulary has no room for the bytes and special tokens, `InvalidArgument` with what the trainer says.
pub fn train_byte_pair(texts: &[String], o: &BytePairOptions) -> Result<TokenizerFile> {
    let least = BYTES + o.special_tokens.0.len();
    if o.vocab_size.0 < least {
        let what = format!(
            "trainBytePair: `vocabSize` must be at least {least}, for the {BYTES} bytes and the special tokens, got {}",
            o.vocab_size.0
        );
        return Err(Error::option(what));
    }
    let special = o.special_tokens.0.iter().map(|token| AddedToken::from(token.as_str(), true));
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(o.vocab_size.0)
        .min_frequency(o.min_frequency.0 as u64)
        .special_tokens(special.collect())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let level = ByteLevel::new(false, true, true);
    let failed =
        |e: tokenizers::Error| Error::new(ErrorKind::InvalidArgument, format!("trainBytePair: the trainer says: {e}"));
    let mut made =
        TokenizerBuilder::<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(level.into()))
            .with_decoder(Some(level.into()))
            .build()
            .map_err(failed)?;
    made.train(&mut trainer, texts.iter()).map_err(failed)?;
    let json = made.to_string(false).map_err(failed)?;
    Tokenizer::from_bytes(json).map(TokenizerFile::new).map_err(failed)
}
