//! Choosing one token from one row of logits.
use crate::support::options;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use tallow_decoding::{draw_at, top, GenerateOptions, History, SamplingOptions};
use tallow_layers::{ErrorKind, HostValue};
use tallow_tensor::random::Key;

const KEY: Key = Key([5, 9]);
const LOGITS: [f32; 8] = [0.5, 2.0, -1.0, 1.0, 2.0, -3.0, 0.0, 1.5];

fn sampling(o: Value) -> SamplingOptions {
    options(o).sampling
}

fn drawn(o: &SamplingOptions, history: &History, times: u32) -> Vec<usize> {
    let mut counts = vec![0; LOGITS.len()];
    for position in 0..times {
        counts[o.choose(&LOGITS, history, || draw_at(KEY, position)).unwrap() as usize] += 1;
    }
    counts
}

/// The tokens that can be drawn.
fn support(o: Value) -> BTreeSet<usize> {
    let counts = drawn(&sampling(o), &History::default(), 3000);
    counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, _)| i).collect()
}

/// Draws against the distribution that these weights are in proportion to: Pearson's statistic.
fn chi_squared(counts: &[usize], weights: &[f64]) -> f64 {
    let (n, total) = (counts.iter().sum::<usize>() as f64, weights.iter().sum::<f64>());
    let expected = weights.iter().map(|w| n * w / total);
    counts.iter().zip(expected).filter(|(_, e)| *e > 0.0).map(|(&c, e)| (c as f64 - e).powi(2) / e).sum()
}

#[test]
fn tokens_are_drawn_by_their_probabilities() {
    for temperature in [0.7, 1.0, 2.5] {
        let counts = drawn(&sampling(json!({"temperature": temperature})), &History::default(), 20_000);
        let weights: Vec<f64> = LOGITS.iter().map(|&z| (f64::from(z) / temperature).exp()).collect();
        let x = chi_squared(&counts, &weights);
        // 7 degrees of freedom: above 24.3 once in a thousand.
        assert!(x < 24.3, "temperature {temperature}: {x}");
    }
    // What is left of the distribution keeps its proportions: tokens 1, 4, 7.
    let counts = drawn(&sampling(json!({"topK": 3})), &History::default(), 20_000);
    let weights: Vec<f64> = LOGITS.iter().map(|&z| if z >= 1.5 { f64::from(z).exp() } else { 0.0 }).collect();
    assert_eq!(counts.iter().filter(|n| **n > 0).count(), 3);
    let x = chi_squared(&counts, &weights);
    assert!(x < 13.8, "{x}");
}

#[test]
fn filters_keep_the_likeliest() {
    assert_eq!(support(json!({"topK": 1})), BTreeSet::from([1]), "the lower id of two that are equal");
    assert_eq!(support(json!({"topK": 3})), BTreeSet::from([1, 4, 7]));
    assert_eq!(support(json!({"topK": 100})), (0..8).collect());
    // Probabilities: 0.295 twice, 0.179, 0.109, 0.066, 0.040, …
    assert_eq!(support(json!({"topP": 0.29})), BTreeSet::from([1]));
    assert_eq!(support(json!({"topP": 0.31})), BTreeSet::from([1, 4]));
    assert_eq!(support(json!({"topP": 0.7})), BTreeSet::from([1, 4, 7]));
    assert_eq!(support(json!({"topP": 1e-9})), BTreeSet::from([1]));
    assert_eq!(support(json!({"minP": 0.5})), BTreeSet::from([1, 4, 7]));
    assert_eq!(support(json!({"minP": 1})), BTreeSet::from([1, 4]));
    assert_eq!(support(json!({"topK": 2, "topP": 0.3, "minP": 0.9})), BTreeSet::from([1]));
    assert_eq!(support(json!({"temperature": 1e-300})), BTreeSet::from([1, 4]), "no overflow");
}

#[test]
fn a_share_of_many_tokens_is_found() {
    let logits: Vec<f32> = (0..5000).map(|i| -((i * 7919 % 5000) as f32) / 1000.0).collect();
    let o = sampling(json!({"topP": 0.9}));
    let total: f64 = (0..5000).map(|i| (-f64::from(i) / 1000.0).exp()).sum();
    let mut sum = 0.0;
    let within = (0..5000).take_while(|&i| {
        let before = sum;
        sum += (-f64::from(i) / 1000.0).exp();
        before < 0.9 * total
    });
    let least = -(within.count() as f32 - 1.0) / 1000.0;
    let chosen = |u: f64| logits[o.choose(&logits, &History::default(), || Ok(u)).unwrap() as usize];
    let drawn: Vec<f32> = (0..2000).map(|i| chosen(f64::from(i) / 2000.0)).collect();
    let lowest = drawn.iter().copied().fold(f32::MAX, f32::min);
    assert!(lowest >= least && lowest < least + 0.02, "{lowest} {least}");
}

