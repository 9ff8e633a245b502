//! What is asked for: a prompt to go on with, how tokens are chosen, and where to end.
use crate::{
    model::Start,
    sampling::SamplingOptions,
    values::{ids_of, Id, IdList, Stops},
};
use std::{sync::Arc, time::Duration};
use tallow_data::{EncodeOptions, Encoder};
use tallow_layers::{options, Count, Dim, Error, ErrorKind, HostValue, KeyArg, Positive, Result};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// One output.
    pub struct GenerateOptions for "generate" () with (sampling: SamplingOptions) {
        /// Key of the draws; needed unless `temperature` is 0.
        rng "rng": Option<KeyArg> = None,
        /// The most tokens of the output.
        max_tokens "maxTokens": Dim = Dim(100),
        /// The token that a model which shifts its input to the right begins with; `null` for a model that does not.
        start_id "startId": Option<Id> = Some(Id(0)),
        /// The token that ends an output.
        eos_id "eosId": Option<Id> = None,
        /// More tokens that end an output.
        stop_tokens "stopTokens": IdList = IdList::default(),
        /// Strings that end a text, which are not part of it.
        stop "stop": Stops = Stops::default(),
        /// For how many of the likeliest tokens at each position to tell the logarithms of their probabilities.
        log_probs "logProbs": Count = Count(0),
        /// How many positions the model sees at most: when they are full, it reads the last half of them anew.
        window "window": Option<Dim> = None,
        /// Milliseconds after which an output ends with what it has.
        timeout_ms "timeoutMs": Option<Positive> = None,
    }
}

options! {
    /// What is read once for many outputs.
    pub struct PrefixOptions for "prefix" () {
        /// The token that a model which shifts its input to the right begins with; `null` for a model that does not.
        start_id "startId": Option<Id> = Some(Id(0)),
    }
}

