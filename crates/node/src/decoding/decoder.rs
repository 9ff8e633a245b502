//! A model and the requests that share it.
use super::slice::{reading, steps};
use crate::{
    bridge::{
        environment::run,
        error::{Failure, Outcome as Done},
        lock::lock,
        wire::Wire,
    },
    data::NativeEncoder,
    layer::run_with,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc, Mutex,
    },
};
use tallow_decoding::{DecoderOptions, Engine, Event, Load, Model, Outcome, Reading, Request, Said};
use tallow_layers::{self as layers, HostValue, LayerRef, Mode};

/// What JavaScript asks of an engine that may be running just now.
enum Asked {
    Join(u64, Box<Request>),
    JoinAfter(u64, Box<Request>, u64),
    Keep(u64, Box<Request>),
    Leave(u64),
}

struct Shared {
    engine: Mutex<Engine>,
    asked: Mutex<Vec<Asked>>,
    /// As it was after the last step.
    load: Mutex<Load>,
    /// Why requests failed, until JavaScript asks.
    failures: Mutex<HashMap<u64, layers::Error>>,
}

/// A model and the requests that share it.
#[napi]
pub struct NativeDecoder {
    shared: Arc<Shared>,
    model: LayerRef,
    positions: Option<usize>,
    next: AtomicU64,
}

/// Tokens as JavaScript is told of them.
fn told(id: u64, said: Said) -> HostValue {
    let number = |n: f64| HostValue::Number(n);
    let mut fields = vec![
        ("id".to_owned(), number(id as f64)),
        ("token".to_owned(), number(f64::from(said.token))),
        ("logProb".to_owned(), number(said.log_prob)),
    ];
    if !said.top.is_empty() {
        let each =
            |(token, p): (u32, f64)| HostValue::from([("token", number(f64::from(token))), ("logProb", number(p))]);
        fields.push(("topLogProbs".to_owned(), HostValue::List(said.top.into_iter().map(each).collect())));
    }
    fields.extend(said.text.map(|text| ("text".to_owned(), HostValue::Text(text))));
    fields.extend(said.finish.map(|finish| ("finishReason".to_owned(), HostValue::Text(finish.name().to_owned()))));
    HostValue::Record(fields)
}

impl Shared {
    /// Does what was asked for since the last step.
    fn serve(&self, engine: &mut Engine) {
        for asked in std::mem::take(&mut *lock(&self.asked)) {
            match asked {
                Asked::Join(id, request) => engine.join(id, *request),
                Asked::JoinAfter(id, request, prefix) => engine.join_after(id, *request, prefix),
                Asked::Keep(id, request) => engine.keep(id, *request),
                Asked::Leave(id) => engine.leave(id),
            }
        }
    }
    fn told(&self, event: Event) -> HostValue {
        match event.outcome {
            Outcome::Said(said) => told(event.id, said),
            Outcome::Kept => HostValue::from([("id", HostValue::Number(event.id as f64)), ("kept", true.into())]),
            Outcome::Failed(e) => {
                lock(&self.failures).insert(event.id, e);
                HostValue::from([("id", HostValue::Number(event.id as f64)), ("failed", true.into())])
            }
        }
    }
    /// Some steps: what happened in them. It returns when a request is over, so that who waits for it need not wait longer.
    fn advance(&self) -> Done<HostValue> {
        let mut events = Vec::new();
        steps(|| {
            let mut engine = lock(&self.engine);
            self.serve(&mut engine);
            let before = events.len();
            events.extend(engine.step()?);
            Ok(engine.is_idle() || events[before..].iter().any(Event::ends))
        })?;
        *lock(&self.load) = lock(&self.engine).load();
        Ok(HostValue::List(events.into_iter().map(|event| self.told(event)).collect()))
    }
}

/// A decoder of the layer behind `model`, in mode `'predict'`.
#[napi]
pub fn new_decoder(env: Env, model: f64, options: Wire) -> Result<NativeDecoder> {
    run_with(&env, model, |e, layer| {
        let options = DecoderOptions::parse(&options.0)?;
        let model = layers::charging(&e.account, || layers::with_mode(&layer, Mode::Predict));
        let engine = Engine::new(Model::new(model.clone(), Reading::Next), options);
        let (load, positions) = (Mutex::new(engine.load()), engine.positions());
        let shared = Shared { engine: Mutex::new(engine), asked: Mutex::default(), load, failures: Mutex::default() };
        Ok(NativeDecoder { shared: Arc::new(shared), model, positions, next: AtomicU64::new(1) })
    })
}

