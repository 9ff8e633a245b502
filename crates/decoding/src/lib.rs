//! Decoding: outputs of language models, token by token, for many requests at once.
//!
//! An [`Engine`] reads with a model for all requests that are under way, and chooses a token for each; [`BeamSearch`] looks for the
//! likeliest outputs. What comes out for a request hangs on that request alone.

mod autoregressive;
mod beam;
mod engine;
mod history;
mod live;
mod model;
mod request;
mod sampling;
mod text;
mod values;

pub use autoregressive::{Autoregressive, AutoregressiveOptions, StartIds};
pub use beam::{BeamOptions, BeamSearch, Found};
pub use engine::{DecoderOptions, Engine, Event, Load, Outcome};
pub use history::History;
pub use live::{Finish, Said};
pub use model::{Model, Reading, Sequence, Start};
pub use request::{GenerateOptions, PrefixOptions, Request};
pub use sampling::{draw_at, top, SamplingOptions};
pub use text::TextOut;
pub use values::{Id, IdList, LogitBias, Share, Stops};
