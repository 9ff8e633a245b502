//! Requests that share a model.
use crate::support::{
    alone, attentive, engine, ids, made, options, recurrent, request, run, said, tokens, wide, VOCABULARY,
};
use serde_json::json;
use std::sync::Arc;
use tallow_data::{ByteEncoder, ByteOptions, CharacterEncoder, CharacterOptions};
use tallow_decoding::{Event, Finish, Model, Outcome, Reading, Request, Start};
use tallow_layers::{combinators::serial, hold, init, with_mode, ErrorKind, HostValue, Mode, TensorSpec};
use tallow_tensor::{ops::Quantization, random::Key, threads::set_num_threads, DType, Tensor};

fn failure(event: &Event) -> (ErrorKind, String) {
    match &event.outcome {
        Outcome::Failed(e) => (e.kind(), e.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_greedy_output_is_that_of_the_whole_sequence_each_time() {
    for (layer, start) in [(attentive(Mode::Predict), json!(0)), (recurrent(Mode::Predict), json!(null))] {
        let o = json!({"temperature": 0, "maxTokens": 20, "startId": start});
        let out = alone(&layer, request(&[3, 1, 4, 1, 5], o.clone()));
        assert_eq!(out.len(), 20);
        assert_eq!(out[19].finish, Some(Finish::Length));
        assert!(out[..19].iter().all(|s| s.finish.is_none() && s.text.is_none()));
        let mut whole = tallow_decoding::Engine::new(
            Model::new(with_mode(&layer, Mode::Eval), Reading::Whole(1)),
            tallow_decoding::DecoderOptions::new(),
        );
        whole.join(7, request(&[3, 1, 4, 1, 5], o));
        let expected = said(&run(&mut whole), 7);
        assert_eq!(tokens(&out), tokens(&expected));
        for (a, b) in out.iter().zip(&expected) {
            assert!((a.log_prob - b.log_prob).abs() < 1e-4, "{a:?} {b:?}");
        }
    }
}

#[test]
fn an_output_is_the_same_bits_in_any_company() {
    let mut dice: u64 = 11;
    let mut below = |n: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % n
    };
    let schedules = std::env::var("TALLOW_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let quantized = Quantization::ALL.map(|q| (wide(Mode::Predict, q), json!(0)));
    let plain = [(attentive(Mode::Predict), json!(0)), (recurrent(Mode::Predict), json!(null))];
    for (layer, start) in plain.into_iter().chain(quantized) {
        let wanted: Vec<(Vec<i32>, serde_json::Value)> = (0..40)
            .map(|i| {
                let prompt = (0..1 + below(40)).map(|_| below(VOCABULARY) as i32).collect();
                let o = json!({
                    "temperature": ([0.0, 0.7, 1.3][below(3)]), "topK": 1 + below(VOCABULARY), "topP": ([1.0, 0.8][below(2)]),
                    "repetitionPenalty": ([1.0, 1.3][below(2)]), "maxTokens": 1 + below(16), "rng": [1, i], "logProbs": 3,
                    "startId": start, "stopTokens": [below(VOCABULARY)],
                });
                (prompt, o)
            })
            .collect();
        let make = |i: usize| request(&wanted[i].0, wanted[i].1.clone());
        let single: Vec<_> = (0..wanted.len()).map(|i| alone(&layer, make(i))).collect();
        for schedule in 0..schedules {
            set_num_threads([1, 2, 4][schedule % 3]).expect("threads");
            let most = [2, 5, 17, 64][below(4)];
            // How much of a prompt one call reads is a property of the engine, so it is the same for all.
            let mut engine = engine(layer.clone(), json!({"maxBatch": most}));
            let mut order: Vec<usize> = (0..wanted.len()).collect();
            (1..order.len()).rev().for_each(|i| order.swap(i, below(i + 1)));
            order.truncate(2 + below(order.len() - 1));
            let (mut events, mut left, mut asked) = (Vec::new(), Vec::new(), order.iter());
            loop {
                for &i in asked.by_ref().take(below(4)) {
                    engine.join(i as u64, make(i));
                }
                if below(12) == 0 {
                    let id = order[below(order.len())] as u64;
                    engine.leave(id);
                    left.push(id);
                }
                if engine.is_idle() && asked.len() == 0 {
                    break;
                }
                events.extend(engine.step().expect("a step"));
            }
            for &i in &order {
                let out = said(&events, i as u64);
                let expected = &single[i][..];
                if left.contains(&(i as u64)) {
                    assert_eq!(out, expected[..out.len()], "request {i} of schedule {schedule}, as far as it came");
                } else {
                    assert_eq!(out, expected, "request {i} of schedule {schedule}");
                }
            }
        }
    }
    set_num_threads(2).expect("threads");
}

#[test]
fn long_prompts_are_read_in_parts_while_others_go_on() {
    let layer = recurrent(Mode::Predict);
    let o = |n: usize| json!({"temperature": 0, "maxTokens": n, "startId": null});
    let long: Vec<i32> = (0..100).map(|i| i % VOCABULARY as i32).collect();
    let mut engine = engine(layer, json!({"promptTokens": 16}));
    engine.join(1, request(&[2], o(12)));
    engine.join(2, request(&long, o(1)));
    let mut order = Vec::new();
    while !engine.is_idle() {
        order.extend(engine.step().expect("a step").iter().map(|e| e.id));
    }
    let last = order.iter().position(|id| *id == 2).expect("the long one");
    assert_eq!(last, 7, "{order:?}: six whole parts and one of four");
    assert_eq!(order.iter().filter(|id| **id == 1).count(), 12);
}

#[test]
fn a_short_prompt_does_not_wait_for_the_end_of_a_long_one() {
    let o = |n: usize| json!({"temperature": 0, "maxTokens": n, "startId": null});
    let long: Vec<i32> = (0..160).map(|i| i % VOCABULARY as i32).collect();
    let mut engine = engine(recurrent(Mode::Predict), json!({"promptTokens": 16}));
    engine.join(1, request(&long, o(1)));
    engine.step().expect("a step");
    for id in 2..6 {
        engine.join(id, request(&[2, 3, 4, 5, 6], o(1)));
    }
    let mut order = Vec::new();
    while !engine.is_idle() {
        order.push(engine.step().expect("a step").iter().map(|e| e.id).collect::<Vec<_>>());
    }
    // A part of the long one takes all the room of a step. Three of the short ones fit into the next, the fourth into that behind it.
    assert_eq!(order[..4], [vec![], vec![2, 3, 4], vec![5], vec![]]);
    assert_eq!(order.len(), 11, "ten parts of the long one, of which one is read before, and two steps of others");
    assert_eq!(order[10], [1]);
}

#[test]
fn outputs_end_at_tokens_strings_and_lengths() {
    let layer = recurrent(Mode::Predict);
    let plain = json!({"temperature": 0, "maxTokens": 12, "startId": null});
    let all = tokens(&alone(&layer, request(&[5], plain.clone())));
    let mut o = plain.clone();
    o["eosId"] = json!(all[2]);
    let out = alone(&layer, request(&[5], o.clone()));
    let at = all.iter().position(|t| *t == all[2]).expect("it is there");
    assert_eq!((tokens(&out), out[at].finish), (all[..=at].to_vec(), Some(Finish::Stop)));
    o["eosId"] = json!(null);
    o["stopTokens"] = json!([all[2]]);
    assert_eq!(tokens(&alone(&layer, request(&[5], o))), all[..=at]);
    // With an encoder of bytes behind which nothing is printable: ids stand for themselves.
    let encoder = || Some(Arc::new(ByteEncoder::new(&ByteOptions::new()).expect("an encoder")) as _);
    let text: String = all.iter().map(|&t| char::from(t as u8)).collect();
    let stop: String = text.chars().skip(3).take(2).collect();
    let mut o = plain;
    o["stop"] = json!([stop]);
    let r = Request::new([&ids(&[5]), &HostValue::Null, &o.into()], encoder()).expect("a request");
    let out = alone(&layer, r);
    let told: String = out.iter().filter_map(|s| s.text.clone()).collect();
    assert_eq!(told, text[..text.find(&stop).expect("it is there")]);
    assert_eq!(out.last().and_then(|s| s.finish), Some(Finish::Stop));
}

#[test]
fn tokens_that_the_encoder_has_not_are_never_chosen_and_others_keep_the_bits_of_their_probabilities() {
    let most = 12;
    let letters = || Arc::new(CharacterEncoder::of("abcdefghijkl", &CharacterOptions::new()).expect("an encoder"));
    let layer = attentive(Mode::Predict);
    let asked = |prompt: i32, o: &serde_json::Value| {
        let o = o.clone().into();
        Request::new([&ids(&[prompt]), &HostValue::Null, &o], Some(letters() as _)).expect("a request")
    };
    let o = json!({"temperature": 0, "maxTokens": 1, "logProbs": VOCABULARY});
    let mut padded = 0;
    for prompt in 0..most {
        let free = &alone(&layer, request(&[prompt], o.clone()))[0];
        let held = &alone(&layer, asked(prompt, &o))[0];
        padded += usize::from(free.token >= most);
        let real: Vec<(u32, f64)> = free.top.iter().filter(|(id, _)| (*id as i32) < most).copied().collect();
        assert_eq!(held.top, real, "the likeliest, with the bits that they have among all");
        assert_eq!((held.token as u32, held.log_prob), real[0]);
    }
    assert!(padded > 0, "else nothing was held back");
    let drawn = json!({"temperature": 3.0, "maxTokens": 60, "rng": [1, 2], "repetitionPenalty": 1.2});
    let out = alone(&layer, asked(3, &drawn));
    assert_eq!(out.len(), 60);
    assert!(tokens(&out).iter().all(|t| *t < most));
    assert_eq!(out.iter().filter_map(|s| s.text.as_ref()).map(|text| text.len()).sum::<usize>(), 60);
}

#[test]
fn a_logit_of_padding_that_is_no_number_fails_as_any_other() {
    let layer = attentive(Mode::Predict);
    let (weights, _) = tallow_layers::held(&layer);
    let broken = weights.into_iter().map(|(id, tree)| {
        let tree = tree.map(&mut |t: &Tensor| match t.shape() {
            [VOCABULARY] => {
                let mut bias = vec![0f32; VOCABULARY];
                bias[VOCABULARY - 1] = f32::NAN;
                Tensor::from_vec(bias, &[VOCABULARY]).expect("a bias")
            }
            _ => t.clone(),
        });
        (id, tree)
    });
    hold(&layer, Some(&broken.collect()), None);
    let encoder = CharacterEncoder::of("abcdefghijkl", &CharacterOptions::new()).expect("an encoder");
    let o = json!({"temperature": 0, "maxTokens": 1}).into();
    let r = Request::new([&ids(&[3]), &HostValue::Null, &o], Some(Arc::new(encoder) as _)).expect("a request");
    let mut engine = engine(layer, json!({}));
    engine.join(1, r);
    let (kind, what) = failure(&run(&mut engine)[0]);
    assert_eq!(kind, ErrorKind::NotFinite, "{what}");
}

#[test]
fn a_window_slides_over_what_is_longer() {
    let layer = attentive(Mode::Predict);
    let slid = alone(&layer, request(&[1, 2, 3], json!({"temperature": 0, "maxTokens": 60, "window": 16})));
    assert_eq!(slid.len(), 60, "more than the window has");
    let plain = alone(&layer, request(&[1, 2, 3], json!({"temperature": 0, "maxTokens": 60})));
    // The start and the prompt fill 4 positions, so 13 tokens are said before the window is full.
    assert_eq!(slid[..13], plain[..13]);
    // From then on it is what comes after the last half of the window.
    let all: Vec<i32> = [1, 2, 3].into_iter().chain(tokens(&slid)).collect();
    let again = alone(&layer, request(&all[16 - 7..16], json!({"temperature": 0, "maxTokens": 1})));
    assert_eq!((slid[13].token, slid[13].log_prob), (again[0].token, again[0].log_prob));
    let long: Vec<i32> = (0..40).map(|i| i % 20).collect();
    let cut = alone(&layer, request(&long, json!({"temperature": 0, "maxTokens": 1, "window": 16})));
    let end = alone(&layer, request(&long[33..], json!({"temperature": 0, "maxTokens": 1})));
    assert_eq!((cut[0].token, cut[0].log_prob), (end[0].token, end[0].log_prob));
}

#[test]
fn one_that_fails_leaves_the_others_as_they_are() {
    let layer = attentive(Mode::Predict);
    let o = json!({"temperature": 0, "maxTokens": 6});
    let expected = alone(&layer, request(&[4, 4], o.clone()));
    let mut engine = engine(layer, json!({}));
    engine.join(1, request(&[4, 4], o.clone()));
    engine.join(2, request(&[4, VOCABULARY as i32], o.clone()));
    engine.join(3, request(&[4, 4], o));
    let events = run(&mut engine);
    assert_eq!(said(&events, 1), expected);
    assert_eq!(said(&events, 3), expected);
    let (kind, message) = failure(events.iter().find(|e| e.id == 2).expect("an event"));
    assert_eq!(kind, ErrorKind::IndexOutOfRange);
    assert!(message.contains("Embedding"), "{message}");
}

#[test]
fn a_model_of_nan_fails_by_name() {
    let model = serial(vec![
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 4})),
        made("Dense", json!({"nUnits": VOCABULARY})),
    ]);
    let (mut weights, state) = init(&model, &[TensorSpec::new([1, 4], DType::I32)], Key([3, 1])).expect("weights");
    for tree in weights.values_mut() {
        *tree = tree.clone().map(&mut |t: &Tensor| t.mul_scalar(f64::NAN).expect("values"));
    }
    hold(&model, Some(&weights), Some(&state));
    let mut engine = engine(model, json!({}));
    engine.join(1, request(&[4], json!({"temperature": 0, "startId": null})));
    let events = run(&mut engine);
    let (kind, message) = failure(&events[0]);
    assert_eq!((kind, events.len()), (ErrorKind::NotFinite, 1));
    assert!(message.starts_with("generate, token 0 of the output: the logit of token 0 is NaN"), "{message}");
}