#[test]
fn biases_and_penalties_change_logits() {
    let greedy = |mut o: Value, history: &History| {
        o["temperature"] = json!(0);
        sampling(o).choose(&LOGITS, history, || unreachable!()).unwrap()
    };
    let none = History::default();
    assert_eq!(greedy(json!({}), &none), 1);
    assert_eq!(greedy(json!({"logitBias": {"3": 1.5}}), &none), 3);
    let mut forbid = sampling(json!({"logitBias": {"1": -100}, "temperature": 0}));
    forbid.logit_bias.0[0].1 = f64::NEG_INFINITY;
    assert_eq!(forbid.choose(&LOGITS, &none, || unreachable!()).unwrap(), 4);
    let mut history = History::of(&[1]);
    assert_eq!(greedy(json!({"repetitionPenalty": 1.2}), &history), 4, "of the prompt too");
    assert_eq!(greedy(json!({"presencePenalty": 1}), &history), 1, "of the output only");
    history.push(1);
    history.push(4);
    assert_eq!(greedy(json!({"presencePenalty": 0.6}), &history), 7);
    assert_eq!(greedy(json!({"frequencyPenalty": 0.4}), &history), 1, "2 - 0.4 is still the greatest");
    history.push(1);
    assert_eq!(greedy(json!({"frequencyPenalty": 0.4}), &history), 4, "1.2 and 1.6 and 1.5");
    // A negative logit gets more negative.
    let low = sampling(json!({"temperature": 0, "repetitionPenalty": 4}));
    let both = History::of(&[0]);
    assert_eq!(low.choose(&[-1.0, -3.0], &both, || unreachable!()).unwrap(), 1);
}

#[test]
fn what_cannot_be_chosen_from_is_an_error() {
    let chosen = |o: Value, logits: &[f32]| sampling(o).choose(logits, &History::default(), || Ok(0.5));
    let kind = |o: Value, logits: &[f32]| chosen(o, logits).unwrap_err().kind();
    for o in [json!({}), json!({"temperature": 0})] {
        assert_eq!(kind(o.clone(), &[0.0, f32::NAN]), ErrorKind::NotFinite);
        assert_eq!(kind(o.clone(), &[f32::INFINITY, 0.0]), ErrorKind::NotFinite);
        assert_eq!(kind(o.clone(), &[f32::NEG_INFINITY; 2]), ErrorKind::InvalidArgument);
        assert_eq!(chosen(o, &[f32::NEG_INFINITY, -4.0]).unwrap(), 1);
    }
    let e = chosen(json!({"logitBias": {"2": 1}}), &[0.0, 0.0]).unwrap_err();
    assert_eq!(e.message(), "`logitBias` names token 2, but the model has the tokens 0 to 1");
    assert!(chosen(json!({}), &[0.0, f32::NAN]).unwrap_err().message().contains("the logit of token 1 is NaN"));
}

#[test]
fn a_draw_of_a_rounded_rest_gives_a_token_that_can_be() {
    let o = sampling(json!({}));
    let chosen = |u: f64| o.choose(&[0.0, 1.0, f32::NEG_INFINITY, -900.0], &History::default(), || Ok(u)).unwrap();
    assert_eq!([chosen(0.0), chosen(0.3), chosen(1.0 - f64::EPSILON), chosen(1.0)], [0, 1, 1, 1]);
}

#[test]
fn options_outside_their_domains_are_refused_by_name() {
    let refused = |o: Value| GenerateOptions::parse(&o.into()).unwrap_err().message().to_owned();
    assert_eq!(refused(json!({"temperature": -1})), "generate: `temperature` must be a number of at least 0, got -1");
    assert_eq!(refused(json!({"topK": 0})), "generate: `topK` must be a whole number of at least 1, got 0");
    for p in [json!(0), json!(1.1), json!(-0.5)] {
        assert!(refused(json!({ "topP": p })).starts_with("generate: `topP` must be above 0 and at most 1, got"));
    }
    assert!(refused(json!({"minP": 2})).contains("`minP` must be from 0 to 1"));
    assert!(refused(json!({"repetitionPenalty": 0})).contains("`repetitionPenalty` must be a number above 0"));
    assert!(refused(json!({"logitBias": {"x": 1}})).contains("`logitBias` must be an object of ids"));
    assert!(refused(json!({"stop": ["a", ""]})).contains("`stop` must be a string, or a list of strings"));
    assert!(refused(json!({"topk": 1})).contains("did you mean `topK`?"));
    assert!(
        GenerateOptions::parse(&HostValue::Record(vec![("temperature".into(), HostValue::Number(f64::NAN))])).is_err()
    );
}

#[test]
fn the_likeliest_come_in_order() {
    assert_eq!(top(&[-1.0, -0.5, -3.0, -0.5], 3), [(1, -0.5), (3, -0.5), (0, -1.0)]);
    assert_eq!(top(&[-1.0, -0.5], 9).len(), 2);
    assert!(top(&[-1.0], 0).is_empty());
}
