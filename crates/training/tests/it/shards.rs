//! Batches in parts, on one rank and on several: the same bits, and all ranks or none make a step.
use super::{
    communicator::on_ranks,
    trainer::{batch, made, model, trainer},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tallow_layers::{
    combinators::{parallel, serial},
    core::dense,
    held, hold, init, ErrorKind, HostValue, LayerRef, TensorSpec,
};
use tallow_tensor::{
    cancel,
    random::{normal, Key},
    DType, Device, Tensor,
};
use tallow_training::{
    communicator::{Communicator, ThreadRank},
    fit, named_leaves, optimizers, FitOptions, FitReport, Progress, Result, Trainer, TrainerOptions,
};

const PARTS: usize = 12;

/// A model that draws, and whose state is learned.
fn noisy() -> LayerRef {
    model(vec![made("BatchNorm", json!({"axis": [0]})), made("Dropout", json!({"rate": 0.3}))])
}

/// A trainer that shares batches in `PARTS` parts with others; without `rank`, with none.
fn among(model: LayerRef, rank: Option<ThreadRank>) -> Trainer {
    let rank = rank.map(|rank| Arc::new(rank) as Arc<dyn Communicator>);
    trainer(model, 1).among(Some(PARTS), rank).expect("a trainer")
}

fn options(steps: u64) -> FitOptions {
    FitOptions {
        steps,
        first_step: 1,
        schedule: None,
        key: Key([0, 7]),
        report_every: Duration::from_secs(60),
        output_dir: None,
    }
}

/// Batches of 24 items, from number `from` on.
fn batches(from: u32) -> impl FnMut() -> Result<Option<Vec<Tensor>>> {
    let mut i = from;
    move || {
        i += 1;
        Ok(Some(batch(i, 24)))
    }
}

/// The first `left` of them.
fn some_batches(mut left: u32) -> impl FnMut() -> Result<Option<Vec<Tensor>>> {
    let mut given = batches(0);
    move || match left.checked_sub(1) {
        None => Ok(None),
        Some(rest) => {
            left = rest;
            given()
        }
    }
}

fn run(trainer: &mut Trainer, steps: u64) -> Result<FitReport> {
    fit(trainer, &mut batches(0), &options(steps), &mut |_| Ok(()))
}

/// The bits of all that a model holds.
fn held_bits(model: &LayerRef) -> Vec<u64> {
    let (weights, state) = held(model);
    let leaves = |(kind, store)| named_leaves(kind, model, store);
    let all = [("weights", &weights), ("state", &state)].into_iter().flat_map(leaves);
    all.flat_map(|(_, t)| t.to_f64_vec().expect("values")).map(f64::to_bits).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Losses and all that the model holds after so many steps on each of `n` ranks; 0: without a communicator.
fn trained(n: usize, steps: u64) -> Vec<(Vec<u64>, Vec<u64>)> {
    let one = |rank| {
        let model = noisy();
        let report = run(&mut among(model.clone(), rank), steps).expect("a run");
        (bits(&report.losses), held_bits(&model))
    };
    match n {
        0 => vec![one(None)],
        n => on_ranks(n, |rank| one(Some(rank))),
    }
}

#[test]
fn two_hundred_steps_have_the_same_bits_on_any_number_of_ranks() {
    let alone = trained(0, 200).remove(0);
    assert_eq!(alone.0.len(), 200);
    assert!(f64::from_bits(alone.0[199]) < f64::from_bits(alone.0[0]));
    for n in [1, 2, 3, 4, 6] {
        for (rank, one) in trained(n, 200).into_iter().enumerate() {
            assert!(one == alone, "rank {rank} of {n}");
        }
    }
}

#[test]
fn a_batch_in_one_part_is_the_plain_step() {
    let plain = noisy();
    let a = run(&mut trainer(plain.clone(), 1), 5).expect("a run");
    let whole = noisy();
    let b = run(&mut trainer(whole.clone(), 1).among(Some(1), None).expect("a trainer"), 5).expect("a run");
    assert_eq!(bits(&a.losses), bits(&b.losses));
    assert_eq!(held_bits(&plain), held_bits(&whole));
}

#[test]
fn parts_draw_and_learn_as_devices_do() {
    let devices = run(&mut trainer(noisy(), 4), 20).expect("a run").losses;
    let parts = run(&mut trainer(noisy(), 1).among(Some(4), None).expect("a trainer"), 20).expect("a run").losses;
    for (a, b) in devices.iter().zip(&parts) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "{b} instead of {a}");
    }
}

