//! Streams that are computed together: each as if it were alone, whatever else is in the calls.
use serde_json::{json, Value};
use tallow_layers::{
    call,
    combinators::{cache_in_predict, pure, residual, serial},
    hold, init, init_state, load_state, pure_fn, registry, shares_weights, view_state, with_mode, ErrorKind, LayerRef,
    Mode, Stream, Streams, TensorSpec, Tree,
};
use tallow_tensor::{
    random::Key,
    testing::{assert_within, random, Tolerance},
    threads::set_num_threads,
    Axes, DType, Tensor,
};

const KEY: Key = Key([8, 15]);
const VOCABULARY: usize = 37;

fn make(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

/// A language model of one block around `layers`, with its weights.
fn model(d: usize, position: Option<(&str, Value)>, layers: Vec<LayerRef>) -> LayerRef {
    let mut all = vec![make("ShiftRight", json!({"mode": "predict"}))];
    all.push(make("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": d})));
    all.extend(position.map(|(kind, options)| make(kind, options)));
    let normed = [vec![make("LayerNorm", json!({}))], layers].concat();
    all.push(residual(normed, None).unwrap());
    let ff = vec![make("LayerNorm", json!({})), make("Dense", json!({"nUnits": 3 * d})), make("Relu", json!({}))];
    all.push(residual([ff, vec![make("Dense", json!({"nUnits": d}))]].concat(), None).unwrap());
    all.push(make("Dense", json!({"nUnits": VOCABULARY})));
    let model = serial(all);
    let (weights, state) = init(&model, &[TensorSpec::new([1, 1], DType::I32)], KEY).unwrap();
    hold(&model, Some(&weights), Some(&state));
    model
}

fn table() -> Option<(&'static str, Value)> {
    Some(("PositionalEncoding", json!({"maxLen": 200, "mode": "predict"})))
}

/// Models of every kind of layer that goes on, by name.
fn models() -> Vec<(&'static str, LayerRef)> {
    let predict = |mut options: Value| {
        options["mode"] = json!("predict");
        options
    };
    let causal =
        |d: usize| make("CausalAttention", predict(json!({"dFeature": d, "nHeads": 4, "maxInferenceLength": 200})));
    let one = |kind: &'static str, d, options: Value| (kind, model(d, table(), vec![make(kind, predict(options))]));
    let window = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "predictMemLen": 12, "predictDropLen": 4});
    let hashed = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "nHashes": 2, "nBuckets": 4, "chunkLen": 4,
        "predictMemLen": 16, "predictDropLen": 4});
    let encoded =
        |kind: &'static str, options: Value| (kind, model(16, Some((kind, predict(options))), vec![causal(16)]));
    vec![
        ("CausalAttention", model(64, table(), vec![causal(64)])),
        (
            "CausalAttention with a convolution",
            model(
                16,
                table(),
                vec![make(
                    "CausalAttention",
                    predict(json!({"dFeature": 16, "nHeads": 2, "maxInferenceLength": 200, "useDconv": true})),
                )],
            ),
        ),
        one("LSTM", 32, json!({"nUnits": 32})),
        one("GRU", 32, json!({"nUnits": 32})),
        one("SRU", 32, json!({"nUnits": 32})),
        one("CausalDepthwiseConv", 24, json!({"kernelSize": 3})),
        one("SelfAttention", 24, window),
        one("LSHSelfAttention", 24, hashed),
        one("CausalFavor", 16, json!({"dFeature": 16, "nHeads": 2})),
        one("ConvCausalAttention", 16, json!({"dFeature": 16, "nHeads": 2, "sparsity": 2, "maxInferenceLength": 200})),
        (
            "SparseFF",
            model(
                16,
                table(),
                vec![causal(16), make("SparseFF", predict(json!({"dFf": 32, "nElementsInBlock": 8, "dLowrank": 4})))],
            ),
        ),
        (
            "BlockSparseFF",
            model(16, table(), vec![causal(16), make("BlockSparseFF", predict(json!({"dFf": 32, "nExperts": 4})))]),
        ),
        (
            "SwitchSparseFF",
            model(16, table(), vec![causal(16), make("SwitchSparseFF", predict(json!({"dFf": 32, "nExperts": 4})))]),
        ),
        encoded("SinCosPositionalEncoding", json!({})),
        encoded("FixedBasePositionalEncoding", json!({"bases": [11, 13], "nDigits": 4})),
        encoded("AxialPositionalEncoding", json!({"shape": [20, 10], "dEmbs": [8, 8]})),
        encoded("TimeBinPositionalEncoding", json!({"timeBinLength": 5})),
        encoded("InfinitePositionalEncoding", json!({"affine": false})),
    ]
}