/// One output to make.
pub struct Request {
    /// What it begins with.
    pub start: Start,
    /// The tokens that it goes on from.
    pub prompt: Vec<i32>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// What is drawn with.
    pub key: Option<Key>,
    /// The most tokens, if there is a limit.
    pub max_tokens: Option<usize>,
    /// Tokens that end it.
    pub ends: Vec<i32>,
    /// Strings that end its text.
    pub stops: Vec<String>,
    /// For how many tokens logarithms of probabilities are told.
    pub log_probs: usize,
    /// How many positions the model sees at most.
    pub window: Option<usize>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What makes text of it.
    pub encoder: Option<Arc<dyn Encoder>>,
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

/// The tokens of a prompt: ids, or text where there is an encoder.
///
/// # Errors
/// `InvalidArgument` for anything else.
pub fn prompt_of(v: &HostValue, encoder: Option<&dyn Encoder>) -> Result<Vec<i32>> {
    match (v, encoder) {
        (HostValue::Text(text), Some(encoder)) => {
            // The ends that a tokenizer puts around a text would end a prompt.
            encoder.encode(text, &EncodeOptions { add_special_tokens: false })
        }
        (HostValue::Text(_), None) => {
            Err(refused("a prompt of text needs an `encoder`; give one, or give ids of tokens"))
        }
        _ => ids_of("the prompt", v),
    }
}

/// How many tokens of a model's `size` can be chosen: those that the encoder has, where there is one. Models are often padded to a rounder number.
pub fn choices(size: usize, encoder: Option<&dyn Encoder>) -> usize {
    encoder.map_or(size, |encoder| size.min(encoder.vocab_size()))
}

/// The source of a sequence, `[1, …]`: ids, text where there is an encoder, or a tensor.
///
/// # Errors
/// `InvalidArgument` for anything else.
pub fn source_of(v: &HostValue, encoder: Option<&dyn Encoder>) -> Result<Option<Tensor>> {
    match v {
        HostValue::Null => Ok(None),
        HostValue::Tensor(t) if t.rank() > 1 => match t.shape()[0] {
            1 => Ok(Some(t.detach())),
            n => Err(refused(&format!("`inputs` must be one sequence, with 1 along the first axis, got {n}"))),
        },
        _ => {
            let ids = match v {
                HostValue::Text(_) => prompt_of(v, encoder)?,
                _ => ids_of("`inputs`", v)?,
            };
            if ids.is_empty() {
                return Err(refused("`inputs` are empty; give a source of at least one token"));
            }
            let shape = [1, ids.len()];
            Ok(Some(Tensor::from_vec(ids, &shape)?))
        }
    }
}

/// The token that a sequence begins with, and its prompt: one of them at least.
///
/// # Errors
/// `InvalidArgument` where there is neither.
pub fn begun(what: &str, start: Option<Id>, prompt: &[i32]) -> Result<Option<i32>> {
    if start.is_none() && prompt.is_empty() {
        return Err(refused(&format!(
            "{what}: the prompt is empty and `startId` is null, so there is nothing to go on from; give a prompt or a startId"
        )));
    }
    Ok(start.map(|id| id.0))
}

impl Request {
    /// What a prompt, inputs and options ask for.
    ///
    /// # Errors
    /// `InvalidOption`, `InvalidArgument`.
    pub fn new(asked: [&HostValue; 3], encoder: Option<Arc<dyn Encoder>>) -> Result<Self> {
        Self::read(asked, encoder, false)
    }
    /// What they ask for behind a prefix, which has inputs and a start of its own.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub fn after_prefix(asked: [&HostValue; 3], encoder: Option<Arc<dyn Encoder>>) -> Result<Self> {
        Self::read(asked, encoder, true)
    }
    /// What is only read, for others to go on from.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub fn prefix([prompt, inputs, o]: [&HostValue; 3], encoder: Option<Arc<dyn Encoder>>) -> Result<Self> {
        let o = PrefixOptions::parse(o)?;
        let mut all = vec![("temperature".to_owned(), HostValue::Number(0.0))];
        all.push(("startId".to_owned(), o.start_id.map_or(HostValue::Null, |id| HostValue::Number(f64::from(id.0)))));
        Self::read([prompt, inputs, &HostValue::Record(all)], encoder, false)
    }
    fn read([prompt, inputs, o]: [&HostValue; 3], encoder: Option<Arc<dyn Encoder>>, goes_on: bool) -> Result<Self> {
        let o = GenerateOptions::parse(o)?;
        if o.sampling.draws() && o.rng.is_none() {
            let what = "generate: `rng` is required unless `temperature` is 0, and must be a random key; tl.random.key(seed) makes one";
            return Err(Error::option(what));
        }
        if !o.stop.0.is_empty() && encoder.is_none() {
            return Err(Error::option(
                "generate: `stop` needs an `encoder`, which makes text of tokens; give one, or use `stopTokens`",
            ));
        }
        if o.window.is_some_and(|w| w.0 < 2) {
            return Err(Error::option("generate: `window` must be a whole number of at least 2, got 1"));
        }
        let prompt = prompt_of(prompt, encoder.as_deref())?;
        if goes_on && !matches!(inputs, HostValue::Null) {
            return Err(refused("generate: a `prefix` has its own `inputs`; leave them out"));
        }
        let start = if goes_on { None } else { begun("generate", o.start_id, &prompt)? };
        Ok(Self {
            start: Start { source: source_of(inputs, encoder.as_deref())?, start },
            prompt,
            key: o.rng.map(|key| key.0),
            max_tokens: Some(o.max_tokens.0),
            ends: o.eos_id.iter().map(|id| id.0).chain(o.stop_tokens.0).collect(),
            stops: o.stop.0,
            log_probs: o.log_probs.0,
            window: o.window.map(|w| w.0),
            timeout: o.timeout_ms.map(|ms| Duration::try_from_secs_f64(ms.0 / 1e3).unwrap_or(Duration::MAX)),
            sampling: o.sampling,
            encoder,
        })
    }
    /// The tokens that are read first.
    pub(crate) fn first_read(&self) -> Vec<i32> {
        self.start.start.into_iter().chain(self.prompt.iter().copied()).collect()
    }
}