#[test]
fn what_a_layer_tells_of_its_call_needs_not_be_alike_in_all_parts() {
    let sequences = |i: u32| {
        let x = normal(Key([2, i]), &[12, 16, 8], DType::F32).expect("values");
        vec![x.clone(), x, Tensor::ones(&[12, 16, 8], DType::F32, &Device::Cpu).expect("ones")]
    };
    let run = |n_devices: usize, parts: usize, rank: Option<ThreadRank>| {
        let hashes =
            json!({"nHeads": 2, "dQk": 4, "dV": 4, "chunkLen": 4, "nHashes": 2, "nBuckets": 4, "mode": "train"});
        let body = serial(vec![made("LSHSelfAttention", hashes), dense(8)]);
        let pass = || serial(Vec::new());
        let model =
            serial(vec![parallel(vec![body, pass(), pass()]).expect("three layers"), made("L2Loss", json!({}))]);
        let specs: Vec<TensorSpec> = sequences(0).iter().map(TensorSpec::of).collect();
        let (w, s) = init(&model, &specs, Key([0, 1])).expect("init");
        hold(&model, Some(&w), Some(&s));
        let rank = rank.map(|rank| Arc::new(rank) as Arc<dyn Communicator>);
        let mut trainer = trainer(model, n_devices).among(Some(parts), rank).expect("a trainer");
        let step = |i: u32| trainer.one_step(sequences(i), Key([4, i]), u64::from(i), None).expect("a step").loss;
        (0..10).map(step).collect::<Vec<f64>>()
    };
    let (devices, parts) = (run(4, 1, None), run(1, 4, None));
    devices.iter().zip(&parts).for_each(|(a, b)| assert!((a - b).abs() <= 1e-5 * a.abs(), "{b} instead of {a}"));
    for n in [2, 4] {
        on_ranks(n, |rank| run(1, 4, Some(rank))).into_iter().for_each(|one| assert_eq!(bits(&one), bits(&parts)));
    }
}

#[test]
fn gradients_of_several_batches_are_gathered_alike() {
    let run = |rank: Option<ThreadRank>| {
        let model = noisy();
        let adam = optimizers::construct("Adam", json!({"learningRate": 0.01})).expect("an optimizer");
        let given = HostValue::from([
            ("accumulate", HostValue::Number(3.0)),
            ("averageDecay", HostValue::Number(0.9)),
            ("gradientShards", HostValue::Number(12.0)),
        ]);
        let given = TrainerOptions::parse(&given).expect("options");
        let rank = rank.map(|rank| Arc::new(rank) as Arc<dyn Communicator>);
        let mut trainer = Trainer::with_options(model.clone(), adam, given, rank).expect("a trainer");
        // The last step is made with one batch.
        let report = fit(&mut trainer, &mut some_batches(10), &options(9), &mut |_| Ok(())).expect("a run");
        (report.steps, bits(&report.losses), held_bits(&model))
    };
    let alone = run(None);
    assert_eq!(alone.0, 4);
    for n in [2, 3] {
        on_ranks(n, |rank| run(Some(rank))).into_iter().for_each(|one| assert!(one == alone, "{n} ranks"));
    }
}

#[test]
fn few_bytes_go_between_ranks() {
    let weights: usize = {
        let model = noisy();
        let (weights, _) = held(&model);
        named_leaves("weights", &model, &weights).iter().map(|(_, t)| t.size()).sum()
    };
    for n in [2, 4] {
        let sent = on_ranks(n, |rank| {
            let rank = Arc::new(rank);
            let mut trainer = trainer(noisy(), 1).among(None, Some(rank.clone())).expect("a trainer");
            run(&mut trainer, 10).expect("a run");
            rank.bytes_sent()
        });
        // 2 (n - 1) / n of the gradients of a step, which are padded to a multiple of n.
        let each = weights.div_ceil(n) * 4;
        sent.into_iter().for_each(|sent| assert_eq!(sent, (10 * 2 * (n - 1) * each) as u64));
    }
}