#[test]
fn what_is_no_language_model_is_refused() {
    let model = Model::new(recurrent(Mode::Predict), Reading::Next);
    let source = Tensor::from_vec(vec![1i32], &[1, 1]).expect("a source");
    let e = model.begin(Start { source: Some(source), start: None }).unwrap_err();
    assert!(e.message().contains("takes tokens only, but `inputs` are given"), "{e}");
    let pair = Model::new(made("Add", json!({})), Reading::Next);
    assert!(pair.begin(Start::default()).unwrap_err().message().contains("give the source as `inputs`"));
    let flat = serial(vec![
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 4})),
        made("Mean", json!({"axis": 1})),
    ]);
    let (weights, state) = init(&flat, &[TensorSpec::new([1, 4], DType::I32)], Key([3, 1])).expect("weights");
    hold(&flat, Some(&weights), Some(&state));
    let mut engine = engine(flat, json!({}));
    engine.join(1, request(&[4, 5], json!({"temperature": 0, "startId": null})));
    let (kind, message) = failure(&run(&mut engine)[0]);
    assert_eq!(kind, ErrorKind::ShapeMismatch);
    assert!(message.contains("must give logits [1, 2, vocabulary]"), "{message}");
}

#[test]
fn requests_that_cannot_be_are_refused_before_they_begin() {
    let new = |prompt: &[i32], o: serde_json::Value| {
        Request::new([&ids(prompt), &HostValue::Null, &o.into()], None).map(|_| ()).unwrap_err().message().to_owned()
    };
    assert!(new(&[1], json!({})).contains("`rng` is required unless `temperature` is 0"));
    assert!(new(&[], json!({"temperature": 0, "startId": null})).contains("nothing to go on from"));
    assert!(new(&[1], json!({"temperature": 0, "stop": "x"})).contains("`stop` needs an `encoder`"));
    assert!(new(&[1], json!({"temperature": 0, "window": 1})).contains("`window`"));
    assert!(new(&[-1], json!({"temperature": 0})).contains("ids of tokens"));
    let text = Request::new([&HostValue::Text("a".into()), &HostValue::Null, &json!({"temperature": 0}).into()], None);
    assert!(text.map(|_| ()).unwrap_err().message().contains("needs an `encoder`"));
    assert_eq!(options(json!({})).max_tokens.0, 100);
}

