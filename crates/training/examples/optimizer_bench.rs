//! One update of weights by an optimizer, as a process that the benchmarks' driver talks to (the protocol of bench/anchor.mjs).
//!
//! The weights are updated one after another, as a trainer does it once their gradients are there.
#![allow(clippy::print_stdout)]
use serde_json::{json, Value};
use std::{error::Error, io::stdin, time::Instant};
use tallow_layers::HostValue;
use tallow_tensor::{
    ops::Clip,
    random::{uniform, Key},
    threads, DType, Tensor,
};
use tallow_training::optimizers::{construct, OptimizerRef, Update};

type Answer<T> = Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A weight, its gradient and its slots. The weight is away while it is updated.
struct Held {
    weight: Option<(Tensor, Vec<Tensor>)>,
    gradient: Tensor,
}

struct Case {
    optimizer: OptimizerRef,
    held: Vec<Held>,
    step: u64,
}

impl Case {
    /// `{optimizer, options, tensors, rows, cols}`.
    fn new(params: &Value) -> Answer<Self> {
        let number = |name: &str| params[name].as_u64().map(|n| n as usize).ok_or(format!("{name} is a whole number"));
        let kind = params["optimizer"].as_str().ok_or("optimizer is a name")?;
        let optimizer = construct(kind, HostValue::from(&params["options"]))?;
        let shape = [number("rows")?, number("cols")?];
        let draw = |seed: usize| uniform(Key([0, seed as u32]), &shape, DType::F32, -1.0, 1.0);
        let held = (0..number("tensors")?).map(|i| {
            let weight = draw(2 * i)?;
            let slots = optimizer.init(&weight)?;
            Ok(Held { weight: Some((weight, slots)), gradient: draw(2 * i + 1)? })
        });
        Ok(Case { held: held.collect::<Answer<_>>()?, optimizer, step: 0 })
    }
    fn update(&mut self) -> Answer<()> {
        let u = Update { step: self.step, learning_rate: self.optimizer.learning_rate(), clip: Clip::NONE };
        for Held { weight, gradient } in &mut self.held {
            let (old, slots) = weight.take().ok_or("a weight was lost by an update that failed")?;
            *weight = Some(self.optimizer.update(old, gradient, slots, &u)?);
        }
        self.step += 1;
        Ok(())
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn answer(message: &Value, case: &mut Option<Case>) -> Answer<Value> {
    if message["op"] == "prepare" {
        threads::set_num_threads(message["threads"].as_u64().unwrap_or(1) as usize)?;
        let begin = Instant::now();
        let mut new = Case::new(&message["params"])?;
        let build_s = begin.elapsed().as_secs_f64();
        new.update()?;
        *case = Some(new);
        return Ok(json!({ "ok": true, "info": { "build_s": build_s } }));
    }
    let case = case.as_mut().ok_or("nothing is prepared")?;
    let (least, most) = (message["min_reps"].as_u64().unwrap_or(2), message["max_reps"].as_u64().unwrap_or(500));
    let (begin, mut ms) = (Instant::now(), Vec::new());
    while (ms.len() as u64) < most
        && ((ms.len() as u64) < least || milliseconds(begin) < message["min_s"].as_f64().unwrap_or(0.3) * 1e3)
    {
        let start = Instant::now();
        case.update()?;
        ms.push([milliseconds(start); 2]);
    }
    Ok(json!({ "ms": ms }))
}

fn main() -> Answer<()> {
    println!("{}", json!({ "ready": true, "pid": std::process::id() }));
    let mut case = None;
    for line in stdin().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        if message["op"] == "end" {
            break;
        }
        let said = answer(&message, &mut case).unwrap_or_else(|e| json!({ "ok": false, "error": e.to_string() }));
        println!("{said}");
    }
    Ok(())
}
