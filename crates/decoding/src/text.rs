//! Text from tokens, which ends before a string to stop at.
use std::sync::Arc;
use tallow_data::{checked_ids, DecodeOptions, Encoder, Stream};
use tallow_layers::Result;

/// The text of an output while it grows.
pub struct TextOut {
    encoder: Arc<dyn Encoder>,
    stream: Box<dyn Stream>,
    stops: Vec<String>,
    /// What may still become a string to stop at.
    held: String,
}

impl TextOut {
    /// No text yet.
    pub fn new(encoder: Arc<dyn Encoder>, stops: Vec<String>) -> Self {
        let stream = encoder.clone().stream(DecodeOptions::new());
        Self { encoder, stream, stops, held: String::new() }
    }
    /// What is sure of the text with one more token, and whether it stops there.
    ///
    /// # Errors
    /// `IndexOutOfRange` for a token that the encoder does not have.
    pub fn push(&mut self, id: i32) -> Result<(String, bool)> {
        for id in checked_ids(&*self.encoder, &[f64::from(id)])? {
            self.held.push_str(&self.stream.push(id)?);
        }
        Ok(self.sure())
    }
    /// What is left of the text at its end.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn end(&mut self) -> Result<String> {
        self.held.push_str(&self.stream.end()?);
        let (mut text, stopped) = self.sure();
        if !stopped {
            text.push_str(&std::mem::take(&mut self.held));
        }
        Ok(text)
    }
    fn sure(&mut self) -> (String, bool) {
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let waits = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let kept = self.held.split_off(self.held.len() - waits);
        (std::mem::replace(&mut self.held, kept), false)
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    // No longer than the text, however long the string is.
    let most = text.len().min(stop.len().saturating_sub(1));
    (1..=most).rev().find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallow_data::{ByteEncoder, ByteOptions};

    fn told(text: &str, stops: &[&str]) -> (Vec<String>, bool) {
        let encoder = ByteEncoder::new(&ByteOptions::new()).unwrap();
        let mut out = TextOut::new(Arc::new(encoder), stops.iter().map(|s| (*s).to_owned()).collect());
        let mut parts = Vec::new();
        for byte in text.bytes() {
            let (part, stopped) = out.push(i32::from(byte)).unwrap();
            parts.push(part);
            if stopped {
                return (parts, true);
            }
        }
        parts.push(out.end().unwrap());
        (parts, false)
    }

    #[test]
    fn what_may_become_a_stop_waits_and_a_stop_is_never_told() {
        assert_eq!(told("a\nb", &["\n\n"]), (["a", "", "\nb", ""].map(str::to_owned).to_vec(), false));
        assert_eq!(told("a\n\nb", &["\n\n"]), (["a", "", ""].map(str::to_owned).to_vec(), true));
        assert_eq!(told("aab", &["ab"]).0.concat(), "a");
        assert_eq!(told("xaby", &["b", "ab"]), (["x", "", ""].map(str::to_owned).to_vec(), true));
        assert_eq!(told("en", &["end"]).0.concat(), "en", "what waited at the end");
        assert_eq!(told("é€x", &["€y"]).0.concat(), "é€x");
        assert_eq!(told("é", &[]).0, ["", "é", ""]);
    }
}