#[test]
fn time_that_is_over_ends_an_output() {
    let layer = recurrent(Mode::Predict);
    let mut engine = engine(layer, json!({}));
    let o = json!({"temperature": 0, "maxTokens": 1_000_000, "startId": null, "timeoutMs": 30});
    engine.join(1, request(&[4], o));
    let events = run(&mut engine);
    let out = said(&events, 1);
    assert!(out.len() > 1 && out.last().and_then(|s| s.finish) == Some(Finish::Cancelled));
    engine.join(2, request(&[4], json!({"temperature": 0, "startId": null, "timeoutMs": 1e-6})));
    let (kind, message) = failure(&run(&mut engine)[0]);
    assert_eq!(kind, ErrorKind::Aborted);
    assert!(message.contains("`timeoutMs` was over before the first token"));
}

#[test]
fn time_is_over_for_what_waits_for_a_place_too() {
    let mut engine = engine(recurrent(Mode::Predict), json!({"maxBatch": 1}));
    engine.join(1, request(&[4], json!({"temperature": 0, "startId": null})));
    engine.join(2, request(&[4], json!({"temperature": 0, "startId": null, "timeoutMs": 1e-6})));
    let events = engine.step().expect("a step");
    let failed: Vec<u64> = events.iter().filter(|e| matches!(e.outcome, Outcome::Failed(_))).map(|e| e.id).collect();
    assert_eq!(failed, [2]);
    assert_eq!((engine.load().running, engine.load().waiting), (1, 0));
}