#[test]
fn rounded_gradients_take_half_of_the_bytes() {
    let trained = |rank: ThreadRank, transport: &str| {
        let rank = Arc::new(rank);
        let given = HostValue::from([("gradientTransport", HostValue::Text(transport.into()))]);
        let adam = optimizers::construct("Adam", json!({"learningRate": 0.01})).expect("an optimizer");
        let model = noisy();
        let given = TrainerOptions::parse(&given).expect("options");
        let mut trainer = Trainer::with_options(model.clone(), adam, given, Some(rank.clone())).expect("a trainer");
        let losses = run(&mut trainer, 20).expect("a run").losses;
        (losses, held_bits(&model), rank.bytes_sent())
    };
    let whole = on_ranks(2, |rank| trained(rank, "float32"));
    let rounded = on_ranks(2, |rank| trained(rank, "bfloat16"));
    assert!(rounded[0] == rounded[1]);
    assert!(rounded[0].1 != whole[0].1);
    // A number more fills up a pair.
    assert!(rounded[0].2 <= whole[0].2 / 2 + 20 * 8, "{} and {} bytes", rounded[0].2, whole[0].2);
    for (a, b) in whole[0].0.iter().zip(&rounded[0].0) {
        assert!((a - b).abs() < 0.03 * a.abs(), "{b} instead of {a}");
    }
}

/// How a run of three ranks ends, of which the last one does something else; no weights change in the last step of any.
fn ends(f: impl Fn(usize, Trainer) -> Result<FitReport> + Sync) -> Vec<std::result::Result<u64, (ErrorKind, String)>> {
    on_ranks(3, |rank| {
        let number = rank.rank();
        let ended = f(number, among(noisy(), Some(rank)));
        ended.map(|report| report.steps).map_err(|e| (e.kind(), e.message().to_owned()))
    })
}

