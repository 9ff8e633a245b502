//! Beam search: the likeliest outputs, as far as a few of the likeliest beginnings lead to them.
use crate::{
    model::{Model, Sequence, Start},
    request::{begun, choices, prompt_of, source_of},
    sampling::top,
    values::Id,
};
use std::sync::Arc;
use tallow_data::{DecodeOptions, Encoder};
use tallow_layers::{options, Dim, Error, ErrorKind, HostValue, NotNegative, Result};

options! {
    /// The likeliest outputs.
    pub struct BeamOptions for "beamSearch" () {
        /// How many beginnings are gone on with.
        n_beams "nBeams": Dim = Dim(2),
        /// The token that a model which shifts its input to the right begins with; `null` for a model that does not.
        start_id "startId": Option<Id> = Some(Id(0)),
        /// The token that ends an output; `null` if there is none.
        eos_id "eosId": Option<Id> = Some(Id(1)),
        /// The most tokens of an output.
        max_length "maxLength": Dim = Dim(100),
        /// How much longer outputs are preferred: scores are divided by `((5 + length) / 6)` to this power.
        length_penalty "lengthPenalty": NotNegative = NotNegative(1.0),
    }
}

/// An output of beam search.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its tokens, with the one that ends it if there is one.
    pub tokens: Vec<i32>,
    /// The logarithm of its probability.
    pub log_prob: f64,
    /// That divided by the length penalty: what outputs are ordered by.
    pub score: f64,
    /// Its text, where there is an encoder.
    pub text: Option<String>,
}

/// A beginning that is gone on with.
struct Beam {
    sequence: Sequence,
    next: i32,
    tokens: Vec<i32>,
    log_prob: f64,
}

/// A search under way.
pub struct BeamSearch {
    model: Model,
    options: BeamOptions,
    encoder: Option<Arc<dyn Encoder>>,
    start: Start,
    first: Vec<i32>,
    beams: Vec<Beam>,
    found: Vec<Found>,
    is_over: bool,
}

/// How many tokens of the prompt one call reads.
const CHUNK: usize = 256;