/// A request: the tokens that are read, the first few at once.
struct Request {
    tokens: Vec<i32>,
    prompt: usize,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
    fn request(&mut self, longest: usize) -> Request {
        let prompt = 1 + self.below(9);
        let length = prompt + self.below(longest);
        Request { tokens: (0..length).map(|_| self.below(VOCABULARY) as i32).collect(), prompt }
    }
}

fn ints(values: Vec<i32>, shape: [usize; 2]) -> Tensor {
    Tensor::from_vec(values, &shape).unwrap()
}

/// Bits of logits, a row for each stream.
fn bits(y: &Tensor, streams: usize) -> Vec<Vec<u32>> {
    let values: Vec<f32> = y.to_vec().unwrap();
    values.chunks(values.len() / streams).map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

fn streams_of(model: &LayerRef) -> Streams {
    Streams::new(model, &[TensorSpec::new([1, 1], DType::I32)]).unwrap()
}

/// What a request gives when it is alone: the bits of the logits behind its prompt, and behind each token after that.
fn alone(streams: &Streams, request: &Request) -> Vec<Vec<u32>> {
    let mut stream = streams.begin();
    let mut call = |tokens: &[i32]| {
        let x = ints(tokens.to_vec(), [1, tokens.len()]);
        bits(&streams.call(&mut [&mut stream], vec![x], KEY).unwrap()[0], 1).remove(0)
    };
    let (prompt, rest) = request.tokens.split_at(request.prompt);
    let mut out = vec![call(prompt)];
    out.extend(rest.iter().map(|token| call(&[*token])));
    out
}

/// A request under way: its stream, how many of its tokens were read, and what came out.
struct Running<'a> {
    request: &'a Request,
    stream: Stream,
    read: usize,
    out: Vec<Vec<u32>>,
}

/// Runs requests that join, leave, change places and are copied as the dice say, at most `most` at once.
fn together(streams: &Streams, requests: &[Request], most: usize, dice: &mut Dice) -> Vec<Vec<Vec<u32>>> {
    let mut done: Vec<Vec<Vec<u32>>> = (0..requests.len()).map(|_| Vec::new()).collect();
    let mut waiting: Vec<usize> = (0..requests.len()).collect();
    let mut running: Vec<(usize, Running)> = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        if !waiting.is_empty() && running.len() < most && (running.is_empty() || dice.below(2) == 0) {
            let at = waiting.swap_remove(dice.below(waiting.len()));
            let request = &requests[at];
            running.push((at, Running { request, stream: streams.begin(), read: 0, out: Vec::new() }));
        }
        // Some of them, in any order, each as many tokens: prompts with prompts of their length.
        for i in (1..running.len()).rev() {
            let other = dice.below(i + 1);
            running.swap(i, other);
        }
        let next = |r: &Running| if r.read == 0 { r.request.prompt } else { 1 };
        let count = next(&running[0].1);
        let mut chosen: Vec<&mut Running> = running.iter_mut().map(|(_, r)| r).filter(|r| next(r) == count).collect();
        chosen.truncate(1 + dice.below(chosen.len().max(1)).max(chosen.len() / 2));
        let n = chosen.len();
        let tokens = chosen.iter().flat_map(|r| r.request.tokens[r.read..r.read + count].to_vec()).collect();
        if dice.below(8) == 0 {
            // A copy goes on in place of what it was made of, which goes on elsewhere first.
            let twin = chosen[0].stream.clone();
            let mut other = std::mem::replace(&mut chosen[0].stream, twin);
            let x = ints(vec![3; count], [1, count]);
            streams.call(&mut [&mut other], vec![x], KEY).unwrap();
        }
        let mut states: Vec<&mut Stream> = chosen.iter_mut().map(|r| &mut r.stream).collect();
        let ys = streams.call(&mut states, vec![ints(tokens, [n, count])], KEY).unwrap();
        for (r, row) in chosen.iter_mut().zip(bits(&ys[0], n)) {
            r.read += count;
            r.out.push(row);
        }
        running.retain_mut(|(at, r)| {
            let over = r.read == r.request.tokens.len();
            if over {
                done[*at] = std::mem::take(&mut r.out);
            }
            !over
        });
    }
    done
}