fn failed(ends: &[std::result::Result<u64, (ErrorKind, String)>], what: &str) {
    for end in ends {
        let (kind, message) = end.as_ref().expect_err("an error");
        assert_eq!(*kind, ErrorKind::RankFailed, "{message}");
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn ranks_that_differ_are_found_at_the_start() {
    let weights = on_ranks(3, |rank| {
        let model = noisy();
        if rank.rank() == 2 {
            let specs: Vec<TensorSpec> = batch(0, 12).iter().map(TensorSpec::of).collect();
            let (w, s) = init(&model, &specs, Key([0, 2])).expect("init");
            hold(&model, Some(&w), Some(&s));
        }
        run(&mut among(model, Some(rank)), 1).map(|r| r.steps).map_err(|e| (e.kind(), e.message().to_owned()))
    });
    failed(&weights, "on rank 0, and weights/");
    failed(&weights, "on rank 2; make the same model");
    let other_model = on_ranks(3, |rank| {
        let model = if rank.rank() == 1 { model(Vec::new()) } else { noisy() };
        run(&mut among(model, Some(rank)), 1).map(|r| r.steps).map_err(|e| (e.kind(), e.message().to_owned()))
    });
    failed(&other_model, "on rank 1");
    let other_options = on_ranks(3, |rank| {
        let parts = if rank.rank() == 2 { 6 } else { 3 };
        let mut trainer = trainer(noisy(), 1).among(Some(parts), Some(Arc::new(rank))).expect("a trainer");
        run(&mut trainer, 1).map(|r| r.steps).map_err(|e| (e.kind(), e.message().to_owned()))
    });
    failed(&other_options, "`gradientShards` is 3 on rank 0, and `gradientShards` is 6 on rank 2");
}

#[test]
fn other_batches_and_steps_are_found() {
    let data = ends(|rank, mut trainer| fit(&mut trainer, &mut batches(rank as u32 / 2), &options(3), &mut |_| Ok(())));
    failed(&data, "rank 2 has another batch than rank 0 at step 1");
    let step = ends(|rank, mut trainer| {
        let first_step = 1 + rank as u64 / 2;
        fit(&mut trainer, &mut batches(0), &FitOptions { first_step, ..options(3) }, &mut |_| Ok(()))
    });
    failed(&step, "rank 2 makes step 2, but rank 0 step 1");
    let fewer = ends(|rank, mut trainer| {
        let mut batches = some_batches(if rank == 2 { 2 } else { 9 });
        fit(&mut trainer, &mut batches, &options(9), &mut |_| Ok(()))
    });
    failed(&fewer, "rank 2 has no more batches, but rank 0 makes another step");
    let few = on_ranks(3, |rank| trainer(noisy(), 1).among(Some(2), Some(Arc::new(rank))).expect_err("2 parts").kind());
    assert_eq!(few, [ErrorKind::InvalidOption; 3]);
}

#[test]
fn a_step_that_one_rank_cannot_make_is_made_by_none() {
    let ended = on_ranks(3, |rank| {
        let number = rank.rank();
        let model = noisy();
        let mut trainer = among(model.clone(), Some(rank));
        run(&mut trainer, 4).expect("a run");
        let before = held_bits(&model);
        // The last items, which the last rank computes, are too large for their squares.
        let mut bad = batch(9, 24);
        let factor = (0..24).map(|i| if i == 23 { 1e30 } else { 1.0 }).collect::<Vec<f32>>();
        bad[1] = bad[1].mul(&Tensor::from_vec(factor, &[24, 1]).expect("factors")).expect("a product");
        let e = trainer.one_step(bad, Key([3, 3]), 5, None).expect_err("infinite");
        assert_eq!(held_bits(&model), before);
        // They can go on.
        let next = trainer.one_step(batch(10, 24), Key([3, 4]), 5, None).expect("a step");
        (number, e.kind(), e.message().to_owned(), next.loss.to_bits())
    });
    for (rank, kind, message, loss) in &ended {
        let own = *rank == 2;
        assert_eq!(*kind, if own { ErrorKind::NotFinite } else { ErrorKind::RankFailed }, "{message}");
        assert!(own || message.starts_with("rank 2 has failed, so no rank makes this step: the loss is"), "{message}");
        assert_eq!(*loss, ended[0].3);
    }
}

#[test]
fn all_ranks_stop_behind_the_same_step() {
    let ended = on_ranks(3, |rank| {
        let number = rank.rank();
        let model = noisy();
        let mut trainer = among(model.clone(), Some(rank));
        let token = cancel::Token::default();
        let report = cancel::running(&token, || {
            let mut told = |p: &Progress| {
                if number == 1 && p.step == 5 {
                    token.cancel();
                }
                Ok(())
            };
            fit(&mut trainer, &mut batches(0), &FitOptions { report_every: Duration::ZERO, ..options(50) }, &mut told)
        });
        // The others end as if there were no more to do.
        match report {
            Ok(report) => assert!(number != 1 && report.steps == trainer.updates()),
            Err(e) => assert!(number == 1 && e.kind() == ErrorKind::Aborted),
        }
        let stopped = trainer.updates();
        fit(
            &mut trainer,
            &mut batches(stopped as u32),
            &FitOptions { first_step: stopped + 1, ..options(3) },
            &mut |_| Ok(()),
        )
        .expect("it goes on");
        (stopped, held_bits(&model))
    });
    assert!(ended[0].0 >= 5 && ended[0].0 < 50);
    ended.iter().for_each(|one| assert!(*one == ended[0]));
    assert_eq!(ended[0].1, trained(0, ended[0].0 + 3).remove(0).1);
}

#[test]
fn programs_of_ranks_tell_each_other() {
    let told = on_ranks(3, |rank| {
        let text = format!("{}", rank.rank());
        among(noisy(), Some(rank)).tell_ranks(text).expect("an answer")
    });
    told.iter().for_each(|all| assert_eq!(all, &["0", "1", "2"]));
    assert_eq!(among(noisy(), None).tell_ranks("alone".into()).expect("an answer"), ["alone"]);
}

#[test]
fn a_batch_that_cannot_be_cut_is_refused() {
    let e = among(noisy(), None).one_step(batch(0, 20), Key([0, 0]), 0, None).expect_err("20 items");
    assert_eq!(e.kind(), ErrorKind::ShapeMismatch);
    assert!(e.message().contains("cannot be cut into 12 equal parts"), "{}", e.message());
}