impl NativeDecoder {
    fn ask(&self, make: impl FnOnce(u64) -> Asked) -> f64 {
        let id = self.next.fetch_add(1, Relaxed);
        lock(&self.shared.asked).push(make(id));
        id as f64
    }
}

#[napi]
impl NativeDecoder {
    /// Adds a request, which begins with the next step, behind the prefix of this number if there is one: its number.
    #[napi]
    pub fn join(
        &self,
        env: Env,
        prompt: Wire,
        inputs: Wire,
        options: Wire,
        encoder: Option<ClassInstance<'_, NativeEncoder>>,
        prefix: Option<f64>,
    ) -> Result<f64> {
        run(&env, |_| {
            let encoder = NativeEncoder::given(encoder)?;
            let asked = [&prompt.0, &inputs.0, &options.0];
            let Some(prefix) = prefix else {
                let request = Box::new(Request::new(asked, encoder)?);
                return Ok(self.ask(|id| Asked::Join(id, request)));
            };
            let request = Box::new(Request::after_prefix(asked, encoder)?);
            Ok(self.ask(|id| Asked::JoinAfter(id, request, prefix as u64)))
        })
    }
    /// Adds what is read once, for requests to go on from: its number.
    #[napi]
    pub fn keep(
        &self,
        env: Env,
        prompt: Wire,
        inputs: Wire,
        options: Wire,
        encoder: Option<ClassInstance<'_, NativeEncoder>>,
    ) -> Result<f64> {
        run(&env, |_| {
            let encoder = NativeEncoder::given(encoder)?;
            let request = Box::new(Request::prefix([&prompt.0, &inputs.0, &options.0], encoder)?);
            Ok(self.ask(|id| Asked::Keep(id, request)))
        })
    }
    /// Ends a request. What is kept of it is freed at once, or after the step that is running.
    #[napi]
    pub fn leave(&self, env: Env, id: f64) -> Result<()> {
        run(&env, |_| {
            lock(&self.shared.asked).push(Asked::Leave(id as u64));
            if let Ok(mut engine) = self.shared.engine.try_lock() {
                self.shared.serve(&mut engine);
                *lock(&self.shared.load) = engine.load();
            }
            Ok(())
        })
    }
    /// Some steps on the compute thread: a list of what happened to which request.
    #[napi(
        ts_return_type = "Promise<({ id: number, failed: true } | { id: number, kept: true } | { id: number, token: number, logProb: number, topLogProbs?: { token: number, logProb: number }[], text?: string, finishReason?: 'stop' | 'length' | 'cancelled' })[]>"
    )]
    pub fn advance<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        run(env, |e| {
            let shared = self.shared.clone();
            reading(env, e, &self.model, None, move || shared.advance())
        })
    }
    /// Throws what a request failed with.
    #[napi]
    pub fn raise(&self, env: Env, id: f64) -> Result<()> {
        run(&env, |_| match lock(&self.shared.failures).remove(&(id as u64)) {
            Some(e) => Err(Failure::Layer(e)),
            None => Ok(()),
        })
    }
    /// How many positions of a sequence the model can read; `null` if that is not limited.
    #[napi(ts_return_type = "number | null")]
    pub fn positions(&self) -> Option<f64> {
        self.positions.map(|n| n as f64)
    }
    /// How much there is to do: requests under way, requests that wait, and bytes of what is kept of those under way.
    #[napi(ts_return_type = "{ running: number, waiting: number, bytes: number }")]
    pub fn load(&self, env: Env) -> Result<Wire> {
        run(&env, |_| {
            let load = *lock(&self.shared.load);
            let asked = lock(&self.shared.asked);
            let more = asked.iter().filter(|a| !matches!(a, Asked::Leave(_))).count();
            let number = |n: usize| HostValue::Number(n as f64);
            let fields = [
                ("running", number(load.running)),
                ("waiting", number(load.waiting + more)),
                ("bytes", number(load.bytes)),
            ];
            Ok(Wire(HostValue::from(fields)))
        })
    }
}
