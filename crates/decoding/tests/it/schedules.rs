//! What decoding promises, for every layer that has to do with the positions before: a request is the same bits alone and in any company.
use crate::{
    models::{kinds, relative, Kind},
    support::{engine, ids, run, said, VOCABULARY},
};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use tallow_decoding::{Event, Outcome, Request, Said};
use tallow_layers::{registry, ErrorKind, HostValue};
use tallow_tensor::threads::set_num_threads;

/// Schedules that each kind runs, of more than a thousand in all; `TALLOW_SCHEDULES` is another number.
const SCHEDULES: usize = 20;
/// Requests of each kind.
const REQUESTS: usize = 14;

/// Layers with a mode that have no state in mode `'predict'`: they compute each position by itself, from it and what was read once.
const WITHOUT_STATE: &[&str] =
    &["BatchNorm", "Dropout", "EncDecAttention", "FilterResponseNorm", "PureAttention", "ShiftRight"];
/// Layers that no language model of tokens in order can have, as a position sees later ones in every mode, or several become one.
const SEES_LATER: &[&str] = &[
    "Attention",
    "AveragePooling",
    "Favor",
    "FavorAttention",
    "LinearPooling",
    "LinearUpsampling",
    "NaiveUpsampling",
    "NoUpsampling",
];
/// Layers that are refused, since they see the positions of one call only.
const REFUSED: &[&str] =
    &["RelativeAttention", "RelativeAttentionLMLayer", "RelativeAttentionLayer", "RelativeAttentionWrapper"];
/// What functions of the program compute.
const OF_THE_PROGRAM: &[&str] = &["EfficientAttentionBase", "Layer", "PureLayer"];

/// Dice that fall the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A request as it is asked.
struct Wanted {
    prompt: Vec<i32>,
    source: HostValue,
    options: Value,
}

impl Wanted {
    fn new(kind: &Kind, number: usize, dice: &mut Dice) -> Self {
        let prompt = (0..1 + dice.below(12)).map(|_| dice.below(VOCABULARY) as i32).collect();
        let options = json!({
            "temperature": ([0.0, 0.7, 1.3][dice.below(3)]), "topK": 1 + dice.below(VOCABULARY), "topP": ([1.0, 0.8][dice.below(2)]),
            "repetitionPenalty": ([1.0, 1.3][dice.below(2)]), "maxTokens": 1 + dice.below(9), "rng": [1, number], "logProbs": 2,
            "startId": kind.start, "stopTokens": [dice.below(VOCABULARY)],
        });
        // Sources of two lengths: those of one length are read together.
        let source = match kind.has_source {
            true => ids(&(0..3 + 2 * dice.below(2)).map(|_| 1 + dice.below(VOCABULARY - 1) as i32).collect::<Vec<_>>()),
            false => HostValue::Null,
        };
        Self { prompt, source, options }
    }
    fn request(&self) -> Request {
        Request::new([&ids(&self.prompt), &self.source, &self.options.clone().into()], None)
            .unwrap_or_else(|e| panic!("{e}"))
    }
}

fn alone(kind: &Kind, wanted: &Wanted) -> Vec<Said> {
    let mut engine = engine(kind.model.clone(), json!({}));
    engine.join(0, wanted.request());
    said(&run(&mut engine), 0)
}

/// Runs some of the requests, which come and go as the dice say.
fn check(name: &str, kind: &Kind, wanted: &[Wanted], expected: &[Vec<Said>], dice: &mut Dice) {
    let mut engine = engine(kind.model.clone(), json!({"maxBatch": ([2, 5, 64][dice.below(3)])}));
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    (1..order.len()).rev().for_each(|i| order.swap(i, dice.below(i + 1)));
    order.truncate(2 + dice.below(order.len() - 1));
    let (mut events, mut left, mut asked) = (Vec::new(), BTreeSet::new(), order.iter());
    loop {
        for &i in asked.by_ref().take(dice.below(4)) {
            engine.join(i as u64, wanted[i].request());
        }
        if dice.below(12) == 0 {
            let id = order[dice.below(order.len())];
            engine.leave(id as u64);
            left.insert(id);
        }
        if engine.is_idle() && asked.len() == 0 {
            break;
        }
        events.extend(engine.step().unwrap_or_else(|e| panic!("{name}: {e}")));
    }
    for i in order {
        let out = said(&events, i as u64);
        let all = if left.contains(&i) { out.len() } else { expected[i].len() };
        assert_eq!(out, expected[i][..all], "{name}: request {i}");
    }
}

fn schedules() -> usize {
    std::env::var("TALLOW_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES)
}

#[test]
fn every_layer_says_the_same_bits_in_any_company() {
    let kinds = kinds();
    assert!(kinds.len() * SCHEDULES >= 1000);
    let mut failed = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let name = format!("{number}: {}", kind.of.join(", "));
        let mut dice = Dice(11 + number as u64);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let wanted: Vec<Wanted> = (0..REQUESTS).map(|i| Wanted::new(kind, i, &mut dice)).collect();
            let expected: Vec<Vec<Said>> = wanted.iter().map(|w| alone(kind, w)).collect();
            assert!(expected.iter().all(|said| !said.is_empty()));
            for schedule in 0..schedules() {
                set_num_threads([1, 2, 4][schedule % 3]).expect("threads");
                check(&name, kind, &wanted, &expected, &mut dice);
            }
        }));
        failed.extend(result.err().map(|_| name));
    }
    set_num_threads(2).expect("threads");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_layer_with_a_mode_is_held_to_it_or_named() {
    let kinds = kinds();
    let held: BTreeSet<&str> = kinds.iter().flat_map(|kind| kind.of.iter().copied()).collect();
    let metas = registry::layers().iter().flat_map(|t| t.iter()).map(|e| (e.meta)());
    let with_mode: BTreeSet<&str> = metas.filter(|m| m.all().any(|f| f.name == "mode")).map(|m| m.kind).collect();
    let named: BTreeSet<&str> = [WITHOUT_STATE, SEES_LATER, REFUSED, OF_THE_PROGRAM].concat().into_iter().collect();
    let lacking: Vec<&&str> = with_mode.iter().filter(|k| !held.contains(*k) && !named.contains(*k)).collect();
    assert!(lacking.is_empty(), "{lacking:?} have a mode, but no schedule runs them");
    let stale: Vec<&&str> = named.iter().filter(|k| !with_mode.contains(*k) || held.contains(*k)).collect();
    assert!(stale.is_empty(), "{stale:?} need not be named");
}

#[test]
fn relative_attention_is_refused_by_name() {
    let said = "Serial cannot go on with a sequence, as RelativeAttention sees the positions of one call only; use attention that goes on";
    for model in relative() {
        let mut engine = engine(model, json!({}));
        engine.join(
            3,
            Request::new([&ids(&[4, 5]), &HostValue::Null, &json!({"temperature": 0}).into()], None)
                .expect("a request"),
        );
        let events = run(&mut engine);
        match &events[..] {
            [Event { id: 3, outcome: Outcome::Failed(e) }] => {
                assert_eq!(e.kind(), ErrorKind::InvalidArgument);
                assert!(e.message().starts_with(said), "{e}");
            }
            other => panic!("{other:?}"),
        }
    }
}
