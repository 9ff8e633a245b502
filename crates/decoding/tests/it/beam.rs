//! Beam search against all outputs there are.
use crate::support::{ids, made, recurrent, VOCABULARY};
use serde_json::{json, Value};
use std::sync::Arc;
use tallow_data::{CharacterEncoder, CharacterOptions};
use tallow_decoding::{BeamSearch, Found, Model, Reading, Start};
use tallow_layers::{ErrorKind, HostValue, LayerRef, Mode, Result};

fn search(layer: &LayerRef, prompt: &[i32], o: Value) -> Result<Vec<Found>> {
    let mut o = o;
    o["startId"] = json!(null);
    let model = Model::new(layer.clone(), Reading::Next);
    let mut search = BeamSearch::new(model, [&ids(prompt), &HostValue::Null, &o.into()], None)?;
    while !search.step()? {}
    search.found()
}

/// All outputs of at most `length` tokens that end with `eos` or are as long, with the logarithms of their probabilities.
fn all(layer: &LayerRef, prompt: &[i32], eos: i32, length: usize) -> Vec<(Vec<i32>, f64)> {
    let model = Model::new(layer.clone(), Reading::Next);
    let mut open = vec![(Vec::new(), 0.0, model.begin(Start::default()).expect("a sequence"), prompt.to_vec())];
    let mut out = Vec::new();
    while let Some((tokens, log_prob, mut sequence, next)) = open.pop() {
        let y = model.read(&mut [&mut sequence], &[&next]).and_then(|y| Ok(y.log_softmax(-1)?.to_vec::<f32>()?));
        for (token, p) in y.expect("logits").into_iter().enumerate() {
            let token = token as i32;
            let tokens: Vec<i32> = tokens.iter().copied().chain([token]).collect();
            let log_prob = log_prob + f64::from(p);
            if token == eos || tokens.len() == length {
                out.push((tokens, log_prob));
            } else {
                open.push((tokens, log_prob, sequence.clone(), vec![token]));
            }
        }
    }
    out
}

#[test]
fn as_many_beams_as_there_are_beginnings_find_the_best_of_all() {
    let layer = recurrent(Mode::Predict);
    let every = all(&layer, &[3, 8], 1, 2);
    for alpha in [0.0, 1.0] {
        let score = |tokens: &[i32], p: f64| p / ((5.0 + tokens.len() as f64) / 6.0).powf(alpha);
        let mut expected: Vec<(f64, &[i32])> = every.iter().map(|(t, p)| (score(t, *p), &t[..])).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let o = json!({"nBeams": VOCABULARY, "maxLength": 2, "eosId": 1, "lengthPenalty": alpha});
        let found = search(&layer, &[3, 8], o).expect("outputs");
        assert_eq!(found.len(), VOCABULARY);
        for (f, (score, tokens)) in found.iter().zip(&expected) {
            assert!((f.score - score).abs() < 1e-5, "{f:?} {score}");
            assert_eq!(f.tokens, *tokens);
        }
        assert!(found.iter().any(|f| f.tokens.last() == Some(&1)) && found.iter().any(|f| f.tokens.len() == 2));
    }
}

#[test]
fn one_beam_is_the_greedy_output() {
    let layer = recurrent(Mode::Predict);
    let o = json!({"temperature": 0, "maxTokens": 9, "startId": null});
    let greedy = crate::support::alone(&layer, crate::support::request(&[3], o));
    let found = search(&layer, &[3], json!({"nBeams": 1, "maxLength": 9, "eosId": null})).expect("outputs");
    assert_eq!(found[0].tokens, crate::support::tokens(&greedy));
    let sum: f64 = greedy.iter().map(|s| s.log_prob).sum();
    assert!((found[0].log_prob - sum).abs() < 1e-9);
    assert!((found[0].score - sum / (14.0 / 6.0)).abs() < 1e-9, "the penalty of nine tokens");
}

#[test]
fn tokens_that_the_encoder_has_not_are_in_no_beam() {
    let found = |n: usize| {
        let encoder = CharacterEncoder::of("abcde", &CharacterOptions::new()).expect("an encoder");
        let o = json!({"nBeams": n, "maxLength": 6, "eosId": null, "startId": null}).into();
        let mut search = BeamSearch::new(
            Model::new(recurrent(Mode::Predict), Reading::Next),
            [&ids(&[3]), &HostValue::Null, &o],
            Some(Arc::new(encoder) as _),
        )?;
        while !search.step()? {}
        search.found()
    };
    let all = found(5).expect("outputs");
    assert_eq!(all.len(), 5);
    for one in all {
        assert!(one.tokens.iter().all(|t| *t < 5));
        assert_eq!(one.text.map(|text| text.len()), Some(6));
    }
    let e = found(6).unwrap_err();
    assert_eq!(e.message(), "beamSearch: `nBeams` is 6, but the encoder has 5 tokens; give at most 5");
}

#[test]
fn more_beams_than_tokens_are_refused() {
    let e = search(&recurrent(Mode::Predict), &[3], json!({"nBeams": VOCABULARY + 1})).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    assert_eq!(e.message(), "beamSearch: `nBeams` is 30, but the model has 29 tokens; give at most 29");
    let bare = made("Embedding", json!({"vocabSize": 4, "dFeature": 4}));
    assert_eq!(search(&bare, &[1], json!({})).unwrap_err().kind(), ErrorKind::NotInitialized);
}