#[test]
fn a_stream_is_the_same_alone_and_in_any_company() {
    let threads = tallow_tensor::threads::num_threads();
    for (name, model) in models() {
        let streams = streams_of(&model);
        let mut dice = Dice(7);
        let requests: Vec<Request> = (0..12).map(|_| dice.request(12)).collect();
        let expected: Vec<_> = requests.iter().map(|r| alone(&streams, r)).collect();
        for round in 0..6 {
            set_num_threads([1, 2, 4][round % 3]).unwrap();
            let found = together(&streams, &requests, [3, 7, 12][round / 2], &mut dice);
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
                    assert!(found == expected, "{name}: request {i} differs at step {step} of round {round}");
                }
                assert_eq!(found.len(), expected.len());
            }
        }
    }
    set_num_threads(threads).unwrap();
}

#[test]
fn a_thousand_schedules_change_no_bit_of_attention() {
    let (_, model) = models().swap_remove(0);
    let streams = streams_of(&model);
    let mut dice = Dice(99);
    let requests: Vec<Request> = (0..64).map(|_| dice.request(8)).collect();
    let expected: Vec<_> = requests.iter().map(|r| alone(&streams, r)).collect();
    for schedule in 0..1000 {
        let some = if schedule % 100 == 0 { 64 } else { 2 + dice.below(5) };
        let first = dice.below(65 - some);
        let found = together(&streams, &requests[first..first + some], some, &mut dice);
        assert!(found == expected[first..first + some], "schedule {schedule} of {some} requests from {first}");
    }
}

fn floats(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).unwrap()
}

#[test]
fn a_prompt_in_one_pass_gives_what_its_tokens_one_by_one_give() {
    for (name, model) in models() {
        // What looks at the vectors of a whole piece to group them sees others than a step does.
        if name.starts_with("LSH") {
            continue;
        }
        let streams = streams_of(&model);
        let tokens = [5, 9, 2, 30, 11, 7, 7];
        let (mut at_once, mut stepwise) = (streams.begin(), streams.begin());
        let call = |stream: &mut Stream, tokens: &[i32]| {
            streams.call(&mut [stream], vec![ints(tokens.to_vec(), [1, tokens.len()])], KEY).unwrap().remove(0)
        };
        let whole = call(&mut at_once, &tokens);
        let steps: Vec<Tensor> = tokens.iter().map(|token| call(&mut stepwise, &[*token])).collect();
        let near = Tolerance { absolute: 2e-5, relative: 2e-5 };
        assert_within(&Tensor::concat(&steps, 1).unwrap(), &whole, near);
        assert_within(&call(&mut at_once, &[1]), &call(&mut stepwise, &[1]), near);
    }
}

#[test]
fn what_was_read_grows_in_blocks_and_up_to_its_room() {
    let options = json!({"dFeature": 8, "nHeads": 2, "maxInferenceLength": 70, "mode": "predict"});
    let layer = make("CausalAttention", options);
    let (weights, state) = init(&layer, &[TensorSpec::new([1, 1, 8], DType::F32)], KEY).unwrap();
    hold(&layer, Some(&weights), Some(&state));
    let streams = Streams::new(&layer, &[TensorSpec::new([1, 1, 8], DType::F32)]).unwrap();
    let mut stream = streams.begin();
    assert_eq!(stream.bytes(), 0);
    let block = 64 * (8 + 8) * 4;
    streams.call(&mut [&mut stream], vec![floats(&[1, 3, 8], 1)], KEY).unwrap();
    assert_eq!(stream.bytes(), block);
    streams.call(&mut [&mut stream], vec![floats(&[1, 66, 8], 2)], KEY).unwrap();
    assert_eq!(stream.bytes(), 2 * block);
    let twin = stream.clone();
    let error = streams.call(&mut [&mut stream], vec![floats(&[1, 2, 8], 3)], KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "predict reached position 71, but maxInferenceLength is 70");
    // The last position works, after the refusal and in the copy made before it.
    for stream in [&mut stream, &mut twin.clone()] {
        let y = streams.call(&mut [stream], vec![floats(&[1, 1, 8], 3)], KEY).unwrap();
        assert_eq!(y[0].shape(), [1, 1, 8]);
    }
}

