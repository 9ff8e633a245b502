use crate::{
    common::{close, gradients, kernel_tests, normal, result, run, Data, Given},
    sort::{numbers, sorted},
};
use tallow_tensor::{
    ops::{self, ChunkedAttentionOptions},
    random::Key,
    DType, Tensor,
};

/// What attention is computed of.
#[derive(Clone)]
struct Case {
    batches: usize,
    heads: usize,
    length: usize,
    rounds: usize,
    chunk: usize,
    before: usize,
    after: usize,
    depth: usize,
    value_depth: usize,
    causal: bool,
    exclude_self: bool,
    shared_keys: bool,
    buckets: bool,
    mask: bool,
    dropout: Option<(f64, Key)>,
}

impl Case {
    fn new([batches, heads, length, chunk]: [usize; 4]) -> Self {
        Self {
            batches,
            heads,
            length,
            rounds: 1,
            chunk,
            before: 1,
            after: 0,
            depth: 8,
            value_depth: 6,
            causal: false,
            exclude_self: false,
            shared_keys: false,
            buckets: false,
            mask: false,
            dropout: None,
        }
    }
    fn items(&self) -> usize {
        self.batches * self.heads
    }
    fn flags(&self) -> u32 {
        let all = [self.causal, self.exclude_self, self.mask, self.shared_keys, self.buckets];
        all.iter().enumerate().map(|(i, &on)| u32::from(on) << i).sum()
    }
    /// Which positions may be seen, by batch.
    fn seen(&self) -> Vec<u8> {
        (0..self.batches * self.length).map(|i| u8::from(i % 5 != 2 && i / self.length != 1)).collect()
    }
    /// The result and the gradients of queries, keys (unless they are the queries) and values.
    fn run(&self, buckets: &[u32], q: &[f32], k: &[f32], v: &[f32], ct: &[f32]) -> Vec<Vec<f32>> {
        let (l, d, dv) = (self.length, self.depth, self.value_depth);
        let dense = |size: usize| [self.heads * l * size, l * size, size];
        let at = [dense(d), dense(d), dense(dv), dense(dv)].concat();
        let at: Vec<u32> = at.into_iter().chain([if self.mask { l } else { 0 }, 0, 0, 1]).map(|v| v as u32).collect();
        let order = if self.buckets { sorted(buckets, self.items() * self.rounds, l).1 } else { vec![] };
        let mask = if self.mask { self.seen() } else { vec![] };
        let window = self.before + 1 + self.after;
        let (key, draw, rate) = match self.dropout {
            Some((rate, key)) => (key, self.chunk * window * self.chunk, rate),
            None => (Key::new(0), 0, 0.0),
        };
        let threshold = (f64::from((1.0 - rate) as f32) * f64::from(1 << 23)).ceil() as u32;
        let with = |kernel: &str, round: usize, rest: Vec<Given<'_>>| -> Vec<Data> {
            let mut given: Vec<Given<'_>> = vec![
                self.batches.into(),
                self.heads.into(),
                l.into(),
                self.rounds.into(),
                round.into(),
                self.chunk.into(),
                self.before.into(),
                self.after.into(),
                d.into(),
                dv.into(),
                self.flags().into(),
                key.0[0].into(),
                key.0[1].into(),
                draw.into(),
                threshold.into(),
                (1.0 / (1.0 - rate) as f32).into(),
                Given::Words(&at),
                q.into(),
                k.into(),
                v.into(),
                Given::Bytes(&mask),
                Given::Words(&order),
            ];
            given.extend(rest);
            run(kernel, &given)
        };
        let go_on = |data: Option<&Data>| Given::Write(data.cloned());
        let mut out: Vec<Data> = vec![];
        for round in 0..self.rounds {
            let rest = (0..3).map(|i| go_on(out.get(i))).collect();
            out = with("lsh_attention", round, rest);
        }
        let sizes = [self.batches.into(), self.heads.into(), l.into(), dv.into()];
        let more = [Given::Words(&at), (&out[0]).into(), ct.into(), result()];
        let inner = run("attention_inner", &sizes.into_iter().chain(more).collect::<Vec<_>>());
        let saved = || -> Vec<Given<'_>> { vec![(&out[1]).into(), (&out[2]).into(), (&inner[0]).into(), ct.into()] };
        let (mut dq, mut dkv): (Option<Data>, Vec<Data>) = (None, vec![]);
        for round in 0..self.rounds {
            let of_queries = with("lsh_attention_dq", round, saved().into_iter().chain([go_on(dq.as_ref())]).collect());
            let dk = if self.shared_keys { of_queries.first() } else { dkv.first() };
            let rest = saved().into_iter().chain([go_on(dk), go_on(dkv.get(1))]).collect();
            dkv = with("lsh_attention_dkv", round, rest);
            dq = Some(if self.shared_keys { dkv[0].clone() } else { of_queries[0].clone() });
        }
        let dq = dq.expect("a round");
        let mut all = vec![&out[0], &dq];
        all.extend((!self.shared_keys).then_some(&dkv[0]));
        all.push(&dkv[1]);
        all.into_iter().map(|data| data.f32().to_vec()).collect()
    }
    /// Holds all against tensors of float64; with a mask of float32, which loses products that 10⁹ was taken from, as kernels do.
    #[track_caller]
    fn check(&self, what: &str) {
        let (items, l) = (self.items(), self.length);
        let of = |size: usize, seed| normal(items * l * size, seed);
        let (q, v, ct) = (of(self.depth, 81), of(self.value_depth, 83), of(self.value_depth, 84));
        let k = if self.shared_keys { vec![] } else { of(self.depth, 82) };
        let buckets = numbers(items * self.rounds * l, 7, 85);
        let lead = |more: &[usize]| [&[self.batches, self.heads], more].concat();
        let options = ChunkedAttentionOptions {
            chunk_len: self.chunk,
            n_chunks_before: self.before,
            n_chunks_after: self.after,
            causal: self.causal,
            exclude_self: self.exclude_self,
            mask: self.mask.then(|| Tensor::from_bools(self.seen(), &[self.batches, 1, l]).expect("a mask")),
            segments: None,
            buckets: self.buckets.then(|| {
                let buckets: Vec<i32> = buckets.iter().map(|&b| b as i32).collect();
                Tensor::from_vec(buckets, &lead(&[self.rounds * l])).expect("buckets")
            }),
            dropout: self.dropout,
        };
        let wide = |x: &[f32], size| {
            Tensor::from_vec(x.iter().map(|&v| f64::from(v)).collect(), &lead(&[l, size])).expect("a tensor")
        };
        let mut inputs = vec![wide(&q, self.depth)];
        inputs.extend((!self.shared_keys).then(|| wide(&k, self.depth)));
        inputs.push(wide(&v, self.value_depth));
        let dtype = if self.mask { DType::F32 } else { DType::F64 };
        let inputs: Vec<Tensor> = inputs.iter().map(|t| t.cast(dtype).expect("a cast")).collect();
        let expected = gradients(&inputs, &ct, |t| {
            let k = if self.shared_keys { None } else { Some(&t[1]) };
            ops::chunked_attention(&t[0], k, &t[t.len() - 1], &options)
        });
        let actual = self.run(&buckets, &q, &k, &v, &ct);
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(&expected) {
            close(what, actual, &expected.cast(DType::F32).expect("a cast"));
        }
    }
}

