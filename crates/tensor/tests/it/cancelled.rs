//! Operations that are worth several threads stop when their work is cancelled; what must be whole is done all the same.
use tallow_tensor::{
    backward,
    cancel::{running, shielded, Token},
    ops::{
        self, adam_update, global_norm, AdamStep, AttentionOptions, ChunkedAttentionOptions, Clip, GruWeights, Windows,
    },
    random::{self, Key},
    testing::on_threads,
    DType, Device, ErrorKind, Result, Tensor,
};

const CPU: Device = Device::Cpu;
const KEY: Key = Key([5, 6]);
/// Elements of an operand: as many as make a loop worth several threads.
const N: usize = 1 << 18;

fn draw(shape: &[usize]) -> Tensor {
    random::normal(KEY, shape, DType::F32).expect("a draw")
}

/// Fails unless the operation goes through when nothing stops it and is stopped under a cancelled token.
fn stops<T>(what: &str, f: impl Fn() -> Result<T>) {
    let token = Token::default();
    assert!(running(&token, &f).is_ok(), "{what} under a token");
    token.cancel();
    match running(&token, &f) {
        Ok(_) => panic!("{what} was not stopped"),
        Err(e) => assert_eq!(e.kind(), ErrorKind::Aborted, "{what}: {e}"),
    }
    assert!(running(&token, || shielded(&f)).is_ok(), "{what} when shielded");
    assert!(f().is_ok(), "{what} afterwards");
}

fn every_operation() {
    let (x, y, square) = (draw(&[N]), draw(&[N]), draw(&[512, 512]));
    let rows = square.clone();
    stops("add", || x.add(&y));
    let row = draw(&[512]);
    stops("broadcast add", || square.add(&row));
    stops("lt", || x.lt(&y));
    stops("where", || Tensor::where_(&x, &x, &y));
    stops("exp", || x.exp());
    stops("gelu", || x.gelu(false));
    stops("cast", || x.cast(DType::F64));
    stops("transpose", || square.transpose(None)?.contiguous());
    stops("sum", || x.sum(None, false));
    stops("mean of columns", || square.mean(0, false));
    stops("argmax", || square.argmax(Some(1), false));
    stops("cumsum", || square.cumsum(1));
    stops("sort", || x.sort(0, false));
    stops("sort of rows", || square.sort(1, true));
    stops("top_k", || x.top_k(N / 2));
    stops("flip", || square.flip(0));
    stops("pad", || square.pad(&[(1, 1), (1, 1)], 0.0));
    stops("concat", || Tensor::concat(&[square.clone(), square.clone()], 1));
    let ids = random::randint(KEY, &[N], 0, 512, DType::I32).expect("ids");
    stops("take", || square.take(&ids.narrow(0, 0, 600)?, 0));
    stops("scatter_add", || row.scatter_add(&ids, &x, 0));
    stops("embedding", || ops::embedding(&square, &ids.narrow(0, 0, 600)?));
    stops("matmul", || square.matmul(&rows));
    stops("matmul in float64", || square.cast(DType::F64)?.matmul(&rows.cast(DType::F64)?));
    stops("softmax", || square.softmax(-1));
    stops("layer_norm", || ops::layer_norm(&square, None, None, 1e-6));
    stops("batch_norm", || ops::batch_norm(&square, None, None, 1e-6));
    stops("cross_entropy", || ops::cross_entropy(&square, &ids.narrow(0, 0, 512)?, 0.1));
    let scale = row.detach();
    stops("linear_cross_entropy", || {
        let places = ids.narrow(0, 0, 512)?;
        ops::linear_cross_entropy(&square, &rows, None, &places, &scale, ops::LinearCrossEntropyOptions::default())
    });
    stops("dropout", || ops::dropout(&x, 0.3, KEY, &[N]));
    let (image, kernel, windows) = (draw(&[8, 64, 64, 8]), draw(&[3, 3, 8, 16]), Windows::default());
    stops("conv", || ops::conv(&image, &kernel, None, &windows));
    stops("pool", || ops::pool(&image, &[2, 2], &windows, ops::Pooling::Max));
    let (sequence, places) = (draw(&[4, 512, 128]), draw(&[3, 128]));
    stops("causal_depthwise_conv", || ops::causal_depthwise_conv(&sequence, &places));
    let heads = draw(&[8, 256, 64]);
    stops("attention", || ops::attention(&heads, &heads, &heads, &AttentionOptions::default()));
    let lsh = ChunkedAttentionOptions::default();
    stops("chunked_attention", || ops::chunked_attention(&heads, None, &heads, &lsh));
    let (inputs, state) = (draw(&[16, 32, 48]), draw(&[16, 64]));
    let gru = [draw(&[112, 128]), draw(&[128]), draw(&[112, 64]), draw(&[64])];
    let [gates, gates_bias, candidate, candidate_bias] = &gru;
    let weights = GruWeights { gates, gates_bias, candidate, candidate_bias };
    stops("gru", || ops::gru(&inputs, &state, weights));
    let (pair, weight, bias) = (draw(&[16, 128]), draw(&[112, 256]), draw(&[256]));
    stops("lstm", || ops::lstm(&inputs, &pair, &weight, &bias));
    let (steps, start) = (draw(&[16, 64, 512]), draw(&[16, 512]));
    stops("linear_recurrence", || ops::linear_recurrence(&steps, &steps, &start));
    stops("uniform", || random::uniform(KEY, &[N], DType::F32, 0.0, 1.0));
    stops("normal in float64", || random::normal(KEY, &[N], DType::F64));
    stops("randint", || random::randint(KEY, &[N], 0, 10, DType::I64));
    stops("permutation", || random::permutation(KEY, N));
    stops("global_norm", || global_norm(std::slice::from_ref(&x)));
    stops("backward", || {
        let w = square.variable();
        let loss = w.matmul(&rows)?.sum(None, false)?;
        backward(&[(loss, Tensor::ones(&[], DType::F32, &CPU)?)], &[w], false)
    });
}

#[test]
fn operations_stop_when_their_work_is_cancelled() {
    // Alone, a thread looks at its token itself; helpers look at that of the loop.
    for n in [1, 3] {
        on_threads(n, every_operation);
    }
}

#[test]
fn an_optimizer_updates_all_weights_or_none() {
    let step = AdamStep { lr: 0.1, b1: 0.9, b2: 0.99, eps: 1e-5, weight_decay_rate: 0.0, step: 3 };
    let (p, g, m) = (draw(&[N]), draw(&[N]).square().expect("squares"), draw(&[N]));
    let v = m.square().expect("squares");
    let update = || adam_update(p.clone(), &g, m.clone(), v.clone(), Clip::NONE, &step);
    let whole = update().expect("an update");
    let token = Token::default();
    token.cancel();
    // Its own copies of moments that others hold are made first, and they may be refused.
    let own = || Ok::<_, tallow_tensor::Error>((m.add_scalar(0.0)?, v.add_scalar(0.0)?));
    let (m, v) = own().expect("copies");
    let updated =
        running(&token, || adam_update(p.clone(), &g, m, v, Clip::NONE, &step)).expect("an update is not stopped");
    for (a, b) in [(&whole.0, &updated.0), (&whole.1, &updated.1), (&whole.2, &updated.2)] {
        assert!(a.to_vec::<f32>().unwrap() == b.to_vec::<f32>().unwrap());
    }
}
