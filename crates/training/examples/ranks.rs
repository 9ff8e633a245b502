//! What `npm run test:mpi` runs under `mpirun`: every operation between ranks against what it must give, and the ways in which a rank may fail.
use serde_json::json;
use std::{
    env,
    process::exit,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tallow_layers::{
    combinators::{parallel, serial},
    core::dense,
    held, hold, init, registry, TensorSpec,
};
use tallow_tensor::{
    random::{normal, Key},
    DType, Device, Tensor,
};
use tallow_training::{
    communicator::{leave, of_process, threads, Communicator},
    named_leaves, optimizers, Trainer,
};

/// Values of a rank: no two alike, and such that the order of sums shows in their bits.
fn values(rank: usize, length: usize) -> Vec<f32> {
    (0..length).map(|i| ((rank * 31 + i * 7) as f32 * 0.37).sin() * 10f32.powi((i % 7) as i32 - 3)).collect()
}

/// The bits of all results of each operation on this rank.
fn operations(me: &dyn Communicator) -> Vec<Vec<u32>> {
    let (rank, n) = (me.rank(), me.size());
    let mut results: Vec<Vec<f32>> = Vec::new();
    for length in [0, 1, 5, 1000, 70_000] {
        let mut all = values(rank, length);
        me.all_reduce(&mut all).unwrap();
        results.push(all);
        let mut part = vec![0.0; length];
        me.reduce_scatter(&values(rank, length * n), &mut part).unwrap();
        results.push(part);
        let mut all = vec![0.0; length * n];
        me.all_gather(&values(rank, length), &mut all).unwrap();
        results.push(all);
        let counts: Vec<usize> = (0..n).map(|i| length / 2 + i).collect();
        let mut received = vec![0.0; counts.iter().sum()];
        me.exchange(&values(rank, counts[rank] * n), &counts, &mut received).unwrap();
        results.push(received);
        for root in 0..n {
            let mut from = values(rank, length + root);
            me.broadcast(&mut from, root).unwrap();
            results.push(from);
        }
        me.barrier().unwrap();
        let bytes = me.all_gather_bytes(&vec![rank as u8; rank * length / 7]).unwrap();
        results.push(bytes.concat().into_iter().map(f32::from).collect());
    }
    results.into_iter().map(|result| result.into_iter().map(f32::to_bits).collect()).collect()
}

/// The same on threads of this process.
fn on_threads(n: usize) -> Vec<Vec<Vec<u32>>> {
    thread::scope(|scope| {
        let ranks: Vec<_> = threads(n).into_iter().map(|me| scope.spawn(move || operations(&me))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn check_operations(me: &dyn Communicator) {
    let expected = on_threads(me.size());
    let before = me.bytes_sent();
    assert_eq!(operations(me), expected[me.rank()], "rank {}", me.rank());
    let sent = me.bytes_sent() - before;
    assert!(sent > 0 || me.size() == 1);
    let refused = me.all_gather(&[1.0], &mut []).unwrap_err();
    assert_eq!(refused.kind().name(), "InvalidArgument");
    // Two thirds of the way to all and back, if there are three: each rank sends 2 (n - 1) / n of the values.
    let before = me.bytes_sent();
    me.all_reduce(&mut values(0, 1200)).unwrap();
    assert_eq!(me.bytes_sent() - before, (2 * 1200 * 4 * (me.size() - 1) / me.size()) as u64);
}

fn batch(i: u64) -> Vec<Tensor> {
    let x = normal(Key([0, i as u32]), &[24, 8], DType::F32).unwrap();
    let y = x.sum(1, true).unwrap().sin().unwrap();
    vec![x, y, Tensor::ones(&[24, 1], DType::F32, &Device::Cpu).unwrap()]
}

/// The bits of 200 losses, and of the weights behind them, of a model that draws and whose state is learned.
fn trained(ranks: Option<Arc<dyn Communicator>>) -> Vec<u64> {
    let made = |kind: &str, options| registry::construct(kind, &options).unwrap();
    let body = vec![
        dense(16),
        made("Tanh", json!({})),
        made("BatchNorm", json!({"axis": [0]})),
        made("Dropout", json!({"rate": 0.3})),
        dense(1),
    ];
    let pass = || serial(Vec::new());
    let model = serial(vec![parallel(vec![serial(body), pass(), pass()]).unwrap(), made("L2Loss", json!({}))]);
    let specs: Vec<TensorSpec> = batch(0).iter().map(TensorSpec::of).collect();
    let (weights, state) = init(&model, &specs, Key::new(1)).unwrap();
    hold(&model, Some(&weights), Some(&state));
    let adam = optimizers::construct("Adam", json!({"learningRate": 0.01})).unwrap();
    let mut trainer = Trainer::new(model.clone(), adam).among(Some(12), ranks).unwrap();
    let step = |i| trainer.one_step(batch(i), Key([0, i as u32]), i, None).unwrap().loss.to_bits();
    let mut bits: Vec<u64> = (0..200).map(step).collect();
    let (weights, _) = held(&model);
    let weights = named_leaves("weights", &model, &weights);
    bits.extend(weights.iter().flat_map(|(_, t)| t.to_f64_vec().unwrap()).map(f64::to_bits));
    bits
}

fn time_all_reduce(me: &dyn Communicator) {
    for length in [1usize << 10, 1 << 20, 1 << 22] {
        let mut all = values(me.rank(), length);
        me.all_reduce(&mut all).unwrap();
        let (start, times) = (Instant::now(), 20);
        for _ in 0..times {
            me.all_reduce(&mut all).unwrap();
        }
        let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(times);
        if me.rank() == 0 {
            eprintln!("all_reduce of {length} values on {} ranks: {each:.3} ms", me.size());
        }
    }
}

fn main() {
    let what = env::args().nth(1).unwrap_or_else(|| "operations".to_owned());
    let Some(me) = of_process().unwrap() else {
        eprintln!("alone");
        return;
    };
    let last = me.rank() + 1 == me.size();
    let outcome = match what.as_str() {
        "operations" => {
            check_operations(&*me);
            Ok(())
        }
        "time" => {
            time_all_reduce(&*me);
            Ok(())
        }
        "training" => {
            assert!(trained(Some(me.clone())) == trained(None), "rank {} has other bits than one alone", me.rank());
            Ok(())
        }
        "many" => (0..1000).try_for_each(|i| me.all_reduce(&mut values(i, 500))),
        // The last one does what the name says, and all others wait for it.
        "unlike" if last => me.all_gather(&[1.0], &mut vec![0.0; me.size()]),
        "abort" if last => {
            me.abort("it has seen enough");
            me.barrier()
        }
        "ends" if last => Ok(()),
        "exits" if last => {
            leave(Some("an error that nobody caught".to_owned()));
            exit(3);
        }
        "killed" | "stopped" if last => {
            let signal = if what == "killed" { "-KILL" } else { "-STOP" };
            let id = std::process::id().to_string();
            let _ = std::process::Command::new("kill").args([signal, &id]).status();
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        "late" if last => {
            thread::sleep(Duration::from_secs(60));
            me.barrier()
        }
        _ => me.barrier(),
    };
    let failure = outcome.err().map(|error| error.to_string());
    if let Some(why) = &failure {
        eprintln!("rank {}: {why}", me.rank());
    }
    let code = i32::from(failure.is_some());
    leave(failure);
    exit(code);
}