#[test]
fn calls_that_make_no_sense_are_refused_and_change_nothing() {
    let (_, model) = models().swap_remove(0);
    let streams = streams_of(&model);
    let (mut a, mut b) = (streams.begin(), streams.begin());
    let none = streams.call(&mut [], vec![ints(vec![1], [1, 1])], KEY).unwrap_err();
    assert_eq!(
        (none.kind(), none.message()),
        (ErrorKind::InvalidArgument, "a call of streams needs at least one stream")
    );
    let odd = streams.call(&mut [&mut a, &mut b], vec![ints(vec![1, 2, 3], [3, 1])], KEY).unwrap_err();
    assert_eq!(odd.kind(), ErrorKind::ShapeMismatch);
    let beyond = streams.call(&mut [&mut a], vec![ints(vec![VOCABULARY as i32], [1, 1])], KEY).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::IndexOutOfRange);
    let unmade = make("Dense", json!({"nUnits": 3}));
    let error = Streams::new(&unmade, &[TensorSpec::new([1, 4], DType::F32)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotInitialized);
    let mut fresh = streams.begin();
    let x = || vec![ints(vec![4, 5], [1, 2])];
    let [first, again] = [&mut a, &mut fresh].map(|s| bits(&streams.call(&mut [s], x(), KEY).unwrap()[0], 1));
    assert!(first == again);
}

