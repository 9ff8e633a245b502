//! Draws beyond the recorded ones: every dtype and length, distribution, errors.
use tallow_tensor::{
    random::{
        bernoulli, bits, categorical, gumbel, normal, permutation, permute, randint, threefry_2x32, truncated_normal,
        uniform, Key,
    },
    testing::{assert_same_bits, on_threads},
    DType, ErrorKind, Result, Tensor,
};

const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];

/// The words of a draw, block by block as its definition says.
fn words(key: Key, n: usize) -> Vec<u32> {
    let half = n.div_ceil(2);
    let mut out = vec![0; 2 * half];
    for i in 0..half {
        let second = if half + i < n { half + i } else { 0 };
        [out[i], out[half + i]] = threefry_2x32(key, [i as u32, second as u32]);
    }
    out.truncate(n);
    out
}

#[test]
fn the_block_function_has_its_published_values() {
    // The known-answer vectors of the Random123 library.
    assert_eq!(threefry_2x32(Key([0, 0]), [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
    assert_eq!(threefry_2x32(Key([!0, !0]), [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
    assert_eq!(threefry_2x32(Key([0x1319_8a2e, 0x0370_7344]), [0x243f_6a88, 0x85a3_08d3]), [0xc492_3a9c, 0x483d_f7a0]);
}

#[test]
fn words_come_in_two_halves_at_any_length() {
    let key = Key::new(17);
    for n in [0, 1, 2, 3, 31, 64, 65, 2047, 2048, 2049, 16_385, 40_001, 100_000] {
        assert!(bits(key, &[n]).unwrap().to_vec::<u32>().unwrap() == words(key, n), "{n} words");
    }
    let both = key.split_pair();
    assert_eq!(key.split(2), [both.0, both.1]);
    assert_eq!(key.split(0), []);
}

#[test]
fn narrow_words_are_parts_of_words() {
    let key = Key::new(3);
    for n in [1usize, 3, 4, 6, 4097, 70_001] {
        // float16 keeps the upper 10 of 16 bits, bfloat16 the upper 7 of 8, float64 the upper 52 of 64.
        let w = words(key, n.div_ceil(2));
        let halves: Vec<f64> = (0..n).map(|i| f64::from((w[i / 2] >> (16 * (i % 2)) & 0xffff) >> 6) / 1024.0).collect();
        assert_eq!(uniform(key, &[n], DType::F16, 0.0, 1.0).unwrap().to_f64_vec().unwrap(), halves);
        let w = words(key, n.div_ceil(4));
        let quarters: Vec<f64> = (0..n).map(|i| f64::from((w[i / 4] >> (8 * (i % 4)) & 0xff) >> 1) / 128.0).collect();
        assert_eq!(uniform(key, &[n], DType::BF16, 0.0, 1.0).unwrap().to_f64_vec().unwrap(), quarters);
        let w = words(key, 2 * n);
        let wide = |i: usize| (u64::from(w[i]) << 32 | u64::from(w[n + i])) >> 12;
        let doubles: Vec<f64> = (0..n).map(|i| wide(i) as f64 / (1u64 << 52) as f64).collect();
        assert_eq!(uniform(key, &[n], DType::F64, 0.0, 1.0).unwrap().to_f64_vec().unwrap(), doubles);
    }
}

#[test]
fn more_numbers_recorded_from_jax() {
    // JAX 0.4.30, `jax_threefry_partitionable=False`, key(3) and key(4).
    let (k, l) = (Key::new(3), Key::new(4));
    let values = |t: Result<Tensor>| t.unwrap().to_f64_vec().unwrap();
    let near = |got: &[f64], want: &[f64], tolerance: f64| {
        assert!(
            got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance),
            "{got:?} {want:?}"
        );
    };
    let twelve: Vec<f32> = (1..13).map(|i| (i as f32).ln()).collect();
    let logits = Tensor::from_vec(twelve, &[3, 4]).unwrap();
    assert_eq!(
        values(uniform(k, &[5], DType::F16, -0.7, 0.33)),
        [0.12890625, -0.45458984375, 0.0341796875, -0.67919921875, 0.08349609375]
    );
    assert_eq!(
        values(uniform(k, &[5], DType::BF16, -0.7, 0.33)),
        [-0.40234375, -0.490234375, -0.68359375, -0.2333984375, -0.12890625]
    );
    assert_eq!(
        values(uniform(l, &[3], DType::F32, -0.7, 0.33)),
        [-0.07415398210287094, 0.3156883418560028, 0.04165969416499138]
    );
    near(&values(normal(k, &[5], DType::F16)), &[0.85888671875, -0.7109375, 0.5625, -2.0390625, 0.708984375], 2e-3);
    near(
        &values(normal(k, &[5], DType::BF16)),
        &[-0.55078125, -0.82421875, -2.109375, -0.11279296875, 0.142578125],
        1e-2,
    );
    near(&values(gumbel(k, &[3], DType::F16)), &[-0.463134765625, 0.2337646484375, -1.0546875], 2e-3);
    near(&values(gumbel(k, &[3], DType::BF16)), &[0.67578125, 0.04052734375, 0.48046875], 1e-2);
    near(
        &values(truncated_normal(l, -1.0, 1.5, &[3], DType::F16)),
        &[1.36328125, -0.187744140625, 0.18212890625],
        4e-3,
    );
    assert_eq!(values(randint(k, &[4], -7, 300, DType::U8)), [28.0, 153.0, 253.0, 121.0]);
    assert_eq!(values(randint(k, &[4], 0, 256, DType::U8)), [28.0, 153.0, 253.0, 121.0]);
    assert_eq!(values(randint(l, &[4], 5, 3, DType::I32)), [5.0, 5.0, 5.0, 5.0]);
    assert_eq!(
        values(randint(l, &[4], -2_000_000_000, 2_000_000_000, DType::I32)),
        [-1810804650.0, 512116478.0, -1940644801.0, 1783749842.0]
    );
    assert_eq!(values(randint(l, &[4], 1, 7, DType::U32)), [1.0, 3.0, 4.0, 1.0]);
    assert_eq!(
        values(permutation(l, 2000).and_then(|p| p.narrow(0, 0, 6))),
        [1117.0, 1072.0, 1531.0, 98.0, 1519.0, 1756.0]
    );
    assert_eq!(
        values(permutation(l, 100_000).and_then(|p| p.narrow(0, 0, 6))),
        [47643.0, 54086.0, 48114.0, 27063.0, 74430.0, 70035.0]
    );
    assert_eq!(values(categorical(k, &logits, 0, Some(&[2, 4]))), [2.0, 0.0, 2.0, 0.0, 2.0, 1.0, 2.0, 2.0]);
    assert_eq!(
        values(categorical(k, &logits, -1, Some(&[2, 2, 3]))),
        [3.0, 0.0, 0.0, 3.0, 2.0, 3.0, 3.0, 3.0, 0.0, 2.0, 0.0, 2.0]
    );
    assert_eq!(
        values(uniform(k, &[3], DType::F64, -3.0, 2.5)),
        [-1.8766942562265483, -0.9325097055137805, -0.5027285995848578]
    );
    near(
        &values(normal(k, &[5], DType::F64)),
        &[0.18600443975337544, -0.1762958148874507, 0.43968956175074825, -1.3058778501309836, 1.7010691982957895],
        1e-14,
    );
    near(
        &values(gumbel(k, &[3], DType::F64)),
        &[-0.4627726720769015, 0.021823777013531633, 0.23629288074280216],
        1e-14,
    );
    near(
        &values(truncated_normal(l, -1.0, 1.5, &[3], DType::F64)),
        &[-0.9341930985282663, -0.5644415271596819, -0.5542876293302345],
        1e-14,
    );
    assert_eq!(
        values(randint(l, &[3], -5, 1_000_000_000_000, DType::I64)),
        [951245142058.0, 868510676229.0, 723037931303.0]
    );
}

#[test]
fn seeds_keep_32_bits() {
    assert_eq!(Key::new(-1).0, [0, u32::MAX]);
    assert_eq!(Key::new((1 << 40) + 5).0, [0, 5]);
    assert_eq!(Key::from_tensor(&Key::new(7).to_tensor().unwrap()).unwrap(), Key::new(7));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let key = Key::new(9);
    let run = || {
        let mut out = vec![
            bits(key, &[70_003]).unwrap(),
            bernoulli(key, 0.3, &[70_003]).unwrap(),
            randint(key, &[70_003], -3, 1000, DType::I32).unwrap(),
            permutation(key, 70_003).unwrap(),
        ];
        out.extend(FLOATS.map(|d| normal(key, &[70_003], d).unwrap()));
        out
    };
    let one = on_threads(1, run);
    for n in [2, 4] {
        one.iter().zip(on_threads(n, run)).for_each(|(a, b)| assert_same_bits(&b, a));
    }
}

#[test]
fn moments_and_ranges() {
    let (key, n) = (Key::new(1), 200_000);
    let moments = |t: &Tensor| {
        let v = t.to_f64_vec().unwrap();
        let mean = v.iter().sum::<f64>() / n as f64;
        (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let near = |got: (f64, f64), mean: f64, var: f64, d: DType| {
        assert!((got.0 - mean).abs() < 0.02 && (got.1 - var).abs() < 0.03, "{d}: {got:?}, expected {mean} and {var}");
    };
    for d in FLOATS {
        near(moments(&uniform(key, &[n], d, -1.0, 3.0).unwrap()), 1.0, 16.0 / 12.0, d);
        if d != DType::BF16 {
            near(moments(&normal(key, &[n], d).unwrap()), 0.0, 1.0, d);
            near(moments(&gumbel(key, &[n], d).unwrap()), 0.5772, 1.6449, d);
        }
        let cut = truncated_normal(key, -0.5, 1.5, &[n], d).unwrap();
        assert!(cut.to_f64_vec().unwrap().iter().all(|x| (-0.5..1.5).contains(x) && *x != -0.5), "{d}");
        assert!(normal(key, &[n], d).unwrap().to_f64_vec().unwrap().iter().all(|x| x.is_finite()), "{d}");
        assert!(gumbel(key, &[n], d).unwrap().to_f64_vec().unwrap().iter().all(|x| x.is_finite()), "{d}");
    }
    for p in [0.0, 0.25, 1.0] {
        let share = bernoulli(key, p, &[n]).unwrap().to_f64_vec().unwrap().iter().sum::<f64>() / n as f64;
        assert!((share - p).abs() < 0.01 && (p.fract() != 0.0 || share == p), "{p}: {share}");
    }
    let wide = uniform(key, &[n], DType::F32, 0.0, 1.0).unwrap().to_vec::<f32>().unwrap();
    let mask = bernoulli(key, 0.3, &[n]).unwrap().to_vec::<u8>().unwrap();
    assert!(wide.iter().zip(&mask).all(|(&u, &m)| (u < 0.3) == (m == 1)));
}

#[test]
fn normal_quantiles_are_accurate() {
    // Φ(x) of each float64 and float32 normal gives its uniform back.
    let key = Key::new(2);
    for (d, tolerance) in [(DType::F64, 1e-15), (DType::F32, 2e-7)] {
        let u = uniform(key, &[5000], d, -1.0, 1.0).unwrap().to_f64_vec().unwrap();
        let x = normal(key, &[5000], d).unwrap().to_f64_vec().unwrap();
        for (u, x) in u.iter().zip(x) {
            let back = libm::erf(x / std::f64::consts::SQRT_2);
            assert!((back - u).abs() <= tolerance, "{d}: {x} comes from {u}, leads to {back}");
        }
    }
}

#[test]
fn shuffles_keep_every_element() {
    let n = 3001;
    let mut seen = permutation(Key::new(0), n).unwrap().to_vec::<i32>().unwrap();
    assert!(!seen.is_sorted());
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..n as i32));
    assert_eq!(permutation(Key::new(0), 0).unwrap().shape(), [0]);
    let x = Tensor::iota(12, DType::I64, &tallow_tensor::Device::Cpu).unwrap().reshape(&[3, 4]).unwrap();
    let order = permutation(Key::new(5), 4).unwrap();
    assert_same_bits(&permute(Key::new(5), &x, -1).unwrap(), &x.take(&order, 1).unwrap());
}

#[test]
fn wrong_arguments_are_errors() {
    let key = Key::new(0);
    for d in [DType::I32, DType::Bool] {
        assert_eq!(uniform(key, &[2], d, 0.0, 1.0).unwrap_err().kind(), ErrorKind::DTypeMismatch);
        assert_eq!(normal(key, &[2], d).unwrap_err().kind(), ErrorKind::DTypeMismatch);
    }
    assert_eq!(randint(key, &[2], 0, 5, DType::F32).unwrap_err().kind(), ErrorKind::DTypeMismatch);
    assert_eq!(bits(key, &[usize::MAX, 3]).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let logits = uniform(key, &[2, 3], DType::F32, 0.0, 1.0).unwrap();
    assert_eq!(categorical(key, &logits, -1, Some(&[3])).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(categorical(key, &logits, 2, None).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(permute(key, &logits, 2).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(permutation(key, 1 << 40).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn numbers_of_no_sense_are_refused_by_name() {
    let key = Key::new(0);
    let refused = |result: tallow_tensor::Result<Tensor>, words: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(words), "{error}");
    };
    for p in [2.0, -1.0, -0.1, f64::NAN, f64::INFINITY] {
        refused(bernoulli(key, p, &[2]), &format!("bernoulli: p must be a probability, from 0 to 1, got {p}"));
    }
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (min, max) in [(1.0, 0.0), (nan, 1.0), (0.0, nan), (0.0, inf), (-inf, 0.0)] {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            refused(uniform(key, &[2], dtype, min, max), &format!("got {min} and {max}"));
        }
    }
    refused(uniform(key, &[2], DType::F32, 0.0, 1e39), "finite in float32");
    refused(uniform(key, &[2], DType::F32, -3e38, 3e38), "maxval - minval");
    refused(uniform(key, &[2], DType::F16, 0.0, 1e5), "finite in float16");
    assert_eq!(uniform(key, &[2], DType::F32, 0.5, 0.5).unwrap().to_f64_vec().unwrap(), [0.5, 0.5]);
    assert!(uniform(key, &[2], DType::F64, 0.0, 1e39).is_ok());
    for (lower, upper) in [(1.0, -1.0), (1.0, 1.0), (nan, 1.0), (0.0, nan)] {
        refused(truncated_normal(key, lower, upper, &[2], DType::F32), &format!("got {lower} and {upper}"));
    }
    let half = truncated_normal(key, 0.0, inf, &[100], DType::F32).unwrap().to_f64_vec().unwrap();
    assert!(half.iter().all(|&x| x > 0.0));
}
