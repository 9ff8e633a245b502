//! Choosing the next token of one sequence from its row of logits.
//!
//! All of it is computed on that row alone, on one thread, in one order: biases, penalties, temperature, the greatest `topK`, the share
//! `topP`, the share `minP`, the draw. So a token does not hang on what else is in a batch.
use crate::{
    history::History,
    values::{LogitBias, Share},
};
use std::cmp::Ordering;
use tallow_layers::{options, Dim, Error, ErrorKind, Fraction, NotNegative, Num, Positive, Result};
use tallow_tensor::{random, random::Key, DType};

options! {
    /// How the next token is chosen.
    pub group SamplingOptions {
        /// How even the choice is: 1 draws by the model's probabilities, less prefers likely tokens, 0 takes the likeliest.
        temperature "temperature": NotNegative = NotNegative(1.0),
        /// Only so many of the likeliest tokens are drawn from.
        top_k "topK": Option<Dim> = None,
        /// Only the likeliest tokens that have this share of all probability together are drawn from.
        top_p "topP": Share = Share(1.0),
        /// Only tokens with at least this share of the probability of the likeliest one are drawn from.
        min_p "minP": Fraction = Fraction(0.0),
        /// What the logits of tokens that are in the prompt or the output are divided by, or multiplied by if they are negative.
        repetition_penalty "repetitionPenalty": Positive = Positive(1.0),
        /// What is taken from the logits of tokens that are in the output.
        presence_penalty "presencePenalty": Num = Num(0.0),
        /// What is taken from the logits of tokens for each time that they are in the output.
        frequency_penalty "frequencyPenalty": Num = Num(0.0),
        /// What is added to the logits of tokens.
        logit_bias "logitBias": LogitBias = LogitBias::default(),
    }
}

/// How many of the likeliest tokens are put in order first where only a share of all probability counts.
const FIRST_SORTED: usize = 256;

/// A token and its logit, after all that changes it.
type Candidate = (f64, u32);

/// The greater logit first; the lower id first where they are equal.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

