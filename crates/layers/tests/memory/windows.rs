//! What streams of attention with a window take of the memory of the process.
use crate::alone;
use serde_json::json;
use tallow_layers::{hold, init, registry, Streams, TensorSpec};
use tallow_tensor::{memory, random::Key, reset_peak, testing::random, DType};

const KEY: Key = Key([1, 2]);
const DEPTH: usize = 64;
const ROOM: usize = 1 << 20;

#[test]
fn a_stream_and_a_step_take_memory_for_what_was_read() {
    let _alone = alone();
    let options = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "mode": "predict", "predictMemLen": ROOM,
        "predictDropLen": 256});
    for kind in ["SelfAttention", "LSHSelfAttention"] {
        let layer = registry::construct(kind, &options).expect("a layer");
        let inputs = [TensorSpec::new([1, 1, DEPTH], DType::F32)];
        let (weights, state) = init(&layer, &inputs, KEY).expect("weights");
        hold(&layer, Some(&weights), Some(&state));
        let streams = Streams::new(&layer, &inputs).expect("streams");
        let x = random(&[1, 1, DEPTH], 1).cast(DType::F32).expect("a cast");
        let before = memory().bytes;
        let mut stream = streams.begin();
        for read in 1..=64 {
            reset_peak();
            streams.call(&mut [&mut stream], vec![x.clone()], KEY).expect("a step");
            let memory = memory();
            // Vectors of the positions, and for hashing a bucket of each head; what else there is does not grow.
            let held = memory.bytes - before;
            assert!((read * DEPTH * 4..read * (DEPTH + 2) * 4 + 128).contains(&held), "{kind}: {held} after {read}");
            // The window at once before and after, projections of it, and rows of weights: far from the room.
            let peak = memory.peak_bytes - before;
            assert!(peak < (1 << 17), "{kind}: {peak} after {read}");
        }
    }
}