kernel_tests! {
    fn chunks_along_the_sequence_are_those_of_tensors() {
        Case::new([1, 1, 8, 4]).check("one chunk before");
        Case { after: 1, ..Case::new([2, 3, 40, 8]) }.check("around both ends");
        Case { causal: true, depth: 33, value_depth: 40, ..Case::new([1, 2, 96, 32]) }.check("causal");
        Case { before: 0, causal: true, exclude_self: true, ..Case::new([1, 2, 21, 10]) }.check("a shorter last chunk, not itself");
        Case { before: 2, mask: true, ..Case::new([2, 2, 24, 8]) }.check("masked");
        Case { before: 1, after: 1, ..Case::new([1, 1, 8, 8]) }.check("a window that sees a chunk thrice");
        Case { depth: 128, value_depth: 128, ..Case::new([1, 1, 40, 20]) }.check("deep");
    }
    fn chunks_by_bucket_are_those_of_tensors() {
        let case = Case { buckets: true, shared_keys: true, exclude_self: true, ..Case::new([2, 2, 48, 8]) };
        case.check("one round");
        Case { rounds: 3, causal: true, ..case.clone() }.check("three rounds, causal");
        Case { rounds: 3, chunk: 10, after: 1, ..case.clone() }.check("chunks that reach over the end of a round");
        Case { rounds: 2, chunk: 20, length: 50, mask: true, ..case.clone() }.check("masked, over the end of a round");
        Case { rounds: 2, shared_keys: false, causal: true, ..case.clone() }.check("keys of their own");
        Case { rounds: 2, causal: true, dropout: Some((0.25, Key::new(3))), ..case }.check("dropout");
    }
}
