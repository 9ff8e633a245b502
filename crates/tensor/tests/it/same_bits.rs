//! The same bits on every kind of processor: what a fixed series of operations gives, as checksums that were recorded once.
//!
//! Those of elementwise functions, sums, norms and random numbers hold everywhere. Those with matrix products in them hold where the
//! processor fuses multiplications with additions: 64-bit ARM, and x86 with FMA.
use tallow_tensor::{
    ops::{
        adam_update, attention, chunked_attention, conv, dense, dense_quantized, embedding, gru, hash_buckets,
        layer_norm, lstm, rms_norm, AdamStep, AttentionOptions, ChunkedAttentionOptions, Clip, GruWeights, Outputs,
        Padding, Quantization, Quantized, Windows,
    },
    random::{bernoulli, bits, gumbel, normal, uniform, Key},
    DType, Tensor,
};

/// FNV-1a over the bytes of all elements, the lowest first.
fn checksum(tensors: &[Tensor]) -> u64 {
    let bytes = tensors.iter().flat_map(|t| match t.dtype() {
        DType::F64 => t.values::<f64>().unwrap().iter().flat_map(|v| v.to_bits().to_le_bytes()).collect::<Vec<u8>>(),
        DType::F32 => t.values::<f32>().unwrap().iter().flat_map(|v| v.to_bits().to_le_bytes()).collect(),
        _ => t.to_f64_vec().unwrap().into_iter().flat_map(|v| (v as i64).to_le_bytes()).collect(),
    });
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Numbers from −3 to 3, which no kernel of products had a part in.
fn numbers(shape: &[usize], seed: u32) -> Tensor {
    uniform(Key([7, seed]), shape, DType::F32, -3.0, 3.0).unwrap()
}

fn smaller(shape: &[usize], seed: u32) -> Tensor {
    uniform(Key([9, seed]), shape, DType::F32, -0.2, 0.2).unwrap()
}

/// Cases with their recorded checksums; all that differ are told at once.
#[track_caller]
fn hold(cases: &[(&str, Vec<Tensor>, u64)]) {
    let differ: Vec<String> = cases
        .iter()
        .map(|(name, tensors, recorded)| (name, checksum(tensors), recorded))
        .filter(|(_, got, recorded)| got != *recorded)
        .map(|(name, got, recorded)| format!("{name}: {got:#018x}, recorded {recorded:#018x}"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// The output of an operation and the gradients of its inputs.
fn both(f: impl Fn(&[Tensor]) -> tallow_tensor::Result<Tensor>, inputs: &[Tensor]) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let y = f(&variables).unwrap();
    let seed = numbers(y.shape(), 99);
    let mut out = vec![y.detach()];
    out.extend(tallow_tensor::backward(&[(y, seed)], &variables, false).unwrap());
    out
}

#[test]
fn elementwise_functions_have_the_same_bits_on_every_processor() {
    let (x, wide) = (numbers(&[2003], 1), numbers(&[2003], 2).cast(DType::F64).unwrap());
    let positive = x.abs().unwrap();
    let of = |f: fn(&Tensor) -> tallow_tensor::Result<Tensor>| vec![f(&x).unwrap(), f(&wide).unwrap()];
    hold(&[
        ("exp", of(Tensor::exp), 0x87f8_7242_bd8b_2cf4),
        ("expm1", of(Tensor::expm1), 0x154b_edee_5bbb_5f9c),
        ("log", vec![positive.log().unwrap()], 0x5325_918a_3863_28b3),
        ("tanh", of(Tensor::tanh), 0x5e73_cc86_0515_5ef9),
        ("sigmoid", of(Tensor::sigmoid), 0x9775_8255_17e2_342e),
        ("softplus", of(Tensor::softplus), 0x0d56_37ee_682f_4128),
        ("erf", of(Tensor::erf), 0xf6d5_8fd1_2afb_f93b),
        ("gelu", of(|x| x.gelu(false)), 0x17a8_5067_cea8_0dd0),
        ("fast gelu", of(|x| x.gelu(true)), 0xce62_c969_7f67_58ab),
        ("sin", of(Tensor::sin), 0x3cd1_11f7_aa96_7a09),
        ("cos", of(Tensor::cos), 0x215d_103e_d8e6_14b2),
        ("sqrt", vec![positive.sqrt().unwrap()], 0xf34e_a3d1_6ee8_b792),
        ("pow", vec![positive.pow(&x).unwrap()], 0x268b_43a4_8bb6_4a88),
    ]);
}

#[test]
fn sums_norms_and_softmax_have_the_same_bits_on_every_processor() {
    let x = numbers(&[37, 301], 3);
    let (scale, bias) = (numbers(&[301], 4), numbers(&[301], 5));
    let ids: Vec<i32> = (0..70).map(|i| i * 7 % 37).collect();
    let ids = Tensor::from_vec(ids, &[70]).unwrap();
    hold(&[
        ("sum", vec![x.sum(1, false).unwrap(), x.sum(0, false).unwrap()], 0x52f6_a35f_c112_a9a3),
        ("mean", vec![x.mean(-1, false).unwrap()], 0xc634_b54c_c525_c9a7),
        ("max", vec![x.max(1, false).unwrap()], 0x3586_071c_5ee5_ceb6),
        ("softmax", both(|x| x[0].softmax(-1), std::slice::from_ref(&x)), 0xe63d_2c66_0fc6_93b7),
        ("logsumexp", both(|x| x[0].logsumexp(-1, false), std::slice::from_ref(&x)), 0x402b_5234_bc28_06ad),
        (
            "layer norm",
            both(|x| layer_norm(&x[0], Some(&x[1]), Some(&x[2]), 1e-6), &[x.clone(), scale.clone(), bias]),
            0x5050_82ee_6c3a_8eef,
        ),
        ("rms norm", both(|x| rms_norm(&x[0], Some(&x[1]), 1e-6), &[x.clone(), scale]), 0xdafb_3b0e_bd7a_73df),
        ("embedding", both(|x| embedding(&x[0], &ids), &[x]), 0x5948_ac98_9d59_2a6d),
    ]);
}

#[test]
fn random_numbers_and_steps_of_adam_have_the_same_bits_on_every_processor() {
    let key = Key([1, 2]);
    let shape = &[1003];
    let step = AdamStep { lr: 0.01, b1: 0.9, b2: 0.999, eps: 1e-5, weight_decay_rate: 1e-3, step: 12 };
    let [p, g, m] = [1, 2, 3].map(|seed| numbers(shape, seed));
    let (p, m, v) = adam_update(p, &g, m, numbers(shape, 4).square().unwrap(), Clip::NONE, &step).unwrap();
    hold(&[
        ("bits", vec![bits(key, shape).unwrap()], 0xc9a3_4cd1_2b33_07a1),
        ("uniform", vec![uniform(key, shape, DType::F32, -1.0, 2.0).unwrap()], 0x76d2_e9fd_53d4_3da8),
        ("normal", vec![normal(key, shape, DType::F32).unwrap()], 0x1dff_ee27_7938_e0a5),
        ("gumbel", vec![gumbel(key, shape, DType::F32).unwrap()], 0x225a_3973_6384_92ce),
        ("bernoulli", vec![bernoulli(key, 0.3, shape).unwrap()], 0x00be_bd9a_5b22_bbc5),
        ("adam", vec![p, m, v], 0xad42_c130_a932_486d),
    ]);
}

/// Whether products are fused on this processor.
fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

#[test]
fn products_and_what_is_made_of_them_have_the_same_bits_on_every_processor_that_fuses() {
    if !fuses() {
        return;
    }
    let product = |m: usize, k: usize, n: usize| {
        both(|x| dense(&x[0], &x[1], Some(&x[2])), &[numbers(&[m, k], 1), smaller(&[k, n], 2), numbers(&[n], 3)])
    };
    let quantized = |quantization, rows: usize| {
        let w = Quantized::new(&smaller(&[300, 70], 2), Outputs::Columns, quantization).unwrap();
        vec![dense_quantized(&numbers(&[rows, 300], 1), &w, None).unwrap()]
    };
    let heads = |seed| numbers(&[2, 3, 50, 12], seed);
    let causal = AttentionOptions { causal: true, ..Default::default() };
    let chunks = ChunkedAttentionOptions { causal: true, chunk_len: 8, n_chunks_before: 1, ..Default::default() };
    let windows = Windows { padding: Padding::Same, ..Windows::default() };
    let image = [numbers(&[2, 9, 8, 5], 1), smaller(&[3, 3, 5, 19], 2), numbers(&[19], 3)];
    let sequence = || (numbers(&[3, 11, 6], 1), numbers(&[3, 20], 2), smaller(&[16, 40], 3), smaller(&[40], 4));
    let rnn = [numbers(&[3, 11, 6], 1), numbers(&[3, 10], 2)];
    let (x, state, w, b) = sequence();
    let gates = [smaller(&[16, 20], 5), smaller(&[20], 6), smaller(&[16, 10], 7), smaller(&[10], 8)];
    let weights =
        GruWeights { gates: &gates[0], gates_bias: &gates[1], candidate: &gates[2], candidate_bias: &gates[3] };
    let (y, last) = gru(&rnn[0], &rnn[1], weights).unwrap();
    hold(&[
        ("one row", product(1, 700, 130), 0x5210_00f6_9746_26dd),
        ("a few rows", product(7, 1100, 33), 0x52cd_62f1_c4d7_b1c9),
        ("many rows", product(150, 520, 257), 0x6c49_2824_3f7d_d1ad),
        ("int8, one row", quantized(Quantization::Int8, 1), 0x0417_1072_64ec_d675),
        ("int8, many rows", quantized(Quantization::Int8, 90), 0xfb8a_4acc_92a1_c467),
        ("bfloat16, one row", quantized(Quantization::Bfloat16, 1), 0xe8e4_19d7_9d56_75e5),
        ("bfloat16, many rows", quantized(Quantization::Bfloat16, 90), 0x5d5e_c7f0_a8fa_0ce3),
        (
            "attention",
            both(|x| attention(&x[0], &x[1], &x[2], &causal), &[heads(1), heads(2), heads(3)]),
            0xed5f_517d_8ea1_e00a,
        ),
        (
            "chunked attention",
            both(|x| chunked_attention(&x[0], None, &x[1], &chunks), &[heads(1), heads(2)]),
            0x7411_724a_2866_f4e4,
        ),
        (
            "hash buckets",
            vec![hash_buckets(&numbers(&[2, 200, 16], 1), &numbers(&[2, 16, 3, 8], 2), &[16]).unwrap()],
            0x428a_6ecc_69b4_610a,
        ),
        ("convolution", both(|x| conv(&x[0], &x[1], Some(&x[2]), &windows), &image), 0x4533_823a_32db_587d),
        ("LSTM", both(|x| Ok(lstm(&x[0], &x[1], &x[2], &x[3])?.0), &[x, state, w, b]), 0x3177_c721_32ed_3dcd),
        ("GRU", vec![y, last], 0xd785_2974_9283_21cc),
    ]);
}
