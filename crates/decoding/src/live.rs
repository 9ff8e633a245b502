//! A request under way: what it has read and said.
use crate::{
    history::History,
    model::{Model, Sequence, Start},
    request::{choices, Request},
    sampling::{checked_logits, draw_at, top},
    text::TextOut,
};
use std::time::Instant;
use tallow_layers::{Error, ErrorKind, Result};

/// Why an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// At a token or a string that ends it.
    Stop,
    /// With as many tokens as were asked for, or at the last position of the model.
    Length,
    /// Its time was over.
    Cancelled,
}

impl Finish {
    /// The word users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One token of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its id.
    pub token: i32,
    /// The logarithm of its probability as the model has it, whatever it was chosen by.
    pub log_prob: f64,
    /// The likeliest tokens there, and the logarithms of their probabilities.
    pub top: Vec<(u32, f64)>,
    /// What the text has more with it, where there is an encoder.
    pub text: Option<String>,
    /// Why it is the last one, if it is.
    pub finish: Option<Finish>,
}

/// The beginning of sequences, read once for all that go on from it.
pub(crate) struct Prefix {
    start: Start,
    tokens: Vec<i32>,
    /// All but the last token was read: reading that one gives the logits of the next.
    sequence: Sequence,
    last: i32,
}

impl Prefix {
    pub(crate) fn bytes(&self) -> usize {
        self.sequence.bytes()
    }
}

/// A request under way.
pub(crate) struct Live {
    pub(crate) id: u64,
    request: Request,
    /// Made when it is first read.
    sequence: Option<Sequence>,
    is_begun: bool,
    /// The last token of what is read as a prefix, and only read.
    last: Option<i32>,
    /// The step in which it last read of its prompt, or began to wait for that.
    pub(crate) since: u64,
    /// What is to be read next.
    pending: Vec<i32>,
    said: Vec<i32>,
    history: History,
    text: Option<TextOut>,
    until: Option<Instant>,
}

