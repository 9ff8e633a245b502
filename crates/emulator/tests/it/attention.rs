use crate::common::{close, gradients, kernel_tests, normal, result, run, Data, Given};
use tallow_tensor::{
    ops::{self, AttentionOptions},
    random::Key,
    DType, Tensor,
};

/// What attention is computed of.
#[derive(Clone)]
struct Case {
    batches: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    depth: usize,
    value_depth: usize,
    causal: bool,
    /// A mask, and its strides of batch, head, query and key.
    mask: Option<(Vec<u8>, [usize; 4])>,
    dropout: Option<(f64, Key)>,
    /// Elements between the rows of operands that belong to nobody.
    gap: usize,
}

impl Case {
    fn new([batches, heads, queries, keys, depth, value_depth]: [usize; 6]) -> Self {
        Self { batches, heads, queries, keys, depth, value_depth, causal: false, mask: None, dropout: None, gap: 0 }
    }
    /// Values [batches, heads, rows, size] as [batches, rows, heads, size] with gaps, and the strides of batch, head and row.
    fn laid(&self, values: &[f32], rows: usize, size: usize) -> (Vec<f32>, [usize; 3]) {
        let row = self.heads * size + self.gap;
        let strides = [rows * row, size, row];
        let mut out = vec![f32::NAN; self.batches * rows * row];
        for (i, &v) in values.iter().enumerate() {
            let (d, i) = (i % size, i / size);
            let (r, i) = (i % rows, i / rows);
            out[i / self.heads * strides[0] + i % self.heads * strides[1] + r * strides[2] + d] = v;
        }
        (out, strides)
    }
    /// The result and the gradients of queries, keys and values.
    fn run(&self, q: &[f32], k: &[f32], v: &[f32], ct: &[f32]) -> [Vec<f32>; 4] {
        let (q, q_at) = self.laid(q, self.queries, self.depth);
        let (k, k_at) = self.laid(k, self.keys, self.depth);
        let (v, v_at) = self.laid(v, self.keys, self.value_depth);
        let (ct, ct_at) = self.laid(ct, self.queries, self.value_depth);
        let (mask, mask_at) = self.mask.clone().unwrap_or_default();
        let at: Vec<u32> = [&q_at[..], &k_at, &v_at, &ct_at, &mask_at].concat().into_iter().map(|v| v as u32).collect();
        let (key, draw, rate) = match self.dropout {
            Some((rate, key)) => (key, self.batches * self.heads * self.queries * self.keys, rate),
            None => (Key::new(0), 0, 0.0),
        };
        let threshold = (f64::from((1.0 - rate) as f32) * f64::from(1 << 23)).ceil() as u32;
        let values = || -> Vec<Given<'_>> {
            vec![
                self.batches.into(),
                self.heads.into(),
                self.queries.into(),
                self.keys.into(),
                self.depth.into(),
                self.value_depth.into(),
                (1.0 / (self.depth as f32).sqrt()).into(),
                u32::from(self.causal).into(),
                u32::from(self.mask.is_some()).into(),
                (-1e9f32).into(),
                key.0[0].into(),
                key.0[1].into(),
                draw.into(),
                threshold.into(),
                (1.0 / (1.0 - rate) as f32).into(),
            ]
        };
        let operands = || -> Vec<Given<'_>> {
            vec![Given::Words(&at), (&q).into(), (&k).into(), (&v).into(), Given::Bytes(&mask)]
        };
        let with = |rest: Vec<Given<'_>>, kernel: &str| -> Vec<Data> {
            let mut given = values();
            given.extend(operands());
            given.extend(rest);
            run(kernel, &given)
        };
        let out = with(vec![result(), result(), result()], "attention");
        let sizes = [self.batches.into(), self.heads.into(), self.queries.into(), self.value_depth.into()];
        let more = [Given::Words(&at), (&out[0]).into(), (&ct).into(), result()];
        let inner = run("attention_inner", &sizes.into_iter().chain(more).collect::<Vec<_>>());
        let saved = || -> Vec<Given<'_>> { vec![(&out[1]).into(), (&out[2]).into(), (&inner[0]).into(), (&ct).into()] };
        let dq = with(saved().into_iter().chain([result()]).collect(), "attention_dq");
        let dkv = with(saved().into_iter().chain([result(), result()]).collect(), "attention_dkv");
        [&out[0], &dq[0], &dkv[0], &dkv[1]].map(|data| data.f32().to_vec())
    }
    /// Holds all against tensors of float64.
    #[track_caller]
    fn check(&self, what: &str) {
        let of = |rows: usize, size, seed| {
            (normal(self.batches * self.heads * rows * size, seed), [self.batches, self.heads, rows, size])
        };
        let (q, q_shape) = of(self.queries, self.depth, 71);
        let (k, k_shape) = of(self.keys, self.depth, 72);
        let (v, v_shape) = of(self.keys, self.value_depth, 73);
        let (ct, _) = of(self.queries, self.value_depth, 74);
        let mask = self.mask.as_ref().map(|(bytes, strides)| {
            let sizes = [self.batches, self.heads, self.queries, self.keys];
            let shape: Vec<usize> = sizes.iter().zip(strides).map(|(&n, &s)| if s == 0 { 1 } else { n }).collect();
            Tensor::from_bools(bytes.clone(), &shape).expect("a mask")
        });
        let options = AttentionOptions {
            // As the kernel has it, in float32.
            scale: f64::from(1.0 / (self.depth as f32).sqrt()),
            causal: self.causal,
            mask,
            dropout: self.dropout,
            ..AttentionOptions::default()
        };
        let wide = |values: &[f32], shape: &[usize]| {
            Tensor::from_vec(values.iter().map(|&v| f64::from(v)).collect(), shape).expect("a tensor")
        };
        let inputs = [wide(&q, &q_shape), wide(&k, &k_shape), wide(&v, &v_shape)];
        let expected = gradients(&inputs, &ct, |t| ops::attention(&t[0], &t[1], &t[2], &options));
        let actual = self.run(&q, &k, &v, &ct);
        for (actual, expected) in actual.iter().zip(&expected) {
            close(what, actual, &expected.cast(DType::F32).expect("a cast"));
        }
    }
}

