use crate::common::{kernel_tests, normal, result, run, same_bits, tensor};
use tallow_tensor::{
    ops,
    random::{bits, Key},
};

/// Even and odd, and where blocks of threads end.
const SIZES: [usize; 9] = [0, 1, 2, 3, 31, 511, 512, 513, 2049];

kernel_tests! {
    fn words_are_those_of_random_bits() {
        for (n, key) in SIZES.iter().flat_map(|&n| [(n, Key::new(0)), (n, Key::new(-7).split(3)[2])]) {
            let words = run("random_bits", &[key.0[0].into(), key.0[1].into(), n.into(), result()]);
            let expected = bits(key, &[n]).expect("words").to_vec::<u32>().expect("words");
            assert_eq!(words[0].u32(), expected, "{n} words of {key:?}");
        }
    }
    fn dropout_keeps_what_the_operation_keeps() {
        for (n, rate) in SIZES.iter().flat_map(|&n| [(n, 0.1), (n, 0.5), (n, 0.875)]) {
            let mut x = normal(n, 5);
            if n > 30 {
                // These show also where they are dropped.
                (x[1], x[2], x[n - 1]) = (f32::NAN, f32::INFINITY, -0.0);
            }
            let key = Key::new(11).fold_in(n as u32);
            let threshold = (f64::from((1.0 - rate) as f32) * f64::from(1 << 23)).ceil() as u32;
            let factor = 1.0 / (1.0 - rate) as f32;
            let y = run("dropout", &[
                key.0[0].into(), key.0[1].into(), n.into(), threshold.into(), factor.into(), (&x).into(), result(),
            ]);
            same_bits(y[0].f32(), &ops::dropout(&tensor(&x, &[n]), rate, key, &[n]).expect("dropout"));
        }
    }
}