#[test]
fn what_left_is_freed() {
    let mut engine = engine(attentive(Mode::Predict), json!({"maxBatch": 2}));
    for id in 0..3 {
        engine.join(id, request(&[4, 5], json!({"temperature": 0})));
    }
    engine.step().expect("a step");
    let load = engine.load();
    assert_eq!((load.running, load.waiting, load.bytes > 0), (2, 1, true));
    (0..3).for_each(|id| engine.leave(id));
    let load = engine.load();
    assert_eq!((load.running, load.waiting, load.bytes, engine.is_idle()), (0, 0, 0, true));
}

#[test]
fn what_goes_on_from_a_prefix_is_what_goes_on_from_all_of_it() {
    for (layer, start) in [(attentive(Mode::Predict), json!(0)), (recurrent(Mode::Predict), json!(null))] {
        let o = json!({"temperature": 0, "maxTokens": 8, "startId": start, "repetitionPenalty": 1.5});
        let expected = alone(&layer, request(&[4, 9, 2, 7, 7], o.clone()));
        let mut engine = engine(layer, json!({}));
        let asked = json!({"startId": start}).into();
        engine.keep(1, Request::prefix([&ids(&[4, 9, 2]), &HostValue::Null, &asked], None).expect("a prefix"));
        assert!(matches!(run(&mut engine)[..], [Event { id: 1, outcome: Outcome::Kept }]));
        let bytes = engine.load().bytes;
        assert!(bytes > 0);
        let after = |prompt: &[i32]| {
            Request::after_prefix([&ids(prompt), &HostValue::Null, &o.clone().into()], None).expect("a request")
        };
        for id in 2..4 {
            engine.join_after(id, after(&[7, 7]), 1);
        }
        let events = run(&mut engine);
        assert_eq!(said(&events, 2), expected);
        assert_eq!(said(&events, 3), expected);
        assert_eq!(engine.load().bytes, bytes, "the prefix stays");
        engine.join_after(4, after(&[]), 1);
        assert_eq!(said(&run(&mut engine), 4).len(), 8, "nothing behind the prefix");
        engine.leave(1);
        assert_eq!(engine.load().bytes, 0);
        engine.join_after(5, after(&[7]), 1);
        assert_eq!(failure(&run(&mut engine)[0]).0, ErrorKind::InvalidArgument);
    }
}