#[test]
fn each_stream_has_its_own_cached_result() {
    let layer = serial(vec![cache_in_predict(make("Dense", json!({"nUnits": 3})), Mode::Eval)]);
    let specs = [TensorSpec::new([1, 2, 4], DType::F32)];
    let (weights, state) = init(&layer, &specs, KEY).unwrap();
    hold(&layer, Some(&weights), Some(&state));
    let predict = with_mode(&layer, Mode::Predict);
    let streams = Streams::new(&predict, &specs).unwrap();
    let (mut a, mut b) = (streams.begin(), streams.begin());
    let sources = [floats(&[1, 2, 4], 1), floats(&[1, 2, 4], 2)];
    let first = streams.call(&mut [&mut a], vec![sources[0].clone()], KEY).unwrap().remove(0);
    let expected = streams.call(&mut [&mut streams.begin()], vec![sources[1].clone()], KEY).unwrap().remove(0);
    // The second has none yet, the first keeps its own whatever comes.
    let both = Tensor::concat(&[sources[1].clone(), sources[0].clone()], 0).unwrap();
    let ys = streams.call(&mut [&mut b, &mut a], vec![both], KEY).unwrap().remove(0);
    assert_eq!(bits(&ys, 2), [bits(&expected, 1), bits(&first, 1)].concat());
    // What was joined is kept as one as long as the same streams come in the same order, and is no more to hold.
    let call = |streams_of_call: &mut [&mut Stream]| {
        let n = streams_of_call.len();
        streams.call(streams_of_call, vec![floats(&[n, 2, 4], 9)], KEY).unwrap().remove(0)
    };
    let held = b.bytes();
    assert_eq!(held, 2 * 3 * 4);
    let kept = call(&mut [&mut b, &mut a]);
    assert_eq!((kept.storage_id(), b.bytes()), (ys.storage_id(), held));
    let turned = call(&mut [&mut a, &mut b]);
    assert_eq!(bits(&turned, 2), [bits(&first, 1), bits(&expected, 1)].concat());
    assert!(turned.storage_id() != ys.storage_id());
    assert_eq!(call(&mut [&mut a, &mut b]).storage_id(), turned.storage_id());
    let mut c = streams.begin();
    let third = call(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(bits(&third, 3)[..2], bits(&turned, 2));
    // A stream that is left holds its own alone.
    let alone = call(&mut [&mut b]);
    assert_eq!((bits(&alone, 1), alone.storage_bytes()), (bits(&expected, 1), held));
    let long = streams.call(&mut [&mut streams.begin(), &mut a], vec![floats(&[2, 5, 4], 3)], KEY).unwrap_err();
    assert_eq!(long.kind(), ErrorKind::ShapeMismatch);
    assert!(long.message().contains("pad the sources of the streams to one length"), "{}", long.message());
}

#[test]
fn a_cached_number_is_that_of_one_stream() {
    let sum = pure(
        "sum",
        1,
        1,
        |s| Ok(vec![TensorSpec::new([0usize; 0], s[0].dtype)]),
        |xs| Ok(vec![xs[0].sum(Axes::All, false)?]),
    );
    let layer = serial(vec![cache_in_predict(sum, Mode::Predict)]);
    let specs = [TensorSpec::new([1, 2], DType::F32)];
    let (weights, state) = init(&layer, &specs, KEY).unwrap();
    hold(&layer, Some(&weights), Some(&state));
    let streams = Streams::new(&layer, &specs).unwrap();
    let (mut a, mut b) = (streams.begin(), streams.begin());
    let x = |rows: usize| vec![Tensor::from_vec(vec![2f32; 2 * rows], &[rows, 2]).unwrap()];
    for _ in 0..2 {
        assert_eq!(streams.call(&mut [&mut a], x(1), KEY).unwrap()[0].item().unwrap(), 4.0);
    }
    let error = streams.call(&mut [&mut a, &mut b], x(2), KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

#[test]
fn to_initialize_a_copy_in_predict_mode_begins_new_sequences_and_keeps_weights() {
    let cached = cache_in_predict(make("Dense", json!({"nUnits": 3})), Mode::Eval);
    let attention = make("CausalAttention", json!({"dFeature": 3, "mode": "eval"}));
    let layer = serial(vec![cached, attention]);
    let specs = [TensorSpec::new([1, 1, 4], DType::F32)];
    let (weights, state) = init(&layer, &specs, KEY).unwrap();
    hold(&layer, Some(&weights), Some(&state));
    assert!(!shares_weights(&layer));
    let predict = with_mode(&layer, Mode::Predict);
    assert!(shares_weights(&predict));
    let run = |x: &Tensor| {
        let (ys, new) = call(&predict, vec![x.clone()], KEY).unwrap();
        new.keep();
        bits(&ys[0], 1)
    };
    let [a, b] = [floats(&[1, 1, 4], 1), floats(&[1, 1, 4], 2)];
    let first = run(&a);
    assert_eq!(run(&b), first, "the first result is kept");
    let (same, fresh) = init_state(&predict, &specs, Key::new(77)).unwrap();
    for (id, tree) in &same {
        assert!(tree.is_same(&weights[id]));
    }
    hold(&predict, None, Some(&fresh));
    let second = run(&b);
    assert!(second != first);
    let other = init_state(&predict, &[TensorSpec::new([1, 1, 5], DType::F32)], KEY).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::WeightsMismatch);
}

#[test]
fn trax_state_is_shown_and_taken() {
    let options = json!({"maxInferenceLength": 5, "mode": "predict"});
    let layer = make("DotProductCausalAttention", options);
    let x = |seed| vec![floats(&[2, 1, 3], seed), floats(&[2, 1, 3], seed + 10), floats(&[2, 1, 4], seed + 20)];
    let specs: Vec<TensorSpec> = x(0).iter().map(TensorSpec::of).collect();
    let (weights, start) = init(&layer, &specs, KEY).unwrap();
    // Before anything was read there are zeros, which take no memory whatever the room is; and they are what is begun with.
    let shown = view_state(&layer, &start).unwrap();
    let [keys, values, index] = shown.many::<3>().unwrap();
    assert_eq!((keys.shape(), values.shape(), index.item().unwrap()), (&[2, 5, 3][..], &[2, 5, 4][..], 0.0));
    assert!([keys, values].iter().all(|t| t.storage_bytes() == 4 && t.to_f64_vec().unwrap().iter().all(|v| *v == 0.0)));
    let taken = load_state(&layer, &shown).unwrap();
    let [a, b] = [start.clone(), taken].map(|s| bits(&pure_fn(&layer, x(1), &weights, s, KEY).unwrap().0[0], 1));
    assert!(a == b);
    let (_, after) = pure_fn(&layer, x(1), &weights, start, KEY).unwrap();
    let shown = view_state(&layer, &after).unwrap();
    let [keys, values, index] = shown.many::<3>().unwrap();
    assert_eq!((keys.shape(), values.shape(), index.item().unwrap()), (&[2, 5, 3][..], &[2, 5, 4][..], 1.0));
    assert_eq!(keys.narrow(1, 0, 1).unwrap().to_f64_vec().unwrap(), x(1)[1].to_f64_vec().unwrap());
    assert!(keys.narrow(1, 1, 4).unwrap().to_f64_vec().unwrap().iter().all(|v| *v == 0.0));
    let taken = load_state(&layer, &shown).unwrap();
    let [a, b] = [after, taken].map(|s| bits(&pure_fn(&layer, x(2), &weights, s, KEY).unwrap().0[0], 1));
    assert!(a == b);
    for index in [-1.0, 6.0, 1.5] {
        let state = Tree::tuple([keys.clone(), values.clone(), Tensor::scalar(index)]);
        let state = load_state(&layer, &state).unwrap();
        let error = pure_fn(&layer, x(2), &weights, state, KEY).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
}