/// Ones but for every `n`-th.
fn holes(len: usize, n: usize) -> Vec<u8> {
    (0..len).map(|i| u8::from(i % n != 1)).collect()
}

kernel_tests! {
    fn attention_is_that_of_tensors() {
        for sizes in [[1, 1, 1, 1, 1, 1], [2, 3, 5, 7, 4, 6], [1, 2, 33, 65, 16, 17], [1, 1, 17, 32, 128, 128], [0, 2, 3, 3, 4, 4], [2, 1, 0, 4, 8, 8]] {
            Case::new(sizes).check("plain");
            Case { causal: true, gap: 5, ..Case::new(sizes) }.check("causal");
        }
        Case { gap: 70_000, ..Case::new([1, 2, 3, 4, 8, 8]) }.check("rows far apart");
    }
    fn masks_hide_keys_and_rows_that_see_nothing_see_all_alike() {
        let case = Case::new([2, 2, 20, 37, 8, 8]);
        let full = |n| Some((holes(2 * 2 * 20 * 37, n), [2 * 20 * 37, 20 * 37, 37, 1]));
        Case { mask: full(3), ..case.clone() }.check("a mask of its own for each");
        Case { mask: full(3), causal: true, ..case.clone() }.check("and causal");
        let mut of_keys = holes(2 * 37, 4);
        // Nothing is to be seen in the second batch.
        of_keys[37..].fill(0);
        let mask = Some((of_keys, [37, 0, 0, 1]));
        Case { mask: mask.clone(), ..case.clone() }.check("a mask of keys");
        Case { mask, causal: true, ..case.clone() }.check("a mask of keys, and causal");
        // All that the first queries may see is masked, so later keys count.
        let mut late = vec![1; 37];
        late[..18].fill(0);
        Case { mask: Some((late, [0, 0, 0, 1])), causal: true, ..case }.check("later keys count");
    }
    fn dropout_is_that_of_tensors() {
        let case = Case::new([2, 3, 9, 35, 8, 4]);
        Case { dropout: Some((0.25, Key::new(5))), ..case.clone() }.check("dropout");
        Case { dropout: Some((0.5, Key::new(6).split(2)[1])), causal: true, ..case }.check("dropout, causal");
    }
}