impl BeamSearch {
    /// A search that has read nothing.
    ///
    /// # Errors
    /// `InvalidOption`, `InvalidArgument`.
    pub fn new(model: Model, [prompt, inputs, o]: [&HostValue; 3], encoder: Option<Arc<dyn Encoder>>) -> Result<Self> {
        let options = BeamOptions::parse(o)?;
        let prompt = prompt_of(prompt, encoder.as_deref())?;
        let start = begun("beamSearch", options.start_id, &prompt)?;
        let first = start.into_iter().chain(prompt).collect();
        let start = Start { source: source_of(inputs, encoder.as_deref())?, start };
        Ok(Self { model, options, encoder, start, first, beams: Vec::new(), found: Vec::new(), is_over: false })
    }
    /// What an output of this length and log-probability counts for.
    fn score(&self, log_prob: f64, length: usize) -> f64 {
        log_prob / ((5.0 + length as f64) / 6.0).powf(self.options.length_penalty.0)
    }
    /// One token more for each beam; whether the search is over.
    ///
    /// # Errors
    /// Those of the model; `InvalidArgument` for more beams than the model has tokens, `NotFinite` for logits that are no numbers.
    pub fn step(&mut self) -> Result<bool> {
        if self.is_over {
            return Ok(true);
        }
        let n = self.options.n_beams.0;
        // Of twice as many candidates, at most half can end.
        let candidates = self.candidates(2 * n)?;
        let mut next: Vec<(usize, u32, f64)> = Vec::new();
        for (from, token, log_prob) in candidates {
            let tokens = || self.beams[from].tokens.iter().copied().chain([token as i32]).collect::<Vec<_>>();
            if self.options.eos_id == Some(Id(token as i32)) {
                let tokens = tokens();
                let score = self.score(log_prob, tokens.len());
                self.found.push(Found { log_prob, score, tokens, text: None });
            } else if next.len() < n {
                next.push((from, token, log_prob));
            }
        }
        let beams = next.into_iter().map(|(from, token, log_prob)| {
            let from = &self.beams[from];
            let tokens = from.tokens.iter().copied().chain([token as i32]).collect();
            Beam { sequence: from.sequence.clone(), next: token as i32, tokens, log_prob }
        });
        self.beams = beams.collect();
        self.keep_best();
        let length = self.beams.first().map_or(0, |b| b.tokens.len());
        let is_full = self.model.positions().is_some_and(|most| self.beams.iter().any(|b| b.sequence.read() >= most));
        if length >= self.options.max_length.0 || is_full || self.beams.is_empty() {
            for beam in std::mem::take(&mut self.beams) {
                let score = self.score(beam.log_prob, beam.tokens.len());
                self.found.push(Found { log_prob: beam.log_prob, score, tokens: beam.tokens, text: None });
            }
            self.keep_best();
            self.is_over = true;
        } else if self.found.len() == n {
            // The best that a beam can come to: no more is lost, and the penalty is that of the greatest length.
            let best =
                self.beams.iter().map(|b| self.score(b.log_prob, self.options.max_length.0)).fold(f64::MIN, f64::max);
            self.is_over = self.found.last().is_some_and(|worst| worst.score >= best);
        }
        if self.is_over {
            self.beams.clear();
        }
        Ok(self.is_over)
    }
    fn keep_best(&mut self) {
        self.found.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.found.truncate(self.options.n_beams.0);
    }
    /// The likeliest ways to go on: from which beam, with which token, and the logarithm of the probability of all.
    fn candidates(&mut self, most: usize) -> Result<Vec<(usize, u32, f64)>> {
        let logits = if self.beams.is_empty() {
            let mut sequence = self.model.begin(self.start.clone())?;
            let mut logits = None;
            for tokens in self.first.chunks(CHUNK) {
                logits = Some(self.model.read(&mut [&mut sequence], &[tokens])?);
            }
            self.beams.push(Beam { sequence, next: 0, tokens: Vec::new(), log_prob: 0.0 });
            logits
        } else {
            let (mut sequences, tokens): (Vec<_>, Vec<_>) =
                self.beams.iter_mut().map(|b| (&mut b.sequence, std::slice::from_ref(&b.next))).unzip();
            Some(self.model.read(&mut sequences, &tokens)?)
        };
        let Some(logits) = logits else {
            return Err(Error::new(ErrorKind::Internal, "beamSearch: there is nothing to go on from"));
        };
        let size = logits.shape()[1];
        let n = self.options.n_beams.0;
        let count = choices(size, self.encoder.as_deref());
        if n > count {
            let who = if count < size { "the encoder" } else { "the model" };
            let what = format!("beamSearch: `nBeams` is {n}, but {who} has {count} tokens; give at most {count}");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let log_probs = logits.log_softmax(-1)?;
        let mut all = Vec::new();
        for (at, row) in log_probs.values::<f32>()?.chunks_exact(size).enumerate() {
            if row.iter().any(|p| p.is_nan()) {
                let what = "beamSearch: the logits hold NaN or Infinity; the model's weights or inputs are not finite";
                return Err(Error::new(ErrorKind::NotFinite, what));
            }
            let before = self.beams[at].log_prob;
            all.extend(top(&row[..count], most).into_iter().map(|(token, p)| (at, token, before + p)));
        }
        // Equal ones stay in the order of beams and tokens.
        all.sort_by(|a, b| b.2.total_cmp(&a.2));
        all.truncate(most);
        Ok(all)
    }
    /// What was found, the best first.
    ///
    /// # Errors
    /// `IndexOutOfRange` for tokens that the encoder does not have.
    pub fn found(&self) -> Result<Vec<Found>> {
        let ends = |token: &&i32| Some(Id(**token)) != self.options.eos_id;
        let with_text = |found: &Found| {
            let mut found = found.clone();
            if let Some(encoder) = &self.encoder {
                let ids: Vec<f64> = found.tokens.iter().filter(ends).map(|&t| f64::from(t)).collect();
                let ids = tallow_data::checked_ids(&**encoder, &ids)?;
                found.text = Some(encoder.decode(&ids, &DecodeOptions::new())?);
            }
            Ok(found)
        };
        self.found.iter().map(with_text).collect()
    }
}
