//! Small models and requests.
use serde_json::{json, Value};
use tallow_decoding::{Engine, Event, GenerateOptions, Model, Outcome, Reading, Request, Said};
use tallow_layers::{
    combinators::serial, hold, init, is_quantized, quantize, registry, HostValue, LayerRef, Mode, TensorSpec,
};
use tallow_tensor::{ops::Quantization, random::Key, DType};

/// How many tokens the models have.
pub(crate) const VOCABULARY: usize = 29;

pub(crate) fn made(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

/// A model of tokens, with its weights.
pub(crate) fn held(layers: Vec<LayerRef>) -> LayerRef {
    held_for(layers, 1)
}

/// A model of so many inputs of tokens, with its weights.
pub(crate) fn held_for(layers: Vec<LayerRef>, inputs: usize) -> LayerRef {
    let model = serial(layers);
    let specs = vec![TensorSpec::new([1, 4], DType::I32); inputs];
    let (weights, state) = init(&model, &specs, Key([3, 1])).expect("weights");
    hold(&model, Some(&weights), Some(&state));
    model
}

/// A copy whose large matrices are held in fewer bits.
pub(crate) fn quantized(model: &LayerRef, quantization: Quantization) -> LayerRef {
    let small = quantize(model, quantization).expect("quantized weights");
    assert!(is_quantized(&small) && !is_quantized(model));
    small
}

/// A language model that shifts its input, with attention and positions.
pub(crate) fn attentive(mode: Mode) -> LayerRef {
    let mode = mode.name();
    held(vec![
        made("ShiftRight", json!({"mode": mode})),
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 16})),
        made("PositionalEncoding", json!({"maxLen": 96, "mode": mode})),
        made("CausalAttention", json!({"dFeature": 16, "nHeads": 2, "mode": mode, "maxInferenceLength": 96})),
        made("LayerNorm", json!({})),
        made("Dense", json!({"nUnits": VOCABULARY})),
    ])
}

/// One whose matrices are large enough to be quantized.
pub(crate) fn wide(mode: Mode, quantization: Quantization) -> LayerRef {
    let mode = mode.name();
    let model = held(vec![
        made("ShiftRight", json!({"mode": mode})),
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 48})),
        made("PositionalEncoding", json!({"maxLen": 96, "mode": mode})),
        made("CausalAttention", json!({"dFeature": 48, "nHeads": 2, "mode": mode, "maxInferenceLength": 96})),
        made("LayerNorm", json!({})),
        made("Dense", json!({"nUnits": VOCABULARY})),
    ]);
    quantized(&model, quantization)
}

/// A language model that shifts nothing.
pub(crate) fn recurrent(mode: Mode) -> LayerRef {
    held(vec![
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 16})),
        made("LSTM", json!({"nUnits": 16, "mode": mode.name()})),
        made("Dense", json!({"nUnits": VOCABULARY})),
    ])
}

pub(crate) fn engine(layer: LayerRef, options: Value) -> Engine {
    let options = tallow_decoding::DecoderOptions::parse(&options.into()).expect("options");
    Engine::new(Model::new(layer, Reading::Next), options)
}

pub(crate) fn ids(ids: &[i32]) -> HostValue {
    HostValue::List(ids.iter().map(|&id| HostValue::Number(f64::from(id))).collect())
}

pub(crate) fn request(prompt: &[i32], options: Value) -> Request {
    Request::new([&ids(prompt), &HostValue::Null, &options.into()], None).unwrap_or_else(|e| panic!("{e}"))
}

/// Options as a user writes them, parsed.
pub(crate) fn options(options: Value) -> GenerateOptions {
    GenerateOptions::parse(&options.into()).expect("options")
}

/// Runs an engine to its end; what each request said, by its number.
pub(crate) fn run(engine: &mut Engine) -> Vec<Event> {
    let mut events = Vec::new();
    while !engine.is_idle() {
        events.extend(engine.step().expect("a step"));
    }
    events
}

/// What one request said.
pub(crate) fn said(events: &[Event], id: u64) -> Vec<Said> {
    let of = events.iter().filter(|e| e.id == id);
    of.map(|e| match &e.outcome {
        Outcome::Said(said) => said.clone(),
        other => panic!("request {id}: {other:?}"),
    })
    .collect()
}

/// What a request says alone.
pub(crate) fn alone(layer: &LayerRef, request: Request) -> Vec<Said> {
    let mut engine = engine(layer.clone(), json!({}));
    engine.join(0, request);
    said(&run(&mut engine), 0)
}

pub(crate) fn tokens(said: &[Said]) -> Vec<i32> {
    said.iter().map(|s| s.token).collect()
}
