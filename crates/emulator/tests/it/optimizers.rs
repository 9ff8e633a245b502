use crate::common::{kernel_tests, normal, run, same_bits, tensor, Data, Given};
use tallow_tensor::{
    ops::{adam_update, momentum_update, sgd_update, AdamStep, Clip, MomentumStep, SgdStep},
    Tensor,
};

/// Sizes of tensors that are updated at once.
const SIZES: [usize; 6] = [1, 300, 0, 7, 1024, 2500];
/// Elements of a chunk.
const CHUNK: usize = 1024;

/// Which tensor a chunk is of, from where, and how long.
fn chunks() -> [Vec<u32>; 3] {
    let (mut out, mut start) = ([vec![], vec![], vec![]], 0);
    for (tensor, &size) in SIZES.iter().enumerate() {
        for from in (0..size).step_by(CHUNK) {
            let values = [tensor, start + from, CHUNK.min(size - from)];
            out.iter_mut().zip(values).for_each(|(list, v)| list.push(v as u32));
        }
        start += size;
    }
    out
}

/// What a kernel makes of weights and slots.
fn updated(kernel: &str, numbers: &[[f32; 8]], g: &[f32], state: &[&[f32]]) -> Vec<Data> {
    let [tensors, starts, sizes] = chunks();
    let numbers = numbers.concat();
    let mut given: Vec<Given<'_>> = vec![
        tensors.len().into(),
        SIZES.len().into(),
        g.len().into(),
        Given::Words(&tensors),
        Given::Words(&starts),
        Given::Words(&sizes),
        (&numbers).into(),
        g.into(),
    ];
    given.extend(state.iter().map(|values| Given::Write(Some(Data::F32(values.to_vec())))));
    run(kernel, &given)
}

/// Holds each tensor against its own update: `f(i, p, g, slots)`.
fn check(actual: &[Data], g: &[f32], state: &[&[f32]], f: impl Fn(usize, Tensor, &Tensor, Vec<Tensor>) -> Vec<Tensor>) {
    let mut start = 0;
    for (i, &size) in SIZES.iter().enumerate() {
        let part = |values: &[f32]| tensor(&values[start..start + size], &[size]);
        let expected = f(i, part(state[0]), &part(g), state[1..].iter().map(|s| part(s)).collect());
        for (actual, expected) in actual.iter().zip(&expected) {
            same_bits(&actual.f32()[start..start + size], expected);
        }
        start += size;
    }
}

/// What a tensor's gradients are clipped by.
fn clip(i: usize) -> Clip {
    match i % 3 {
        0 => Clip::NONE,
        1 => Clip { scale: 0.7, limit: f64::INFINITY },
        _ => Clip { scale: 1.0, limit: 0.5 },
    }
}

/// A learning rate for each tensor.
fn rate(i: usize) -> f64 {
    0.01 * (i + 1) as f64
}

kernel_tests! {
    fn steps_have_the_bits_of_tensors() {
        let n = SIZES.iter().sum();
        let (p, g, m) = (normal(n, 41), normal(n, 42), normal(n, 43));
        let v: Vec<f32> = normal(n, 44).iter().map(|v| v * v).collect();
        let tensors = 0..SIZES.len();

        let sgd = |i| SgdStep { lr: rate(i), weight_decay_rate: 0.001, l2: 0.02 };
        let numbers: Vec<[f32; 8]> = tensors.clone().map(|i| {
            let (s, c) = (sgd(i), clip(i));
            [c.scale, c.limit, s.lr, s.weight_decay_rate, s.l2, 0.0, 0.0, 0.0].map(|v| v as f32)
        }).collect();
        let out = updated("sgd", &numbers, &g, &[&p]);
        check(&out, &g, &[&p], |i, p, g, _| vec![sgd_update(p, g, clip(i), &sgd(i)).expect("a step")]);

        for nesterov in [false, true] {
            let step = |i| MomentumStep { lr: rate(i), mass: 0.9, share: 0.3, weight_decay_rate: 0.01, l2: 0.1, nesterov };
            let numbers: Vec<[f32; 8]> = tensors.clone().map(|i| {
                let (s, c) = (step(i), clip(i));
                [c.scale, c.limit, s.lr, s.weight_decay_rate, s.l2, s.mass, s.share, f64::from(u8::from(nesterov))].map(|v| v as f32)
            }).collect();
            let out = updated("momentum", &numbers, &g, &[&p, &m]);
            check(&out, &g, &[&p, &m], |i, p, g, slots| {
                let [m] = <[Tensor; 1]>::try_from(slots).expect("one slot");
                let (p, m) = momentum_update(p, g, m, clip(i), &step(i)).expect("a step");
                vec![p, m]
            });
        }

        for done in [0, 9, 100_000] {
            let step = |i| AdamStep { lr: rate(i), b1: 0.9, b2: 0.99, eps: 1e-5, weight_decay_rate: 1e-4 * i as f64, step: done };
            let numbers: Vec<[f32; 8]> = tensors.clone().map(|i| {
                let (s, c) = (step(i), clip(i));
                // In float32, as the operation does.
                let correction = |b: f64| f64::from(1.0f32 - f64::from(b as f32).powf(done as f64 + 1.0) as f32);
                [c.scale, c.limit, s.lr / correction(s.b1), s.weight_decay_rate, s.b1, s.b2, s.eps, 1.0 / correction(s.b2)]
                    .map(|v| v as f32)
            }).collect();
            let out = updated("adam", &numbers, &g, &[&p, &m, &v]);
            check(&out, &g, &[&p, &m, &v], |i, p, g, slots| {
                let [m, v] = <[Tensor; 2]>::try_from(slots).expect("two slots");
                let (p, m, v) = adam_update(p, g, m, v, clip(i), &step(i)).expect("a step");
                vec![p, m, v]
            });
        }
    }
}
