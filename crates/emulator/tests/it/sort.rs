use crate::common::{gradients, kernel_tests, normal, result, run, same_bits, tensor, Given};
use tallow_tensor::{ops, Tensor};

/// Keys of rows of n in ascending order, and where they stood.
pub fn sorted(keys: &[u32], rows: usize, n: usize) -> (Vec<u32>, Vec<u32>) {
    let bits = 32 - keys.iter().max().copied().unwrap_or(0).leading_zeros();
    let tiles = n.div_ceil(1024);
    let (mut keys, mut places) = (keys.to_vec(), vec![]);
    for pass in 0..bits.div_ceil(4).max(1) {
        let (shift, first) = (4 * pass, pass == 0);
        let counts = run("sort_count", &[rows.into(), n.into(), shift.into(), Given::Words(&keys), result()]);
        let offsets = run("sort_offsets", &[rows.into(), (16 * tiles).into(), (&counts[0]).into(), result()]);
        let out = run(
            "sort_move",
            &[
                rows.into(),
                n.into(),
                shift.into(),
                u32::from(first).into(),
                Given::Words(&keys),
                Given::Words(&places),
                (&offsets[0]).into(),
                result(),
                result(),
            ],
        );
        (keys, places) = (out[0].u32().to_vec(), out[1].u32().to_vec());
    }
    (keys, places)
}

/// Reproducible numbers below a bound.
pub fn numbers(n: usize, below: u64, seed: u64) -> Vec<u32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (((state >> 32) * below) >> 32) as u32
        })
        .collect()
}

kernel_tests! {
    fn equal_keys_keep_their_order() {
        for (rows, n, below) in
            [(0, 4, 9), (2, 0, 9), (1, 1, 1), (3, 7, 3), (2, 255, 16), (1, 1024, 64), (2, 1025, 5), (1, 5000, 1 << 32), (3, 2100, 300)]
        {
            let keys = numbers(rows * n, below, n as u64);
            let (in_order, places) = sorted(&keys, rows, n);
            let mut expected: Vec<u32> = vec![];
            for row in keys.chunks(n.max(1)) {
                let mut places: Vec<u32> = (0..n as u32).collect();
                places.sort_by_key(|&at| row[at as usize]);
                expected.extend(places);
            }
            assert_eq!(places, expected, "{rows} rows of {n}");
            if rows * n > 0 {
                let t = Tensor::from_vec(keys.clone(), &[rows, n]).expect("keys");
                let of_tensors: Vec<i32> = t.argsort(-1, false).expect("places").to_vec().expect("places");
                assert!(places.iter().map(|&p| p as i32).eq(of_tensors));
                assert_eq!(in_order, t.sort(-1, false).expect("keys").to_vec::<u32>().expect("keys"));
            }
        }
    }
    fn embedding_and_its_gradient_have_the_bits_of_tensors() {
        for (n, rows, cols) in [(0, 3, 4), (1, 1, 1), (9, 4, 5), (200, 7, 33), (1500, 40, 3), (6, 100, 64)] {
            let ids = numbers(n, rows as u64, 3);
            let (table, g) = (normal(rows * cols, 31), normal(n * cols, 32));
            let whole: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            let y = run("embedding", &[n.into(), rows.into(), cols.into(), (&table).into(), Given::Whole(&whole), result()]);
            let (in_order, places) = sorted(&ids, 1, n);
            let dtable = run("embedding_backward", &[
                n.into(), rows.into(), cols.into(), Given::Words(&in_order), Given::Words(&places), (&g).into(), result(),
            ]);
            let ids = Tensor::from_vec(whole, &[n]).expect("ids");
            let expected = gradients(&[tensor(&table, &[rows, cols])], &g, |t| ops::embedding(&t[0], &ids));
            same_bits(y[0].f32(), &expected[0]);
            same_bits(dtable[0].f32(), &expected[1]);
        }
        let out = run("embedding", &[3u32.into(), 2u32.into(), 1u32.into(), (&vec![5.0, 6.0]).into(), Given::Whole(&[1, -1, 2]), result()]);
        let y = out[0].f32();
        assert!(y[0] == 6.0 && y[1].is_nan() && y[2].is_nan(), "an id of no row gives no number: {y:?}");
    }
}