impl SamplingOptions {
    /// Whether logits count as they are.
    fn is_plain(&self) -> bool {
        self.logit_bias.0.is_empty()
            && self.repetition_penalty.0 == 1.0
            && self.presence_penalty.0 == 0.0
            && self.frequency_penalty.0 == 0.0
    }
    /// Whether there is something to draw.
    pub fn draws(&self) -> bool {
        self.temperature.0 > 0.0
    }
    /// The next token. `draw` is what is drawn with, even over 0 up to 1; it is asked for only where something is drawn.
    ///
    /// # Errors
    /// `NotFinite` for logits that are NaN or infinite, `IndexOutOfRange` for a bias of a token that the model has not, and
    /// `InvalidArgument` where the biases leave no token.
    pub fn choose(&self, logits: &[f32], history: &History, draw: impl FnOnce() -> Result<f64>) -> Result<u32> {
        checked_logits(logits)?;
        if self.is_plain() && !self.draws() {
            let mut best = 0;
            for (i, x) in logits.iter().enumerate() {
                if *x > logits[best] {
                    best = i;
                }
            }
            return if logits.get(best).is_none_or(|x| *x == f32::NEG_INFINITY) {
                Err(none_left())
            } else {
                Ok(best as u32)
            };
        }
        let z = self.adjusted(logits, history)?;
        let all: Vec<Candidate> = z.into_iter().zip(0..).filter(|(z, _)| *z > f64::NEG_INFINITY).collect(); // as many as logits
        let best = *all.iter().min_by(|a, b| likelier(a, b)).ok_or_else(none_left)?;
        if !self.draws() {
            return Ok(best.1);
        }
        let kept = self.kept(all, best.0);
        let weight = |z: f64| ((z - best.0) / self.temperature.0).exp();
        let total: f64 = kept.iter().map(|c| weight(c.0)).sum();
        let mut rest = draw()? * total;
        for c in &kept {
            rest -= weight(c.0);
            if rest < 0.0 {
                return Ok(c.1);
            }
        }
        // Rounding may leave a rest: then it is the last one that can be drawn at all.
        Ok(kept.iter().rev().find(|c| weight(c.0) > 0.0).map_or(best.1, |c| c.1))
    }
    /// Logits with biases and penalties.
    fn adjusted(&self, logits: &[f32], history: &History) -> Result<Vec<f64>> {
        let mut z: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect(); // as many as logits
        for &(id, bias) in &self.logit_bias.0 {
            *z.get_mut(id as usize).ok_or_else(|| {
                let what =
                    format!("`logitBias` names token {id}, but the model has the tokens 0 to {}", logits.len() - 1);
                Error::new(ErrorKind::IndexOutOfRange, what)
            })? += bias;
        }
        history.each(|id, times| {
            // A token of the prompt that the model has no logit of.
            let Some(z) = z.get_mut(id as usize) else { return };
            let penalty = self.repetition_penalty.0;
            *z = if *z > 0.0 { *z / penalty } else { *z * penalty };
            if times > 0 {
                *z -= self.presence_penalty.0 + self.frequency_penalty.0 * f64::from(times);
            }
        });
        Ok(z)
    }
    /// The tokens that are drawn from, in the order of their ids.
    fn kept(&self, mut all: Vec<Candidate>, best: f64) -> Vec<Candidate> {
        let weight = |z: f64| ((z - best) / self.temperature.0).exp();
        if let Some(k) = self.top_k.map(|k| k.0).filter(|&k| k < all.len()) {
            all.select_nth_unstable_by(k - 1, likelier);
            all.truncate(k);
            all.sort_unstable_by_key(|c| c.1);
        }
        if self.top_p.0 < 1.0 {
            let enough = self.top_p.0 * all.iter().map(|c| weight(c.0)).sum::<f64>();
            let mut sorted = FIRST_SORTED;
            let kept = loop {
                let n = sorted.min(all.len());
                if n < all.len() {
                    all.select_nth_unstable_by(n - 1, likelier);
                }
                all[..n].sort_unstable_by(likelier);
                let mut sum = 0.0;
                let within = all[..n].iter().position(|c| {
                    sum += weight(c.0);
                    sum >= enough
                });
                match within {
                    Some(last) => break last + 1,
                    None if n == all.len() => break n,
                    None => sorted *= 8,
                }
            };
            all.truncate(kept);
        }
        if self.min_p.0 > 0.0 {
            all.retain(|c| weight(c.0) >= self.min_p.0);
        }
        all.sort_unstable_by_key(|c| c.1);
        all
    }
}

/// Refuses logits that no token can be chosen by.
///
/// # Errors
/// `NotFinite` for logits that are NaN or infinite.
pub(crate) fn checked_logits(logits: &[f32]) -> Result<()> {
    match logits.iter().position(|x| x.is_nan() || *x == f32::INFINITY) {
        None => Ok(()),
        Some(at) => {
            let what =
                format!("the logit of token {at} is {}; the model's weights or inputs are not finite", logits[at]);
            Err(Error::new(ErrorKind::NotFinite, what))
        }
    }
}

fn none_left() -> Error {
    let what = "`logitBias` and the model's own logits leave no token to choose; allow at least one";
    Error::new(ErrorKind::InvalidArgument, what)
}

/// What the token at this position of a sequence is drawn with: the key of a position hangs on the key of its sequence alone.
///
/// # Errors
/// `OutOfMemory`.
pub fn draw_at(key: Key, position: u32) -> Result<f64> {
    Ok(random::uniform(key.fold_in(position), &[], DType::F64, 0.0, 1.0)?.item()?)
}

/// The `n` greatest of these logarithms of probabilities, with their tokens.
pub fn top(log_probs: &[f32], n: usize) -> Vec<(u32, f64)> {
    let mut all: Vec<Candidate> = log_probs.iter().map(|&x| f64::from(x)).zip(0..).collect(); // as many as logits
    if n == 0 {
        return Vec::new();
    }
    if n < all.len() {
        all.select_nth_unstable_by(n - 1, likelier);
        all.truncate(n);
    }
    all.sort_unstable_by(likelier);
    all.into_iter().map(|(p, id)| (id, p)).collect()
}