impl Live {
    pub(crate) fn new(id: u64, request: Request) -> Self {
        Self {
            id,
            sequence: None,
            is_begun: false,
            since: 0,
            last: None,
            pending: request.first_read(),
            said: Vec::new(),
            history: History::of(&request.prompt),
            text: request.encoder.clone().map(|encoder| TextOut::new(encoder, request.stops.clone())),
            until: request.timeout.and_then(|t| Instant::now().checked_add(t)),
            request,
        }
    }
    /// As it is, and waiting for its prompt to be read since a step.
    pub(crate) fn waiting_since(self, step: u64) -> Self {
        Self { since: step, ..self }
    }
    /// A request that goes on from what was read.
    pub(crate) fn after(id: u64, mut request: Request, prefix: &Prefix) -> Self {
        let pending = [prefix.last].into_iter().chain(request.prompt.iter().copied()).collect();
        request.prompt.splice(0..0, prefix.tokens.iter().copied());
        request.start = prefix.start.clone();
        Self { pending, sequence: Some(prefix.sequence.clone()), ..Self::new(id, request) }
    }
    /// What is only read, for others to go on from.
    pub(crate) fn prefix(id: u64, request: Request) -> Self {
        let mut live = Self::new(id, request);
        live.last = live.pending.pop();
        live
    }
    /// What others go on from, once it was read.
    pub(crate) fn kept(&mut self) -> Option<Prefix> {
        let last = self.last.filter(|_| self.is_begun && self.pending.is_empty())?;
        let tokens = std::mem::take(&mut self.request.prompt);
        Some(Prefix { start: self.request.start.clone(), tokens, sequence: self.sequence.take()?, last })
    }
    /// Begins its sequence, unless it is under way.
    ///
    /// # Errors
    /// Those of [`Model::begin`]; `InvalidArgument` for a prompt beyond what the model sees; `Aborted` where its time is over.
    pub(crate) fn begin(&mut self, model: &Model) -> Result<()> {
        self.in_time()?;
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let window = self.request.window;
        let filled = self.sequence.as_ref().map_or(0, Sequence::read) + self.pending.len();
        match (window, model.positions()) {
            (None, Some(most)) if filled > most => {
                let what = format!(
                    "generate: the prompt fills {filled} positions, but the model has {most}; shorten it, or give a `window` of at most {most}"
                );
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
            (Some(window), Some(most)) if window > most => {
                let what =
                    format!("generate: `window` is {window}, but the model has {most} positions; give at most {most}");
                return Err(Error::option(what));
            }
            _ => {}
        }
        let is_too_long = window.is_some_and(|w| filled > w);
        if self.sequence.is_none() || is_too_long {
            self.sequence = Some(model.begin(self.request.start.clone())?);
        }
        if is_too_long {
            self.slide();
        }
        Ok(())
    }
    /// Nothing, as long as it may go on without a token.
    ///
    /// # Errors
    /// `Aborted` where its time is over before its first token.
    pub(crate) fn in_time(&self) -> Result<()> {
        if self.said.is_empty() && self.is_late() {
            let what = "generate: `timeoutMs` was over before the first token";
            return Err(Error::new(ErrorKind::Aborted, what));
        }
        Ok(())
    }
    fn is_late(&self) -> bool {
        self.until.is_some_and(|t| Instant::now() >= t)
    }
    /// How many tokens it reads in one call, at most `chunk`: that hangs on its own tokens alone.
    pub(crate) fn next_read(&self, chunk: usize) -> usize {
        self.pending.len().min(chunk)
    }
    /// Its sequence and what it reads next.
    pub(crate) fn reading(&mut self, count: usize) -> Option<(&mut Sequence, &[i32])> {
        Some((self.sequence.as_mut()?, &self.pending[..count]))
    }
    /// Whether it is only read.
    pub(crate) fn is_prefix(&self) -> bool {
        self.last.is_some()
    }
    pub(crate) fn sequence(&self) -> Option<&Sequence> {
        self.sequence.as_ref()
    }
    /// These tokens were read; whether a token is to be chosen now.
    pub(crate) fn was_read(&mut self, count: usize) -> bool {
        self.pending.drain(..count);
        self.pending.is_empty()
    }
    /// Chooses the next token by logits, and the logarithms of the probabilities.
    ///
    /// # Errors
    /// Those of the choice and of the encoder.
    pub(crate) fn say(&mut self, model: &Model, logits: &[f32], log_probs: &[f32]) -> Result<Said> {
        let position = self.said.len();
        let draw = || match self.request.key {
            Some(key) => draw_at(key, position as u32),
            None => Ok(0.0),
        };
        let place =
            |e: Error| Error::new(e.kind(), format!("generate, token {position} of the output: {}", e.message()));
        let count = choices(logits.len(), self.request.encoder.as_deref());
        let (offered, padding) = logits.split_at(count);
        checked_logits(padding).map_err(place)?;
        let token = self.request.sampling.choose(offered, &self.history, draw).map_err(place)? as i32;
        self.said.push(token);
        self.history.push(token);
        let mut text = None;
        let mut finish = None;
        if self.request.ends.contains(&token) {
            finish = Some(Finish::Stop);
        } else if let Some(out) = &mut self.text {
            let (more, stopped) = out.push(token).map_err(place)?;
            text = Some(more);
            if stopped {
                // What waits behind the string is no part of the text.
                self.text = None;
                finish = Some(Finish::Stop);
            }
        }
        if finish.is_none() && self.request.max_tokens.is_some_and(|most| self.said.len() >= most) {
            finish = Some(Finish::Length);
        }
        if finish.is_none() && self.is_late() {
            finish = Some(Finish::Cancelled);
        }
        if finish.is_none() {
            finish = self.go_on(model);
        }
        if let (Some(_), Some(out)) = (finish, &mut self.text) {
            text.get_or_insert_default().push_str(&out.end()?);
        }
        let n = self.request.log_probs;
        let log_prob = f64::from(log_probs[token as usize]);
        Ok(Said { token, log_prob, top: top(&log_probs[..count], n), text, finish })
    }
    /// Reads the last token next, if there is a position for it.
    fn go_on(&mut self, model: &Model) -> Option<Finish> {
        let read = self.sequence.as_ref().map_or(0, Sequence::read);
        match (self.request.window, model.positions()) {
            (Some(window), _) if read >= window => match model.begin(self.request.start.clone()) {
                Ok(fresh) => {
                    self.sequence = Some(fresh);
                    self.slide();
                }
                // Where the window ends, and so does the output.
                Err(_) => return Some(Finish::Length),
            },
            (None, Some(most)) if read >= most => return Some(Finish::Length),
            _ => self.pending.extend(self.said.last()),
        }
        None
    }
    /// Reads the last half of a window next.
    fn slide(&mut self) {
        let Some(window) = self.request.window else { return };
        let start = self.request.start.start;
        let kept = (window / 2).max(1).saturating_sub(usize::from(start.is_some())).max(1);
        let all = self.request.prompt.iter().chain(&self.said);
        let skipped = (self.request.prompt.len() + self.said.len()).saturating_sub(kept);
        self.pending = start.into_iter().chain(all.skip(skipped).copied()).collect();
    }
}
