//! Data before it is a tensor: text as numbers and back, and the options of the steps of a pipeline.
mod byte_pair;
mod bytes;
mod characters;
mod encoder;
mod load;
mod names;
mod steps;
mod tokenizer;

pub use byte_pair::{train_byte_pair, BytePairOptions};
pub use bytes::{ByteEncoder, ByteOptions};
pub use characters::{CharacterEncoder, CharacterOptions};
pub use encoder::{checked_ids, DecodeOptions, EncodeOptions, Encoder, Stream};
pub use load::load;
pub use names::Names;
pub use steps::step_options;
pub use tallow_layers::{Error, Result};
pub use tokenizer::TokenizerFile;
